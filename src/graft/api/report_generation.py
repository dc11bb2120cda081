"""`report` of a language model's run: its page made anew from the run's folder, and two runs beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graft.api.generation_kept import read_example, read_losses, read_texts
from graft.core.errors import DataError
from graft.report.comparing_texts import KeptAnswers, TextComparison, compare_texts
from graft.report.generation import write_generation_report

__all__ = ["compare_generation_runs", "report_generation"]


def report_generation(
    folder: Path,
    path: Path,
    metrics: Mapping[str, Any],
    *,
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    missing: list[str],
    say: Callable[[str], None],
) -> Path:
    """Write the report of a language model's run anew, and return its file.

    Parameters
    ----------
    missing : sentences on what the page cannot show; others are added.

    Raises
    ------
    DataError, ResourceError
        When a file of the run cannot be read, or the page cannot be written.
    """
    scored = None
    if (folder / "texts.parquet").is_file():
        scored = read_texts(folder / "texts.parquet")
    else:
        missing.append("The worst answers: the run has no texts.parquet.")
    example: list[tuple[str, bool]] = []
    if (folder / "example.json").is_file():
        example = read_example(folder / "example.json")
    else:
        missing.append("The training example: the run has no example.json, as runs of older versions.")
    for text in missing:
        say(text)
    write_generation_report(
        path, metrics=metrics, manifest=manifest, config=config, scored=scored, example=example, missing=missing
    )
    return path


def compare_generation_runs(folders: tuple[Path, Path], *, names: tuple[str, str], seed: int) -> TextComparison:
    """Return the paired tests of two finished runs of language models.

    Raises
    ------
    DataError
        When a run lacks its texts or losses, or the two have other test conversations.
    """
    from graft.core.files import read_json

    found = []
    for folder, name in zip(folders, names, strict=True):
        for file in ("predictions.parquet", "texts.parquet"):
            if not (folder / file).is_file():
                raise DataError(f"{folder} has no {file}", expected="a finished run of a language model")
        metrics = read_json(folder / "metrics.json")
        losses, answers = read_losses(folder / "predictions.parquet")
        texts = read_texts(folder / "texts.parquet")
        found.append(KeptAnswers(name, texts, losses, answers, metrics["headline"], metrics["metric"]["is_share"]))
    return compare_texts(found[0], found[1], seed=seed)
