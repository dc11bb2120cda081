"""What the options of `fit` may be: one line an option, and one error for all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graft.core.errors import UsageError

if TYPE_CHECKING:
    from graft.api.config import FitConfig

__all__ = ["STRATEGIES", "refuse_wrong_values", "seconds_of"]

STRATEGIES = ("auto", "head", "lp-ft", "full", "partial", "lora", "gradual", "contrastive")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh])")


def refuse_wrong_values(config: FitConfig) -> None:
    """Raise at the first option that cannot be meant so.

    Raises
    ------
    UsageError
        With its flag, its name in Python, and what it may be.
    """
    checks: list[tuple[str, bool, str]] = [
        ("test_fraction", 0.0 < config.test_fraction < 1.0, "a share between 0 and 1"),
        ("strategy", config.strategy in STRATEGIES, ", ".join(STRATEGIES)),
        ("transcripts", config.transcripts in ("auto", "plain", "lower", "keep"), "auto, plain, lower or keep"),
        (
            "vocabulary",
            config.vocabulary in ("auto", "checkpoint", "transcripts"),
            "auto, checkpoint or transcripts",
        ),
        ("answers", config.answers in ("all", "last"), "all or last"),
        ("generations", config.generations >= 1, "1 or more"),
        ("shots", config.shots >= 0, "0 or more"),
        ("adapter", config.adapter in ("lora", "dora", "qlora"), "lora, dora or qlora"),
        ("packing", config.packing in ("auto", "on", "off"), "auto, on or off"),
        ("decoding", config.decoding in ("auto", "greedy", "beam"), "auto, greedy or beam"),
        ("batch_seconds", config.batch_seconds is None or config.batch_seconds > 0, "above 0"),
        ("corruptions", config.corruptions in ("auto", "all", "none"), "auto, all or none"),
        ("race", config.race in ("auto", "none", "rate", "all"), "auto, none, rate or all"),
        ("jobs", config.jobs >= 1, "1 or more"),
        ("views", config.views >= 1, "1 or more"),
        ("folds", config.folds >= 2, "2 or more"),
        ("engine", config.engine in ("auto", "eager", "compile", "openvino"), "auto, eager, compile or openvino"),
        ("precision", config.precision in ("auto", "bf16", "fp16", "fp32"), "auto, bf16, fp32, or fp16 on a GPU"),
        ("optimizer", config.optimizer in ("adamw", "sgd"), "adamw or sgd"),
        ("schedule", config.schedule in ("cosine", "linear", "constant"), "cosine, linear or constant"),
        (
            "augmentation",
            config.augmentation in ("none", "light", "medium", "strong"),
            "none, light, medium or strong",
        ),
        (
            "class_weights",
            config.class_weights in ("none", "auto", "balanced", "logit-adjustment"),
            "none, auto, balanced or logit-adjustment",
        ),
        ("batch_norm", config.batch_norm in ("frozen", "recalibrate", "train"), "frozen, recalibrate or train"),
        ("word_embeddings", config.word_embeddings in ("auto", "train", "frozen"), "auto, train or frozen"),
        ("soup_kind", config.soup_kind in ("uniform", "greedy"), "uniform or greedy"),
        ("wise", config.wise == "auto" or _is_share(config.wise), "auto, or a share from 0 to 1"),
        ("learning_rate", config.learning_rate is None or config.learning_rate > 0, "a number above 0, such as 2e-4"),
        ("epochs", config.epochs is None or config.epochs > 0, "above 0"),
        ("fewest_steps", config.fewest_steps >= 1, "1 or more"),
        ("last_k_blocks", config.last_k_blocks >= 1, "1 or more"),
        ("lora_rank", config.lora_rank >= 1, "1 or more"),
        ("soup", config.soup >= 1, "1 or more"),
        ("patience", config.patience >= 1, "1 or more"),
        ("checkpoint_minutes", config.checkpoint_minutes > 0, "above 0"),
        (
            "time_limit",
            config.time_limit is None or seconds_of(config.time_limit) is not None,
            "a time such as 90s, 10m or 1h",
        ),
        ("batch_size", config.batch_size >= 1, "1 or more"),
        ("max_tokens", config.max_tokens is None or config.max_tokens >= 3, "3 or more"),
        ("workers", config.workers >= 0, "0 or more"),
    ]
    for name, is_right, expected in checks:
        if not is_right:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} {getattr(config, name)} (Python: {name}=)", expected=expected)


def seconds_of(duration: str) -> float | None:
    """Return the seconds of a time such as ``"90s"``, ``"10m"`` or ``"1h"``; None where it is none, or has no unit.

    Examples
    --------
    >>> seconds_of("10m"), seconds_of("1.5h"), seconds_of("soon"), seconds_of("90")
    (600.0, 5400.0, None, None)
    """
    found = _DURATION.fullmatch(str(duration).strip().lower())
    if found is None or float(found[1]) <= 0:
        return None
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
