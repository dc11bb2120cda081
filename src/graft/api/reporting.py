"""The last station of `fit`: all that is kept of a run is written, the report and the model card among it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from graft.api import stations
from graft.api.check import write_checks
from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.api.tuned import Tuned
from graft.core.decision import AnyPredictions
from graft.core.files import write_json
from graft.core.findings import Finding
from graft.core.memory import seconds_since_process_start
from graft.core.run_folder import Run
from graft.core.types import MultiLabelPredictions, Preview
from graft.methods.head_only import HeadFit
from graft.report.checks import print_checks
from graft.report.html import write_report
from graft.report.model_card import write_model_card
from graft.report.places import title_of
from graft.report.previews import write_previews
from graft.report.sections.mistakes import in_order_of_showing
from graft.report.terminal import print_summary
from graft.report.use import use_of

__all__ = ["previews", "write_run"]

_MOST_MISTAKES = 400
_MOST_SUSPECTS = 8  # of each check


def write_run(
    run: Run,
    config: FitConfig,
    embedded: Embedded,
    head: HeadFit,
    tuned: Tuned,
    judged: stations.Judged,
    saved: Mapping[str, Any],
    *,
    findings: Sequence[Finding],
    n_files: int,
    say: Callable[[str], None],
    console: Console,
) -> dict[str, Any]:
    """Write predictions, leaderboard, manifest, report, model card and, last, metrics; print the summary.

    Returns
    -------
    dict
        What ``metrics.json`` holds.
    """
    noun = f"{embedded.noun}s"
    with run.phase("report"):
        write_json(run.folder / "leaderboard.json", head.leaderboard)
        write_json(run.folder / "strategy.json", tuned.facts)
        write_checks(run.folder / "checks.json", findings, embedded)
        told = [finding.as_dict() for finding in findings]
        stations.write_predictions(run.folder / "predictions.parquet", judged.predictions)
        manifest = run.write_manifest(
            {
                "seed": config.seed,
                "n_files": n_files,
                "title": title_of(run.config["data"], config.model),
                "noun": noun,
                "notes": [*embedded.notes, *head.notes, *tuned.notes],
                **embedded.facts(),
                **saved,
                "head": stations.head_facts(head),
                "strategy": tuned.facts,
            }
        )
        metrics = {**judged.metrics, "strategy": tuned.facts, "seconds": run.seconds}
        test = judged.predictions["test"]
        shown = previews(embedded, test, told)
        write_previews(run.folder / "previews.parquet", shown)
        write_report(
            run.folder / "report.html",
            metrics=metrics,
            manifest=manifest,
            config=run.config,
            predictions={"test": test},
            leaderboard=head.leaderboard,
            checks=told,
            previews=shown,
        )
        write_model_card(run.folder / "model" / "README.md", metrics=metrics, manifest=manifest, config=run.config)
    metrics["seconds"] = {
        **{k: round(v, 3) for k, v in run.seconds.items()},
        "total": round(seconds_since_process_start(), 3),
    }
    write_json(run.folder / "metrics.json", metrics)
    print_summary(metrics, console=console, leaderboard=head.leaderboard, noun=noun)
    print_checks(told, console=console)
    console.print()
    say(f"model: {run.folder / 'model'} ({use_of(manifest, metrics).told})")
    say(f"report: {run.folder / 'report.html'}")
    return metrics


def previews(
    embedded: Embedded, predictions: AnyPredictions, findings: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Preview]:
    """Return what the report shows of mistakes and suspects, by id, the most telling first.

    Parameters
    ----------
    predictions : of the judged split.
    findings : of the checks, as dicts; their suspects are shown where their ids stand in one split alone.
    """
    part = embedded.splits[predictions.split]
    if isinstance(predictions, MultiLabelPredictions):
        wrong = np.flatnonzero(~predictions.is_correct & predictions.is_known)
        is_off = predictions.predicted[wrong] != predictions.targets[wrong]
        distance = np.where(is_off, np.abs(predictions.probabilities - predictions.targets)[wrong], 0.0).max(axis=1)
        rows = [int(row) for row in wrong[np.argsort(-distance, kind="stable")]]
    else:
        rows = in_order_of_showing(predictions)
    shown = {
        part.ids[row]: embedded.task.preview(part.read(row), name=part.place(row)) for row in rows[:_MOST_MISTAKES]
    }
    places = _places(embedded)
    for finding in findings:
        if finding["severity"] == "ok":
            continue
        for suspect in finding["suspects"][:_MOST_SUSPECTS]:
            for name in (suspect["id"], suspect.get("other")):
                if name in shown or (place := places.get(name)) is None:
                    continue
                split, row = place
                examples = embedded.splits[split]
                shown[name] = embedded.task.preview(examples.read(row), name=examples.place(row))
    return shown


def _places(embedded: Embedded) -> dict[Any, tuple[str, int] | None]:
    """Return split and row of each id; None where two splits have it."""
    places: dict[Any, tuple[str, int] | None] = {}
    for split, part in embedded.splits.items():
        for row, name in enumerate(part.ids):
            places[name] = None if name in places else (split, row)
    return places
