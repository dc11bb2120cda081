"""`evaluate`: a finished run judged on labelled data, or the predictions of any framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from graft.core.errors import UsageError
from graft.core.process import prepare_process

__all__ = ["evaluate"]


def evaluate(
    run: str | Path | None = None,
    data: str | Path | None = None,
    *,
    predictions: str | Path | None = None,
    baselines: Mapping[str, str | Path] | None = None,
    as_shift: bool = False,
    split: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: bool = False,
    seed: int = 0,
    preprocessing: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    decoding: str = "auto",
    language_model: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Return the figures of a finished run on labelled data, in the form of ``metrics.json``.

    Parameters
    ----------
    run : the folder that `fit` wrote.
    data : labelled examples in any form that `fit` reads; labels must be among the model's. Transcribed speech or
        conversations, where the run's model is of these.
    predictions : in place of `run` and `data`, a file of predictions; see `graft.api.evaluate_predictions`.
    baselines : with `predictions`, files of other models' predictions, by name.
    as_shift : say what the model loses on `data`, labelled or not, against its own test split; the result is then
        ``shift`` and ``claims``.
    split : which split of divided data; None: its test split, or all rows of undivided data.
    path_column, label_column : columns of a table.
    skip_unreadable : leave out examples that cannot be read.
    seed : of the bootstrap draws.
    preprocessing : ``FILE.py:NAME``, where the model was fitted with a preprocessing of your own.
    text_column : column of a table that holds the texts, also of transcribed speech; None: as the run was fitted.
    text_pair_column : column of the second texts, of a model of pairs; None: as the run was fitted.
    decoding, language_model : of a speech recogniser, as in `graft.predict`.
    say : told what is remarkable.
    console : for a progress bar.

    Returns
    -------
    dict
        ``{"<split>": {figure: estimate}, "headline", "confusion" or "labels", "calibration", "baselines", "noun"}``.
        When the data is the run's own test split, the run counts one more reading of it.

    Raises
    ------
    ModelError, DataError
        When the run is not finished, or the data does not fit it.
    UsageError
        When neither a run with data nor predictions are given, or both.
    """
    if predictions is not None and run is None and data is None:
        from graft.api.evaluate_predictions import evaluate_predictions

        return evaluate_predictions(predictions, baselines=baselines, split=split, seed=seed, say=say)
    if run is None or data is None or predictions is not None or baselines:
        raise UsageError(
            "graft evaluate wants either a run and data, or predictions",
            expected="graft evaluate RUN DATA, or graft evaluate --predictions FILE [--baseline NAME=FILE]",
            fix="name one of the two (Python: evaluate(run, data) or evaluate(predictions='FILE'))",
        )
    prepare_process()
    from graft.api.predict import is_speech_run, task_of_run

    if is_speech_run(run) and not as_shift:
        from graft.api.evaluate_speech import evaluate_speech_run

        return evaluate_speech_run(
            Path(run),
            data,
            split=split,
            path_column=path_column,
            text_column=text_column,
            skip_unreadable=skip_unreadable,
            decoding=decoding,
            language_model=language_model,
            seed=seed,
            say=say,
        )
    if task_of_run(run) == "text-generation" and not as_shift:
        from graft.api.evaluate_generation import evaluate_generation_run

        return evaluate_generation_run(Path(run), data, split=split, seed=seed, say=say)
    from graft.tasks.finding import refuse_without_classes

    refuse_without_classes(task_of_run(run), verb="evaluate --as-shift" if as_shift else "evaluate")
    if decoding != "auto" or language_model is not None:
        raise UsageError(
            f"--decoding {decoding}, --language-model {language_model} for a model of classes",
            expected="a speech recogniser",
            fix="leave them away (Python: decoding='auto', language_model=None)",
        )
    if as_shift:
        from graft.api.evaluate_shift import evaluate_shift

        return evaluate_shift(
            run,
            data,
            path_column=path_column,
            label_column=label_column,
            skip_unreadable=skip_unreadable,
            seed=seed,
            preprocessing=preprocessing,
            text_column=text_column,
            text_pair_column=text_pair_column,
            say=say,
            console=console,
        )
    import numpy as np

    from graft.api.checks import count_empty
    from graft.api.embedding import extractor_for
    from graft.api.gathering import options_of_run
    from graft.api.judging import baseline_of_counts, judge_any
    from graft.api.own_way import count_own_test
    from graft.core.files import read_json
    from graft.core.text import counted
    from graft.data.readers import read_labeled
    from graft.tasks.fine_tuned import load_fine_tuned

    folder = Path(run)
    fine_tuned = load_fine_tuned(folder / "model", preprocessing=preprocessing)
    config = options_of_run(folder, skip_unreadable=skip_unreadable)
    part = read_labeled(
        data,
        label_names=fine_tuned.label_names,
        split=split,
        path_column=path_column,
        label_column=label_column,
        text_column=text_column or config.text_column,
        text_pair_column=text_pair_column or config.text_pair_column,
        kind=fine_tuned.task.kind,
        multi_label=fine_tuned.decision.is_multi_label,
        known_texts=fine_tuned.text_columns,
    )
    extractor = extractor_for(fine_tuned.task.model, config, say=say, console=console)
    features = extractor.run(part, n_examples=len(part))
    rows = np.flatnonzero(features.is_readable)
    if len(rows) < len(part):
        say(f"{counted(len(part) - len(rows), 'unreadable ' + fine_tuned.task.kind.noun)} skipped")
    if n_cut := extractor.n_cut(part):
        say(extractor.told_cut(n_cut, len(part)))
    for note in count_empty({"the data": part}, {"the data": features}, kind=fine_tuned.task.kind):
        say(note)
    part = part.select(rows)
    layer = fine_tuned.task.model.head.layer
    logits = features.matrix[rows] @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    said = fine_tuned.decision.predictions(
        part.ids, part.labels, logits=logits, label_names=fine_tuned.label_names, split=split or "test"
    )
    manifest = read_json(folder / "manifest.json")
    counts = None if manifest.get("class_counts") is None else np.array(manifest["class_counts"])
    beside = {} if counts is None else baseline_of_counts(said, counts, manifest["splits"]["train"]["n"])
    metrics = judge_any(said, baselines=beside, class_counts=counts, seed=seed)
    metrics |= count_own_test(folder, part.fingerprint, say=say)
    metrics["noun"] = f"{fine_tuned.task.kind.noun}s"
    return metrics
