"""The catalog: complete, and its sizes are those of the published configurations, built without weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from graft.api.candidates import as_config
from graft.api.config import FitConfig
from graft.backbones.catalog import CatalogEntry, read_catalog
from graft.backbones.on_disk import cached_revision

MODALITIES = ("image", "text", "audio")
ENTRIES = [entry for modality in MODALITIES for entry in read_catalog(modality)]


def bert(width: int, depth: int, n_words: int = 30_522) -> tuple[str, dict[str, Any], int]:
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "intermediate_size": 4 * width}
    return "bert", {**sizes, "num_attention_heads": width // 32, "vocab_size": n_words}, width


def vit(width: int, kind: str = "vit", views: int = 1, **more: Any) -> tuple[str, dict[str, Any], int]:
    sizes = {"hidden_size": width, "num_attention_heads": width // 64}
    if kind == "vit":
        sizes["intermediate_size"] = 4 * width
    return kind, {**sizes, **more}, views * width


def whisper(width: int, depth: int) -> tuple[str, dict[str, Any], int]:
    sizes = {
        "d_model": width,
        "encoder_layers": depth,
        "encoder_attention_heads": width // 64,
        "decoder_attention_heads": width // 64,
    }
    return "whisper", {**sizes, "encoder_ffn_dim": 4 * width}, width


LARGE_SPEECH: dict[str, Any] = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True,
}  # fmt: skip
MINI_LM, BERT_BASE, WORLD = bert(384, 12), bert(768, 12), bert(384, 12, 250_037)
PUBLISHED: dict[str, tuple[str, dict[str, Any], int]] = {
    "google/mobilenet_v2_1.0_224": ("mobilenet_v2", {}, 1280),
    "facebook/deit-tiny-patch16-224": vit(192),
    "google/efficientnet-b0": (
        "efficientnet", {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}, 1280,
    ),
    "apple/mobilevit-small": ("mobilevit", {}, 640),
    "microsoft/resnet-18": (
        "resnet", {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}, 512,
    ),
    "facebook/deit-small-patch16-224": vit(384),
    "facebook/dinov2-small": vit(384, "dinov2", views=2, image_size=518, patch_size=14),
    "microsoft/resnet-50": ("resnet", {}, 2048),
    "facebook/convnext-tiny-224": ("convnext", {}, 768),
    "microsoft/swin-tiny-patch4-window7-224": ("swin", {}, 768),
    "google/vit-base-patch16-224": vit(768),
    "facebook/dinov2-base": vit(768, "dinov2", views=2, image_size=518, patch_size=14),
    "prajjwal1/bert-tiny": bert(128, 2),
    "sentence-transformers/paraphrase-MiniLM-L3-v2": bert(384, 3),
    "sentence-transformers/all-MiniLM-L6-v2": bert(384, 6),
    "sentence-transformers/all-MiniLM-L12-v2": MINI_LM,
    "BAAI/bge-small-en-v1.5": MINI_LM,
    "distilbert/distilbert-base-uncased": ("distilbert", {}, 768),
    "BAAI/bge-base-en-v1.5": BERT_BASE,
    "google-bert/bert-base-uncased": BERT_BASE,
    "sentence-transformers/all-mpnet-base-v2": ("mpnet", {"max_position_embeddings": 514}, 768),
    "FacebookAI/roberta-base": (
        "roberta", {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1}, 768,
    ),
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": WORLD,
    "intfloat/multilingual-e5-small": WORLD,
    "ntu-spml/distilhubert": ("hubert", {"num_hidden_layers": 2}, 768),
    "openai/whisper-tiny": whisper(384, 4),
    "openai/whisper-base": whisper(512, 6),
    "openai/whisper-small": whisper(768, 12),
    "MIT/ast-finetuned-audioset-10-10-0.4593": ("audio-spectrogram-transformer", {}, 768),
    "facebook/wav2vec2-base": ("wav2vec2", {}, 768),
    "facebook/wav2vec2-base-960h": ("wav2vec2", {}, 768),
    "facebook/hubert-base-ls960": ("hubert", {}, 768),
    "microsoft/wavlm-base-plus": ("wavlm", {}, 768),
    "facebook/wav2vec2-large-xlsr-53": ("wav2vec2", LARGE_SPEECH, 1024),
    "facebook/wav2vec2-xls-r-300m": ("wav2vec2", LARGE_SPEECH, 1024),
    "facebook/mms-300m": ("wav2vec2", LARGE_SPEECH, 1024),
}  # fmt: skip
"""By id: model type, what its configuration sets beside the type's defaults, and the size of the pooled features."""


