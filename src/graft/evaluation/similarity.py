"""What training did to the pretrained features: are they still there, and do they still tell the classes apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.text import THIN, percent
from graft.evaluation.claims import ALPHA, Claim, signed_points, strength_of_p, unsigned_points
from graft.evaluation.comparisons import PairedTest, mcnemar_exact

__all__ = [
    "FeatureChange",
    "compare_features",
    "judge_features",
    "leave_one_out_neighbours",
    "linear_cka",
    "neighbour_overlap",
]

_LIKE_BEFORE: Final = 0.9  # CKA from which on features count as kept
_K = 10


def linear_cka(before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]]) -> float:
    """Return how alike two sets of features of the same examples are: 1 the same up to rotation and scale, 0 unrelated.

    Parameters
    ----------
    before, after : (n_examples, n_features), of the same examples in the same order; widths may differ.

    Raises
    ------
    DataError
        When there are fewer than four examples, or not as many in both.

    References
    ----------
    Kornblith et al. 2019, Similarity of neural network representations revisited, equation 3; with the unbiased HSIC of
    Song et al. 2012 (equation 5), as with fewer examples than features the plain form says 'alike' of pure noise.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 8))
    >>> round(linear_cka(x, 3 * x[:, ::-1]), 6), abs(linear_cka(x, np.random.default_rng(1).normal(size=(50, 8)))) < 0.2
    (1.0, True)
    """
    if len(before) != len(after) or len(before) < 4:
        raise DataError(f"features of {len(before)} and {len(after)} examples", expected="at least four, the same")
    k, m = _gram(before), _gram(after)
    both, own, other = _hsic(k, m), _hsic(k, k), _hsic(m, m)
    return float(both / np.sqrt(own * other)) if own > 0 and other > 0 else 0.0


def _gram(features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    x = np.asarray(features, dtype=np.float64)
    x = x - x.mean(axis=0)
    gram = x @ x.T
    np.fill_diagonal(gram, 0.0)
    return np.asarray(gram)


def _hsic(k: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    n = len(k)
    a, b = k.sum(axis=0), m.sum(axis=0)
    cross = float((k * m).sum())
    return (cross + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * float(a @ b) / (n - 2)) / (n * (n - 3))


def leave_one_out_neighbours(features: NDArray[np.floating[Any]], *, k: int = _K) -> NDArray[np.int64]:
    """Return the k nearest other examples by cosine, nearest first: (n_examples, k).

    Examples
    --------
    >>> leave_one_out_neighbours(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), k=1).ravel()
    array([1, 0, 1])
    """
    x = np.asarray(features, dtype=np.float32)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    k = min(k, len(x) - 1)
    found = np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), 512):
        alike = x[start : start + 512] @ x.T
        rows = np.arange(len(alike))
        alike[rows, rows + start] = -np.inf
        near = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        found[start : start + 512] = np.take_along_axis(
            near, np.argsort(-np.take_along_axis(alike, near, axis=1), axis=1, kind="stable"), axis=1
        )
    return found


def neighbour_overlap(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Return the mean share of the nearest examples, (n_examples, k) each, that are the same before and after."""
    same = (before[:, :, None] == after[:, None, :]).any(axis=2)
    return float(same.mean())


@dataclass(frozen=True)
class FeatureChange:
    """Features before and after training, of examples that were not trained on.

    Parameters
    ----------
    cka : linear CKA of the two.
    overlap : share of the ten nearest examples that are the same.
    knn_before, knn_after : share of the examples whose nearest ten vote for the right class, leaving each out.
    test : paired, of after (A) against before (B).
    """

    cka: float
    overlap: float
    knn_before: float
    knn_after: float
    test: PairedTest

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "cka": self.cka,
            "neighbour_overlap": self.overlap,
            "knn_before": self.knn_before,
            "knn_after": self.knn_after,
            "paired": self.test.as_dict(),
        }


def compare_features(
    before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
) -> FeatureChange:
    """Return what training did to the features of examples that it had not seen.

    Parameters
    ----------
    before, after : (n_examples, n_features) of the pretrained and of the fine-tuned network.
    targets : (n_examples,), class numbers.
    """
    near, near_after = leave_one_out_neighbours(before), leave_one_out_neighbours(after)
    right, right_after = (_vote(targets[n]) == targets for n in (near, near_after))
    return FeatureChange(
        cka=linear_cka(before, after),
        overlap=neighbour_overlap(near, near_after),
        knn_before=float(right.mean()),
        knn_after=float(right_after.mean()),
        test=mcnemar_exact(right_after, right),
    )


def _vote(classes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    counts = np.zeros((len(classes), int(classes.max()) + 1))
    np.add.at(counts, (np.arange(len(classes))[:, None], classes), 1.0)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def judge_features(change: FeatureChange | None) -> list[Claim]:
    """Return two claims: whether the model leans on its pretrained features, and whether it lost what they knew.

    Parameters
    ----------
    change : None: the network stayed frozen.
    """
    leans, loses = "Does it lean on its pretrained features?", "Did training cost it what its features knew?"
    if change is None:
        return [
            Claim(
                "leans_on_pretraining",
                leans,
                "yes",
                "strong",
                "Yes, wholly: the network stayed frozen; all that it sees in an example it has from pretraining.",
                {"cka": 1.0},
            ),
            Claim("loses_pretraining", loses, "no", "strong", "No: the network stayed frozen.", {"cka": 1.0}),
        ]
    facts, n = change.as_dict(), change.test.n
    told = (
        f"features before and after are {change.cka:.2f} alike (1: the same), and of the nearest examples"
        f" {100 * change.overlap:.0f}{THIN}% are still the nearest"
    )
    kept = change.cka >= _LIKE_BEFORE
    first = Claim(
        "leans_on_pretraining",
        leans,
        "yes" if kept else "no",
        "moderate",
        f"Yes: {told}." if kept else f"No, it made its own: {told}.",
        facts,
        "linear CKA, unbiased",
        None,
        n,
    )
    test = change.test
    moved = (
        f"nearest neighbours on them had {percent(change.knn_before)} right before and {percent(change.knn_after)}"
        f" after ({signed_points(test.difference.value)})"
    )
    if test.p_value <= ALPHA and test.difference.value < 0:
        answer, strength, sentence = "yes", strength_of_p(test.p_value), f"Yes: {moved}."
    elif test.difference.low > -0.03 or test.p_value <= ALPHA:
        answer, strength, sentence = "no", "moderate", f"No: {moved}."
    else:
        sentence = f"Can't tell: {moved}; a loss of up to {unsigned_points(test.difference.low)} is possible."
        answer, strength = "can't tell", "none"
    second = Claim("loses_pretraining", loses, answer, strength, sentence, facts, "mcnemar-exact", test.p_value, n)  # type: ignore[arg-type]
    return [first, second]
