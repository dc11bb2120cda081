"""A few plain sentences, each built from the figures: did the graft take, and how do we know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graft.report import class_facts
from graft.report import wording as w
from graft.report.leading import headline_of, is_multi_label, lead_of, split_of
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
        _fact("Classes", class_facts.unequal_classes(metrics, noun=noun)),
        _groups(metrics),
        _baselines(metrics),
        *_claimed(metrics, "overfits", "loss_rises"),
        *(_claimed(metrics, "calibrated") or filter(None, [_calibration(metrics)])),
        *_claimed(metrics, "shift", "more_labels"),
        _strategy(metrics),
        _fact("Rate", rate_sentence(metrics.get("strategy"))),
        *_claimed(metrics, "loses_pretraining", "costs_robustness"),
        _fact("Weakest point", class_facts.weakest_point(metrics, noun=noun)),
        *_claimed(metrics, "slices_fail"),
        _selection(leaderboard),
        *_claimed(metrics, "selection_flatters", "sets_cover"),
        _cost(metrics),
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
            return f"No signal: it does no better than {_NO_SKILL[name]}."
    if ranked["lost"]:
        names = _join([w.baseline_name(n, in_sentence=True) for n in ranked["lost"]])
        return f"The graft did not pay: {names} did better."
    if ranked["tied"]:
        names = _join([w.baseline_name(n, in_sentence=True) for n in ranked["tied"]])
        return f"The graft learned the task, but this test cannot tell it apart from {names}."
    return "The graft took."


def _flattery(metrics: Mapping[str, Any]) -> str:
    """Return one more sentence where groups (speakers, patients) were ignored and that was seen to flatter."""
    groups = metrics.get("groups") or {}
    low = (groups.get("flattery") or {}).get("low")
    if groups.get("is_used", True) or low is None or low <= 0:
        return ""
    return f" Its figures flatter for a new {w.plain(groups['column'])}."


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
    judged = metrics.get(split, {})
    figure = judged.get(headline)
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


def _strategy(metrics: Mapping[str, Any]) -> Fact | None:
    """Return which strategy won on held-out examples, by how much, and what the contest cost."""
    found = metrics.get("strategy") or {}
    if "contender" not in found:
        return None
    name = w.plain(found.get("method", "fine-tuning"))
    if not found.get("n"):
        return Fact("Strategy", f"The network stayed frozen: {w.plain(found.get('why', ''))}.")
    n, place = w.count(found["n"]), w.plain(found["held_out"])
    gap = found["contender"]["accuracy"] - found["probe"]["accuracy"]
    loss = found["log_loss_difference"]
    span = w.interval(loss, share=False) if loss.get("low") is not None else "–"
    side = "above" if gap > 0 else "below"
    way = "lower" if loss["value"] < 0 else "higher"
    score = f"{w.points(abs(gap))} {side} the probe" if gap else "level with the probe"
    if found.get("score", "accuracy") != "accuracy":
        score += f" in {w.plain(found['score'])}"
    evidence = (
        f"on {n} held-out examples ({place}) {name} was {score} ({w.percent(found['contender']['accuracy'])} against"
        f" {w.percent(found['probe']['accuracy'])}), its log-loss {w.decimal(abs(loss['value']))} {way}"
        f" ({100 * loss['level']:.0f}{w.THIN}% interval of the difference {span})"
    )
    if found["kept"] == "head":
        text = f"The frozen network with the new head was kept: {evidence}; that is no proof of a gain."
    elif found.get("is_better"):
        text = f"{name} was kept: {evidence}."
        text = text[0].upper() + text[1:]
    else:
        text = f"{name} was asked for, and is no proven gain: {evidence}."
        text = text[0].upper() + text[1:]
    cost = f" The contest took {w.duration(found['seconds'])}."
    if found["kept"] != "head":
        share = found["alpha"]
        cost += f" The weights lie {100 * share:.0f}{w.THIN}% of the way from the probe's to the fine-tuned ones."
    return Fact("Strategy", (text + cost).replace(" -", " −"))


def _selection(leaderboard: Sequence[Mapping[str, Any]]) -> Fact | None:
    chosen = next((row for row in leaderboard if row.get("is_chosen")), None)
    if chosen is None:
        return None
    scalings = {row["scaling"] for row in leaderboard}
    penalties = {row["penalty"] for row in leaderboard}
    text = (
        f"One of {len(leaderboard)} candidates ({_plural(len(scalings), 'scaling')},"
        f" {_plural(len(penalties), 'penalty')}), by log-loss on training examples held out in turn;"
        " the test split had no say."
    )
    best = min(leaderboard, key=lambda row: row["log_loss"])
    if best["log_loss"] < chosen["log_loss"]:
        is_near = chosen["log_loss"] <= best["log_loss"] + 1.001 * best["standard_error"]
        near = ", within one standard error" if is_near else ""
        text += f" The best scored {w.decimal(best['log_loss'])}, the chosen one {w.decimal(chosen['log_loss'])}{near}."
    return Fact("How it was chosen", text)


def _plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def _cost(metrics: Mapping[str, Any]) -> Fact | None:
    seconds = {k: v for k, v in (metrics.get("seconds") or {}).items() if k != "total"}
    total = (metrics.get("seconds") or {}).get("total", sum(seconds.values()))
    if not seconds or total <= 0:
        return None
    slowest = max(seconds, key=lambda k: seconds[k])
    share = f"{100 * seconds[slowest] / total:.0f}{w.THIN}%"
    name = w.plain(slowest.replace("_", " "))
    return Fact("Time", f"{w.duration(total)} in all; {share} of it went into \u201c{name}\u201d.")