@pytest.fixture(scope="module")
def n_parameters() -> Callable[[str], int]:
    """Return how many parameters a published configuration has; nothing is allocated."""
    from transformers import AutoConfig, AutoModel

    counted: dict[str, int] = {}

    def count(name: str) -> int:
        kind, changed, _ = PUBLISHED[name]
        key = f"{kind} {changed}"
        if key not in counted:
            with torch.device("meta"):
                network = AutoModel.from_config(AutoConfig.for_model(kind, **changed))
            body = network.get_encoder() if kind == "whisper" else network
            counted[key] = sum(parameter.numel() for parameter in body.parameters())
        return counted[key]

    return count


def test_about_twelve_models_of_each_kind_from_small_to_large() -> None:
    for modality in MODALITIES:
        sizes = [entry.parameters for entry in read_catalog(modality)]
        assert len(sizes) >= 10
        assert sizes == sorted(sizes)
        assert sizes[-1] > 10 * sizes[0]
    assert len({entry.id for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.id for entry in ENTRIES])
def test_an_entry_says_where_it_comes_from(entry: CatalogEntry) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.id)
    assert re.fullmatch(r"([0-9a-f]{40})?", entry.revision)
    assert entry.pretraining
    assert entry.licence == entry.licence.lower()
    assert (entry.accuracy is None) == (not entry.source)
    assert entry.accuracy is None or 0 < entry.accuracy < 1
    assert (entry.sampling_rate_hz > 0) == (entry.modality == "audio")
    assert bool(entry.language) or entry.modality != "text"


def test_accuracies_are_compared_on_the_same_examples_alone() -> None:
    """What stands before the comma is the benchmark: MNLI's test set and its development set are two."""
    named = {entry.id: entry.source.partition(",")[0] for entry in ENTRIES if entry.source}
    assert named["google-bert/bert-base-uncased"] != named["FacebookAI/roberta-base"]
    assert all(word in name for name in named.values() if "MNLI" in name for word in ("MNLI", "set"))
    assert all("top-1" in name or "linear probe" in name for name in named.values() if "ImageNet" in name)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.id for entry in ENTRIES])
def test_sizes_are_those_of_the_published_configuration(
    entry: CatalogEntry, n_parameters: Callable[[str], int]
) -> None:
    assert entry.features == PUBLISHED[entry.id][2]
    assert entry.parameters == pytest.approx(n_parameters(entry.id), rel=0.02)


@pytest.mark.parametrize(
    ("cached", "found"),
    [([], None), (["newer"], ""), (["pinned"], "pinned"), (["pinned", "newer"], "pinned")],
)
def test_offline_the_pinned_commit_goes_before_the_newest_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: list[str], found: str | None
) -> None:
    entry = next(entry for entry in ENTRIES if entry.id == "facebook/dinov2-small")
    commits = {"pinned": entry.revision, "newer": "0" * 40}
    place = tmp_path / "models--facebook--dinov2-small"
    for name in cached:
        snapshot = place / "snapshots" / commits[name]
        snapshot.mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (snapshot / file).write_text("{}")
        (place / "refs").mkdir(exist_ok=True)
        (place / "refs" / "main").write_text(commits[name])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert cached_revision(entry) == (entry.revision if found == "pinned" else found)
    taken = {
        offline: as_config(entry, FitConfig(model="", out="", offline=offline)).revision for offline in (True, False)
    }
    assert taken[False] == entry.revision
    assert taken[True] == (entry.revision if found == "pinned" else None)


def test_weights_of_an_installed_package_have_no_commit() -> None:
    entry = next(entry for entry in ENTRIES if entry.package)
    pytest.importorskip(entry.package.partition("/")[0])
    assert as_config(entry, FitConfig(model="", out="")).revision is None
