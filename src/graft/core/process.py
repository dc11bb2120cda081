"""Settings of this process that must be made before the first tensor."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from graft.core.memory import keep_freed_pages

__all__ = ["leave_process", "prepare_process", "uncollected"]


def prepare_process() -> None:
    """Make the settings, once, before torch is imported; where it already is, only what still can be set.

    - glibc keeps freed pages (see `graft.core.memory.keep_freed_pages`).
    - OpenMP threads sleep rather than spin at barriers. Spinning threads that share a core with another process
      cost the solver a factor of 20 (docs/experiments.md). A value of ``OMP_WAIT_POLICY`` set outside is kept.
    - tokenizers do not warn when data workers fork.
    """
    keep_freed_pages()
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python's collector of reference cycles from running.

    For imports and loading, which make a million objects that all stay: looking through them again and again takes a
    fifth of the seconds that importing torch and transformers takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def leave_process(code: int) -> NoReturn:
    """End the process with an exit code, without taking all modules apart first.

    What was registered to happen at exit happens, and output is flushed; taking torch and transformers apart, object by
    object, takes most of a second that nobody needs. Where another thread is still at work it is waited for as usual.
    """
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed, or nobody reads it
            code = code or 1
    os._exit(code)
