"""Figures of label sets beside scikit-learn's, and their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from graft.core.types import Estimate, MultiLabelPredictions
from graft.evaluation import NoInterval
from graft.evaluation.multi_label_metrics import (
    RESAMPLED,
    average_precisions,
    draw_figures,
    exact_match,
    figure_of,
    label_counts,
    label_log_losses,
    per_label_f1,
    per_label_precision,
    per_label_recall,
)
from label_sets import simulate


@pytest.fixture(scope="module")
def p() -> MultiLabelPredictions:
    made = simulate(np.random.default_rng(0))
    return replace(made, logits=np.round(made.logits, 1))  # equal scores, which must be taken together


def test_values_are_scikit_learns(p: MultiLabelPredictions) -> None:
    t, said = p.targets, p.predicted
    (drawn,) = draw_figures([p], n_draws=50)
    want = {
        "mean_average_precision": reference.average_precision_score(t, p.logits, average="macro"),
        "micro_f1": reference.f1_score(t, said, average="micro"),
        "macro_f1": reference.f1_score(t, said, average="macro"),
    }
    assert {name: drawn[name].value for name in RESAMPLED} == pytest.approx(want, rel=1e-12)
    assert average_precisions(p) == pytest.approx(reference.average_precision_score(t, p.logits, average=None))
    assert exact_match(p).value == pytest.approx(reference.accuracy_score(t, said))
    assert [e.value for e in per_label_f1(p)] == pytest.approx(reference.f1_score(t, said, average=None))
    assert [e.value for e in per_label_recall(p)] == pytest.approx(reference.recall_score(t, said, average=None))
    assert [e.value for e in per_label_precision(p)] == pytest.approx(reference.precision_score(t, said, average=None))
    losses = [reference.log_loss(t[:, k], p.probabilities[:, k]) for k in range(t.shape[1])]
    assert label_log_losses(p).mean() == pytest.approx(np.mean(losses))
    assert label_counts(p).tolist() == [(said & t).sum(0).tolist(), said.sum(0).tolist(), t.sum(0).tolist()]


def test_weighted_figures_are_those_of_repeated_examples(p: MultiLabelPredictions) -> None:
    """What the bootstrap draws: weights must count as repetitions, ties and all."""
    from graft.evaluation import multi_label_metrics

    weights = np.random.default_rng(1).integers(0, 4, (3, len(p)))
    found = multi_label_metrics._figures(weights.astype(np.float64), p)
    for w, figures in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(len(p)), w)
        t, z, said = p.targets[rows], p.logits[rows], p.predicted[rows]
        assert figures[0] == pytest.approx(reference.average_precision_score(t, z, average="macro"))
        assert figures[1] == pytest.approx(reference.f1_score(t, said, average="micro"))
        assert figures[2] == pytest.approx(reference.f1_score(t, said, average="macro"))


def test_every_figure_has_an_interval_about_it(p: MultiLabelPredictions) -> None:
    (drawn,) = draw_figures([p], n_draws=300)
    for name in RESAMPLED:
        e = figure_of(drawn[name], p, name=name)
        assert isinstance(e, Estimate)
        assert 0 <= e.low < e.value < e.high <= 1
        assert e.n == len(p)
    for f1, n in zip(per_label_f1(p), p.targets.sum(0), strict=True):
        assert isinstance(f1, Estimate)
        assert f1.low < f1.value < f1.high
        assert f1.n >= n


def test_a_label_that_no_example_has_is_left_out_and_said(p: MultiLabelPredictions) -> None:
    targets = p.targets.copy()
    targets[:, 3] = 0
    without = replace(p, targets=targets)
    (drawn,) = draw_figures([without], n_draws=50)
    rest = [k for k in range(5) if k != 3]
    want = reference.average_precision_score(targets[:, rest], p.logits[:, rest], average="macro")
    found = figure_of(drawn["mean_average_precision"], without, name="mean_average_precision")
    assert isinstance(found, NoInterval)
    assert found.value == pytest.approx(want)
    assert "mean over 4 of 5 labels, as no example has 'gull'" in found.reason
    assert isinstance(figure_of(drawn["micro_f1"], without, name="micro_f1"), Estimate)
    assert np.isnan(average_precisions(without)[3])


def test_a_label_that_nobody_has_or_was_given_has_no_f1() -> None:
    p = MultiLabelPredictions(["a", "b"], np.array([[1, 0], [0, 0]], np.uint8), np.full((2, 2), -9.0), ("x", "y"))
    first, second = per_label_f1(p)
    assert first.value == 0
    assert second.value is None
    assert "no example has or was given the label" in second.method


def test_few_examples_of_a_label_widen_macro_f1() -> None:
    p = simulate(np.random.default_rng(2), 120, middle=(0.0, -0.5, -4.0))
    assert p.targets.sum(0).min() < 10
    (drawn,) = draw_figures([p], n_draws=400)
    wide, narrow = figure_of(drawn["macro_f1"], p, name="macro_f1"), drawn["macro_f1"].interval()
    assert "wilson-mover" in wide.method
    assert wide.high - wide.low >= narrow.high - narrow.low  # type: ignore[operator]


def test_models_share_their_draws(p: MultiLabelPredictions) -> None:
    same, other = draw_figures([p, replace(p, logits=p.logits * 2)], n_draws=60)
    np.testing.assert_array_equal(
        same["mean_average_precision"].draws, other["mean_average_precision"].draws
    )  # twice the log-odds rank alike


def test_five_thousand_examples_of_twenty_labels_take_seconds() -> None:
    import time

    rng = np.random.default_rng(3)
    targets = (rng.random((5_000, 20)) < 0.1).astype(np.uint8)
    logits = rng.normal(size=(5_000, 20)) + targets
    names = tuple(map(str, range(20)))
    p = MultiLabelPredictions(names * 250, targets, logits, names)
    start = time.process_time()
    draw_figures([p])
    assert time.process_time() - start < 60  # measured: about 5 s; the bound allows for a busy machine
