"""What the model loses on other data: measured where there are labels, estimated where there are none."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from graft.core.decision import AnyPredictions
from graft.core.errors import DataError
from graft.core.text import percent
from graft.core.types import Estimate
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
from graft.evaluation.label_free import without_labels
from graft.evaluation.label_free_sets import LabelFreeExactMatch

__all__ = ["judge_shift", "unpaired_difference"]

WORTH_SAYING: Final = 0.03  # a loss below 3 points is taken for none


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


def judge_shift(
    name: str, shifted: AnyPredictions, home: AnyPredictions, *, labelled: AnyPredictions | None = None, seed: int = 0
) -> tuple[Claim, dict[str, Any]]:
    """Return what the model loses on `shifted`, as a claim, and the figures; of label sets, exact ones are right.

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
    share = f"{percent(float(before.is_correct.mean()))} to {percent(now)}"
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
    name: str,
    question: str,
    shifted: AnyPredictions,
    home: AnyPredictions,
    *,
    labelled: AnyPredictions | None,
    seed: int,
) -> tuple[Claim, dict[str, Any]]:
    known = with_targets(labelled if labelled is not None else home)
    found = without_labels(known, shifted, seed=seed)
    base = proportion(int(known.is_correct.sum()), len(known))
    loss = Estimate(
        (base.value or 0.0) - found.both.value,
        (base.low or 0.0) - found.both.high,
        (base.high or 1.0) - found.both.low,
        len(shifted),
        found.both.method,
    )
    facts: dict[str, Any] = {"accuracy": found.both, **found.by_method, "loss": loss}
    is_multi_label = isinstance(found, LabelFreeExactMatch)
    share, sets_or_answers = ("share of exact sets", "DoC of sets") if is_multi_label else ("accuracy", "COT and COTT")
    told = (
        f"without labels its {share} on {name} is put at {percent(found.both.value)} ({100 * found.both.low:.1f} to"
        f" {100 * found.both.high:.1f}), against {percent(base.value or 0.0)} at home; that assumes that its confidence"
        " means the same there"
    )
    own, test = f"shift:{name}", f"{sets_or_answers}, under assumption"
    if found.both.high < (base.low or 0.0):
        return Claim(own, question, "yes", "weak", f"Probably: {told}.", facts, test, None, len(shifted)), facts
    if loss.high < WORTH_SAYING:
        return Claim(own, question, "no", "weak", f"Probably not: {told}.", facts, test, None, len(shifted)), facts
    return Claim(own, question, "can't tell", "none", f"Can't tell: {told}.", facts, test, None, len(shifted)), facts
