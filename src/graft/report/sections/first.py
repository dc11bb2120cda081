"""The first screen: the verdict in five sentences, the figure that leads, and the baselines beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import figures
from graft.report import wording as w
from graft.report.leading import headline_of, lead_of, leading_figure
from graft.report.verdict import Fact, Verdict

__all__ = ["comparison", "figure_rows", "five_sentences", "headline", "questions"]

# The fourth and fifth question that people ask; where they were not judged, what else there is to say.
_IN_TURN = (
    "Baselines", "Overfitting", "Confidence", "Other data", "More labels", "Kinds of example", "Training", "Strategy",
    "Weakest point", "How it was chosen", "Classes", "Groups", "Time",
)  # fmt: skip
_N_SENTENCES = 5
_TESTS = {
    "mcnemar-exact": "exact McNemar test",
    "fisher-exact": "Fisher's exact test",
    "paired-bootstrap": "paired bootstrap",
    "permutation": "permutation of the truth",
    "bbc-cv": "bootstrap of the choice among all candidates",
}
_MOST_CLAIMS = 80


def headline(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the figure that leads with its interval; None where it is not known."""
    name, (figure, for_whom) = headline_of(metrics), leading_figure(metrics)
    if not figure or figure["value"] is None:
        return None
    return {
        "name": w.lowered(w.metric_name(name)[0]),
        "value": w.percent(figure["value"], unit=False),
        "interval": w.interval(figure, unit=True) if figure.get("low") is not None else "",
        "for_whom": f", {for_whom}" if for_whom else "",
        "why_none": w.clipped(figure.get("method", ""), 160),
        "n": w.count(figure["n"]),
    }


def five_sentences(verdict: Verdict) -> tuple[list[Fact], list[Fact]]:
    """Return the facts of the first screen, at most five, and those of the others that no question has.

    The score comes first, then groups where the verdict has them second; then one fact of each topic, as people ask
    for them. A fact that answers a question has the
    question as its topic.
    """
    facts = verdict.facts
    if not facts:
        return [], []
    chosen = [0, 1] if [fact.topic for fact in facts[1:2]] == ["Groups"] else [0]
    for topic in _IN_TURN:
        found = next((i for i, fact in enumerate(facts) if fact.topic == topic and i not in chosen), None)
        if found is not None and len(chosen) < _N_SENTENCES:
            chosen.append(found)
    shown = [facts[i]._replace(topic=verdict.question_of(facts[i]) or facts[i].topic) for i in sorted(chosen)]
    return shown, [fact for i, fact in enumerate(facts) if i not in chosen and not verdict.question_of(fact)]


def questions(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the claims as rows: question, answer, how strong the evidence is, the sentence, and what it rests on."""
    rows = []
    for claim in (metrics.get("claims") or ())[:_MOST_CLAIMS]:
        basis = []
        if claim.get("n"):
            basis.append(f"{w.count(claim['n'])} examples")
        if claim.get("test"):
            basis.append(_TESTS.get(claim["test"], w.clipped(claim["test"], 120)))
        if claim.get("p_value") is not None:
            basis.append(w.p_value(claim["p_value"]))
        if claim.get("n_more") and "would tell" not in claim["sentence"]:
            basis.append(f"about {w.count(claim['n_more'])} more test examples would tell")
        is_open = claim["answer"] == "can't tell"
        rows.append(
            {
                "question": w.clipped(claim["question"], 200),
                "answer": "can’t tell" if is_open else w.plain(claim["answer"]),
                "kind": "open" if is_open else w.plain(claim["answer"]),
                "strength": "" if claim["strength"] == "none" else f"{w.plain(claim['strength'])} evidence",
                "sentence": w.clipped(claim["sentence"], 600),
                "basis": "; ".join(basis),
            }
        )
    return rows


def comparison(metrics: Mapping[str, Any], split: str) -> dict[str, Any] | None:
    """Return model and baselines as rows of a dot plot with the lead over each; None without baselines."""
    name = headline_of(metrics)
    own = metrics.get(split, {}).get(name)
    baselines = {k: b for k, b in (metrics.get("baselines") or {}).items() if name in b}
    if not own or own["value"] is None or not baselines:
        return None
    ranked = sorted(baselines.items(), key=lambda item: -(item[1][name]["value"] or 0.0))
    axis = figures.share_axis([own, *(b[name] for _, b in ranked)])
    rows = figures.dot_rows([("This model", own), *((w.baseline_name(k), b[name]) for k, b in ranked)], axis)
    losses = [metrics[split].get("log_loss"), *(b.get("log_loss") for _, b in ranked)]
    for row, loss in zip(rows, losses, strict=True):
        row["log_loss"] = w.decimal(loss["value"]) if loss else "–"
        row["lead"] = row["lead_interval"] = row["p"] = ""
    for row, (_, baseline) in zip(rows[1:], ranked, strict=True):
        if lead := lead_of(baseline):
            row["lead"] = f"{100 * lead.difference['value']:+.1f}".replace("-", "−")
            row["lead_interval"] = w.interval(lead.difference).replace("-", "−")
            row["p"] = w.p_value(lead.p_value)
    return {"axis": axis, "rows": rows, "name": w.metric_name(name)[0], "is_accuracy": name == "accuracy"}


def figure_rows(judged: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return all figures of the judged split with their intervals."""
    rows = []
    for key, e in judged.items():
        if not isinstance(e, Mapping) or "value" not in e:
            continue
        share = w.is_share(key)
        name, meaning = w.metric_name(key)
        rows.append(
            {
                "name": name,
                "meaning": meaning,
                "value": w.percent(e["value"]) if share else w.decimal(e["value"]),
                "interval": w.interval(e, share=share),
                "method": w.plain(e["method"]),
            }
        )
    return rows
