"""Readings of the test split counted, by the run and over all runs, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.backbones.cache import default_cache_folder
from graft.core.run_folder import Run
from graft.core.test_reads import count_split_read

__all__ = ["count_read"]


def count_read(
    run: Run, fingerprint: str, *, cache: str | None, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Count one more reading, and return what ``metrics.json`` holds of them.

    Parameters
    ----------
    fingerprint : of the test split.
    cache : folder of the feature cache; None: the usual one.
    say : told where other runs have read the same split.

    Returns
    -------
    dict
        ``test_reads``, the run's own, and ``test_split_reads`` with ``n_reads`` and ``n_runs``; the latter is not there
        where the cache can't be written.
    """
    found: dict[str, Any] = {"test_reads": run.count_test_read()}
    reads = count_split_read(Path(cache) if cache else default_cache_folder(), fingerprint, run=run.identity)
    if reads is None:
        return found
    if reads.n_runs > 1:
        say(
            f"this test split was read {reads.n_reads:,} times by {reads.n_runs:,} runs: whoever chooses among them by"
            " it needs new examples to judge the chosen one"
        )
    return found | {"test_split_reads": reads._asdict()}
