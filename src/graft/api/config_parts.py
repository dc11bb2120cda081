"""The options of the verbs that need fewer than `fit`: what they read, and no more, of `FitConfig`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, field, fields, make_dataclass
from typing import Any, get_type_hints

from graft.api.config import FitConfig

__all__ = ["FOR_CHECK", "FOR_FIND_RATE", "FOR_RANK", "ONE_MODEL", "part_of"]

_EXAMPLES = (
    "valid", "test", "task", "path_column", "text_column", "text_pair_column", "label_column", "multi_label",
    "group_column", "test_fraction",
)  # fmt: skip
_COMPUTING = (
    "engine", "precision", "device", "batch_size", "workers", "cache", "max_tokens", "skip_unreadable", "offline",
    "trust_remote_code", "seed",
)  # fmt: skip
FOR_CHECK = (
    "model", "out", "weights", "revision", "preprocessing", *_EXAMPLES, "transcripts", "vocabulary", "language",
    "fix_splits", "corrections", "class_weights", "views", "flip", "folds", *_COMPUTING,
)  # fmt: skip
"""Options that `graft check` reads."""
FOR_RANK = (
    "preprocessing", *_EXAMPLES, "race", "learning_rate", "epochs", "fewest_steps", "micro_batch_size", "augmentation",
    "flip", "folds", *_COMPUTING,
)  # fmt: skip
"""Options that ``graft rank`` reads, those of the short fine-tuning of the first two among them."""
FOR_FIND_RATE = (
    "model", "out", "weights", "revision", "preprocessing", *_EXAMPLES, "fix_splits", "corrections", "strategy", "jobs",
    "ray_address", "time_limit", "learning_rate", "epochs", "fewest_steps", "micro_batch_size", "optimizer",
    "weight_decay", "schedule", "warmup_fraction", "layer_decay", "last_k_blocks", "cache_boundary", "lora_rank",
    "ema_decay", "l2_sp", "augmentation", "mixup", "cutmix", "label_smoothing", "class_weights", "batch_norm",
    "word_embeddings", "compile", "views", "flip", "folds", *_COMPUTING,
)  # fmt: skip
"""Options that ``graft find-lr`` reads."""
ONE_MODEL = "Pretrained model: hub id, folder, torchvision:ARCH (with weights), or timm/NAME."
"""What is told of the model where none is chosen among several."""


def part_of(name: str, keep: Sequence[str], *, told: Mapping[str, str] | None = None, **defaults: Any) -> type[Any]:
    """Return a record of some options of `FitConfig`, with their documentation.

    Parameters
    ----------
    name : of the record's class.
    keep : the options.
    told : documentation by option, where it is not that of `FitConfig`.
    defaults : where they are not those of `FitConfig`.

    Examples
    --------
    >>> part_of("Small", ["seed", "out"], out="here")().as_dict()
    {'out': 'here', 'seed': 0}
    """
    types = get_type_hints(FitConfig)
    kept = [one for one in fields(FitConfig) if one.name in keep]
    own: list[tuple[str, Any, Any]] = []
    for one in kept:
        default = defaults.get(one.name, one.default)
        own.append((one.name, types[one.name], field() if default is MISSING else field(default=default)))
    made = make_dataclass(name, own, frozen=True, kw_only=True, namespace={"as_dict": asdict})
    made.__module__ = __name__  # "types" else, whose classes no command line is made of
    made.__doc__ = "\n".join(["Options.", "", "Parameters", "----------", *_told(frozenset(keep), told or {})])
    return made


def _told(keep: frozenset[str], own: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of `FitConfig`'s documentation that are of these options, those in `own` replaced."""
    is_kept = False
    for line in inspect.cleandoc(FitConfig.__doc__ or "").splitlines():
        if line and not line.startswith(" "):
            name = line.strip()
            is_kept = name in keep and name not in own
            if name in keep and name in own:
                yield from (name, f"    {own[name]}")
        if is_kept and line.strip():
            yield line
