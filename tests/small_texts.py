"""Tiny text encoders with random weights, and texts that are easy to tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from graft.data.dataset import LabeledDataset

WORDS = ("red", "rose", "blood", "green", "grass", "leaf", "blue", "sky", "sea", "the", "a", "is", "like", "very")
TEXTS = (
    "the rose is red", "blood is very red", "a red red rose", "the grass is green", "a leaf is green like grass",
    "very green", "the sky is blue", "the sea is blue like the sky",
)  # fmt: skip
TARGETS = (0, 0, 0, 1, 1, 1, 2, 2)
FAMILIES = ("bert", "roberta", "distilbert", "modernbert")


def make_tokenizer(folder: Path, *, is_roberta: bool = False) -> None:
    """Write a tokenizer of whole words into `folder`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate((*specials, *WORDS))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ["input_ids", "attention_mask"] if is_roberta else ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=names, model_max_length=32,
    ).save_pretrained(folder)  # fmt: skip


def make_text_checkpoint(folder: Path, family: str = "bert", *, n_layers: int = 3) -> Path:
    """Write a tiny encoder of some family with random weights; return its folder."""
    import transformers as t

    size: dict[str, Any] = {"vocab_size": 4 + len(WORDS), "pad_token_id": 0}
    usual = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": n_layers, "intermediate_size": 32}
    make = {
        "bert": lambda: t.BertModel(t.BertConfig(**size, **usual, max_position_embeddings=40)),
        "roberta": lambda: t.RobertaModel(t.RobertaConfig(**size, **usual, max_position_embeddings=40)),
        "distilbert": lambda: t.DistilBertModel(
            t.DistilBertConfig(**size, dim=16, n_heads=2, n_layers=n_layers, hidden_dim=32, max_position_embeddings=40)
        ),
        "modernbert": lambda: t.ModernBertModel(
            t.ModernBertConfig(
                **size, **usual, max_position_embeddings=40, cls_token_id=2, sep_token_id=3, bos_token_id=2,
                eos_token_id=3,
            )
        ),
    }[family]  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make().save_pretrained(folder)
    make_tokenizer(folder, is_roberta=family != "bert")
    return folder


def dataset_of(counts: list[int]) -> LabeledDataset:
    """Return equal texts, so many of each class."""
    from datasets import Dataset

    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    rows = {"id": [str(i) for i in range(len(labels))], "content": ["a"] * len(labels), "label": labels}
    return LabeledDataset(Dataset.from_dict(rows), tuple(map(str, range(len(counts)))))
