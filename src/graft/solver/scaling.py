"""Feature scalings that the probe can choose from, and how a head takes them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import UsageError, did_you_mean

__all__ = ["SCALING_NAMES", "Scaling", "fit_scaling"]

_LEAST_SHARE: Final = 0.05
SCALING_NAMES: Final = ("none", "z-score", "unit-norm", "one-scale")


@dataclass(frozen=True)
class Scaling:
    """A fitted feature scaling.

    Parameters
    ----------
    name : ``"none"``, ``"z-score"`` (a feature over its standard deviation; the mean is the bias's part),
        ``"unit-norm"`` (each example's features to norm sqrt(n_features)) or ``"one-scale"`` (all features over their
        common standard deviation, for features that are normalised already, at whatever size).
    divisor : (n_features,), what features are divided by; ones for none and unit norm.
    """

    name: str
    divisor: NDArray[np.float32]

    @property
    def is_linear(self) -> bool:
        """Whether a linear head can take the scaling up. Unit norm depends on the example: no linear head can."""
        return self.name != "unit-norm"

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scaled features: (n_examples, n_features)."""
        if self.name == "unit-norm":
            norms = np.linalg.norm(features, axis=1, keepdims=True)
            return np.asarray(features * (np.sqrt(features.shape[1]) / np.maximum(norms, 1e-12)), dtype=np.float32)
        return features if self.name == "none" else np.asarray(features / self.divisor, dtype=np.float32)

    def unscale(
        self, weights: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (n_classes, n_features) and bias for unscaled features, where the scaling is linear."""
        return np.asarray(weights / self.divisor, dtype=np.float32), bias


def fit_scaling(name: str, features: NDArray[np.float32]) -> Scaling:
    """Return a scaling with its statistics taken from `features` (n_examples, n_features).

    Features that do not vary are left as they are. One that hardly varies here, a unit of a ReLU that is almost always
    off, is divided by no less than a twentieth of the median deviation: on new data, where it is on, its z-score would
    be in the hundreds and its log-loss in the thousands.

    Raises
    ------
    UsageError
        When there is no scaling of that name.
    """
    if name not in SCALING_NAMES:
        raise UsageError(f"scaling '{name}'.{did_you_mean(name, SCALING_NAMES)}", expected=", ".join(SCALING_NAMES))
    divisor = np.ones(features.shape[1], np.float32)
    if name == "z-score":
        deviation = features.std(axis=0, dtype=np.float64)
        size = np.abs(features).max(axis=0)
        varies = deviation > 1e-6 * np.maximum(size, 1e-12)
        floor = _LEAST_SHARE * np.median(deviation[varies]) if varies.any() else 0.0
        divisor = np.where(varies, np.maximum(deviation, floor), 1.0).astype(np.float32)
    elif name == "one-scale":
        common = float(np.sqrt(features.var(axis=0, dtype=np.float64).mean()))
        divisor[:] = common if common > 0 else 1.0
    return Scaling(name, divisor)
