"""The HTML report: one file that needs neither network nor script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from graft.core.files import write_text
from graft.core.types import MultiLabelPredictions, Predictions, Preview
from graft.report import wording as w
from graft.report.budget import MOST_PAGE_BYTES, ExampleBudget, Limits
from graft.report.checks import suspect_ids
from graft.report.leading import is_multi_label, split_of
from graft.report.places import short_names
from graft.report.reads import reads_sentence
from graft.report.sections import (
    calibration,
    classes,
    confusion,
    cost,
    curve,
    data_checks,
    first,
    mistakes,
    opening,
    repeat,
)
from graft.report.sections import race as racing
from graft.report.sections import ranking as ranks
from graft.report.sections import selection as selecting
from graft.report.sections import shift as shifting
from graft.report.verdict import build_verdict

__all__ = ["environment", "render", "style", "write_report"]

_TEMPLATES = Path(__file__).parent / "templates"
_STYLES = ("base.css", "tables.css", "figures.css", "examples.css", "tokens.css", "narrow.css", "print.css")
_MOST_NOTES = 60


def write_report(
    path: Path,
    *,
    metrics: Mapping[str, Any],
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    predictions: Mapping[str, Predictions | MultiLabelPredictions],
    leaderboard: Sequence[Mapping[str, Any]] = (),
    checks: Sequence[Mapping[str, Any]] = (),
    previews: Mapping[str, Preview] | None = None,
    missing: Sequence[str] = (),
) -> None:
    """Write the report of a run as one HTML file under 4 MB that needs neither network nor script.

    Parameters
    ----------
    path : of the file; it is whole or absent.
    metrics : as `graft.evaluation.Evaluation.as_dict` or `MultiLabelEvaluation.as_dict` gives them, with
        ``"seconds": {phase: s}``, ``"claims"``, ``"learning_curve"``, ``"slices"`` and ``"conformal"`` where known.
    manifest : what it takes to repeat the run: ``"command"``, versions, seed, hashes; nested mappings are fine. Also
        ``"title"`` of the page, ``"noun"`` (what examples are called, in the plural) and ``"notes"`` on the data.
    config : the options of the run.
    predictions : by split; the mistakes shown are those of the split that `metrics` judges.
    leaderboard : candidates: scaling, penalty, log_loss, standard_error, accuracy, is_chosen. May be empty.
    checks : of the data, as `graft.core.findings.Finding.as_dict` gives them; may be empty.
    previews : small JPEG, PNG or WebP files, short WAV files and texts by example id; may be empty.
    missing : sentences on what cannot be shown.

    Raises
    ------
    ResourceError
        When the file cannot be written.

    Notes
    -----
    Labels, ids and all other texts may be hostile: everything is escaped and cut to length, pictures and sounds are
    only taken with a known signature, and the page forbids itself any connection and every script but its own, by its
    hash. A page that comes out too large is made again with less.
    """
    limits = Limits()
    while True:
        page = render(
            metrics=metrics,
            manifest=manifest,
            config=config,
            predictions=predictions,
            leaderboard=leaderboard,
            checks=checks,
            previews=previews or {},
            missing=missing,
            limits=limits,
        )
        excess = len(page.encode("utf-8")) - MOST_PAGE_BYTES
        if excess <= 0 or limits.rows <= 1:
            break
        limits = limits.tighter(excess)
    write_text(path, page)


def render(
    *,
    metrics: Mapping[str, Any],
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    predictions: Mapping[str, Predictions | MultiLabelPredictions],
    leaderboard: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
    previews: Mapping[str, Preview],
    missing: Sequence[str],
    limits: Limits,
) -> str:
    """Return the page; arguments as those of `write_report`."""
    split, noun = split_of(metrics), w.clipped(manifest.get("noun", "examples"), 40)
    verdict = build_verdict(metrics, leaderboard, noun=noun)
    facts, further = first.five_sentences(verdict)
    sentences, also = opening.opened(facts)
    shown = predictions.get(split)
    named = [*(shown.ids if shown is not None else ()), *suspect_ids(checks)]
    budget = ExampleBudget(previews, max_bytes=limits.preview_bytes, name=short_names(named))
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment().get_template("report.html.j2").render(
        title=w.clipped(manifest.get("title", "A run"), 200),
        noun=noun,
        split=w.clipped(split, 40),
        is_multi_label=is_multi_label(metrics),
        verdict_headline=verdict.headline,
        sentences=sentences,
        also=also,
        further=further,
        headline=first.headline(metrics),
        questions=first.questions(metrics),
        comparison=first.comparison(metrics, split),
        figures=first.figure_rows(metrics.get(split, {})),
        reads=reads_sentence(metrics),
        curve=curve.curve_facts(metrics),
        confusion=confusion.confusion_table(metrics),
        gallery=mistakes.gallery(shown, budget, most=limits.examples),
        classes=classes.class_table(metrics, most=limits.rows),
        calibration=calibration.calibration_facts(metrics),
        shift=shifting.shift_facts(metrics),
        slices=shifting.slice_rows(metrics),
        selection=selecting.selection_table(leaderboard, most=limits.rows),
        race=racing.race_facts((metrics.get("strategy") or {}).get("race")),
        ranking=ranks.ranking_facts(metrics.get("ranking")),
        checks=data_checks.check_sections(checks, budget),
        cost=cost.cost_rows(metrics),
        notes=[w.clipped(note, 600) for note in list(manifest.get("notes") or ())[:_MOST_NOTES]],
        missing=[w.clipped(text, 600) for text in missing],
        repeat=repeat.repeat_facts(manifest, config),
        # Our own files, no user's text; nothing else goes in unescaped.
        style=style(),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode(),
    )  # fmt: skip


def environment() -> jinja2.Environment:
    """Return the templates with escaping on, undefined names being errors."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["breakable"] = w.breakable
    return found


def style() -> str:
    """Return the style sheet of the report's pages."""
    return "\n".join((_TEMPLATES / name).read_text(encoding="utf-8").strip() for name in _STYLES)
