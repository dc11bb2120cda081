"""Transcripts as text, subtitles (SRT, WebVTT) or JSON lines, written as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from graft.core.errors import UsageError
from graft.deploy.transcription import Transcript

__all__ = ["TRANSCRIPT_WRITERS", "time_code", "transcript_writer"]


def time_code(seconds: float, *, mark: str) -> str:
    """Return hours, minutes, seconds and milliseconds as subtitles write them.

    Examples
    --------
    >>> time_code(3661.5, mark=",")
    '01:01:01,500'
    """
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{mark}{ms % 1000:03d}"


def _write_txt(transcripts: Iterable[Transcript], file: TextIO) -> int:
    """Write a line a recording; return how many."""
    n = 0
    for n, found in enumerate(transcripts, start=1):  # noqa: B007
        file.write(found.text + "\n")
    return n


def _write_jsonl(transcripts: Iterable[Transcript], file: TextIO) -> int:
    """Write an object a recording: id, text, duration_s, segments, or error."""
    n = 0
    for n, found in enumerate(transcripts, start=1):  # noqa: B007
        row = {"id": found.id, "text": found.text, "duration_s": round(found.duration_s, 3)}
        parts = [{"start_s": round(s.start_s, 3), "end_s": round(s.end_s, 3), "text": s.text} for s in found.segments]
        more = {"error": found.error} if found.error else {"segments": parts}
        file.write(json.dumps(row | more, ensure_ascii=False) + "\n")
    return n


def _write_srt(transcripts: Iterable[Transcript], file: TextIO) -> int:
    """Write SubRip subtitles of one recording."""
    n = 0
    for n, found in enumerate(transcripts, start=1):  # noqa: B007
        for number, s in enumerate(found.segments, start=1):
            file.write(f"{number}\n{time_code(s.start_s, mark=',')} --> {time_code(s.end_s, mark=',')}\n{s.text}\n\n")
    return n


def _write_vtt(transcripts: Iterable[Transcript], file: TextIO) -> int:
    """Write WebVTT subtitles of one recording."""
    file.write("WEBVTT\n\n")
    n = 0
    for n, found in enumerate(transcripts, start=1):  # noqa: B007
        for s in found.segments:
            text = s.text.replace("&", "&amp;").replace("<", "&lt;")
            file.write(f"{time_code(s.start_s, mark='.')} --> {time_code(s.end_s, mark='.')}\n{text}\n\n")
    return n


TRANSCRIPT_WRITERS: dict[str, Callable[[Iterable[Transcript], TextIO], int]] = {
    "txt": _write_txt,
    "jsonl": _write_jsonl,
    "srt": _write_srt,
    "vtt": _write_vtt,
}


def transcript_writer(form: str, inputs: Sequence[Path]) -> Callable[[Iterable[Transcript], TextIO], int]:
    """Return what writes transcripts in a form; empty: text.

    Raises
    ------
    UsageError
        When there is no such form, or subtitles of several recordings are to go into one file.
    """
    form = form or "txt"
    if form not in TRANSCRIPT_WRITERS:
        raise UsageError(
            f"--format {form} for a speech recogniser",
            expected=", ".join(TRANSCRIPT_WRITERS),
            fix="name one of them, or an OUT that ends so",
        )
    if form in ("srt", "vtt") and (len(inputs) != 1 or inputs[0].is_dir()):
        raise UsageError(
            f"subtitles of {'a folder' if len(inputs) == 1 else f'{len(inputs)} recordings'} in one file",
            expected="one recording",
            fix="call graft predict for each, or take --format jsonl",
        )
    return TRANSCRIPT_WRITERS[form]
