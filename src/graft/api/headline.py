"""The headline metric of test, of all examples and without some: what a finding costs or gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graft.core.decision import AnyPredictions
from graft.core.findings import Without
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.metrics import confusion_matrix
from graft.evaluation.multi_label_metrics import average_precisions

__all__ = ["Headline", "subset", "value_of"]

Refit = Callable[[NDArray[np.int64]], AnyPredictions]


class Headline:
    """Reads the test labels, so it is made where they are read anyway.

    Parameters
    ----------
    metric : name of the figure that leads: accuracy, macro_f1 or mean_average_precision.
    test : predictions of the test split by the kept model; None: there is no test split.
    refit : returns predictions of the test split by a head that was fitted to some rows of train alone.
    out_of_fold : of the head, for all of train; it stands in for `test` where there is none.
    """

    def __init__(
        self, metric: str, test: AnyPredictions | None, refit: Refit | None, *, out_of_fold: AnyPredictions
    ) -> None:
        self.metric, self._test, self._refit, self._out_of_fold = metric, test, refit, out_of_fold
        self._of_all: float | None = None

    def without_test(self, rows: NDArray[np.int64]) -> Without | None:
        """Return the metric without some rows of test; None where none of them is named, or none is left."""
        if self._test is None or not len(rows) or len(rows) >= len(self._test):
            return None
        left = np.setdiff1d(np.arange(len(self._test)), rows)
        found = value_of(self.metric, subset(self._test, left))
        return Without(self.metric, value_of(self.metric, self._test), found, len(left), "left out of test")

    def without_train(self, rows: NDArray[np.int64]) -> Without | None:
        """Return the metric of a head that is fitted without some rows of train, beside that of one fitted to all.

        Where there is no test split: the out-of-fold metric of train without them.
        """
        every = np.arange(len(self._out_of_fold))
        left = np.setdiff1d(every, rows)
        if not len(rows) or len(left) < 2:
            return None
        if self._test is None or self._refit is None:
            found = value_of(self.metric, subset(self._out_of_fold, left))
            of_all = value_of(self.metric, self._out_of_fold)
            return Without(self.metric, of_all, found, len(left), "left out of train, out of fold")
        if self._of_all is None:
            self._of_all = value_of(self.metric, self._refit(every))
        found = value_of(self.metric, self._refit(left))
        return Without(self.metric, self._of_all, found, len(self._test), "head fitted without them, judged on test")

    def test_counts(self) -> NDArray[np.int64] | None:
        """Return the examples of each class in test, (n_classes,); None where there is no test split."""
        if self._test is None:
            return None
        if isinstance(self._test, MultiLabelPredictions):
            return np.asarray((self._test.targets == 1).sum(axis=0), dtype=np.int64)
        known = self._test.targets[self._test.targets >= 0]
        return np.bincount(known, minlength=len(self._test.label_names)).astype(np.int64)


def value_of(metric: str, predictions: AnyPredictions) -> float:
    """Return accuracy, macro_f1 or mean_average_precision of predictions, without an interval."""
    if isinstance(predictions, MultiLabelPredictions):
        return float(np.nanmean(average_precisions(predictions)))
    known = predictions.targets >= 0
    if metric != "macro_f1":
        return float(predictions.is_correct[known].mean())
    left = subset(predictions, np.flatnonzero(known))
    assert isinstance(left, Predictions)
    counts = confusion_matrix(left)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    present = counts.sum(axis=1) > 0
    return float((2 * np.diag(counts)[present] / both[present]).mean())


def subset(predictions: AnyPredictions, rows: NDArray[np.int64]) -> AnyPredictions:
    """Return the predictions of some rows."""
    ids, logits = [predictions.ids[i] for i in rows], predictions.logits[rows]
    if isinstance(predictions, MultiLabelPredictions):
        return replace(predictions, ids=ids, targets=predictions.targets[rows], logits=logits)
    return replace(predictions, ids=ids, targets=predictions.targets[rows], logits=logits)
