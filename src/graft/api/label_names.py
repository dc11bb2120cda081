"""What the labels' own names say: one more example of each class, and a classifier that has seen none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.backbones.text_loading import TextModel
from graft.core.devices import choose_device
from graft.core.types import Predictions
from graft.data.dataset import LabeledDataset
from graft.methods.head_only import HeadFit, HeadOnly

__all__ = ["LabelNames", "heed_names", "label_words", "read_names", "zero_shot"]

_FEW = 25  # examples a class, from which on names are not tried: 10 a class gain 0.3 points of them
_SHARPNESS = 20.0  # logits a cosine of 1: the usual inverse temperature of sentence encoders' training


@dataclass(frozen=True)
class LabelNames:
    """The labels' names as texts.

    Parameters
    ----------
    texts : one a class, in words.
    features : (n_classes, n_features), what the head reads of them.
    """

    texts: tuple[str, ...]
    features: NDArray[np.float32]

    @property
    def anchors(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Features and class numbers, as the head takes them."""
        return self.features, np.arange(len(self.texts))


def label_words(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return label names as words; None where some are none, such as numbers or codes.

    Examples
    --------
    >>> label_words(("card_arrival", "lostCard", "Top-up failed?"))
    ('card arrival', 'lost card', 'top up failed?')
    >>> label_words(("0", "1")) is None
    True
    """
    found = []
    for name in names:
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"[_\-./:]+", " ", name)).strip()
        if not re.search(r"[^\W\d_]{3,}", spaced):
            return None
        found.append(spaced.lower())
    return tuple(found) if len(set(found)) == len(names) else None


def read_names(embedded: Embedded, config: FitConfig) -> LabelNames | None:
    """Return the label names where they can be read: by a text encoder, in words, one label an example."""
    train, model = embedded.splits["train"], embedded.model
    words = label_words(embedded.label_names)
    if not isinstance(model, TextModel) or train.is_multi_label or words is None:
        return None
    task = embedded.task
    device = choose_device(config.device)
    batch = task.collate([task.encode(text.encode(), name="a label's name") for text in words], [0] * len(words))
    network = model.network.to(device).eval()
    with torch.inference_mode():  # in float32: they are few
        features = task.features(network, {k: t.to(device) for k, t in batch.items()})  # type: ignore[attr-defined]
    model.network.to("cpu")
    return LabelNames(words, features.float().cpu().numpy())


def heed_names(
    names: LabelNames | None,
    plain: HeadFit,
    fit: Callable[[HeadOnly, LabelNames], HeadFit],
    train: LabeledDataset,
    method: HeadOnly,
    *,
    say: Callable[[str], None],
) -> tuple[HeadFit, LabelNames | None]:
    """Return the head that also learns from the label names, and these, where that pays; else the plain one and None.

    Parameters
    ----------
    fit : gives the head with names as further examples, on the folds of the plain one.

    Notes
    -----
    Tried below 25 examples in the middle class. Names are taken when the out-of-fold log-loss falls by more than one
    standard error of the paired difference.
    """
    if names is None or np.median(train.class_counts[train.class_counts > 0]) >= _FEW:
        return plain, None
    named = fit(replace(method, scalings=(plain.scaling,)), names)
    before, after = (_losses(head.out_of_fold_logits, train.labels) for head in (plain, named))
    difference = before - after
    error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    is_taken = bool(difference.mean() > error)
    right = [float((head.out_of_fold_logits.argmax(1) == train.labels).mean()) for head in (plain, named)]
    say(
        f"label names as one more text of each class {'are taken' if is_taken else 'are left out'}: out-of-fold"
        f" log-loss {after.mean():.4f} with them, {before.mean():.4f} without (standard error of the difference"
        f" {error:.4f}), accuracy {right[1]:.1%} and {right[0]:.1%}"
    )
    if not is_taken:
        return plain, None
    told = (
        f"each class has one example more than you gave: its own name, for example '{names.texts[0]}'; out of fold that"
        f" lowered the log-loss from {before.mean():.3f} to {after.mean():.3f}"
    )
    return replace(named, notes=(*named.notes, told)), names


def zero_shot(
    names: LabelNames, features: NDArray[np.float32], *, ids: Sequence[str], targets: NDArray[np.integer[Any]],
    label_names: tuple[str, ...],
) -> Predictions:  # fmt: skip
    """Return predictions of the test split by the nearest label name alone: no labelled example is used.

    Parameters
    ----------
    features : (n_examples, n_features).
    """

    def unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))

    logits = _SHARPNESS * unit(features) @ unit(names.features).T
    return Predictions(ids, np.asarray(targets, dtype=np.int64), logits.astype(np.float32), label_names, "test")


def _losses(logits: NDArray[np.float32], targets: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    z = logits.astype(np.float64)
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets])
