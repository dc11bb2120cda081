"""`predict` of a recogniser: recordings in, a stream of transcripts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from graft.core.devices import choose_device
from graft.core.errors import UsageError
from graft.deploy.inputs import list_examples
from graft.deploy.transcription import Transcript, transcribe_inputs
from graft.methods.speech_decoding import decoded_as_told
from graft.methods.where import training_precision
from graft.tasks.speech_saved import load_speech

__all__ = ["transcribe"]


def transcribe(
    model: Path,
    inputs: Sequence[str | Path],
    *,
    precision: str = "auto",
    device: str = "auto",
    skip_unreadable: bool = False,
    coverage: float | None = None,
    decoding: str = "auto",
    language_model: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Transcript]:
    """Yield the transcript of each recording in files and folders, in order; memory does not grow with their length.

    Parameters
    ----------
    decoding, language_model : see `graft.methods.speech_decoding.decoded_as_told`.

    Raises
    ------
    ModelError, DataError
        As `graft.api.predict.predict`.
    UsageError
        When sets of likely classes are asked for.
    """
    if coverage is not None:
        raise UsageError(
            f"--coverage {coverage} for a speech recogniser",
            expected="a model of classes: transcripts have no sets",
            fix="leave --coverage away (Python: coverage=None)",
        )
    task = decoded_as_told(load_speech(model), model, decoding=decoding, language_model=language_model)
    place = choose_device(device)
    network = task.build().to(place)
    yield from transcribe_inputs(
        task,
        network,
        list_examples(inputs, kind=task.kind),
        precision=training_precision(network, place, wanted=precision),
        skip_unreadable=skip_unreadable,
        say=say,
    )
