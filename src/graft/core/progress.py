"""Progress of a long pass: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["count_progress"]

_LINE_EVERY_S = 15.0


@contextmanager
def count_progress(title: str, total: int, *, unit: str, console: Console | None) -> Iterator[Callable[[int], None]]:
    """Yield a function of how many more are done; it shows rate and time left.

    Parameters
    ----------
    title : what is being done, for example ``"features"``.
    total : how many there are to do.
    unit : plural noun, for example ``"pictures"``.
    console : where to show it; None shows nothing.
    """
    if console is None:
        yield lambda n: None
        return
    started = time.perf_counter()
    done = 0
    if console.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn(f"  {title}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=total, rate="")

            def advance(n: int) -> None:
                nonlocal done
                done += n
                bar.update(task, completed=done, rate=f"{done / (time.perf_counter() - started):,.0f} {unit}/s")

            yield advance
        return
    last = started

    def tell(n: int) -> None:
        nonlocal done, last
        done += n
        now = time.perf_counter()
        if now - last > _LINE_EVERY_S:
            rate = done / (now - started)
            console.print(
                f"  {title}: {done:,} of {total:,}, {rate:,.0f} {unit}/s, {(total - done) / rate:,.0f} s left",
                highlight=False,
            )
            last = now

    yield tell
