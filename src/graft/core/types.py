"""Small frozen values that pass between the stations: predictions and estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError

__all__ = ["UNKNOWN", "Estimate", "MultiLabelPredictions", "Predictions", "Preview"]

UNKNOWN: Final = 255  # in a row of multi-label targets, in every column: the labels of this example are not known


@dataclass(frozen=True)
class Estimate:
    """A figure with its uncertainty and how both were obtained.

    Parameters
    ----------
    value : the point estimate.
    low, high : ends of the interval at `level`.
    n : number of independent examples behind it.
    method : how the interval was obtained, for example ``"wilson"`` or ``"bca-bootstrap"``.
    level : nominal coverage of the interval, a fraction.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    level: float = 0.95

    def scaled(self, factor: float) -> Estimate:
        """Return the same in another unit."""
        return replace(self, value=self.value * factor, low=self.low * factor, high=self.high * factor)

    def as_dict(self) -> dict[str, float | int | str]:
        """Return the JSON form that ``metrics.json`` holds."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "method": self.method,
            "level": self.level,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Estimate:
        """Read back what `as_dict` wrote."""
        return cls(**{k: value[k] for k in ("value", "low", "high", "n", "method", "level")})


@final
@dataclass(frozen=True)
class Predictions:
    """What a model said of some examples of one class each; with `MultiLabelPredictions` all that evaluation is given.

    Parameters
    ----------
    ids : n_examples names of the examples.
    targets : (n_examples,), index of the true class; -1 where it is not known.
    logits : (n_examples, n_classes), unnormalised; log-probabilities serve as well.
    label_names : n_classes names, in the order of the columns of `logits`.
    split : which split the examples come from, for example ``"test"``.
    decision_offset : (n_classes,), added to the logits where the class is decided on, never to the probabilities; None:
        the likeliest class is said.

    Raises
    ------
    DataError
        When the lengths do not fit each other.
    """

    ids: Sequence[str]
    targets: NDArray[np.integer[Any]]
    logits: NDArray[np.floating[Any]]
    label_names: tuple[str, ...]
    split: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    decision_offset: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.decision_offset is not None and self.decision_offset.shape != (len(self.label_names),):
            raise DataError(
                f"a decision offset {self.decision_offset.shape} for {len(self.label_names)} label names",
                expected="one number a class",
            )
        if self.logits.shape != (n, len(self.label_names)) or self.targets.shape != (n,):
            raise DataError(
                f"predictions with {n} ids, targets {self.targets.shape}, logits {self.logits.shape}"
                f" and {len(self.label_names)} label names",
                expected="ids (n,), targets (n,), logits (n, n_classes), n_classes label names",
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(n_examples, n_classes), the logarithm of the softmax of the logits."""
        z = self.logits.astype(np.float64)
        z = z - z.max(axis=1, keepdims=True)
        return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(n_examples, n_classes), the softmax of the logits."""
        return np.asarray(np.exp(self.log_probabilities))

    @property
    def decision_scores(self) -> NDArray[np.floating[Any]]:
        """(n_examples, n_classes), the logits with the decision's offset, where there is one."""
        return self.logits if self.decision_offset is None else np.asarray(self.logits + self.decision_offset)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(n_examples,), index of the class with the largest decision score."""
        return np.asarray(self.decision_scores.argmax(axis=1), dtype=np.int64)

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """(n_examples,), whether the predicted class is the target."""
        return np.asarray(self.predicted == self.targets)


@final
@dataclass(frozen=True)
class MultiLabelPredictions:
    """What a model said of some examples that may have any number of labels, none included.

    Parameters
    ----------
    ids : n_examples names of the examples.
    targets : (n_examples, n_labels), uint8: 1 where the example has the label, else 0; `UNKNOWN` in the whole row where
        its labels are not known.
    logits : (n_examples, n_labels), log-odds of each label.
    label_names : n_labels names, in the order of the columns.
    split : which split the examples come from, for example ``"test"``.
    thresholds : (n_labels,), probability from which on a label is given, 0 to 1; one number serves all labels.

    Raises
    ------
    DataError
        When the shapes do not fit each other, or a threshold is no probability.

    Examples
    --------
    >>> p = MultiLabelPredictions(["a"], np.array([[1, 0]], np.uint8), np.array([[0.1, 2.0]]), ("cat", "dog"))
    >>> p.predicted.tolist(), p.is_correct.tolist()
    ([[1, 1]], [False])
    """

    ids: Sequence[str]
    targets: NDArray[np.uint8]
    logits: NDArray[np.floating[Any]]
    label_names: tuple[str, ...]
    split: str = ""
    thresholds: NDArray[np.float64] = field(default_factory=lambda: np.array(0.5))
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, n_labels = len(self.ids), len(self.label_names)
        if self.logits.shape != (n, n_labels) or self.targets.shape != (n, n_labels):
            raise DataError(
                f"predictions with {n} ids, targets {self.targets.shape}, logits {self.logits.shape}"
                f" and {n_labels} label names",
                expected="ids (n,), targets and logits (n, n_labels), n_labels label names",
            )
        thresholds = np.asarray(self.thresholds, dtype=np.float64)
        if thresholds.shape not in ((), (n_labels,)) or not ((thresholds >= 0) & (thresholds <= 1)).all():
            raise DataError(f"thresholds {thresholds} for {n_labels} labels", expected="one a label, from 0 to 1")
        object.__setattr__(self, "thresholds", np.broadcast_to(thresholds, (n_labels,)))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """(n_examples,), whether the labels of the example are known."""
        return np.asarray((self.targets != UNKNOWN).all(axis=1))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(n_examples, n_labels), the logistic function of the logits."""
        z = self.logits.astype(np.float64)
        small = np.exp(-np.abs(z))
        return np.asarray(np.where(z >= 0, 1.0, small) / (1 + small))

    @property
    def predicted(self) -> NDArray[np.uint8]:
        """(n_examples, n_labels), 1 for the labels whose probability reaches their threshold."""
        return np.asarray(self.probabilities >= self.thresholds, dtype=np.uint8)

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """(n_examples,), whether the example was given exactly its own labels; False where they are not known."""
        return np.asarray((self.predicted == self.targets).all(axis=1))


@dataclass(frozen=True)
class Preview:
    """An example as a report shows it; only what is there is shown.

    Parameters
    ----------
    picture : a small JPEG.
    text : the text itself.
    sound : a short WAV.
    """

    picture: bytes = b""
    text: str = ""
    sound: bytes = b""
