"""A finished recogniser at work: texts with their times, of files of any length in flat memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.backbones.ctc_decoding import TimedWord, timed_words
from graft.core.devices import Precision
from graft.core.errors import DataError
from graft.data.sound_stream import stream_sound
from graft.deploy.inputs import Input
from graft.tasks.speech_recognition import SpeechRecognition

__all__ = ["Segment", "Transcript", "transcribe_inputs", "windows_of"]

CONTEXT_S: Final = 4.0  # of CTC's windows, heard on either side and not written
_PAUSE_S, _LONGEST_S, _LONGEST_TEXT = 0.7, 6.0, 80  # of a segment, as subtitles are
_SEARCH_S, _QUIET_S = 6.0, 0.1  # where Whisper's windows may end, and how long the quiet is that is looked for


@dataclass(frozen=True)
class Segment:
    """A part of a transcript with its times in seconds."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Transcript:
    """What is said in a recording.

    Parameters
    ----------
    id : the path as it was given.
    text : all of it.
    segments : as subtitles show it.
    duration_s : of the recording.
    error : why it could not be read; empty where it could.
    """

    id: str
    text: str
    segments: tuple[Segment, ...] = ()
    duration_s: float = 0.0
    error: str = ""


def transcribe_inputs(
    task: SpeechRecognition,
    network: Any,
    inputs: Iterable[Input],
    *,
    precision: Precision,
    skip_unreadable: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Transcript]:
    """Yield the transcript of each recording, in order.

    Raises
    ------
    DataError
        When a recording cannot be read (unless `skip_unreadable`).

    Notes
    -----
    A recording of up to 30 s is heard at once, as ``transformers.pipeline`` does. CTC hears a longer one in windows of
    30 s that overlap by 8 s, of each of which the middle is written. Whisper hears windows that end in the quietest
    moment of their last 6 s.
    """
    for item in inputs:
        try:
            yield _transcript(task, network, item, precision)
        except DataError as error:
            if not skip_unreadable:
                raise
            told = str(error).splitlines()[0]
            say(f"skipped: {told}")
            yield Transcript(item.id, "", error=told)


def _transcript(task: SpeechRecognition, network: Any, item: Input, precision: Precision) -> Transcript:
    rate = task.model.sampling_rate_hz
    source = item.content if item.path is None else item.path
    blocks = stream_sound(source, name=item.id, sampling_rate_hz=rate)
    is_ctc = task.model.family == "ctc"
    window = round(task.model.window_s * rate)
    cut = _overlapping(task, window) if is_ctc else _at_pauses(window, rate)
    paths: list[NDArray[np.int64]] = []
    segments: list[Segment] = []
    n_samples = 0
    device = next(network.parameters()).device
    for part, first, keep in windows_of(blocks, window=window, cut=cut):
        batch = {k: t.to(device) for k, t in task.collate([part], [[]]).items()}
        with precision.autocast(device):
            tokens = task.predict(network, batch)[0].cpu().numpy()
        n_samples = first + len(part)
        if is_ctc:
            frame = round(task.model.frame_s * rate)
            path = tokens[tokens >= 0]
            last = None if keep[1] == len(part) else keep[1] // frame
            paths.append(path[keep[0] // frame : last])
        elif text := task.written(tokens):
            segments.append(Segment(first / rate, n_samples / rate, text))
    if is_ctc:
        path = np.concatenate(paths) if paths else np.zeros(0, np.int64)
        names = task.model.tokenizer.convert_ids_to_tokens(list(range(len(task.model.tokenizer))))
        delimiter, blank = task.model.tokenizer.word_delimiter_token, int(task.model.tokenizer.pad_token_id)
        words = timed_words(path, names, blank=blank, delimiter=delimiter, frame_s=task.model.frame_s)
        return Transcript(item.id, task.written(path), tuple(_segments(words)), n_samples / rate)
    return Transcript(item.id, " ".join(s.text for s in segments), tuple(segments), n_samples / rate)


Cut = Callable[[NDArray[np.float32]], tuple[int, int]]
"""Gives of a full window how far the next one begins after it, and up to where it is written."""


def windows_of(
    blocks: Iterable[NDArray[np.float32]], *, window: int, cut: Cut
) -> Iterator[tuple[NDArray[np.float32], int, tuple[int, int]]]:
    """Yield windows of a stream: samples, place of the first one, and which of them are to be written (from, to).

    What is written of all windows is the stream, once and in order. A window whose successor begins where it ends is
    heard up to there alone.

    Examples
    --------
    >>> stream = [np.arange(7, dtype=np.float32), np.arange(7, 12, dtype=np.float32)]
    >>> found = windows_of(stream, window=6, cut=lambda part: (4, 5))
    >>> [(part[a:b].astype(int).tolist(), first) for part, first, (a, b) in found]
    [([0, 1, 2, 3, 4], 0), ([5, 6, 7, 8], 4), ([9, 10, 11], 8)]
    """
    held = np.zeros(0, np.float32)
    first, written = 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > window:
            part = held[:window]
            step, end = cut(part)
            yield part[: end if step == end else window], first, (written - first, end)
            written = first + end
            held, first = held[step:], first + step
    if len(held) and first + len(held) > written:
        yield held, first, (written - first, len(held))


def _overlapping(task: SpeechRecognition, window: int) -> Cut:
    """Return how CTC's windows follow each other: 22 s apart, in whole frames, written up to 4 s before their end."""
    rate, frame = task.model.sampling_rate_hz, round(task.model.frame_s * task.model.sampling_rate_hz)
    context = max(1, round(CONTEXT_S * rate / frame)) * frame
    whole = window // frame * frame
    return lambda part: (whole - 2 * context, whole - context)


def _at_pauses(window: int, rate: int) -> Cut:
    """Return how Whisper's windows follow each other: each from the quietest moment near the end of the one before."""
    quiet, search = round(_QUIET_S * rate), min(round(_SEARCH_S * rate), window // 2)

    def cut(part: NDArray[np.float32]) -> tuple[int, int]:
        tail = np.square(part[window - search :], dtype=np.float64)
        n = len(tail) // quiet
        energy = tail[: n * quiet].reshape(n, quiet).sum(axis=1)
        end = window - search + int(energy.argmin()) * quiet + quiet // 2
        return end, end

    return cut


def _segments(words: list[TimedWord]) -> Iterator[Segment]:
    """Yield words together until a pause, or until there is enough to read at once."""
    held: list[TimedWord] = []
    for word in words:
        n_letters = sum(len(w.word) + 1 for w in held) + len(word.word)
        if held and (
            word.start_s - held[-1].end_s > _PAUSE_S
            or word.end_s - held[0].start_s > _LONGEST_S
            or n_letters > _LONGEST_TEXT
        ):
            yield Segment(held[0].start_s, held[-1].end_s, " ".join(w.word for w in held))
            held = []
        held.append(word)
    if held:
        yield Segment(held[0].start_s, held[-1].end_s, " ".join(w.word for w in held))
