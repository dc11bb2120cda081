"""Ranking of candidates whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import Interrupted, ModelError
from graft.evaluation.intervals import NoInterval
from graft.selection.ranking import first_rows, rank_candidates
from graft.selection.ranking_evidence import PairedLoss, compare_pairs, tie_sentences
from graft.selection.ranking_standing import Candidate, Opened, published_decades

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


def candidate(name: str, n_parameters: int, embed: Known) -> Candidate:
    return Candidate(name, n_parameters, lambda: Opened(n_parameters, embed))


def test_the_best_features_win_and_the_worst_leave_after_the_first_round() -> None:
    known = {f"noise {x}": Known(x) for x in (0.5, 1.0, 2.0, 4.0, 8.0)}
    ranked, pairs, left_out = rank_candidates(
        [candidate(name, 1_000, embed) for name, embed in known.items()], LABELS, n_classes=CLASSES
    )
    assert [s.name for s in ranked][:3] == ["noise 0.5", "noise 1.0", "noise 2.0"]
    assert known["noise 8.0"].asked == [200]
    assert known["noise 0.5"].asked == [200, 600, 900]
    assert not left_out
    assert any(p.a == "noise 0.5" and p.b == "noise 8.0" and p.is_apart for p in pairs)


def test_equal_candidates_are_said_to_be_equal() -> None:
    one, other = Known(1.5, seed=2), Known(1.5, seed=3)
    ranked, pairs, _ = rank_candidates(
        [candidate("a", 1_000, one), candidate("b", 1_000, other)], LABELS, n_classes=CLASSES
    )
    told = tie_sentences([s.name for s in ranked], pairs)
    assert len(told) == 1
    assert told[0].endswith("can't be told apart at n=900")
    assert ranked[1].is_tied


def test_without_time_the_smallest_is_seen_and_the_others_are_named() -> None:
    ranked, _, left_out = rank_candidates(
        [candidate("large", 2_000, Known(1.0)), candidate("small", 1_000, Known(1.0))], LABELS, n_classes=CLASSES,
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


def test_one_that_fails_is_named_and_the_others_are_ranked() -> None:
    def broken(rows: np.ndarray) -> np.ndarray:
        raise RuntimeError("shape (3, 4) is no shape\nof mine")

    def tired(rows: np.ndarray) -> np.ndarray:
        if len(rows) > 200:
            raise MemoryError("no room")
        return Known(0.4).features[rows]

    def absent() -> Opened:
        raise ModelError("nothing there")

    made = [
        Candidate("broken", 1, lambda: Opened(1, broken)),
        Candidate("absent", 2, absent),
        Candidate("tired", 3, lambda: Opened(3, tired)),
        candidate("sound", 4, Known(1.0)),
        candidate("noisy", 5, Known(2.0)),
    ]
    ranked, _, left_out = rank_candidates(made, LABELS, n_classes=CLASSES)
    assert {s.name for s in ranked} == {"sound", "noisy", "tired"}
    assert ranked[0].name == "sound"
    assert dict(left_out)["broken"] == "RuntimeError: shape (3, 4) is no shape"
    assert dict(left_out)["absent"] == "nothing there"
    assert "in round 2" in dict(left_out)["tired"]
    with pytest.raises(ModelError, match="broken could not be ranked"):
        rank_candidates(made[:1], LABELS, n_classes=CLASSES)


def test_no_two_models_are_in_memory_at_once() -> None:
    import weakref

    class Weights:
        pass

    held: list[weakref.ref[Weights]] = []
    most = 0

    def opener(noise: float) -> Opened:
        nonlocal most
        weights, known = Weights(), Known(noise)
        held.append(weakref.ref(weights))
        most = max(most, sum(one() is not None for one in held))

        def embed(rows: np.ndarray) -> np.ndarray:
            assert weights is not None
            return known(rows)

        return Opened(1_000, embed)

    made = [Candidate(str(x), 1_000, lambda x=x: opener(x)) for x in (0.5, 1.0, 2.0)]  # type: ignore[misc]
    rank_candidates(made, LABELS, n_classes=CLASSES)
    assert len(held) > 3
    assert most == 1


def test_the_pooling_that_knows_the_labels_is_taken() -> None:
    poor, rich = Known(8.0).features, Known(0.8, seed=3).features
    both = np.concatenate([poor, rich], axis=1)
    made = [
        Candidate("two ways", 1_000, lambda: Opened(1_000, lambda rows: both[rows], ("cls", "mean"))),
        candidate("one way", 1_000, Known(1.2)),
    ]
    ranked, _, _ = rank_candidates(made, LABELS, n_classes=CLASSES)
    assert [(s.name, s.pooling) for s in ranked] == [("two ways", "mean"), ("one way", "")]


def test_published_accuracy_breaks_a_tie_of_size_and_of_features() -> None:
    published = published_decades({"better": (10**7, 0.9, "x"), "worse": (10**7, 0.7, "x"), "alone": (10**7, 0.1, "y")})
    assert published["alone"] == 0
    assert published["better"] == pytest.approx(0.5)
    same = Known(1.5)
    made = [Candidate(name, 10**7, lambda: Opened(10**7, same), more) for name, more in published.items()]
    ranked, _, _ = rank_candidates(made, LABELS, n_classes=CLASSES)
    assert [s.name for s in ranked] == ["better", "alone", "worse"]


def test_a_round_that_time_cuts_short_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of 600 examples say nothing beside those of 200: who was not seen in time does not go behind."""
    now = [0.0]
    monkeypatch.setattr("graft.selection.ranking.time.monotonic", lambda: now[0])

    class Slow(Known):
        def __call__(self, rows: np.ndarray) -> np.ndarray:
            now[0] += 100.0 if len(rows) > 200 else 0.0
            return super().__call__(rows)

    told: list[str] = []
    made = [candidate("small", 1_000, Slow(2.0)), candidate("large", 2_000, Slow(0.5))]
    ranked, pairs, left_out = rank_candidates(made, LABELS, n_classes=CLASSES, seconds=60.0, say=told.append)
    assert [(s.name, s.round) for s in ranked] == [("large", 1), ("small", 1)]
    assert all(p.n == 200 for p in pairs)
    assert not left_out
    assert "round 2: 1 of 2 got 600 examples; the order stays that of round 1" in told


