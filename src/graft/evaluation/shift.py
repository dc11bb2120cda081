"""What the model loses on other data: measured where there are labels, estimated where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate, Predictions
from graft.evaluation.alignment import take, with_targets
from graft.evaluation.claims import (
    ALPHA,
    Claim,
    more_to_tell,
    span_points,
    strength_of_bound,
    strength_of_p,
    unsigned_points,
)
from graft.evaluation.comparisons import mcnemar_exact
from graft.evaluation.distributions import fisher_exact
from graft.evaluation.intervals import proportion
from graft.evaluation.transport import transport_costs

__all__ = ["LabelFreeAccuracy", "accuracy_without_labels", "judge_shift", "unpaired_difference"]

WORTH_SAYING: Final = 0.03  # a loss below 3 points is taken for none
_CHUNK_CELLS = 2_000_000


def unpaired_difference(right_a: int, n_a: int, right_b: int, n_b: int, *, level: float = 0.95) -> Estimate:
    """Return the share of A minus that of B, of different examples, with Newcombe's score interval.

    Parameters
    ----------
    right_a, n_a : successes and trials of A; `right_b`, `n_b` those of B. Each at least one trial.

    References
    ----------
    Newcombe 1998, Interval estimation for the difference between independent proportions, method 10.

    Examples
    --------
    >>> e = unpaired_difference(56, 70, 48, 80)
    >>> round(e.value, 2), round(e.low, 4), round(e.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    a, b = proportion(right_a, n_a, level=level), proportion(right_b, n_b, level=level)
    if not isinstance(a, Estimate) or not isinstance(b, Estimate):
        raise DataError(f"a difference of {n_a} and {n_b} examples", expected="at least one of each")
    value = a.value - b.value
    low = value - float(np.hypot(a.value - a.low, b.high - b.value))
    high = value + float(np.hypot(a.high - a.value, b.value - b.low))
    return Estimate(value, max(-1.0, low), min(1.0, high), min(n_a, n_b), "newcombe-unpaired", level)


@dataclass(frozen=True)
class LabelFreeAccuracy:
    """An accuracy that nobody measured, under assumption.

    Parameters
    ----------
    threshold : average threshold confidence: the share of examples that are surer than the threshold below which, on
        labelled data, as many lie as were wrong.
    confidence : difference of confidences: accuracy on labelled data less the fall of the mean confidence.
    transport : as `confidence`, by what it costs to move the predictions to single classes in the shares of the
        labelled data, which tells a model that says one class of nearly all.
    transport_threshold : as `threshold`, by the same costs.
    both : mean of the two by transport, with an interval that holds both intervals.
    """

    threshold: Estimate
    confidence: Estimate
    transport: Estimate
    transport_threshold: Estimate
    both: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "atc": self.threshold.as_dict(),
            "doc": self.confidence.as_dict(),
            "cot": self.transport.as_dict(),
            "cott": self.transport_threshold.as_dict(),
            "both": self.both.as_dict(),
        }


