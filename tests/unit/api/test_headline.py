from __future__ import annotations

import numpy as np
import pytest

from graft.api.copying import groups_for_folds
from graft.api.headline import Headline, value_of
from graft.core.types import MultiLabelPredictions, Predictions


def said(right: list[bool], *, targets: list[int] | None = None) -> Predictions:
    """Predictions of two classes, right where it says so."""
    own = np.zeros(len(right), np.int64) if targets is None else np.array(targets)
    shown = np.where(right, own, 1 - own)
    return Predictions([str(i) for i in range(len(right))], own, np.eye(2)[np.maximum(shown, 0)] * 3, ("a", "b"))


def test_the_metric_without_some_of_test() -> None:
    headline = Headline("accuracy", said([True, True, False, False]), None, out_of_fold=said([True]))
    without = headline.without_test(np.array([0, 1]))
    assert without is not None
    assert (without.value, without.without, without.n) == (0.5, 0.0, 2)
    assert headline.without_test(np.zeros(0, np.int64)) is None
    assert headline.without_test(np.arange(4)) is None


def test_the_metric_without_some_of_train_is_that_of_a_head_fitted_without_them() -> None:
    asked = []

    def refit(rows: np.ndarray) -> Predictions:
        asked.append(rows.tolist())
        return said([True] * 3 + [len(rows) == 3])

    headline = Headline("accuracy", said([True] * 4), refit, out_of_fold=said([True] * 4))
    without = headline.without_train(np.array([2]))
    assert without is not None
    assert (without.value, without.without) == (0.75, 1.0)
    assert asked == [[0, 1, 2, 3], [0, 1, 3]]


def test_where_there_is_no_test_the_out_of_fold_answers_stand_in() -> None:
    without = Headline("accuracy", None, None, out_of_fold=said([True, False])).without_train(np.array([1]))
    assert without is None  # nothing worth a figure is left
    without = Headline("accuracy", None, None, out_of_fold=said([True, True, False])).without_train(np.array([2]))
    assert without is not None
    assert (without.without, without.how) == (1.0, "left out of train, out of fold")


def test_the_three_metrics() -> None:
    predictions = said([True, True, True, False, True], targets=[0, 0, 0, 1, -1])
    assert value_of("accuracy", predictions) == 0.75
    assert value_of("macro_f1", predictions) == pytest.approx((6 / 7 + 0) / 2)
    sets = MultiLabelPredictions(
        ["x", "y"], np.array([[1, 0], [0, 1]], np.uint8), np.array([[2.0, 1], [1, 2]]), ("a", "b")
    )
    assert value_of("mean_average_precision", sets) == 1.0
    assert Headline("", sets, None, out_of_fold=sets).test_counts().tolist() == [1, 1]  # type: ignore[union-attr]


def test_folds_heed_copies_unless_these_tie_all_together() -> None:
    copies = np.array([0, 0, 1, 2, 3, 4])
    assert groups_for_folds(copies, None, n_folds=5)[1] == ""
    groups, note = groups_for_folds(np.zeros(6, np.int64), None, n_folds=5)
    assert len(np.unique(groups)) == 6
    assert "1 parts, fewer than folds" in note
    own = np.array([0, 0, 1, 1, 2, 2])
    groups, note = groups_for_folds(np.array([0, 1, 1, 2, 2, 3]), own, n_folds=3)
    assert groups.tolist() == own.tolist()
    assert "groups alone" in note
    # Where the user's groups are fewer than folds themselves, copies are not to blame.
    assert groups_for_folds(np.arange(6), own, n_folds=5)[1] == ""
