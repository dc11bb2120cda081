"""`fit --model auto`: the pretrained model that a ranking puts first, on the training examples alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.api.config import FitConfig
from graft.api.config_values import seconds_of
from graft.core.errors import UsageError
from graft.core.files import read_json, write_json
from graft.core.processes import Processes
from graft.core.run_folder import Run

__all__ = ["choose_model", "is_choice", "refuse_choice"]

_BUDGET_S = 120.0
_SHARE = 0.25  # of a time limit


def is_choice(model: str) -> bool:
    """Return whether a model is still to be chosen: ``"auto"``, or a folder of checkpoints that is none itself."""
    if model == "auto":
        return True
    folder = Path(model)
    is_one = any(
        (folder / name).exists() for name in ("config.json", "modules.json")
    )  # transformers, sentence encoders
    return folder.is_dir() and not is_one and any(folder.glob("*/config.json"))


def refuse_choice(model: str) -> None:
    """Raise where a model is still to be chosen.

    Raises
    ------
    UsageError
        When it is.
    """
    if is_choice(model):
        raise UsageError(
            f"--model {model} where one model is wanted",
            expected="a hub id, or the folder of one checkpoint; graft fit alone chooses",
            fix="graft rank DATA says which comes first; then --model THAT (Python: model='that')",
        )


def choose_model(
    data: str, config: FitConfig, run: Run, processes: Processes, *, say: Callable[[str], None]
) -> tuple[FitConfig, dict[str, Any]]:
    """Return the options with the chosen model, and the ranking in its JSON form.

    The ranking is kept in the run's folder: a resumed run goes on with the model that it has begun with.

    Raises
    ------
    UsageError
        When no candidate is left, or several processes would each choose.
    """
    from graft.api.candidates import as_config, entry_of
    from graft.api.rank import overrun, ranked

    if processes.n > 1:
        raise UsageError(
            f"--model {config.model} with {processes.n} processes",
            expected="one process, or a model that is named",
            fix="graft rank DATA says which; then --model THAT (Python: model='that')",
        )
    kept = run.folder / "ranking.json"
    if run.is_resumed and kept.is_file():
        ranking: dict[str, Any] = read_json(kept)
        say(f"model: {ranking['best']}, as the run has begun")
        return as_config(entry_of(ranking["best"]), config), ranking
    began = time.monotonic()
    limit = None if config.time_limit is None else seconds_of(config.time_limit)
    seconds = _BUDGET_S if limit is None else _SHARE * limit
    models = [] if config.model == "auto" else [config.model]
    found = ranked(
        data, config, models, not models, [], end=began + seconds, began=began,
        has_final=limit is not None and config.race != "none", say=say,
    )  # fmt: skip
    for sentence in found.told:
        say(sentence)
    if (late := overrun(found, seconds)) is not None:
        say(late)
    say(f"model: {found.best}, the first of {len(found.standings)} by {found.standings[0].signals.n:,} examples")
    write_json(kept, found.as_dict())
    return as_config(entry_of(found.best), config), found.as_dict()
