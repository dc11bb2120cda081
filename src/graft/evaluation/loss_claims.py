"""Claims from answer losses: did it learn, does it overfit, what has it forgotten, would more data help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.answer_losses import AnswerLosses, LossChange, compare_losses, loss_gap, loss_per_token
from graft.evaluation.claims import ALPHA, Claim, Strength, more_to_tell, not_judged, strength_of_bound, strength_of_p
from graft.evaluation.comparisons import holm
from graft.evaluation.learning_curve import MOST_TIMES, LearningCurve, fit_learning_curve

__all__ = ["judge_forgetting", "judge_learned", "judge_more_data", "judge_overfitting"]

WORTH_SAYING: Final = 0.02  # nats a token: 2 % of perplexity
_STRICT = 0.01  # level of an accusation
_TELLING_GAP = 0.4  # nats a token: a test that would miss a larger gap tells nothing
_LITTLE = 0.04  # share of the loss: no power law is believed closer than 3 %
_GROUPS = 10  # of held-out examples, each with a learning curve of its own
_LEARNED, _OVERFITS, _MORE = "Did it learn the answers?", "Does it overfit?", "Would more data help?"
_TEST = "paired bootstrap of the loss per token"


def judge_learned(change: LossChange, *, n: int) -> Claim:
    """Return whether held-out answers surprise the model less than the base model.

    Parameters
    ----------
    change : of the loss of held-out answers, base model before and fine-tuned model after.
    n : held-out examples.
    """
    told, difference, p_value = _told(change), change.change.difference, change.change.p_value
    evidence: dict[str, Any] = {"before": change.before, "after": change.after, "change": difference}
    name, value = "learned", difference.value or 0.0
    if p_value <= ALPHA and value < 0:
        sentence = f"Yes: its loss on answers that it had not seen fell, {told}."
        return Claim(name, _LEARNED, "yes", strength_of_p(p_value), sentence, evidence, _TEST, p_value, n)
    if p_value <= ALPHA and value > 0:
        sentence = f"No: its loss on answers that it had not seen rose, {told}."
        return Claim(name, _LEARNED, "no", strength_of_p(p_value), sentence, evidence, _TEST, p_value, n)
    low, _ = _ends(change)
    if low > -WORTH_SAYING:
        strength = strength_of_bound(-low, WORTH_SAYING)
        sentence = f"No: its loss on answers that it had not seen is what it was, {told}."
        return Claim(name, _LEARNED, "no", strength, sentence, evidence, _TEST, p_value, n)
    sentence = f"Can't tell: its loss on answers that it had not seen, {told}, may have changed by chance."
    more = more_to_tell(difference, at_least=WORTH_SAYING) if isinstance(difference, Estimate) else None
    return Claim(name, _LEARNED, "can't tell", "none", sentence, evidence, _TEST, p_value, n, more)


def judge_overfitting(
    seen: AnswerLosses,
    held_out: AnswerLosses,
    *,
    seen_before: AnswerLosses | None = None,
    held_out_before: AnswerLosses | None = None,
    seed: int = 0,
) -> Claim:
    """Return whether the model knows its training answers at the price of new ones, and by how much better it does.

    Parameters
    ----------
    seen, held_out : the final model's losses of training answers and of answers that it had not seen.
    seen_before, held_out_before : the base model's losses of the same; with them the gap is that of the gains (see
        `loss_gap`).
    seed : of the bootstrap.

    Notes
    -----
    A gap alone is memory, and no fault. Two things must come together, each at the 1 % level: a gap beyond its noise,
    and a held-out loss above that of the base model. Without the base model's losses harm cannot be told.
    """
    gap = loss_gap(seen, held_out, seen_before=seen_before, held_out_before=held_out_before, seed=seed)
    n, value = min(len(seen), len(held_out)), gap.difference.value or 0.0
    is_of_gains = seen_before is not None and held_out_before is not None
    floor = gap.smallest_detectable
    evidence: dict[str, Any] = {
        "seen": loss_per_token(seen, seed=seed),
        "held_out": loss_per_token(held_out, seed=seed),
        "gap": gap.difference,
        "is_gap_of_gains": is_of_gains,
        "smallest_detectable_gap": floor,
    }
    span = f" ({_span(gap.difference)})" if isinstance(gap.difference, Estimate) else ""
    what = (
        "its loss fell further on answers it was trained on" if is_of_gains else "answers it was trained on are easier"
    )
    told = f"{what} than on new ones, by {value:.2f} nats a token{span}"
    noise = f"; a gap from {floor:.2f} up would show" if floor is not None else ""
    has_gap = gap.p_value <= _STRICT and value > 0
    harm = compare_losses(held_out_before, held_out, seed=seed).change if held_out_before is not None else None
    test = "gap of seen and held-out losses, two-sample bootstrap; harm: paired bootstrap"
    arguments = (evidence, test, gap.p_value, n)
    if not has_gap:
        if floor is None or floor > _TELLING_GAP:
            sentence = (
                f"Can't tell: a gap of {_rounded(value)} nats a token between new and trained answers is within noise."
            )
            return Claim("overfits", _OVERFITS, "can't tell", "none", _minus(sentence), *arguments)
        strength: Strength = "moderate" if floor <= _TELLING_GAP / 4 else "weak"
        sentence = f"No: trained and new answers fare alike ({_rounded(value)} nats a token, within noise{noise})."
        return Claim("overfits", _OVERFITS, "no", strength, _minus(sentence), *arguments)
    if harm is None:
        return Claim("overfits", _OVERFITS, "can't tell", "none", f"Can't tell what it costs, but {told}.", *arguments)
    evidence["held_out_change"] = harm.difference
    moved = harm.difference.value or 0.0
    if moved > 0 and harm.p_value <= _STRICT:
        p_value = max(gap.p_value, harm.p_value)
        sentence = f"Yes: {told}, and new answers surprise it more than they did before, by {moved:.2f}."
        return Claim("overfits", _OVERFITS, "yes", strength_of_p(p_value), sentence, evidence, test, p_value, n)
    if moved < 0 and harm.p_value <= ALPHA:
        sentence = f"No: new answers gained {-moved:.2f} nats a token, though {told}."
        return Claim("overfits", _OVERFITS, "no", strength_of_p(harm.p_value), sentence, *arguments)
    sentence = f"Can't tell: {told}, and whether new answers gained or lost does not show."
    return Claim("overfits", _OVERFITS, "can't tell", "none", sentence, *arguments)


def judge_forgetting(changes: Mapping[str, LossChange]) -> list[Claim]:
    """Return a claim a sample of other text, ``forgets:<name>``: whether the model became worse on it.

    Parameters
    ----------
    changes : of each sample's loss, base model before and fine-tuned model after, by what the text is called. Empty:
        one claim, that it was not judged.

    Notes
    -----
    P-values are adjusted for the number of samples. 'No' means that a rise of 0.02 nats a token, 2 % of perplexity, can
    be ruled out.
    """
    if not changes:
        why = "no other text was given (--general-text FILE, Python: general_text='FILE')"
        return [not_judged("forgets", "What did it forget?", why=why)]
    adjusted = holm([change.change.p_value for change in changes.values()])
    return [_forgets(name, change, p) for (name, change), p in zip(changes.items(), adjusted, strict=True)]


def judge_more_data(sizes: Sequence[int], losses: Sequence[AnswerLosses], *, seed: int = 0) -> Claim:
    """Return whether twice the examples would lower the loss of new answers, and by how much.

    Parameters
    ----------
    sizes : training examples of each model, at least five different; the largest is what is at hand.
    losses : of the same held-out answers, one a size, in the same order; at least 50 answers.
    seed : of the curves.

    Raises
    ------
    DataError
        When there are too few sizes or answers, or the answers differ.

    Notes
    -----
    The held-out answers are dealt into ten groups, and each is one draw of `fit_learning_curve`. One model was trained
    a size, so what another choice of training examples would have changed is not in the interval.
    """
    n = len(losses[0]) if losses else 0
    if any(list(other.ids) != list(losses[0].ids) for other in losses) or n < 5 * _GROUPS:
        raise DataError(f"losses of {n} answers", expected=f"at least {5 * _GROUPS}, the same at all sizes")
    group = np.random.default_rng(seed).permutation(n) % _GROUPS
    table = np.array(
        [[one.sums[group == g].sum() / one.n_tokens[group == g].sum() for g in range(_GROUPS)] for one in losses]
    )
    scale = float(table.max()) * 1.01  # the curve takes shares; a power law keeps its form under a factor
    curve: LearningCurve = fit_learning_curve(sizes, 1 - table / scale, n_now=max(sizes), seed=seed)
    twice, most = (curve.gain(times * curve.n_now) for times in (2, MOST_TIMES))
    now = float(table[int(np.argmax(sizes))].mean())
    evidence = {
        "twice": twice.scaled(scale),
        "four_times": most.scaled(scale),
        "n_now": curve.n_now,
        "loss_now": now,
        "observed": [{"n": s, "loss": float(row.mean())} for s, row in zip(sizes, table, strict=True)],
    }
    gain, further = twice.scaled(scale), most.scaled(scale)
    told = f"twice the examples: {gain.value:.3f} nats a token less ({gain.low:.3f} to {gain.high:.3f})"
    told += f"; four times: {further.value:.3f} less"
    test, name = "power law over training sizes", "more_data"
    if gain.low > WORTH_SAYING / 2 and gain.value >= WORTH_SAYING:
        strength: Strength = "moderate" if gain.low > WORTH_SAYING else "weak"
        return Claim(name, _MORE, "yes", strength, _minus(f"Yes: {told}."), evidence, test, None, n)
    if gain.high < max(2 * WORTH_SAYING, _LITTLE * now):
        strength = "moderate" if gain.high < WORTH_SAYING else "weak"
        told = f"Hardly: {told}. More than {gain.high:.3f} is not to be expected of twice as many."
        return Claim(name, _MORE, "no", strength, _minus(told), evidence, test, None, n)
    return Claim(name, _MORE, "can't tell", "none", _minus(f"Perhaps: {told}."), evidence, test, None, n)


def _forgets(name: str, change: LossChange, p_value: float) -> Claim:
    question = f"Did it forget {name}?"
    difference, n, told = change.change.difference, change.change.n, _told(change)
    value, key = difference.value or 0.0, f"forgets:{name}"
    evidence = {"before": change.before, "after": change.after, "change": difference}
    if p_value <= ALPHA and value >= WORTH_SAYING:
        sentence = f"Yes: on {name} its loss rose, {told}; perplexity is {np.exp(value):.2f} times what it was."
        return Claim(key, question, "yes", strength_of_p(p_value), sentence, evidence, _TEST, p_value, n)
    _, high = _ends(change)
    if high < WORTH_SAYING:
        strength = strength_of_bound(high, WORTH_SAYING)
        gained = p_value <= ALPHA and value <= -WORTH_SAYING
        sentence = f"No: on {name} its loss {'fell' if gained else 'is what it was'}, {told}."
        return Claim(key, question, "no", strength, sentence, evidence, _TEST, p_value, n)
    sentence = f"Can't tell: on {name} its loss may have changed by chance, {told}."
    if p_value <= ALPHA:  # a rise that shows, and is too small to be called one
        sentence = f"Hardly: on {name} its loss rose a little, {told}."
        return Claim(key, question, "no", "weak", sentence, evidence, _TEST, p_value, n)
    more = more_to_tell(difference, at_least=WORTH_SAYING) if isinstance(difference, Estimate) else None
    return Claim(key, question, "can't tell", "none", sentence, evidence, _TEST, p_value, n, more)


def _told(change: LossChange) -> str:
    """Return before, after, and the difference with its interval."""
    difference = change.change.difference
    span = f", {_span(difference)}" if isinstance(difference, Estimate) else ""
    values = f"{change.before.value or 0.0:.2f} to {change.after.value or 0.0:.2f} nats a token"
    return _minus(f"{values} ({difference.value or 0.0:+.2f}{span})")


def _ends(change: LossChange) -> tuple[float, float]:
    """Return the ends of the difference's interval; both zero where no loss has changed at all."""
    difference = change.change.difference
    if isinstance(difference, Estimate):
        return difference.low, difference.high
    return (0.0, 0.0) if difference.value == 0 else (-np.inf, np.inf)


def _span(estimate: Estimate) -> str:
    return _minus(f"{estimate.low:.2f} to {estimate.high:.2f}")


def _minus(text: str) -> str:
    """Return text with true minus signs before numbers."""
    return "".join("−" if c == "-" and text[i + 1 : i + 2].isdigit() else c for i, c in enumerate(text))


def _rounded(value: float) -> str:
    return f"{round(value, 2) or 0.0:+.2f}"  # not -0.00
