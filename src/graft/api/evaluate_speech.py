"""`evaluate` of a recogniser: a finished run judged on transcribed speech that it has not heard."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.api.gathering import options_of_run
from graft.api.own_way import count_own_test, judged_split
from graft.api.speech_data import prepare
from graft.api.speech_training import transcripts_of
from graft.core.devices import choose_device
from graft.core.text import counted
from graft.data.manifests import ManifestColumns
from graft.data.transcript_form import COMPARED
from graft.data.transcripts import read_transcribed
from graft.data.utterances import Utterances
from graft.evaluation.speech import evaluate_speech
from graft.methods.speech import hear
from graft.methods.speech_decoding import decoded_as_told
from graft.methods.where import training_precision
from graft.tasks.speech_saved import load_speech

__all__ = ["evaluate_speech_run"]

_BATCH_S = 60.0


def evaluate_speech_run(
    run: Path,
    data: str | Path,
    *,
    split: str | None = None,
    path_column: str | None = None,
    text_column: str | None = None,
    skip_unreadable: bool = False,
    decoding: str = "auto",
    language_model: str | Path | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Return the error rates of a finished run on transcribed speech, in the form of ``metrics.json``.

    Parameters
    ----------
    run, data, split, skip_unreadable, seed, say : as `graft.api.evaluate.evaluate` has them.
    path_column, text_column : columns of a table.
    decoding, language_model : see `graft.methods.speech_decoding.decoded_as_told`.

    Returns
    -------
    dict
        ``{"<split>": figures, "headline": "wer", "compared", "log_loss", "decoding", "noun"}``, and ``"n_learned"``
        where so many have name and text of ones that the run trained on or chose by. When the data is the run's own
        test split, the run counts one more reading of it.

    Raises
    ------
    ModelError, DataError, UsageError
        When the run is not finished, the data has no such split, or the language model cannot be used.
    """
    config = options_of_run(run, skip_unreadable=skip_unreadable)
    task = decoded_as_told(load_speech(run / "model"), run / "model", decoding=decoding, language_model=language_model)
    columns = ManifestColumns(path_column or config.path_column, text_column or config.text_column, config.group_column)
    found = read_transcribed(data, columns=columns)
    name, part = judged_split(data, {"train": found.train, "valid": found.valid, "test": found.test}, split)
    with tempfile.TemporaryDirectory() as folder:
        ready = prepare({name: part}, task, config, Path(folder), say=say)
        network = task.build()
        heard = hear(
            task,
            network,
            ready.examples,
            ready.rows[name],
            most=round(_BATCH_S * task.model.sampling_rate_hz),
            precision=training_precision(network, choose_device("cpu"), wanted=config.precision),
        )
    metrics: dict[str, Any] = {
        name: evaluate_speech(transcripts_of(ready, heard, name), seed=seed).as_dict(),
        "headline": "wer",
        "compared": COMPARED.describe(),
        "log_loss": {name: heard.log_loss},
        "decoding": "greedy" if task.search is None else "beam",
        "noun": "utterances",
    }
    if n_learned := _learned_from(run, part):
        metrics["n_learned"] = n_learned
        say(
            f"{n_learned:,} of {counted(len(part), 'utterance')} have name and text of ones that this run trained on or"
            " chose by: if they are the same, the figures flatter"
        )
    return metrics | count_own_test(run, part.fingerprint, say=say)


def _learned_from(run: Path, part: Utterances) -> int:
    """Return how many utterances, by name and text, the run trained on or chose by; 0 where it kept no predictions."""
    import pyarrow.parquet as parquet

    file = run / "predictions.parquet"
    if not file.is_file():
        return 0
    kept = parquet.read_table(file, columns=["id", "split", "target"]).to_pylist()
    learned = {(row["id"], row["target"]) for row in kept if row["split"] != "test"}
    return sum((item.id, item.text) in learned for item in part)