def accuracy_without_labels(
    labelled: Predictions, unlabelled: Predictions, *, n_draws: int = 1_000, level: float = 0.95, seed: int = 0
) -> LabelFreeAccuracy:
    """Return the accuracy on examples whose classes nobody knows, from that on labelled ones.

    Parameters
    ----------
    labelled : held-out examples, targets known, from where the model is at home; calibrated probabilities do better.
    unlabelled : of the same model; targets are not looked at.
    n_draws : bootstrap draws, of both sets.

    Raises
    ------
    DataError
        When either set is empty.

    References
    ----------
    Garg et al. 2022, Leveraging unlabeled data to predict out-of-distribution performance (ATC, negative entropy).
    Guillory et al. 2021, Predicting with confidence on unseen distributions (DoC).
    Lu et al. 2023, Characterizing out-of-distribution error via optimal transport (COT, COTT).

    Notes
    -----
    All assume that confidence keeps its meaning on the new data, COT and COTT also that the classes have the shares
    that they have at home. Nothing in the data can prove that, and new classes or a model that is surely wrong break
    it. The interval holds what sampling does, not a broken assumption. Differences of means (DoC, COT) are right where
    probabilities stay calibrated; thresholds (ATC, COTT) often are where they do not; without transport both overlook
    a model that says one class of nearly all (docs/experiments.md). So the two by transport make the mean. What moving
    costs on labelled data is set off in COT, as DoC sets off the confidence.
    """
    known = with_targets(labelled)
    if not len(known) or not len(unlabelled):
        raise DataError(
            f"{len(known)} labelled and {len(unlabelled)} other examples to compare", expected="some of each"
        )
    right = known.is_correct
    sure, other_sure = known.probabilities.max(axis=1), unlabelled.probabilities.max(axis=1)
    shares = np.bincount(known.targets, minlength=len(known.label_names)) / len(known)
    rng = generator(seed, "label-free accuracy", len(known), len(unlabelled))
    n, m = len(known), len(unlabelled)
    point, atc = _thresholded(_negative_entropy(known), _negative_entropy(unlabelled), right, rng, n_draws=n_draws)
    threshold = _estimate(point, atc, m, "ATC", level)
    moved = [-transport_costs(part.probabilities, shares, seed=seed) for part in (known, unlabelled)]
    point, cott = _thresholded(moved[0], moved[1], right, rng, n_draws=n_draws)
    by_cost = _estimate(point, cott, m, "COTT", level)
    differences = []
    for name, at_home, there in (("DoC", sure, other_sure), ("COT", moved[0], moved[1])):
        gap = right - at_home
        value = float(gap.mean() + there.mean())
        drawn = np.clip(value + gap.std() / np.sqrt(n) * rng.normal(size=n_draws), 0.0, 1.0)
        # The other set's own answers are right or wrong by chance, even where the mean confidence is the very truth.
        differences.append(_estimate(value, rng.binomial(m, drawn) / m, m, name, level))
    confidence, transport = differences
    both = Estimate(
        (transport.value + by_cost.value) / 2,
        min(transport.low, by_cost.low),
        max(transport.high, by_cost.high),
        m,
        "mean of COT and COTT, bootstrap, under assumption",
        level,
    )
    return LabelFreeAccuracy(threshold, confidence, transport, by_cost, both)


def _thresholded(
    score: NDArray[np.float64],
    other: NDArray[np.float64],
    right: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    n_draws: int,
) -> tuple[float, NDArray[np.float64]]:
    """Return the share of `other` above the score below which as many labelled ones lie as are wrong, and draws."""
    n, m = len(score), len(other)
    ordered = np.sort(other)

    def above(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - np.searchsorted(ordered, thresholds, side="left") / m

    draws = np.empty(n_draws)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, n_draws, step):
        rows = rng.integers(0, n, size=(min(step, n_draws - start), n))
        share = right[rows].mean(axis=1)
        drawn = np.sort(score[rows], axis=1)
        place = np.minimum(np.round((1 - share) * n).astype(np.int64), n - 1)
        draws[start : start + len(rows)] = above(np.where(share < 1, drawn[np.arange(len(rows)), place], -np.inf))
    # The other set's own draws: a share scatters as a binomial.
    n_wrong = int(n - right.sum())
    point = float(above(np.array([np.sort(score)[min(n_wrong, n - 1)]]))[0]) if n_wrong else 1.0
    return point, rng.binomial(m, draws) / m


def _estimate(value: float, draws: NDArray[np.float64], n: int, name: str, level: float) -> Estimate:
    low, high = np.clip(np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]), 0.0, 1.0)
    value = float(np.clip(value, 0.0, 1.0))
    return Estimate(value, min(float(low), value), max(float(high), value), n, f"{name}, bootstrap", level)


def _negative_entropy(p: Predictions) -> NDArray[np.float64]:
    q = p.probabilities
    return np.asarray((q * np.log(np.maximum(q, 1e-300))).sum(axis=1))


