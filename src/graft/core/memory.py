"""Pages that glibc keeps, memory that ran out, and how much was used."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = [
    "PeakMemory",
    "available_memory",
    "is_out_of_memory",
    "keep_freed_pages",
    "peak_memory",
    "peak_memory_mib",
    "seconds_since_process_start",
]  # fmt: skip

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
_KEEP_BYTES = 1 << 30


def keep_freed_pages() -> bool:
    """Tell glibc to keep freed memory for the next batch; return whether it was told.

    Eager inference frees and asks for the same large blocks in every batch; by default each goes back to the kernel
    and is faulted in again, page by page. All threads share one arena, as those of their own would not keep theirs. To
    be called before the first tensor is made. Does nothing outside Linux with glibc, or with the environment variable
    ``GRAFT_KEEP_PAGES=0``.
    """
    if os.environ.get("GRAFT_KEEP_PAGES", "1") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_THRESHOLD, _KEEP_BYTES), (_M_TRIM_THRESHOLD, _KEEP_BYTES), (_M_ARENA_MAX, 1))
    return all(bool(mallopt(*setting)) for setting in settings)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that memory ran out, on whatever device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    marks = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "failed to allocate")
    return isinstance(error, RuntimeError) and any(mark in text for mark in marks)


def peak_memory_mib() -> float:
    """Return the largest resident set of this process so far, in MiB; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@dataclass
class PeakMemory:
    """The most memory that a piece of work took at any time.

    Parameters
    ----------
    n_bytes : on a GPU all that torch had allocated, on a CPU the growth of the resident set; None: not known.
    held : bytes that the process held before; on a CPU they come on top.
    """

    n_bytes: int | None = None
    held: int = 0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the work inside; the figures are there at its end. On CPUs only Linux tells."""
    found = PeakMemory()
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        torch.cuda.synchronize(device)
        found.n_bytes = torch.cuda.max_memory_allocated(device)
        return
    _give_freed_pages_back()
    is_told = device.type == "cpu" and _forget_peak()
    found.held = _status_bytes("VmRSS") if is_told else 0
    yield found
    if is_told:
        found.n_bytes = max(0, _status_bytes("VmHWM") - found.held)


def _give_freed_pages_back() -> None:
    """Undo for once what `keep_freed_pages` does: pages that are kept for reuse would not count as growth."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _forget_peak() -> bool:
    """Set the peak of the resident set to its present size; return whether the system does that (man 5 proc)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    return 0


def seconds_since_process_start() -> float:
    """Return how long this process has run, interpreter start-up and imports included; 0 where unknown."""
    try:
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # seconds after boot
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, IndexError, ValueError, AttributeError):
        return 0.0


def available_memory() -> int | None:
    """Return the bytes of memory that new work may take without swapping; None where this system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
