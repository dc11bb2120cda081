"""Ranking of candidates whose quality is known."""

from __future__ import annotations

import numpy as np

from graft.selection.ranking import Candidate, first_rows, rank_candidates
from graft.selection.ranking_evidence import compare_pairs, tie_sentences

N, CLASSES = 900, 3
LABELS = np.random.default_rng(0).integers(0, CLASSES, N)
CENTRES = np.random.default_rng(1).normal(size=(CLASSES, 8)).astype(np.float32)


class Known:
    """Features with as much noise as is wanted; counts what was asked for."""

    def __init__(self, noise: float, seed: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.features = (CENTRES[LABELS] + rng.normal(0, noise, (N, 8))).astype(np.float32)
        self.asked: list[int] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.asked.append(len(rows))
        return self.features[rows]


def test_the_best_features_win_and_the_worst_leave_after_the_first_round() -> None:
    known = {f"noise {x}": Known(x) for x in (0.5, 1.0, 2.0, 4.0, 8.0)}
    ranked, pairs, left_out = rank_candidates(
        [Candidate(name, 1_000, embed) for name, embed in known.items()], LABELS, n_classes=CLASSES
    )
    assert [s.name for s in ranked][:3] == ["noise 0.5", "noise 1.0", "noise 2.0"]
    assert known["noise 8.0"].asked == [200]
    assert known["noise 0.5"].asked == [200, 600, 900]
    assert not left_out
    assert any(p.a == "noise 0.5" and p.b == "noise 8.0" and p.is_apart for p in pairs)


def test_equal_candidates_are_said_to_be_equal() -> None:
    one, other = Known(1.5, seed=2), Known(1.5, seed=3)
    ranked, pairs, _ = rank_candidates(
        [Candidate("a", 1_000, one), Candidate("b", 1_000, other)], LABELS, n_classes=CLASSES
    )
    told = tie_sentences([s.name for s in ranked], pairs)
    assert len(told) == 1
    assert told[0].endswith("can't be told apart at n=900")
    assert ranked[1].is_tied


def test_without_time_the_smallest_is_seen_and_the_others_are_named() -> None:
    ranked, _, left_out = rank_candidates(
        [Candidate("large", 2_000, Known(1.0)), Candidate("small", 1_000, Known(1.0))], LABELS, n_classes=CLASSES,
        seconds=0.0,
    )  # fmt: skip
    assert [s.name for s in ranked] == ["small"]
    assert left_out == (("large", "the budget ended before it was seen"),)


def test_first_rows_grow_and_hold_two_of_each_class() -> None:
    labels = np.array([0] * 90 + [1] * 8 + [2] * 2)
    order = np.random.default_rng(0).permutation(100)
    few, more = first_rows(labels, 12, order=order), first_rows(labels, 40, order=order)
    assert set(few) <= set(more)
    assert len(few) == 12
    assert (np.bincount(labels[few]) >= 2).all()
    assert np.bincount(labels[more])[0] > 30


def test_twelve_equal_candidates_are_hardly_ever_told_apart() -> None:
    wrong = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shared = rng.exponential(size=200)
        found = compare_pairs({str(i): shared + rng.normal(0, 0.3, 200) for i in range(8)}, seed=seed)
        wrong += any(p.is_apart for p in found)
    assert wrong <= 4