def test_ctrl_c_is_no_reason_to_leave_a_model_out() -> None:
    def stopped(rows: np.ndarray) -> np.ndarray:
        raise Interrupted("stopped")

    made = [Candidate("one", 1, lambda: Opened(1, stopped)), candidate("two", 2, Known(1.0))]
    with pytest.raises(Interrupted):
        rank_candidates(made, LABELS, n_classes=CLASSES)


def test_ties_are_said_of_those_that_tie() -> None:
    def pair(a: str, b: str, p_holm: float) -> PairedLoss:
        return PairedLoss(a, b, 300, NoInterval(0.0, 300, "none", 0.95), p_holm, p_holm)

    pairs = [pair("A", "B", 0.155), pair("B", "C", 0.049), pair("A", "C", 0.47)]
    assert tie_sentences(["A", "B", "C"], pairs) == ["A can't be told from B or C at n=300"]
    pairs[1] = pair("B", "C", 0.2)
    assert tie_sentences(["A", "B", "C"], pairs) == ["A, B and C can't be told apart at n=300"]


def test_where_no_model_can_be_ranked_all_reasons_are_told() -> None:
    def absent() -> Opened:
        raise ModelError("nothing there")

    def foreign() -> Opened:
        raise ModelError("a language model")

    made = [Candidate("one", 1, absent), Candidate("two", 2, foreign)]
    with pytest.raises(ModelError, match="one could not be ranked: nothing there; two could not be ranked: a language"):
        rank_candidates(made, LABELS, n_classes=CLASSES)
