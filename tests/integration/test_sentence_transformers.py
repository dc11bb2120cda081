"""A saved run of texts in the real sentence-transformers: its body gives what the classifier reads."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import graft
from small_texts import make_sentence_checkpoint

WORDS = {"red": "rose", "green": "leaf", "blue": "sky"}
TEXTS = ["a rose is red", "the sky", "the leaf is very very very very green", "blood"]


@pytest.mark.parametrize("strategy", ["head", "lp-ft"])
def test_a_saved_run_loads_and_its_embeddings_are_the_classifiers(strategy: str, tmp_path: Path) -> None:
    library: Any = pytest.importorskip("sentence_transformers", reason="sentence-transformers is no dependency of ours")
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    rows = [[f"the {word} is {'very ' * i}{label}", label] for label, word in WORDS.items() for i in range(8)]
    with open(tmp_path / "said.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    more: dict[str, Any] = {"epochs": 1, "fewest_steps": 3, "batch_size": 8, "workers": 0, "corruptions": "none"}
    result = graft.fit(
        tmp_path / "said.csv", model=str(make_sentence_checkpoint(tmp_path / "base")), out=tmp_path / "run",
        strategy=strategy, cache=tmp_path / "cache", console=Console(quiet=True), **more,
    )  # fmt: skip
    encoder = library.SentenceTransformer(str(result.model), device="cpu", local_files_only=True)
    found = encoder.encode(TEXTS, convert_to_numpy=True)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)

    network: Any = AutoModelForSequenceClassification.from_pretrained(result.model, local_files_only=True).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(result.model, local_files_only=True)
    read: list[torch.Tensor] = []
    layer = network.get_submodule("classifier")
    layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    with torch.inference_mode():
        network(**tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt"))
    features = read[0].numpy()
    # the classifier's input is the embedding at another length and centred, so directions are compared
    own = features / np.linalg.norm(features, axis=1, keepdims=True)
    centred = found - found.mean(axis=1, keepdims=True)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    agreement = np.maximum((own * found).sum(axis=1), (own * centred).sum(axis=1))
    assert agreement.min() > 0.999, agreement
