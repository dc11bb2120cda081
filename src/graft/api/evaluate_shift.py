"""`evaluate(..., as_shift=True)`: what a finished run loses on other data, labelled or not, against its own test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    pass

__all__ = ["evaluate_shift"]


def evaluate_shift(
    run: str | Path,
    data: str | Path,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: bool = False,
    seed: int = 0,
    preprocessing: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Return ``shift`` and ``claims`` in the form of ``metrics.json``.

    Parameters
    ----------
    run : the folder that `fit` wrote; its ``predictions.parquet`` says what the model did at home.
    data : other data of the same classes, in any form that `fit` reads, or files without labels.
    path_column, label_column, skip_unreadable, seed, preprocessing, text_column, text_pair_column, say,
        console : as in `evaluate`.

    Raises
    ------
    ModelError, DataError
        When the run is not finished, or the data does not fit it.
    """
    from graft.api.embedding import extractor_for
    from graft.api.gathering import options_of_run
    from graft.api.other_data import predict_other, read_other
    from graft.api.report import read_predictions
    from graft.api.shift import figures_of_other
    from graft.tasks.fine_tuned import load_fine_tuned

    folder = Path(run)
    fine_tuned = load_fine_tuned(folder / "model", preprocessing=preprocessing)
    text_columns = {"text_column": text_column, "text_pair_column": text_pair_column}
    config = options_of_run(
        folder,
        skip_unreadable=skip_unreadable,
        path_column=path_column,
        label_column=label_column,
        **{name: value for name, value in text_columns.items() if value is not None},
    )
    names, task = fine_tuned.label_names, fine_tuned.task
    decision = fine_tuned.decision
    other = read_other(
        data,
        label_names=names,
        kind=task.kind,
        config=config,
        option="as-shift",
        is_multi_label=decision.is_multi_label,
        known_texts=fine_tuned.text_columns,
    )
    extractor = extractor_for(task.model, config, say=say, console=console)
    said, _ = predict_other(
        other,
        task,
        extractor,
        label_names=names,
        decision=decision,
        skip_unreadable=skip_unreadable,
        say=say,
    )
    home = read_predictions(folder)
    held_out = home.get("out_of_fold", home.get("valid"))
    claim, figures = figures_of_other(other.name, said, home["test"], labelled=held_out, seed=seed)
    say(claim.sentence)
    return {"shift": {"data": {other.name: figures}}, "claims": [claim.as_dict()]}
