"""How calibrated logits become what is said: kept beside a model's weights, since a checkpoint has no place for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.types import MultiLabelPredictions, Predictions

__all__ = ["AnyPredictions", "Decision"]

AnyPredictions = Predictions | MultiLabelPredictions


@dataclass(frozen=True)
class Decision:
    """One class an example, or any number of labels; and by which thresholds or offset.

    Parameters
    ----------
    thresholds : (n_labels,), probability from which on each label is given; None: one class an example.
    offset : (n_classes,), added to the logits where the one class is decided on; None: the likeliest class is said.
    """

    thresholds: NDArray[np.float64] | None = None
    offset: NDArray[np.float64] | None = None

    @property
    def is_multi_label(self) -> bool:
        """Whether an example may have any number of labels."""
        return self.thresholds is not None

    def probabilities(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the probabilities of calibrated logits (..., n_classes): logistic of label sets, else softmax."""
        z = np.asarray(logits, dtype=np.float64)
        if self.is_multi_label:
            small = np.exp(-np.abs(z))
            return np.asarray(np.where(z >= 0, 1.0, small) / (1 + small))
        z = np.exp(z - z.max(axis=-1, keepdims=True))
        return np.asarray(z / z.sum(axis=-1, keepdims=True))

    def predictions(
        self,
        ids: Sequence[str],
        targets: NDArray[np.integer[Any]],
        *,
        logits: NDArray[np.floating[Any]],
        label_names: tuple[str, ...],
        split: str,
    ) -> AnyPredictions:
        """Return predictions that decide in this way.

        Parameters
        ----------
        targets : (n_examples,), class numbers; with thresholds (n_examples, n_labels), 0 or 1.

        Examples
        --------
        >>> one = Decision(offset=np.array([0.0, 3.0]))
        >>> z = np.array([[1.0, 0.0]])
        >>> found = one.predictions(["a"], np.array([1]), logits=z, label_names=("x", "y"), split="")
        >>> found.predicted.tolist(), found.probabilities.argmax(axis=1).tolist()
        ([1], [0])
        """
        if self.thresholds is None:
            return Predictions(ids, targets, logits, label_names, split, decision_offset=self.offset)
        sets = np.asarray(targets, dtype=np.uint8)
        return MultiLabelPredictions(ids, sets, logits, label_names, split, thresholds=self.thresholds)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, as it stands in ``graft.json``."""
        return {
            "thresholds": None if self.thresholds is None else self.thresholds.tolist(),
            "offset": None if self.offset is None else self.offset.tolist(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Decision:
        """Read back what `as_dict` wrote; of models older than this: one class, the likeliest."""
        arrays = {name: value.get(name) for name in ("thresholds", "offset")}
        return cls(**{name: None if a is None else np.array(a, dtype=np.float64) for name, a in arrays.items()})
