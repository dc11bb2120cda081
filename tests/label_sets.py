"""Made predictions of label sets whose stated probabilities are the true ones."""

from __future__ import annotations

import numpy as np

from graft.core.types import MultiLabelPredictions

NAMES = ("sky", "sea", "boat", "gull", "wreck")


def simulate(
    rng: np.random.Generator,
    n: int = 200,
    *,
    middle: tuple[float, ...] = (0.0, -0.5, -1.2, -2.0, -2.5),
    spread: float = 1.8,
    dependence: float = 0.5,
    scale: float = 1.0,
    threshold: float = 0.35,
) -> MultiLabelPredictions:
    """Return predictions of as many labels as `middle` has.

    Parameters
    ----------
    middle : log-odds of the labels of a middling example.
    dependence : share of the spread that all labels of an example have in common, 0 to 1.
    scale : what the stated log-odds are multiplied by; above 1 they overstate.
    """
    n_labels = len(middle)
    common = rng.normal(size=(n, 1)) * np.sqrt(dependence)
    z = np.array(middle) + spread * (common + np.sqrt(1 - dependence) * rng.normal(size=(n, n_labels)))
    targets = (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.uint8)
    ids = [f"e{i}" for i in range(n)]
    return MultiLabelPredictions(ids, targets, z * scale, NAMES[:n_labels], "test", np.full(n_labels, threshold))
