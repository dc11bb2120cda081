"""What is told of a run while it goes: a log of every step, and a progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from graft.core.files import as_resource_error, write_text

__all__ = ["step_log", "step_progress"]


@contextmanager
def step_log(path: Path | None, *, keep: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that appends one line to a JSONL file.

    Parameters
    ----------
    path : the file; None: lines go nowhere.
    keep : number of steps whose lines stay; those of later steps, which a killed run left, are dropped.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    """
    if path is None:
        yield lambda line: None
        return
    old = path.read_text(encoding="utf-8").splitlines(keepends=True)[:keep] if keep and path.exists() else []
    write_text(path, "".join(old))
    with open(path, "a", encoding="utf-8", buffering=1) as file:

        def write(line: Mapping[str, Any]) -> None:
            try:
                file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise as_resource_error(error, path) from error

        yield write


@contextmanager
def step_progress(
    n_steps: int, *, first: int, console: Console | None
) -> Iterator[Callable[[int, float, Mapping[str, Any] | None], None]]:
    """Yield a function of finished steps, loss and last held-out figures that redraws a bar with rate and time left.

    The bar is redrawn at most ten times a second: between, a call costs two comparisons.
    """
    if console is None or not console.is_terminal:
        yield lambda step, loss, held_out: None
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}{task.fields[held_out]}"),
    )
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("training", total=n_steps, completed=first, loss=float("nan"), rate="", held_out="")
        drawn = 0.0

        def show(step: int, loss: float, held_out: Mapping[str, Any] | None) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn < 0.1 and step < n_steps:
                return
            drawn = now
            speed = progress.tasks[0].speed
            told = "" if held_out is None else f", held out {held_out['log_loss']:.3f}"
            if held_out is not None and "accuracy" in held_out:
                told += f" ({held_out['accuracy']:.1%} right)"
            if held_out is not None and "wer" in held_out:
                told += f" ({held_out['wer']:.1%} of words wrong)"
            rate = "" if speed is None else f"{speed:.1f}/s"
            progress.update(task, completed=step, loss=loss, rate=rate, held_out=told, refresh=True)

        yield show
