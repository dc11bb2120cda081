"""`report`: the report of a finished run made anew from its folder, and two runs beside each other."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft.core.errors import DataError, ModelError

if TYPE_CHECKING:
    from graft.core.decision import AnyPredictions
    from graft.report.comparing import Comparison
    from graft.report.comparing_speech import SpeechComparison
    from graft.report.comparing_texts import TextComparison

__all__ = ["compare_runs", "read_predictions", "report"]

_WITHOUT_CLASSES = ("automatic-speech-recognition", "text-generation")


def report(run: str | Path, *, out: str | Path | None = None, say: Callable[[str], None] = lambda text: None) -> Path:
    """Write the report of a finished run anew, from what its folder holds; the data is not needed. Return the file.

    Parameters
    ----------
    run : the folder that `fit` wrote.
    out : file to write; None: ``report.html`` in the run.
    say : told what the report cannot show.

    Raises
    ------
    ModelError
        When the run is not finished.
    DataError
        When a file of it cannot be read.

    Examples
    --------
    >>> report("run")  # doctest: +SKIP
    PosixPath('run/report.html')
    """
    from graft.report.html import write_report
    from graft.report.previews import read_previews

    folder = Path(run)
    metrics = _finished(folder)
    if metrics.get("task") == "automatic-speech-recognition":
        from graft.api.report_speech import speech_report_anew

        return speech_report_anew(folder, metrics, out=folder / "report.html" if out is None else Path(out), say=say)
    missing: list[str] = []

    def optional(name: str, what: str) -> Any:
        if (folder / name).is_file():
            return _json(folder / name)
        missing.append(f"{what}: the run has no {name}.")
        return None

    manifest = optional("manifest.json", "What it takes to repeat the run") or {}
    config = _toml(folder / "config.toml")
    manifest.setdefault("title", Path(str(config.get("data", folder))).name)
    path = folder / "report.html" if out is None else Path(out)
    if metrics.get("task") == "text-generation":
        from graft.api.report_generation import report_generation

        return report_generation(folder, path, metrics, manifest=manifest, config=config, missing=missing, say=say)
    leaderboard = optional("leaderboard.json", "The candidates that were chosen from") or []
    checks = (optional("checks.json", "The checks of the data") or {}).get("findings", [])
    predictions: dict[str, AnyPredictions] = {}
    previews: dict[str, Any] = {}
    if (folder / "predictions.parquet").is_file():
        predictions = read_predictions(folder)
    else:
        missing.append("The mistakes: the run has no predictions.parquet.")
    if (folder / "previews.parquet").is_file():
        previews = read_previews(folder / "previews.parquet")
    else:
        missing.append("The examples themselves: the run has no previews.parquet, as runs of older versions.")
    for text in missing:
        say(text)
    write_report(
        path,
        metrics=metrics,
        manifest=manifest,
        config=config,
        predictions=predictions,
        leaderboard=leaderboard,
        checks=checks,
        previews=previews,
        missing=missing,
    )
    return path


def compare_runs(
    first: str | Path, second: str | Path, *, seed: int = 0
) -> Comparison | SpeechComparison | TextComparison:
    """Return paired tests of two finished runs on the test examples that both have.

    Parameters
    ----------
    first, second : folders that `fit` wrote.
    seed : of the bootstrap draws.

    Raises
    ------
    ModelError
        When a run is not finished.
    DataError
        When the runs have other labels, other tasks or other test examples.
    """
    from graft.report.comparing import compare_predictions

    folders = (Path(first), Path(second))
    tasks = [str(_finished(folder).get("task", "")) for folder in folders]
    names = (folders[0].name, folders[1].name)
    if names[0] == names[1]:
        names = (str(folders[0]), str(folders[1]))
    if tasks[0] != tasks[1] and any(task in _WITHOUT_CLASSES for task in tasks):
        raise DataError(
            f"{names[0]} is of {tasks[0] or 'classes'}, {names[1]} of {tasks[1] or 'classes'}",
            expected="two runs of one task",
        )
    if tasks[0] == "text-generation":
        from graft.api.report_generation import compare_generation_runs

        return compare_generation_runs(folders, names=names, seed=seed)
    if tasks[0] == "automatic-speech-recognition":
        from graft.api.report_speech import compare_speech_runs

        return compare_speech_runs(*folders, names=names, seed=seed)
    a, b = (_test(folder) for folder in folders)
    noun = _json(folders[0] / "manifest.json").get("noun", "examples")
    found = compare_predictions(a, b, names=names, noun=noun, seed=seed)
    return replace(found, texts=_texts(folders, {name for ids in found.differing for name in ids}))


def _texts(folders: Sequence[Path], wanted: set[str]) -> dict[str, str]:
    """Return the beginnings of texts by id, as far as the runs kept them."""
    from graft.core.text import clipped
    from graft.report.previews import read_previews

    found: dict[str, str] = {}
    for path in (folder / "previews.parquet" for folder in folders):
        kept = read_previews(path) if path.is_file() else {}
        found |= {name: clipped(shown.text) for name, shown in kept.items() if name in wanted and shown.text}
    return found


def read_predictions(folder: Path) -> dict[str, AnyPredictions]:
    """Return the predictions that ``predictions.parquet`` of a run holds, by split.

    Notes
    -----
    Probabilities serve as logits, by their logarithm or, of label sets, by their log-odds. What was said is kept: the
    decision's offset and thresholds are those of ``model/graft.json``.
    """
    import numpy as np
    import pyarrow.parquet as parquet

    from graft.core.types import MultiLabelPredictions, Predictions
    from graft.data.prediction_sets import label_sets_of

    path = folder / "predictions.parquet"
    try:
        table = parquet.read_table(path)
    except Exception as error:  # pyarrow's errors have no common root
        raise DataError(f"{path} cannot be read: {error}", expected="the file that graft fit wrote") from error
    names = tuple(c.removeprefix("p_") for c in table.column_names if c.startswith("p_"))
    p = np.stack([table[f"p_{name}"].to_numpy().astype(np.float64) for name in names], axis=1)
    ids, splits, targets = (table[c].to_pylist() for c in ("id", "split", "target"))
    place = {name: i for i, name in enumerate(names)}
    decision = _json(folder / "model" / "graft.json").get("decision") or {} if (folder / "model").is_dir() else {}
    is_multi_label = "list" in str(table.schema.field("target").type)
    found: dict[str, AnyPredictions] = {}
    for split in dict.fromkeys(splits):
        rows = [i for i, s in enumerate(splits) if s == split]
        own = [ids[i] for i in rows]
        if is_multi_label:
            truth = label_sets_of(path, [targets[i] for i in rows], own, names, what="target")
            odds = np.clip(p[rows], 1e-12, 1 - 1e-7)
            cut = np.array(0.5 if decision.get("thresholds") is None else decision["thresholds"])
            found[split] = MultiLabelPredictions(own, truth, np.log(odds / (1 - odds)), names, split, cut)
        else:
            wanted = np.array([-1 if targets[i] is None else place[targets[i]] for i in rows])
            offset = decision.get("offset")
            found[split] = Predictions(
                own,
                wanted,
                np.log(np.maximum(p[rows], 1e-30)),
                names,
                split,
                decision_offset=None if offset is None else np.array(offset, dtype=np.float64),
            )
    return found


def _test(folder: Path) -> AnyPredictions:
    if not (folder / "predictions.parquet").is_file():
        raise DataError(f"{folder} has no predictions.parquet", expected="a finished run with its predictions")
    found = read_predictions(folder)
    if "test" not in found:
        raise DataError(f"{folder} has no predictions of a test split", expected="a run with a test split")
    return found["test"]


def _finished(folder: Path) -> dict[str, Any]:
    if not (folder / "metrics.json").is_file():
        raise ModelError(
            f"{folder} is no finished run: it has no metrics.json",
            expected="the folder of a finished graft fit",
            fix="repeat the command that began it with --resume, or name another folder",
        )
    return dict(_json(folder / "metrics.json"))


def _json(path: Path) -> Any:
    from graft.core.files import read_json

    try:
        return read_json(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", expected="the file that graft fit wrote") from error


def _toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with open(path, "rb") as file:
        return tomllib.load(file)
