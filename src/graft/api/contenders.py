"""Which methods a strategy means, as values, and which of them `auto` lets compete."""

from __future__ import annotations

from typing import Any

import numpy as np

from graft.api.config import FitConfig
from graft.data.dataset import LabeledDataset
from graft.data.kinds import TEXT, ExampleKind
from graft.methods.contrastive import Contrastive
from graft.methods.full import Full
from graft.methods.gradual import GradualUnfreeze
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.prepared import FineTuningMethod
from graft.methods.settings import FineTuning

__all__ = ["contenders", "method_of"]

_FEW = 50  # examples a class, below which contrast between texts is tried beside lp-ft


def contenders(config: FitConfig, *, kind: ExampleKind, train: LabeledDataset) -> list[FineTuningMethod]:
    """Return the methods to hold against the probe, one after the other; the later must beat the earlier.

    A strategy that was named is the only one. `auto` takes lp-ft; for texts with one label and fewer than 50 in the
    middle class, contrastive as well.
    """
    if config.strategy != "auto":
        return [method_of(config, config.strategy)]
    found = [method_of(config, "lp-ft")]
    if kind == TEXT and not train.is_multi_label:
        counts = np.bincount(train.labels, minlength=len(train.label_names))
        if (counts > 0).sum() > 1 and np.median(counts[counts > 0]) < _FEW:
            found.append(method_of(config, "contrastive"))
    return found


def method_of(config: FitConfig, strategy: str) -> FineTuningMethod:
    """Return the method that a strategy's name and the options mean."""
    settings = FineTuning(
        learning_rate=config.learning_rate,
        epochs=FineTuning.epochs if config.epochs is None else config.epochs,
        fewest_steps=config.fewest_steps,
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        optimizer=config.optimizer,  # type: ignore[arg-type]
        weight_decay=config.weight_decay,
        schedule=config.schedule,  # type: ignore[arg-type]
        warmup_fraction=config.warmup_fraction,
        ema_decay=config.ema_decay,
        l2_sp=config.l2_sp,
        augmentation=config.augmentation,  # type: ignore[arg-type]
        mixup=config.mixup,
        cutmix=config.cutmix,
        label_smoothing=config.label_smoothing,
        class_weights="none" if config.class_weights == "auto" else config.class_weights,  # type: ignore[arg-type]
        batch_norm=config.batch_norm,  # type: ignore[arg-type]
        word_embeddings=config.word_embeddings,  # type: ignore[arg-type]
        patience=config.patience,
        is_compiled=config.compile,
    )
    decay: dict[str, Any] = {} if config.layer_decay is None else {"layer_decay": config.layer_decay}
    if strategy == "full":
        return Full(settings, **decay)
    if strategy == "partial":
        return Partial(config.last_k_blocks, settings, is_cached=config.cache_boundary, **decay)
    if strategy == "contrastive":
        return Contrastive(settings)
    if strategy == "gradual":
        return GradualUnfreeze(settings, **decay)
    if strategy == "lora":
        return LoRA(rank=config.lora_rank, alpha=2.0 * config.lora_rank, settings=settings)
    return LPFT(settings, **decay)
