"""The HTML report: one file, no network, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from graft.core.files import write_text
from graft.core.types import MultiLabelPredictions, Predictions
from graft.report import figures, mistakes
from graft.report import wording as w
from graft.report.checks import check_rows
from graft.report.leading import headline_of, is_multi_label, lead_of, split_of
from graft.report.verdict import build_verdict

__all__ = ["write_report"]

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_SUSPECTS = 10
_MAX_ROWS = 20  # of a table of classes before the rest is folded away


def write_report(
    path: Path,
    *,
    metrics: Mapping[str, Any],
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    predictions: Mapping[str, Predictions | MultiLabelPredictions],
    leaderboard: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    checks: Sequence[Mapping[str, Any]] = (),
    thumbnails: Mapping[str, bytes],
    texts: Mapping[str, str] | None = None,
    sounds: Mapping[str, bytes] | None = None,
    noun: str = "examples",
    title: str,
) -> None:
    """Write the report of a run as one HTML file under 4 MB that needs neither network nor script.

    Parameters
    ----------
    path : of the file; it is whole or absent.
    metrics : as `graft.evaluation.Evaluation.as_dict` or `MultiLabelEvaluation.as_dict` gives them, with
        ``"seconds": {phase: s}`` where known.
    manifest : what it takes to repeat the run: ``"command"``, versions, seed, hashes; nested mappings are fine.
    config : the options of the run.
    predictions : by split; the mistakes shown are those of the split that `metrics` judges.
    leaderboard : candidates: scaling, penalty, log_loss, standard_error, accuracy, is_chosen. May be empty.
    notes : sentences on the data: how it was split, what was skipped.
    checks : of the data, as `graft.core.findings.Finding.as_dict` gives them; may be empty.
    thumbnails : small JPEG, PNG or WebP files by example id; may be empty.
    texts : the examples themselves by id, where they are texts.
    sounds : short WAV files by example id, where they are recordings.
    noun : what examples are called, in the plural.
    title : of the page.

    Raises
    ------
    ResourceError
        When the file cannot be written.

    Notes
    -----
    Labels, ids and all other texts may be hostile: everything is escaped, pictures are only taken with a known
    signature, and the page forbids itself scripts and any connection.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = w.breakable
    split = split_of(metrics)
    page = environment.get_template("report.html.j2").render(
        title=w.plain(title),
        noun=noun,
        split=w.plain(split),
        verdict=build_verdict(metrics, leaderboard, noun=noun),
        headline=_headline(metrics, split),
        figures=_figures(metrics.get(split, {})),
        comparison=_comparison(metrics, split),
        confusion=_confusion(metrics),
        gallery=_gallery(predictions.get(split), mistakes.PictureBudget(thumbnails, texts, sounds)),
        classes=_labels(metrics) if is_multi_label(metrics) else _classes(metrics),
        is_multi_label=is_multi_label(metrics),
        calibration=_calibration(metrics),
        selection=_selection(leaderboard),
        cost=_cost(metrics),
        checks=check_rows(checks, n_examples=_MAX_SUSPECTS),
        notes=[w.plain(note) for note in notes],
        command=_command(manifest),
        manifest=_flat({k: v for k, v in manifest.items() if k != "command"}),
        config=_flat(config),
        # Our own file, not a user's text; it is the only thing that goes in unescaped.
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
    )
    write_text(path, page)


def _headline(metrics: Mapping[str, Any], split: str) -> dict[str, Any] | None:
    name = headline_of(metrics)
    figure = metrics.get(split, {}).get(name)
    if not figure or figure["value"] is None:
        return None
    return {
        "name": w.lowered(w.metric_name(name)[0]),
        "value": w.percent(figure["value"], unit=False),
        "interval": w.interval(figure, unit=True),
        "n": w.count(figure["n"]),
    }


def _figures(judged: Mapping[str, Any]) -> list[dict[str, str]]:
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


def _comparison(metrics: Mapping[str, Any], split: str) -> dict[str, Any] | None:
    headline = headline_of(metrics)
    own = metrics.get(split, {}).get(headline)
    baselines = {k: b for k, b in (metrics.get("baselines") or {}).items() if headline in b}
    if not own or own["value"] is None or not baselines:
        return None
    ranked = sorted(baselines.items(), key=lambda item: -(item[1][headline]["value"] or 0.0))
    axis = figures.share_axis([own, *(b[headline] for _, b in ranked)])
    rows = figures.dot_rows([("This model", own), *((w.baseline_name(k), b[headline]) for k, b in ranked)], axis)
    losses = [metrics[split].get("log_loss"), *(b.get("log_loss") for _, b in ranked)]
    for row, loss in zip(rows, losses, strict=True):
        row["log_loss"] = w.decimal(loss["value"]) if loss else "–"
        row["lead"] = row["lead_interval"] = row["p"] = ""
    for row, (_, baseline) in zip(rows[1:], ranked, strict=True):
        if lead := lead_of(baseline):
            row["lead"] = f"{100 * lead.difference['value']:+.1f}".replace("-", "−")
            row["lead_interval"] = w.interval(lead.difference).replace("-", "−")
            row["p"] = w.p_value(lead.p_value)
    return {"axis": axis, "rows": rows, "name": w.metric_name(headline)[0], "is_accuracy": headline == "accuracy"}


