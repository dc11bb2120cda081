"""Pages that glibc keeps, memory that ran out, and how much was used."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

__all__ = ["is_out_of_memory", "keep_freed_pages", "peak_memory_mib", "seconds_since_process_start"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEEP_BYTES = 1 << 30


def keep_freed_pages() -> bool:
    """Tell glibc to keep freed memory for the next batch; return whether it was told.

    Eager inference frees and asks for the same large blocks in every batch; by default each goes back to the kernel
    and is faulted in again, page by page. To be called before the first tensor is made. Does nothing outside
    Linux with glibc, or with the environment variable ``GRAFT_KEEP_PAGES=0``.
    """
    if os.environ.get("GRAFT_KEEP_PAGES", "1") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))


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


def seconds_since_process_start() -> float:
    """Return how long this process has run, interpreter start-up and imports included; 0 where unknown."""
    try:
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # seconds after boot
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, IndexError, ValueError, AttributeError):
        return 0.0
