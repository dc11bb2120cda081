"""`predict`: files or texts in, a stream of labels and probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft.core.process import prepare_process
from graft.core.text import percent

if TYPE_CHECKING:
    from graft.tasks.fine_tuned import FineTunedModel

__all__ = ["is_speech_run", "predict", "task_of_run"]


def predict(
    run: str | Path,
    inputs: str | Path | Sequence[str | Path],
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 32,
    workers: int = 2,
    skip_unreadable: bool = False,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    preprocessing: str | None = None,
    coverage: float | None = None,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    decoding: str = "auto",
    language_model: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Any]:
    """Yield a prediction for each picture, text or recording, in order; memory does not grow with their number.

    Of a model of classes these are `graft.deploy.prediction.Prediction`, of a speech recogniser
    `graft.deploy.transcription.Transcript`, of a language model `graft.deploy.answering.Answer`.

    Parameters
    ----------
    run : the folder that `fit` wrote.
    inputs : files and folders; folders are searched in depth. For texts also tables, and files with a text a line.
    text_column, text_pair_column : columns of the tables that hold the texts, and the second ones of a model of pairs;
        None: those that the model was fitted to, where the table has them.
    preprocessing : ``FILE.py:NAME``, where the model was fitted with a preprocessing of your own.
    coverage : share of examples, such as 0.9, whose set of likely classes (`Prediction.likely`) is to hold the right
        one; None: no sets. It is kept for examples like those of the training, in the mean over many fits.
    max_new_tokens, temperature, top_p : of a language model's answers, see `graft.api.chat.Chat`.
    decoding : of a speech recogniser: ``"auto"`` (as it was fitted), ``"greedy"`` or ``"beam"``.
    language_model : of the beam: a text file with a sentence a line, an ARPA file, or ``"train"``, the run's own.
    engine, precision, device, batch_size, workers, skip_unreadable : as in `FitConfig`.
    say : told what is remarkable.

    Raises
    ------
    ModelError
        When `run` holds no finished model.
    DataError
        When there is no example, or one cannot be read (unless `skip_unreadable`).
    UsageError
        When `coverage` is no share between 0 and 1, or the model cannot give sets.

    Examples
    --------
    >>> for p in predict("run", "new-pictures/"):  # doctest: +SKIP
    ...     print(p.id, p.label, p.probability)
    """
    prepare_process()
    from graft.backbones.cache import FeatureCache, default_cache_folder
    from graft.backbones.extraction import Extractor
    from graft.core.devices import choose_device, choose_precision
    from graft.deploy.inputs import list_examples
    from graft.deploy.prediction import predict_examples
    from graft.tasks.fine_tuned import load_fine_tuned
    from graft.tasks.speech_saved import is_speech_model

    paths = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    folder = Path(run)
    model_folder = folder if (folder / "graft.json").is_file() else folder / "model"
    if is_speech_model(model_folder):
        from graft.api.transcribe import transcribe

        yield from transcribe(
            model_folder,
            paths,
            precision=precision,
            device=device,
            skip_unreadable=skip_unreadable,
            coverage=coverage,
            decoding=decoding,
            language_model=language_model,
            say=say,
        )
        return
    if decoding != "auto" or language_model is not None:
        from graft.core.errors import UsageError

        raise UsageError(
            f"--decoding {decoding}, --language-model {language_model} for a model that recognises no speech",
            expected="a speech recogniser",
            fix="leave them away (Python: decoding='auto', language_model=None)",
        )
    if task_of_run(folder) == "text-generation":
        from graft.api.chat import answer_files

        yield from answer_files(
            model_folder,
            paths,
            precision=precision,
            device=device,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            coverage=coverage,
        )
        return
    fine_tuned = load_fine_tuned(model_folder, preprocessing=preprocessing)
    threshold = None if coverage is None else _threshold(fine_tuned, coverage, say=say)
    chosen_device = choose_device(device)
    extractor = Extractor(
        fine_tuned.task.model.source(),
        FeatureCache(default_cache_folder()),
        device=chosen_device,
        precision=choose_precision(chosen_device, wanted=precision),
        engine=engine,
        is_strict_precision=precision != "auto",
        batch_size=batch_size,
        n_workers=workers,
        skip_unreadable=skip_unreadable,
        say=say,
    )
    kind = fine_tuned.task.kind
    yield from predict_examples(
        fine_tuned,
        list_examples(
            paths,
            kind=kind,
            text_column=text_column,
            text_pair_column=text_pair_column,
            known_texts=fine_tuned.text_columns,
            refuse_empty=not skip_unreadable,
            say=say,
        ),
        extractor=extractor,
        skip_unreadable=skip_unreadable,
        threshold=threshold,
        say=say,
    )


def is_speech_run(run: str | Path) -> bool:
    """Return whether a run's model recognises speech."""
    return task_of_run(run) == "automatic-speech-recognition"


def task_of_run(run: str | Path) -> str:
    """Return the task of a run's model; empty where the folder holds none."""
    from graft.core.files import read_json

    for path in (Path(run) / "graft.json", Path(run) / "model" / "graft.json"):
        if path.is_file():
            return str(read_json(path).get("task", ""))
    return ""


def _threshold(fine_tuned: FineTunedModel, coverage: float, *, say: Callable[[str], None]) -> float:
    """Return the probability from which on a class is in the set, and say what the promise is worth."""
    from graft.core.errors import UsageError
    from graft.evaluation.conformal import sets_from_scores

    if not 0 < coverage < 1:
        raise UsageError(f"--coverage {coverage} (Python: coverage=)", expected="a share between 0 and 1, such as 0.9")
    if fine_tuned.held_out is None or not len(fine_tuned.held_out):
        why = "gives any number of labels" if fine_tuned.decision.is_multi_label else "keeps no held-out answers"
        raise UsageError(
            f"--coverage {coverage}: the model {why}",
            expected="a model of one class an example, fitted by this version of Graft",
            fix="leave --coverage away (Python: coverage=None), or fit the model anew",
        )
    sets = sets_from_scores(fine_tuned.held_out, coverage=coverage)
    if sets.threshold == 0:
        say(f"sets: {sets.n} held-out examples are too few to promise {percent(coverage)}; every set holds all classes")
        return 0.0
    low, high = sets.realised()
    say(
        f"sets: the likeliest class, and all of probability {sets.threshold:.3g} or more, from {sets.n:,} held-out"
        f" examples; of new examples like them at least {percent(coverage)} of the sets hold the right class in the"
        f" mean, by the luck of the draw {percent(low)} to {percent(high)} or more; other data may break the promise"
    )
    return sets.threshold
