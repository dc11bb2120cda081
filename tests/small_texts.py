"""Tiny text encoders with random weights, and texts that are easy to tell apart."""

from __future__ import annotations

import json
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
FAMILIES = (
    "bert", "roberta", "distilbert", "modernbert", "electra", "deberta-v2", "deberta", "mpnet", "albert",
)  # fmt: skip


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
        "electra": lambda: t.ElectraModel(
            t.ElectraConfig(**size, **usual, embedding_size=8, max_position_embeddings=40)
        ),
        "deberta-v2": lambda: t.DebertaV2Model(
            t.DebertaV2Config(
                **size, **usual, max_position_embeddings=40, relative_attention=True, position_buckets=8,
                norm_rel_ebd="layer_norm", pos_att_type=["p2c", "c2p"], conv_kernel_size=3,
            )
        ),
        "deberta": lambda: t.DebertaModel(
            t.DebertaConfig(
                **size, **usual, max_position_embeddings=40, relative_attention=True, pos_att_type=["p2c", "c2p"]
            )
        ),
        "mpnet": lambda: t.MPNetModel(
            t.MPNetConfig(**{**size, "pad_token_id": 1}, **usual, max_position_embeddings=40)
        ),
        "albert": lambda: t.AlbertModel(
            t.AlbertConfig(**size, **usual, embedding_size=8, max_position_embeddings=40)
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


def make_sentence_checkpoint(
    folder: Path, family: str = "bert", *, modes: tuple[str, ...] = ("mean_tokens",), has_dense: bool = False
) -> Path:
    """Write `make_text_checkpoint` as sentence-transformers does, with pooling and normalisation; return its folder."""
    make_text_checkpoint(folder, family)
    theirs = "sentence_transformers.models"
    names = ["Transformer", "Pooling", *(["Dense"] if has_dense else []), "Normalize"]
    paths = ["" if name == "Transformer" else f"{number}_{name}" for number, name in enumerate(names)]
    for path in paths[1:]:
        (folder / path).mkdir()
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"{theirs}.{name}"}
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")
    pooling = {"word_embedding_dimension": 16, **{f"pooling_mode_{mode}": mode in modes for mode in known}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 7, "do_lower_case": False}))
    if has_dense:
        from safetensors.torch import save_file

        save_file(
            {"linear.weight": torch.eye(16), "linear.bias": torch.zeros(16)}, folder / "2_Dense" / "model.safetensors"
        )
        dense = {"in_features": 16, "out_features": 16, "bias": True, "activation_function": "torch.nn.Identity"}
        (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    return folder
