"""The report of a language model: the verdict, the example in colour, what was forgotten, the worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.core.files import write_text
from graft.evaluation.generations import ScoredTexts
from graft.report import wording as w
from graft.report.html import environment, style
from graft.report.reads import reads_sentence
from graft.report.sections import cost, first, opening, repeat, texts
from graft.report.verdict import Fact

__all__ = [
    "generation_facts", "generation_headline", "print_example", "print_figures", "print_generation",
    "write_generation_report",
]  # fmt: skip

_ALPHA = 0.05
_TOPICS = {
    "beats": "Baselines",
    "learned": "Answers",
    "overfits": "Overfitting",
    "loss_rises": "Training",
    "forgets": "Forgetting",
    "stops": "Stopping",
    "repeats": "Repetition",
    "recites": "Recital",
    "contaminated": "Test split",
    "more_data": "More data",
}
_WARNINGS = {  # by claim and the answer that is bad news
    ("stops", "no"): "does not stop by itself",
    ("repeats", "yes"): "repeats itself",
    ("recites", "yes"): "recites training answers",
    ("overfits", "yes"): "overfits",
}
_N_SENTENCES = 6


def write_generation_report(
    path: Path,
    *,
    metrics: Mapping[str, Any],
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    scored: ScoredTexts | None,
    example: Sequence[tuple[str, bool]] = (),
    missing: Sequence[str] = (),
) -> None:
    """Write the report of a language model as one HTML file that needs neither network nor script.

    Parameters
    ----------
    path : of the file; it is whole or absent.
    metrics : as `graft.evaluation.generation_evidence.evaluate_generations` gives them, with ``"seconds"``, ``"data"``
        (figures of the training examples by name), ``"strategy"`` and ``"test_reads"`` where known.
    manifest, config : of the run, as for `graft.report.html.write_report`.
    scored : the texts behind the metrics; None: they are not at hand.
    example : a training example in pieces: text, and whether it carries loss.
    missing : sentences on what the page cannot show.

    Raises
    ------
    ResourceError
        When the file cannot be written.

    Notes
    -----
    Prompts and texts may be hostile: everything is escaped and cut to length, and the page forbids itself connections
    and scripts.
    """
    strategy = metrics.get("strategy") or {}
    sentences, also = opening.opened(_first_screen(metrics))
    page = environment().get_template("generation.html.j2").render(
        title=w.clipped(manifest.get("title", "A run"), 200),
        noun="prompts",
        split="test",
        verdict_headline=generation_headline(metrics),
        sentences=sentences,
        also=also,
        further=[],
        headline=_number(metrics),
        questions=first.questions(metrics),
        comparison=texts.text_comparison(metrics),
        forgotten=texts.forgotten_rows(metrics),
        example=texts.example_tokens(example),
        data=[(w.clipped(k, 120), w.clipped(v, 300)) for k, v in (metrics.get("data") or {}).items()],
        worst=[] if scored is None else texts.worst_answers(scored),
        figures=texts.figure_rows(metrics),
        reads=reads_sentence(metrics, what="answers"),
        history=texts.history_rows(strategy.get("history") or (), kept=strategy.get("best_step")),
        cost=cost.cost_rows(metrics),
        notes=[w.clipped(note, 600) for note in list(manifest.get("notes") or ())[:60]],
        missing=list(missing),
        repeat=repeat.repeat_facts(manifest, config),
        style=style(),
    )  # fmt: skip
    write_text(path, page)


def generation_headline(metrics: Mapping[str, Any]) -> str:
    """Return one or two short sentences: did the graft take, and what is wrong with it."""
    claims = {claim["name"]: claim for claim in metrics["claims"]}
    beats = {name.partition(":")[2]: c for name, c in claims.items() if name.startswith("beats:")}
    lost = [name for name, c in beats.items() if c["answer"] == "no"]
    open_ = [name for name, c in beats.items() if c["answer"] == "can't tell"]
    learned = claims.get("learned", {}).get("answer")
    if lost:
        text = f"The graft did not pay: no better than {_join(lost)}."
    elif open_:
        text = f"This test cannot tell it apart from {_join(open_)}."
        if learned == "yes":
            text = f"The graft learned the answers; whether its texts beat {_join(open_)}, this test cannot tell."
    elif beats or learned == "yes":
        text = "The graft took."
    elif learned == "no":
        text = "No signal: new answers surprise it as much as before."
    else:
        text = "A result with nothing to compare it with."
    wrong = [told for (name, answer), told in _WARNINGS.items() if claims.get(name, {}).get("answer") == answer]
    forgot = [
        w.clipped(n.partition(":")[2], 60)
        for n, c in claims.items()
        if n.startswith("forgets:") and c["answer"] == "yes"
    ]
    if forgot:
        wrong.append(f"forgot some of {' and '.join(forgot)}")
    if wrong:
        text += f" It {', and '.join([', '.join(wrong[:-1]), wrong[-1]] if len(wrong) > 1 else wrong)}."
    if claims.get("contaminated", {}).get("answer") == "yes":
        text += " The test split holds training examples."
    return text


def generation_facts(metrics: Mapping[str, Any]) -> list[Fact]:
    """Return the score, and the sentences of all claims that were judged, under their topics."""
    figure = metrics["test"][metrics["headline"]]
    n = w.count(figure["n"])
    text = f"{w.percent(figure['value'])} on {n} test prompts ({w.clipped(metrics['metric']['meaning'], 160)})"
    if figure["low"] is not None:
        text += f"; the {100 * figure['level']:.0f}{w.THIN}% interval runs from {w.interval(figure, unit=True)}"
    found = [Fact("Score", f"{text}.")]
    for claim in metrics["claims"]:
        kind = claim["name"].partition(":")[0]
        if not claim["sentence"].startswith("Not judged") or kind == "forgets":
            found.append(Fact(_TOPICS.get(kind, kind), w.clipped(claim["sentence"], 600)))
    order = ("Score", "Baselines", "Answers", "Forgetting", "Stopping", "Overfitting")
    rank = {topic: i for i, topic in enumerate(order)}
    return sorted(found, key=lambda fact: rank.get(fact.topic, len(order)))


def _first_screen(metrics: Mapping[str, Any]) -> list[Fact]:
    """Return at most six facts, one a topic; of several texts that which was forgotten comes first."""
    found: dict[str, str] = {}
    for fact in generation_facts(metrics):
        if fact.topic == "Baselines" and fact.topic in found:
            found[fact.topic] += f" {fact.text}"
        elif fact.topic not in found or (fact.topic == "Forgetting" and fact.text.startswith("Yes")):
            found.setdefault(fact.topic, fact.text)
            if fact.topic == "Forgetting" and not found[fact.topic].startswith("Yes"):
                found[fact.topic] = fact.text
    return [Fact(topic, text) for topic, text in found.items()][:_N_SENTENCES]


def print_example(example: Sequence[tuple[str, bool]], *, console: Console) -> None:
    """Print a training conversation: what carries loss in colour and underlined, the rest dim."""
    told = Text()
    for text, is_target in example:
        told.append(text, style="bold green underline" if is_target else "dim")
    console.print()
    console.print("[bold]A training conversation[/bold]; what is learned is [bold green underline]marked[/]:")
    console.print(told, highlight=False, soft_wrap=True)
    console.print()


def print_generation(metrics: Mapping[str, Any], *, console: Console) -> None:
    """Print the verdict, each figure beside the baselines', and the sentences."""
    comparison = texts.text_comparison(metrics)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("test")
    for title in (comparison["name"], "95 % interval", "loss a token", "ends by itself", "model's lead"):
        table.add_column(Text(title), justify="right")
    for i, row in enumerate(comparison["rows"]):
        lead = f"{row['lead']} points, {row['p']}" if row["lead"] else ""
        cells = (row["name"], row["value"], row["interval"], row["log_loss"], row["ends"], lead)
        table.add_row(*(Text(cell) for cell in cells), style="dim" if i else "")
    console.print()
    console.print(Text(w.without_marks(generation_headline(metrics)), style="bold"))
    console.print()
    console.print(table)
    console.print()
    for fact in generation_facts(metrics)[1:]:
        line = Text()
        line.append(f"{fact.topic}: ", style="dim")
        console.print(line.append(w.without_marks(fact.text)))


def print_figures(metrics: Mapping[str, Any], *, console: Console) -> None:
    """Print the figures of the one split that a run was judged on."""
    name = next(key for key, value in metrics.items() if isinstance(value, dict) and "perplexity" in value)
    rows = texts.figure_rows({"test": metrics[name], "held_out": {}, "train": {}, "metric": metrics["metric"]})
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for i, title in enumerate((name, "value", "95 % interval", "conversations")):
        table.add_column(Text(title), justify="right" if i else "left")
    for row in rows:
        table.add_row(Text(row["name"]), row["value"], row["interval"], row["n"])
    console.print()
    console.print(table)


def _number(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    figure = metrics["test"][metrics["headline"]]
    if figure["value"] is None:
        return None
    return {
        "name": w.clipped(metrics["headline"], 60),
        "value": w.percent(figure["value"], unit=False),
        "interval": w.interval(figure, unit=True) if figure["low"] is not None else "",
        "why_none": w.clipped(figure["method"], 160),
        "n": w.count(figure["n"]),
    }


def _join(names: Sequence[str]) -> str:
    return " and ".join(w.baseline_name(name, in_sentence=True) for name in names)
