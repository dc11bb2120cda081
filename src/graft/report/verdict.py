"""A few plain sentences, each built from the figures: did the graft take, and how do we know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graft.report import choice_facts, class_facts
from graft.report import wording as w
from graft.report.leading import headline_of, is_multi_label, lead_of, leading_figure, split_of
from graft.report.sections.race import rate_sentence

__all__ = ["TOPICS", "Fact", "Verdict", "build_verdict"]

TOPICS = {
    "overfits": "Overfitting",
    "loss_rises": "Training",
    "calibrated": "Confidence",
    "shift": "Other data",
    "more_labels": "More labels",
    "loses_pretraining": "Pretraining",
    "costs_robustness": "Robustness",
    "slices_fail": "Kinds of example",
    "selection_flatters": "Choice",
    "sets_cover": "Sets of classes",
}
"""What a claim's sentence stands under, by the claim's name up to a colon."""

ALPHA = 0.05
_NO_SKILL = {
    "majority": "always giving the most frequent class",
    "prior": "knowing how often each label occurs",
}


class Fact(NamedTuple):
    """One sentence or two of the verdict, and what they are about."""

    topic: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """The headline and the facts behind it.

    Parameters
    ----------
    headline : one short sentence.
    facts : in the order in which they matter.
    claims : as `graft.evaluation.Claim.as_dict` gives them, each a question, an answer and its evidence; their
        sentences may hold labels, and labels may be hostile.
    """

    headline: str
    facts: tuple[Fact, ...]
    claims: tuple[Mapping[str, Any], ...] = ()

    def question_of(self, fact: Fact) -> str:
        """Return the question that a fact answers, so that a 'no' can be read by itself; empty where there is none."""
        asked = (claim["question"] for claim in self.claims if w.plain(claim["sentence"]) == fact.text)
        return w.clipped(next(asked, ""), 200)


def build_verdict(
    metrics: Mapping[str, Any], leaderboard: Sequence[Mapping[str, Any]] = (), *, noun: str = "examples"
) -> Verdict:
    """Return what the figures say, in words.

    Parameters
    ----------
    metrics : as `graft.evaluation.Evaluation.as_dict` gives them, with ``"seconds"`` where known. All but the
        accuracy may be missing; what is missing is not spoken of.
    leaderboard : rows with scaling, penalty, log_loss, standard_error, is_chosen.
    noun : what the examples are called.
    """
    candidates = (
        _score(metrics, noun),
        _groups(metrics) if _groups_matter(metrics) else None,
        _fact("Classes", class_facts.unequal_classes(metrics, noun=noun)),
        None if _groups_matter(metrics) else _groups(metrics),
        _baselines(metrics),
        *_claimed(metrics, "overfits", "loss_rises"),
        *(_claimed(metrics, "calibrated") or filter(None, [_calibration(metrics)])),
        *_claimed(metrics, "shift", "more_labels"),
        _fact("Strategy", choice_facts.strategy(metrics)),
        _fact("Rate", rate_sentence(metrics.get("strategy"))),
        *_claimed(metrics, "loses_pretraining", "costs_robustness"),
        _fact("Weakest point", class_facts.weakest_point(metrics, noun=noun)),
        *_claimed(metrics, "slices_fail"),
        _fact("How it was chosen", choice_facts.selection(leaderboard)),
        *_claimed(metrics, "selection_flatters", "sets_cover"),
        _fact("Time", choice_facts.cost(metrics)),
    )
    headline = _headline(metrics) + _flattery(metrics)
    claims = tuple(metrics.get("claims") or ())
    return Verdict(headline, tuple(fact for fact in candidates if fact is not None), claims)


def _claimed(metrics: Mapping[str, Any], *names: str) -> list[Fact]:
    """Return the sentences of the claims of these names; what stands after a colon, as in ``shift:blur``, is free."""
    return [
        Fact(TOPICS[kind], w.plain(claim["sentence"]))
        for name in names
        for claim in metrics.get("claims") or ()
        if (kind := claim["name"].partition(":")[0]) == name and not claim["sentence"].startswith("Not judged")
    ]


def _fact(topic: str, text: str | None) -> Fact | None:
    return None if text is None else Fact(topic, text)


def _ranked(metrics: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the baselines that were beaten, not told apart, and lost to."""
    found: dict[str, list[str]] = {"beaten": [], "tied": [], "lost": []}
    for name, baseline in (metrics.get("baselines") or {}).items():
        lead = lead_of(baseline)
        if lead is None:
            continue
        if lead.p_value > ALPHA:
            found["tied"].append(name)
        else:
            found["beaten" if lead.difference["value"] > 0 else "lost"].append(name)
    return found


def _headline(metrics: Mapping[str, Any]) -> str:
    ranked = _ranked(metrics)
    # The probe is a graft as well: not to be told apart from it is no failure.
    ranked["tied"] = [name for name in ranked["tied"] if name != "probe"]
    if not any(ranked.values()):
        return "A result with nothing to compare it with."
    for name in ("majority", "prior"):
        if name in ranked["tied"] or name in ranked["lost"]:
            if _may_have_learned(metrics, name):
                return "No signal shown: this test is too small to show that it learned anything."
            return f"No signal: it does no better than {_NO_SKILL[name]}."
    if ranked["lost"]:
        names = _join([w.baseline_name(n, in_sentence=True) for n in ranked["lost"]])
        return f"The graft did not pay: {names} did better."
    if ranked["tied"]:
        names = _join([w.baseline_name(n, in_sentence=True) for n in ranked["tied"]])
        return f"The graft learned the task, but this test cannot tell it apart from {names}."
    return "The graft took."