def judge_shift(
    name: str, shifted: Predictions, home: Predictions, *, labelled: Predictions | None = None, seed: int = 0
) -> tuple[Claim, dict[str, Any]]:
    """Return what the model loses on `shifted`, as a claim, and the figures.

    Parameters
    ----------
    name : of the other data, for example ``"blur 3"``.
    shifted : predictions of it. With targets the loss is measured: on the same examples where the ids are those of
        `home`, else on different ones. Without, it is estimated, under assumption.
    home : predictions of the test examples, targets known.
    labelled : held-out examples for the estimate without labels; None: those of `home`.
    """
    question = f"Does it lose on {name}?"
    known = with_targets(shifted)
    if not len(known):
        return _without_labels(name, question, shifted, home, labelled=labelled, seed=seed)
    place = {example: i for i, example in enumerate(home.ids)}
    is_same = len(place) == len(home) and all(example in place for example in known.ids)
    if is_same:
        before = take(home, np.array([place[example] for example in known.ids], dtype=np.int64))
        paired = mcnemar_exact(before.is_correct, known.is_correct)
        loss, p_value, test = paired.difference, paired.p_value, "mcnemar-exact"
    else:
        before, right, right_home = home, int(known.is_correct.sum()), int(home.is_correct.sum())
        loss = unpaired_difference(right_home, len(home), right, len(known))
        table = np.array([[right_home, len(home) - right_home], [right, len(known) - right]])
        p_value, test = fisher_exact(table), "fisher-exact"
    now = float(known.is_correct.mean())
    facts: dict[str, Any] = {"accuracy": proportion(int(known.is_correct.sum()), len(known)), "loss": loss}
    share = f"{float(before.is_correct.mean()):.1%} to {now:.1%}"
    own, n = f"shift:{name}", len(known)
    if p_value <= ALPHA and loss.value > 0:
        sentence = f"Yes: on {name} it loses {unsigned_points(loss.value)} ({span_points(loss)}): {share}."
        return Claim(own, question, "yes", strength_of_p(p_value), sentence, facts, test, p_value, n), facts
    if loss.high < WORTH_SAYING:
        strength = strength_of_bound(loss.high, WORTH_SAYING)
        ruled_out = "any loss" if loss.high <= 0 else f"a loss above {unsigned_points(loss.high)}"
        sentence = f"No: on {name} it holds, {share}; {ruled_out} is ruled out."
        return Claim(own, question, "no", strength, sentence, facts, test, p_value, n), facts
    n_more = more_to_tell(loss, at_least=WORTH_SAYING)
    sentence = f"Can't tell: on {name} {share}, a loss of {span_points(loss)} points is possible."
    if n_more is not None:
        sentence += f" About {n_more:,} more examples of it would tell."
    return Claim(own, question, "can't tell", "none", sentence, facts, test, p_value, n, n_more), facts


def _without_labels(
    name: str, question: str, shifted: Predictions, home: Predictions, *, labelled: Predictions | None, seed: int
) -> tuple[Claim, dict[str, Any]]:
    known = with_targets(labelled if labelled is not None else home)
    found = accuracy_without_labels(known, shifted, seed=seed)
    base = proportion(int(known.is_correct.sum()), len(known))
    loss = Estimate(
        (base.value or 0.0) - found.both.value,
        (base.low or 0.0) - found.both.high,
        (base.high or 1.0) - found.both.low,
        len(shifted),
        found.both.method,
    )
    facts: dict[str, Any] = {
        "accuracy": found.both,
        "atc": found.threshold,
        "doc": found.confidence,
        "cot": found.transport,
        "cott": found.transport_threshold,
        "loss": loss,
    }
    told = (
        f"without labels its accuracy on {name} is put at {found.both.value:.1%} ({100 * found.both.low:.1f} to"
        f" {100 * found.both.high:.1f}), against {base.value or 0.0:.1%} at home; that assumes that its confidence"
        " means the same there"
    )
    own, test = f"shift:{name}", "COT and COTT, under assumption"
    if found.both.high < (base.low or 0.0):
        return Claim(own, question, "yes", "weak", f"Probably: {told}.", facts, test, None, len(shifted)), facts
    if loss.high < WORTH_SAYING:
        return Claim(own, question, "no", "weak", f"Probably not: {told}.", facts, test, None, len(shifted)), facts
    return Claim(own, question, "can't tell", "none", f"Can't tell: {told}.", facts, test, None, len(shifted)), facts
