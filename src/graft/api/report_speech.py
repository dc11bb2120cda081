"""`report` of a recogniser's run: its page made anew from its folder, and two recognisers beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graft.core.errors import DataError
from graft.core.files import read_json
from graft.core.types import Preview
from graft.data.transcript_form import COMPARED
from graft.evaluation.speech import Transcripts
from graft.report.comparing_speech import SpeechComparison, compare_recognisers
from graft.report.previews import read_previews, write_previews
from graft.report.speech import worst_rows, write_speech_report

__all__ = ["compare_speech_runs", "keep_worst", "read_transcripts", "speech_report_anew"]

_EXPECTED = "the file that graft fit wrote"


def keep_worst(folder: Path, transcripts: Transcripts, sound: Callable[[int], bytes]) -> dict[str, Preview]:
    """Keep the sound of the utterances that the report shows in the run's folder; return it by id.

    Parameters
    ----------
    sound : gives a short WAV of one of the utterances.
    """
    kept = {transcripts.ids[i]: Preview(sound=sound(i)) for i in worst_rows(transcripts)}
    write_previews(folder / "previews.parquet", kept)
    return kept


def speech_report_anew(
    folder: Path, metrics: Mapping[str, Any], *, out: Path, say: Callable[[str], None] = lambda text: None
) -> Path:
    """Write the page of a finished run of speech recognition from what its folder holds; return the file.

    Raises
    ------
    DataError
        When a file of the run is missing or cannot be read.
    """
    previews: dict[str, Preview] = {}
    if (folder / "previews.parquet").is_file():
        previews = read_previews(folder / "previews.parquet")
    else:
        say("The sounds of the worst utterances: the run has no previews.parquet, as runs of older versions.")
    transcripts = read_transcripts(folder, metrics)
    write_speech_report(
        out,
        metrics=metrics,
        manifest=_json(folder / "manifest.json"),
        transcripts=transcripts,
        sound=lambda i: previews[transcripts.ids[i]].sound if transcripts.ids[i] in previews else b"",
    )
    return out


def compare_speech_runs(first: Path, second: Path, *, names: tuple[str, str], seed: int = 0) -> SpeechComparison:
    """Return how two finished runs of speech recognition differ on the test utterances that both have.

    Parameters
    ----------
    names : of the two.
    seed : of the bootstrap draws.

    Raises
    ------
    DataError
        When the runs have other test utterances or other texts of them.
    """
    a, b = (read_transcripts(folder, _json(folder / "metrics.json")) for folder in (first, second))
    return compare_recognisers(a, b, names=names, seed=seed)


def read_transcripts(folder: Path, metrics: Mapping[str, Any], *, split: str = "test") -> Transcripts:
    """Return what ``predictions.parquet`` of a run holds of a split, in the form in which words are compared.

    Raises
    ------
    DataError
        When the file is missing, cannot be read, or has no such split.
    """
    import pyarrow.parquet as parquet

    path = folder / "predictions.parquet"
    try:
        rows = [row for row in parquet.read_table(path).to_pylist() if row["split"] == split]
    except Exception as error:  # pyarrow's errors have no common root
        raise DataError(f"{path} cannot be read: {error}", expected=_EXPECTED) from error
    if not rows:
        raise DataError(f"{path} has no utterances of {split}", expected=_EXPECTED)
    numbers: dict[str, int] = {}  # runs of older versions kept no groups: each utterance is its own
    clusters = [numbers.setdefault(row.get("group") or row["id"], len(numbers)) for row in rows]
    return Transcripts(
        tuple(row["id"] for row in rows),
        tuple(COMPARED(row["target"]) for row in rows),
        tuple(COMPARED(row["prediction"]) for row in rows),
        np.array(clusters, np.int64),
        metrics["test"]["clusters"],
    )


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", expected=_EXPECTED) from error
