"""``graft evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from graft.core.errors import UsageError

__all__ = ["evaluate"]


def evaluate(
    run: Path | None = None,
    data: str | None = None,
    /,
    *,
    predictions: Path | None = None,
    baseline: list[str] | None = None,
    as_shift: Annotated[bool, Parameter(negative="")] = False,
    split: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: Annotated[bool, Parameter(negative="")] = False,
    json: Path | None = None,
    seed: int = 0,
    preprocessing: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    decoding: Literal["auto", "greedy", "beam"] = "auto",
    language_model: str | None = None,
) -> None:
    """Judge a finished run on labelled data, or the predictions of any framework.

    Parameters
    ----------
    run
        Folder that graft fit wrote.
    data
        Labelled examples in any form that graft fit reads.
    predictions
        In place of RUN and DATA: a Parquet, CSV or JSONL file of predictions: id, target, p_<label> for each label or
        else prediction, and split where it holds more than the test. docs/predictions-file.md tells the rest.
    baseline
        With --predictions: NAME=FILE, another model's predictions of the same examples; may be given several times.
    as_shift
        Say what the model loses on DATA, labelled or not, against the run's own test split.
    split
        Which split of divided data. Default: its test split.
    path_column
        Column of a table that holds the files.
    label_column
        Column of a table that holds the labels.
    skip_unreadable
        Leave out examples that cannot be read, and count them.
    json
        File to write the figures to, in the form of metrics.json.
    seed
        Of the bootstrap draws.
    preprocessing
        FILE.py:NAME, where the model was fitted with a preprocessing of your own; the file is run.
    text_column
        Column of a table that holds the texts. Default: as the run was fitted.
    text_pair_column
        Column of the second texts, of a model of pairs.
    decoding
        Of speech: auto (as it was fitted), greedy or beam.
    language_model
        Of the beam: a text with a sentence a line, an .arpa file, or train, the run's own.
    """
    from rich.console import Console

    from graft.api.evaluate import evaluate as run_evaluate
    from graft.core.files import write_json
    from graft.report.generation import print_figures
    from graft.report.speech import print_error_rates
    from graft.report.terminal import print_summary

    console = Console(emoji=False)
    metrics = run_evaluate(
        run,
        data,
        predictions=predictions,
        baselines=_named_files(baseline or []),
        as_shift=as_shift,
        split=split,
        path_column=path_column,
        label_column=label_column,
        skip_unreadable=skip_unreadable,
        seed=seed,
        preprocessing=preprocessing,
        text_column=text_column,
        text_pair_column=text_pair_column,
        decoding=decoding,
        language_model=language_model,
        say=lambda text: console.print(f"· {text}", style="dim", markup=False, highlight=False),
        console=console,
    )
    if metrics.get("headline") == "wer":
        print_error_rates(metrics, console=console)
    elif metrics.get("task") == "text-generation":
        print_figures(metrics, console=console)
    elif not as_shift:  # else its one sentence was said
        print_summary(metrics, console=console, noun="examples" if predictions is not None else metrics["noun"])
    if json is not None:
        write_json(json, metrics)
        console.print(f"figures: {json}", markup=False, highlight=False)


def _named_files(words: list[str]) -> dict[str, Path]:
    found = {}
    for word in words:
        name, sign, file = word.partition("=")
        if not (name and sign and file):
            raise UsageError(f"--baseline {word}", expected="NAME=FILE", fix="--baseline knn=knn.csv")
        found[name] = Path(file)
    return found
