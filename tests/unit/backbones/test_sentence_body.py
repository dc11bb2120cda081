"""Bodies of sentence-transformers: what their folders say, and that a saved model says the same of its body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from graft.backbones.sentence_body import read_sentence_body
from graft.backbones.text_loading import TextModel, load_text_model
from graft.backbones.text_pooling import LARGE, pooled_features
from small_texts import TEXTS, make_sentence_checkpoint

LABELS = ("red", "green", "blue")


def load(folder: Path, *modes: str, **more: Any) -> TextModel:
    return load_text_model(str(make_sentence_checkpoint(folder, modes=modes, **more)), label_names=LABELS)


@pytest.mark.parametrize(
    ("modes", "expected", "first"),
    [
        (("mean_tokens",), ("mean",), "mean@3"),
        (("cls_token",), ("cls",), "cls@3"),
        (("mean_sqrt_len_tokens",), ("mean_sqrt_len_tokens",), "mean@3"),
        (("max_tokens",), ("max",), "mean@3"),
        (("mean_tokens", "cls_token"), ("cls", "mean"), "mean@3"),
        (("lasttoken",), ("lasttoken",), "mean@3"),
    ],
)
def test_the_pooling_is_read_and_its_own_is_offered_first(
    modes: tuple[str, ...], expected: tuple[str, ...], first: str, tmp_path: Path
) -> None:
    model = load(tmp_path, *modes)
    assert model.body is not None
    assert (model.body.pooling, model.body.is_normalized, model.tokens.max_tokens) == (expected, True, 7)
    assert model.blocks[0] == first
    is_served = bool(model.body.first_choice)
    assert bool(model.notes) is not is_served
    assert is_served or "which no stock checkpoint can say" in model.notes[0]


def test_what_is_none_of_theirs_and_the_newer_form(tmp_path: Path) -> None:
    assert read_sentence_body(lambda name: None) is None
    folder = make_sentence_checkpoint(tmp_path, modes=("mean_tokens",))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls", "embedding_dimension": 16}))
    body = load_text_model(str(folder), label_names=LABELS).body
    assert body is not None
    assert body.pooling == ("cls",)


def embeddings(folder: Path, texts: tuple[str, ...]) -> Tensor:
    """Return what sentence-transformers computes by a folder's files, before it is brought to length 1."""
    from transformers import AutoModel, AutoTokenizer

    settings = json.loads((folder / "sentence_bert_config.json").read_text())
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    network: Any = AutoModel.from_pretrained(folder, **settings.get("config_args", {})).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        states: Tensor = network(**tokens).last_hidden_state
    if pooling["pooling_mode_cls_token"]:
        return states[:, 0]
    assert pooling["pooling_mode_mean_tokens"]
    mask = tokens["attention_mask"].unsqueeze(-1)
    return torch.as_tensor((states * mask).sum(1) / mask.sum(1))


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "deberta-v2"])
@pytest.mark.parametrize("block", ["mean@3", "mean@2", "cls@3"])
def test_the_saved_body_gives_what_the_classifier_reads(family: str, block: str, tmp_path: Path) -> None:
    model = load(tmp_path / "checkpoint", "mean_tokens", family=family).choose(block)
    saved = tmp_path / "model"
    model.network.save_pretrained(saved)
    model.save_processor(saved)
    found = embeddings(saved, TEXTS)
    inputs = model.tokens.collate(model.tokens.encode_all(TEXTS))
    features = pooled_features(model.network, inputs, (block,), head=model.head.name)
    width = found.shape[-1:]
    with torch.inference_mode():
        agreement = torch.corrcoef(torch.stack([functional.layer_norm(found, width).flatten(), features.flatten()]))
    assert float(agreement[0, 1]) > 1 - 1e-5
    modules = json.loads((saved / "modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == ["Transformer", "Pooling", "Normalize"]
    assert LARGE > 1000, "the mean drowns the first token"


def test_modules_with_weights_stay_only_with_the_pooling_that_they_were_trained_on(tmp_path: Path) -> None:
    model = load(tmp_path / "checkpoint", "mean_tokens", has_dense=True)
    assert "Dense behind its pooling" in model.notes[0]
    for block, expected in (("mean@3", ["2_Dense", "3_Normalize"]), ("cls@3", ["2_Normalize"])):
        (tmp_path / block).mkdir()
        model.choose(block).save_processor(tmp_path / block)
        modules = json.loads((tmp_path / block / "modules.json").read_text())
        assert [module["path"] for module in modules] == ["", "1_Pooling", *expected]
        assert (tmp_path / block / "2_Dense" / "model.safetensors").is_file() is (block == "mean@3")


def test_an_own_pooling_that_no_classifier_can_say_is_kept_for_the_body(tmp_path: Path) -> None:
    model = load(tmp_path / "checkpoint", "max_tokens", family="modernbert").choose("own")
    (tmp_path / "model").mkdir()
    model.save_processor(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "1_Pooling" / "config.json").read_text())["pooling_mode_max_tokens"]


def test_older_folders_keep_the_encoder_in_one_of_its_own(tmp_path: Path) -> None:
    new = load(tmp_path / "new", "mean_tokens")
    old = make_sentence_checkpoint(tmp_path / "old", modes=("mean_tokens",))
    inner = old / "0_Transformer"
    inner.mkdir()
    for path in [p for p in old.iterdir() if p.is_file() and p.name != "modules.json"]:
        path.rename(inner / path.name)
    modules = json.loads((old / "modules.json").read_text())
    modules[0]["path"] = inner.name
    (old / "modules.json").write_text(json.dumps(modules))
    model = load_text_model(str(old), label_names=LABELS)
    assert model.body is not None
    assert (model.body.pooling, model.tokens.max_tokens) == (("mean",), 7)
    assert model.backbone.weights_hash == new.backbone.weights_hash