def _may_have_learned(metrics: Mapping[str, Any], name: str) -> bool:
    """Return whether a lead over a blind baseline was seen, and neither proven nor ruled out.

    Where the truth was dealt out anew guesses have a lead as well: there it must be larger than three of four have.
    """
    lead = lead_of(metrics["baselines"][name])
    test = (metrics["baselines"][name].get("paired") or {}).get("test")
    if lead is None or lead.difference["value"] <= 0 or (test == "permutation" and lead.p_value > 0.5):
        return False
    claim = next((claim for claim in metrics.get("claims") or () if claim["name"] == "signal"), None)
    return claim is None or claim["answer"] == "can't tell"


def _flattery(metrics: Mapping[str, Any]) -> str:
    """Return one more sentence where groups (speakers, patients) were ignored and that was seen to flatter."""
    groups = metrics.get("groups") or {}
    low = (groups.get("flattery") or {}).get("low")
    if groups.get("is_used", True) or low is None or low <= 0:
        return ""
    return f" Its figures flatter for a new {w.plain(groups['column'])}."


def _groups_matter(metrics: Mapping[str, Any]) -> bool:
    """Return whether ignoring groups was seen to flatter, or the test split is of groups that train has not."""
    groups = metrics.get("groups") or {}
    low = (groups.get("flattery") or {}).get("low")
    return bool(groups.get("test")) or (low is not None and low > 0)


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _groups(metrics: Mapping[str, Any]) -> Fact | None:
    groups = metrics.get("groups") or {}
    texts = (groups.get("text"), (groups.get("test") or {}).get("text"))
    told = [text.removeprefix("groups: ") for text in texts if text]
    if not told:
        return None
    return Fact("Groups", w.plain(" ".join(f"{text[0].upper()}{text[1:]}." for text in told)))


def _score(metrics: Mapping[str, Any], noun: str) -> Fact | None:
    """Return the figure that leads in a sentence, and the share of right answers beside it."""
    split, headline = split_of(metrics), headline_of(metrics)
    judged, (figure, for_whom) = metrics.get(split, {}), leading_figure(metrics)
    if not figure or figure["value"] is None:
        return None
    right = judged.get("exact_match" if is_multi_label(metrics) else "accuracy")
    examples = f"{w.count(figure['n'])} {split} {noun}"
    name = w.metric_name(headline)[0]
    if headline == "accuracy":
        text = f"{w.percent(figure['value'])} of {examples} are classified correctly"
    else:
        kinds = "labels" if is_multi_label(metrics) else "classes"
        text = f"{name} {w.percent(figure['value'])} on {examples}; in it all {kinds} weigh alike"
    if figure["low"] is not None:
        level = f"{100 * figure['level']:.0f}{w.THIN}%"
        text += f"; the {level} interval runs from {w.interval(figure, unit=True)}"
        text += f" and holds {for_whom}" if for_whom else ""
    text += "."
    if headline != "accuracy" and right and right["value"] is not None:
        what = "were given exactly their own labels" if is_multi_label(metrics) else "are classified correctly"
        text += f" {w.percent(right['value'])} of them {what}."
    return Fact(name, text)


def _baselines(metrics: Mapping[str, Any]) -> Fact | None:
    ranked = _ranked(metrics)
    baselines = metrics.get("baselines") or {}
    leads = {name: lead for name, b in baselines.items() if (lead := lead_of(b)) is not None}

    def against(name: str) -> str:
        p = w.p_value(leads[name].p_value)
        points = w.points(leads[name].difference["value"])
        return f"{points} {{}} {w.baseline_name(name, in_sentence=True)} ({p})"

    sentences = []
    order = sorted(ranked["beaten"], key=lambda n: leads[n].difference["value"])
    if order:
        sentences.append(f"{_join([against(n).format('above') for n in order])}.")
    if ranked["lost"]:
        sentences.append(f"{_join([against(n).format('below') for n in ranked['lost']])}.")
    for name in ranked["tied"]:
        difference = leads[name].difference["value"]
        side = "above" if difference > 0 else "below"
        where = "level with" if difference == 0 else f"{w.points(difference)} {side}"
        p = w.p_value(leads[name].p_value)
        text = f"{where} {w.baseline_name(name, in_sentence=True)}, which may be chance ({p})"
        smallest = leads[name].smallest
        if smallest is not None:
            text += f": a test of this size sees differences from about {w.points(smallest)} up"
        sentences.append(text[0].upper() + text[1:] + ".")
    if not sentences:
        return None
    headline = headline_of(metrics)
    measure = "" if headline == "accuracy" else f"In {w.lowered(w.metric_name(headline)[0])}: "
    return Fact("Baselines", measure + " ".join(sentences))


def _calibration(metrics: Mapping[str, Any]) -> Fact | None:
    calibration = metrics.get("calibration")
    if not calibration:
        return None
    error = w.percent(calibration["expected_calibration_error"])
    limit = w.percent(calibration["null_95"])
    if calibration["p_value"] > ALPHA:
        return Fact(
            "Confidence",
            f"No sign that its probabilities mislead: calibration error {error}, where a perfectly calibrated model"
            f" shows up to {limit} at this number of examples.",
        )
    gap = calibration["confidence_minus_accuracy"]
    direction = "It claims more than it holds" if gap > 0 else "It is right more often than it says"
    if is_multi_label(metrics):
        direction = "It expects more labels than there are" if gap > 0 else "It expects fewer labels than there are"
    return Fact(
        "Confidence",
        f"Its probabilities are off: calibration error {error}, where a perfectly calibrated model shows up to {limit}."
        f" {direction}, by {w.points(gap)} on average.",
    )
