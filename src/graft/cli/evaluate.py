"""``graft evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["evaluate"]


def evaluate(
    run: Path,
    data: str,
    /,
    *,
    split: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: Annotated[bool, Parameter(negative="")] = False,
    json: Path | None = None,
    seed: int = 0,
    preprocessing: str | None = None,
) -> None:
    """Judge a finished run on labelled data.

    Parameters
    ----------
    run
        Folder that graft fit wrote.
    data
        Labelled examples in any form that graft fit reads.
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
    """
    from rich.console import Console

    from graft.api.evaluate import evaluate as run_evaluate
    from graft.core.files import write_json
    from graft.report.terminal import print_summary

    console = Console(emoji=False)
    metrics = run_evaluate(
        run,
        data,
        split=split,
        path_column=path_column,
        label_column=label_column,
        skip_unreadable=skip_unreadable,
        seed=seed,
        preprocessing=preprocessing,
        say=lambda text: console.print(f"· {text}", style="dim", markup=False, highlight=False),
        console=console,
    )
    print_summary(metrics, console=console, noun=metrics["noun"])
    if json is not None:
        write_json(json, metrics)
        console.print(f"figures: {json}", markup=False, highlight=False)
