"""How often the test split was read, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import wording as w

__all__ = ["reads_sentence"]


def reads_sentence(metrics: Mapping[str, Any], *, what: str = "labels") -> str:
    """Return how often a run, and all runs on the machine, read the test split; empty where that is not known.

    Parameters
    ----------
    what : is read of it.

    Examples
    --------
    >>> reads_sentence({"test_reads": 1})
    'The labels of the test split were read once.'
    >>> reads_sentence({"test_reads": 1, "test_split_reads": {"n_reads": 4, "n_runs": 3}})
    'The labels of the test split were read once by this run, and 4 times by 3 runs on this machine.'
    """
    n = metrics.get("test_reads")
    if not n:
        return ""
    told = f"The {what} of the test split were read {_times(n)}"
    of_all = metrics.get("test_split_reads") or {}
    if of_all.get("n_runs", 1) > 1:
        told += f" by this run, and {_times(of_all['n_reads'])} by {w.count(of_all['n_runs'])} runs on this machine"
    return f"{told}."


def _times(n: int) -> str:
    return "once" if n == 1 else f"{w.count(n)} times"
