"""Which of the offered poolings and layers the head reads: by cross-validation on the training split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.backbones.extraction import Features
from graft.core.seeds import generator
from graft.selection.pooling_choice import choose_block
from graft.tasks.base import Task
from graft.tasks.registry import task_class

__all__ = ["choose_pooling", "present_targets"]

_MOST_ROWS = 2_000


def choose_pooling(embedded: Embedded, config: FitConfig, *, say: Callable[[str], None]) -> Embedded:
    """Return the same with the features of one block alone.

    Notes
    -----
    See `graft.selection.pooling_choice.choose_block`; at most 2,000 training examples are looked at.
    """
    source = embedded.model.source()
    blocks = source.blocks
    if len(blocks) == 1:
        return replace(embedded, task=_with_block(embedded, blocks[0]))
    train = embedded.splits["train"]
    matrix = embedded.features["train"].matrix
    width = matrix.shape[1] // len(blocks)
    rows = np.arange(len(train))
    if len(rows) > _MOST_ROWS:
        rows = np.sort(generator(config.seed, "pooling").permutation(rows)[:_MOST_ROWS])
        if not train.is_multi_label:
            present = np.bincount(train.labels[rows], minlength=len(embedded.label_names))
            rows = rows[np.isin(train.labels[rows], np.flatnonzero(present >= 2))]
    targets = present_targets(train.labels[rows])
    n_classes = targets.shape[1] if train.is_multi_label else int(targets.max()) + 1
    chosen, losses = choose_block(
        matrix[rows],
        targets,
        n_blocks=len(blocks),
        n_classes=n_classes,
        groups=None if embedded.groups is None else embedded.groups[rows],
        scalings=source.scalings,
        n_folds=config.folds,
        seed=config.seed,
    )
    told = [f"{name} {loss:.4f}" for name, loss in zip(blocks, losses, strict=True)]
    block = blocks[chosen]
    say(f"pooling: {block}; out-of-fold log-loss on {len(rows):,} {embedded.noun}s: {', '.join(told)}")
    columns = slice(chosen * width, (chosen + 1) * width)

    def narrowed(features: Features) -> Features:
        return replace(features, matrix=np.ascontiguousarray(features.matrix[:, columns]))

    return replace(
        embedded,
        task=_with_block(embedded, block),
        features={name: narrowed(features) for name, features in embedded.features.items()},
        views=tuple(narrowed(view) for view in embedded.views),
    )


def _with_block(embedded: Embedded, block: str) -> Task:
    return task_class(embedded.task.name)(embedded.model.choose(block))


def present_targets(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return the targets without the classes that have no example, or the labels that have fewer than two.

    Parameters
    ----------
    labels : (n_examples,), class numbers, which are given anew; or (n_examples, n_labels), 0 or 1.
    """
    if labels.ndim == 2:
        return labels[:, labels.sum(axis=0, dtype=np.int64) >= 2]
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)
