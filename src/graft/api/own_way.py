"""What tasks that go their own way have in common: speech and language models, which have no pooled features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.gathering import options_of_run
from graft.api.test_reads import count_read
from graft.api.tuning import AUTO_BUDGET_S, Deadline
from graft.core.errors import DataError, UsageError
from graft.core.files import read_json
from graft.core.processes import Processes
from graft.core.run_folder import Run
from graft.methods.settings import FineTuning
from graft.methods.where import Where

__all__ = ["count_own_test", "judged_split", "refuse_options", "seconds_of_loop", "settings_from", "where_of"]

_RESERVE_S = 20.0
Part = TypeVar("Part")


def refuse_options(
    config: FitConfig,
    processes: Processes,
    *,
    noun: str,
    strategies: Sequence[str],
    absent: Sequence[str],
    is_alone: bool = True,
) -> None:
    """Raise where an option was set that a task does not have.

    Parameters
    ----------
    noun : what the task is called, ``"a language model"``.
    strategies : those that it has.
    absent : fields of the options that it has no use for.
    is_alone : whether it runs in one process only.

    Raises
    ------
    UsageError
        When there is one.
    """
    if config.strategy not in strategies:
        raise UsageError(
            f"--strategy {config.strategy} for {noun}",
            expected=", ".join(strategies),
            fix="--strategy auto (Python: strategy='auto')",
        )
    if is_alone and processes.n > 1:
        raise UsageError(f"{processes.n} processes for {noun}", expected="one process", fix="start graft fit by itself")
    for flag in absent:
        if value := getattr(config, flag):
            shown = "" if value is True else f" {value}"
            raise UsageError(
                f"--{flag.replace('_', '-')}{shown} for {noun}",
                expected="an option that it has",
                fix=f"leave it away (Python: {flag}={False if value is True else None})",
            )


def settings_from(config: FitConfig, names: Sequence[str]) -> FineTuning:
    """Return the settings of the loop that some of the options give."""
    settings: Any = {name: value for name in names if (value := getattr(config, name)) is not None}
    return FineTuning(**settings, evaluations=10)


def seconds_of_loop(deadline: Deadline, config: FitConfig) -> float | None:
    """Return the seconds that fine-tuning may take; None: any number."""
    if config.time_limit is not None:
        return max(1.0, deadline.left_s(reserve_s=_RESERVE_S))
    return AUTO_BUDGET_S if config.strategy == "auto" else None


def where_of(config: FitConfig, folder: Path, run: Run, processes: Processes, *, console: Console) -> Where:
    """Return where a fine-tuning run computes and keeps its checkpoints: in `folder`."""
    return Where(
        device=config.device,
        precision=config.precision,
        folder=folder,
        checkpoint_every_s=60 * config.checkpoint_minutes,
        resume=run.is_resumed,
        processes=processes,
        console=console,
    )


def judged_split(data: str | Path, parts: Mapping[str, Part | None], split: str | None) -> tuple[str, Part]:
    """Return the split that `evaluate` judges: the one that was named, else test, else all of undivided data.

    Parameters
    ----------
    parts : ``train``, ``valid`` and ``test``; None where the data brings none.

    Raises
    ------
    DataError
        When there is no split of that name.
    """
    found = {name: part for name, part in parts.items() if part is not None}
    if split is None:
        return "test", found.get("test") or found.get("valid") or found["train"]
    if split not in found:
        has = list(found)
        raise DataError(
            f"{data} has no split {split}",
            expected=" or ".join(has),
            fix=f"--split {has[-1]} (Python: split='{has[-1]}')",
        )
    return split, found[split]


def count_own_test(run: Path, fingerprint: str, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Return `count_read` where what was judged is the run's own test split, counted once more; else nothing."""
    manifest = read_json(run / "manifest.json")
    if manifest["splits"].get("test", {}).get("fingerprint") != fingerprint:
        return {}
    found = count_read(Run(run, {}, is_resumed=True), fingerprint, cache=options_of_run(run).cache, say=say)
    say(f"this is the run's own test split; it has now been read {found['test_reads']} times")
    return found