def _confusion(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    confusion = metrics.get("confusion")
    if not confusion:
        return None
    n_classes = len(confusion["labels"])
    is_grid = n_classes <= mistakes.MAX_GRID_CLASSES
    return {
        "n_classes": n_classes,
        "rows": mistakes.confusion_cells(confusion) if is_grid else None,
        "pairs": [] if is_grid else mistakes.confused_pairs(confusion),
        "n_mistakes": sum(n for i, row in enumerate(confusion["counts"]) for j, n in enumerate(row) if i != j),
    }


def _gallery(
    predictions: Predictions | MultiLabelPredictions | None, budget: mistakes.PictureBudget
) -> dict[str, Any] | None:
    if predictions is None:
        return None
    if isinstance(predictions, MultiLabelPredictions):
        shown = mistakes.farthest_off(predictions, budget)
        return _shown(shown, []) if shown else None
    confident = mistakes.most_confident(predictions, budget)
    if not confident:
        return None
    is_seen_or_heard = any(e["picture"] or e["sound"] for e in confident)
    return _shown(confident, mistakes.pair_groups(predictions, budget) if is_seen_or_heard else [])


def _shown(examples: list[dict[str, Any]], groups: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "confident": examples,
        "groups": groups,
        "has_pictures": any(e["picture"] or e["sound"] for e in examples),
        "has_texts": any(e["text"] for e in examples),
    }


def _classes(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    confusion = metrics.get("confusion")
    if not confusion or "recall" not in confusion:
        return None
    recall = confusion["recall"]
    axis = figures.share_axis(recall)
    rows = figures.dot_rows([(w.plain(n), r) for n, r in zip(confusion["labels"], recall, strict=True)], axis)
    for row, precision in zip(rows, confusion.get("precision", [{}] * len(rows)), strict=True):
        row["more"] = [("Precision", w.percent(precision.get("value")))]
    order = sorted(
        range(len(rows)), key=lambda i: (recall[i]["value"] is None, recall[i]["value"] or 0.0, -recall[i]["n"])
    )
    return _class_table("Recall", axis, [rows[i] for i in order])


def _labels(metrics: Mapping[str, Any]) -> dict[str, Any]:
    labels = metrics["labels"]
    axis = figures.share_axis(labels["f1"])
    rows = figures.dot_rows([(w.plain(n), f1) for n, f1 in zip(labels["names"], labels["f1"], strict=True)], axis)
    for i, row in enumerate(rows):
        row["n"] = labels["counts"][i]
        row["more"] = [
            ("Precision", w.percent(labels["precision"][i]["value"])),
            ("Recall", w.percent(labels["recall"][i]["value"])),
            ("From", w.percent(labels["thresholds"][i])),
        ]
    order = sorted(range(len(rows)), key=lambda i: (labels["f1"][i]["value"] is None, labels["f1"][i]["value"] or 0.0))
    return _class_table("F1", axis, [rows[i] for i in order])


def _class_table(score: str, axis: figures.Axis, rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in rows[0]["more"]] if rows else []
    return {"score": score, "names": names, "axis": axis, "rows": rows[:_MAX_ROWS], "more": rows[_MAX_ROWS:]}


def _calibration(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    calibration = metrics.get("calibration")
    if not calibration or not calibration.get("bins"):
        return None
    return figures.reliability_figure(calibration) | {
        "error": w.percent(calibration["expected_calibration_error"]),
        "null_median": w.percent(calibration["null_median"]),
        "null_95": w.percent(calibration["null_95"]),
        "p": w.p_value(calibration["p_value"]),
        "n_bins": calibration["n_bins"],
    }


def _selection(leaderboard: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not leaderboard:
        return None
    rows = [
        {
            "scaling": w.plain(r["scaling"]),
            "penalty": f"{r['penalty']:.3g}",
            "log_loss": w.decimal(r["log_loss"]),
            "standard_error": w.decimal(r["standard_error"]),
            "accuracy": w.percent(r.get("accuracy")),
            "is_chosen": bool(r.get("is_chosen")),
        }
        for r in sorted(leaderboard, key=lambda r: r["log_loss"])
    ]
    shown = [r for i, r in enumerate(rows) if i < 5 or r["is_chosen"]]
    return {
        "figure": figures.selection_figure(leaderboard),
        "rows": shown,
        "n": len(rows),
        "chosen": next((r for r in rows if r["is_chosen"]), None),
    }


def _cost(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    seconds = {k: float(v) for k, v in (metrics.get("seconds") or {}).items() if k != "total"}
    if not seconds:
        return None
    longest = max(seconds.values()) or 1.0
    total = float(metrics["seconds"].get("total", sum(seconds.values())))
    rows = [
        {
            "name": w.plain(name.replace("_", " ")),
            "time": w.duration(s),
            "width": round(100 * s / longest, 2),
            "share": f"{100 * s / total:.0f}{w.THIN}%" if total > 0 else "–",
            "is_longest": s == longest,
        }
        for name, s in seconds.items()
    ]
    return {"rows": rows, "total": w.duration(total)}


def _command(manifest: Mapping[str, Any]) -> str:
    command = manifest.get("command") or ""
    return w.plain(command if isinstance(command, str) else " ".join(str(part) for part in command))


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (name, text), names joined with dots."""
    rows: list[tuple[str, str]] = []
    for key, inner in value.items():
        name = f"{prefix}{w.plain(key)}"
        if isinstance(inner, Mapping):
            rows += _flat(inner, f"{name}.") if inner else [(name, "none")]
        elif isinstance(inner, (list, tuple)):
            rows.append((name, ", ".join(w.plain(i) for i in inner) or "none"))
        else:
            rows.append((name, "none" if inner is None else w.plain(inner)))
    return rows
