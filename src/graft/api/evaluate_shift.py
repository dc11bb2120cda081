"""`evaluate(..., as_shift=True)`: what a finished run loses on other data, labelled or not, against its own test."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from graft.core.errors import ModelError, UsageError

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
    say: Callable[[str], None] = lambda text: None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Return ``shift`` and ``claims`` in the form of ``metrics.json``.

    Parameters
    ----------
    run : the folder that `fit` wrote; its ``predictions.parquet`` says what the model did at home.
    data : other data of the same classes, in any form that `fit` reads, or files without labels.
    path_column, label_column, skip_unreadable, seed, preprocessing, say, console : as in `evaluate`.

    Raises
    ------
    ModelError, DataError
        When the run is not finished, or the data does not fit it.
    UsageError
        When an example of the run may have any number of labels.
    """
    from graft.api.config import FitConfig
    from graft.api.embedding import extractor_for
    from graft.api.other_data import predict_other, read_other
    from graft.api.shift import figures_of_other
    from graft.tasks.fine_tuned import load_fine_tuned

    folder = Path(run)
    fine_tuned = load_fine_tuned(folder / "model", preprocessing=preprocessing)
    if not (folder / "metrics.json").is_file():
        raise ModelError(
            f"the run in {folder} is not finished: it has no metrics.json",
            expected="a finished run",
            fix="repeat the command that began it with --resume",
        )
    if fine_tuned.decision.is_multi_label:
        raise UsageError(
            "--as-shift with any number of labels an example",
            expected="one class an example",
            fix="leave --as-shift away (Python: as_shift=False)",
        )
    with open(folder / "config.toml", "rb") as file:
        kept = tomllib.load(file)
    known = {field.name for field in fields(FitConfig)}
    chosen = {"skip_unreadable": skip_unreadable, "path_column": path_column, "label_column": label_column}
    config = FitConfig(**{k: v for k, v in kept.items() if k in known} | chosen)
    names, task = fine_tuned.label_names, fine_tuned.task
    other = read_other(data, label_names=names, kind=task.kind, config=config, option="as-shift")
    extractor = extractor_for(task.model, config, say=say, console=console)
    said, _ = predict_other(
        other,
        task,
        extractor,
        label_names=names,
        decision=fine_tuned.decision,
        skip_unreadable=skip_unreadable,
        say=say,
    )
    home = _kept_predictions(folder / "predictions.parquet", names, offset=fine_tuned.decision.offset)
    held_out = home.get("out_of_fold", home.get("valid"))
    claim, figures = figures_of_other(other.name, said, home["test"], labelled=held_out, seed=seed)
    say(claim.sentence)
    return {"shift": {"data": {other.name: figures}}, "claims": [claim.as_dict()]}


def _kept_predictions(path: Path, names: tuple[str, ...], *, offset: Any) -> dict[str, Any]:
    """Return by split what a run's model said of its own examples."""
    import numpy as np
    import pyarrow.parquet as parquet

    from graft.core.types import Predictions

    table = parquet.read_table(path)
    splits = np.array(table["split"].to_pylist())
    place = {name: i for i, name in enumerate(names)}
    targets = np.array([-1 if t is None else place[t] for t in table["target"].to_pylist()], dtype=np.int64)
    p = np.stack([table[f"p_{name}"].to_numpy().astype(np.float64) for name in names], axis=1)
    ids = table["id"].to_pylist()
    found = {}
    for split in dict.fromkeys(splits.tolist()):
        rows = np.flatnonzero(splits == split)
        found[split] = Predictions(
            [ids[int(i)] for i in rows],
            targets[rows],
            np.log(np.maximum(p[rows], 1e-30)),
            names,
            split,
            decision_offset=offset,
        )
    return found
