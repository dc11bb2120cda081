"""`fit --model auto`: the pretrained model that a ranking puts first, on the training examples alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from graft.api.config import FitConfig
from graft.api.config_values import seconds_of
from graft.core.errors import UsageError
from graft.core.processes import Processes

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
    data: str, config: FitConfig, processes: Processes, *, say: Callable[[str], None]
) -> tuple[FitConfig, dict[str, Any]]:
    """Return the options with the chosen model, the rest of a time limit, and the ranking in its JSON form.

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
    left = config.time_limit if limit is None else f"{max(1.0, limit - (time.monotonic() - began)):.0f}s"
    return replace(as_config(entry_of(found.best), config), time_limit=left), found.as_dict()
