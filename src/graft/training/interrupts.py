"""Ctrl-C and SIGTERM as a flag that the loop reads between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from graft.core.errors import Interrupted
from graft.training.checkpoints import CheckpointPlan

__all__ = ["StopRequest", "as_interrupted", "stop_on_signals"]


class StopRequest:
    """Whether somebody asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Yield a request that the first Ctrl-C or SIGTERM sets; the second Ctrl-C raises at once.

    Outside the main thread, where Python allows no signal handlers, the request is never set.
    """
    request = StopRequest()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if request and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal_name = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def as_interrupted(request: StopRequest, checkpoints: CheckpointPlan | None, *, step: int, n_steps: int) -> Interrupted:
    """Return the error of a run that was stopped, with what was kept and how it goes on.

    Parameters
    ----------
    request : not set where another process was asked to stop.
    step : finished steps, of `n_steps`.
    """
    told = f"stopped by {request.signal_name or 'a signal'} after step {step} of {n_steps}"
    if checkpoints is None:
        return Interrupted(f"{told}; nothing was kept")
    return Interrupted(
        f"{told}; {checkpoints.folder} keeps what was computed",
        fix="go on with the same command and --resume (Python: resume=True)",
    )
