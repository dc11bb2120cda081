"""How often a test split was read, over all runs on this machine: a line a reading, in a file of the feature cache.

A run counts its own readings (`graft.core.run_folder.Run`). Who fits twenty runs and keeps the one that does best on
the test has read it twenty times, though each of them read it once.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from graft.core.files import hash_json

__all__ = ["SplitReads", "count_split_read"]


class SplitReads(NamedTuple):
    """Readings of one test split, this one among them.

    Parameters
    ----------
    n_reads : of its labels.
    n_runs : that read it.
    """

    n_reads: int
    n_runs: int


def count_split_read(cache: Path, fingerprint: str, *, run: str) -> SplitReads | None:
    """Note one more reading of a test split, and return how many there were; None where the cache can't be written.

    Parameters
    ----------
    cache : folder of the feature cache, made where it is missing.
    fingerprint : of the split's examples and labels.
    run : what tells the run apart from others.

    Notes
    -----
    A line is written by one call in append mode, so several processes may note theirs at once. Lines that cannot be
    read are passed over: a count that is too low harms less than a run that fails for it.
    """
    path = cache / "test-reads" / f"{hash_json(fingerprint)}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(place, (json.dumps({"run": run}) + "\n").encode())
        finally:
            os.close(place)
        lines = path.read_bytes().splitlines()
    except OSError:
        return None
    runs = [name for line in lines if (name := _run_of(line))]
    return SplitReads(len(runs), len(set(runs)))


def _run_of(line: bytes) -> str:
    try:
        found = json.loads(line)
    except ValueError:
        return ""
    return str(found.get("run") or "") if isinstance(found, dict) else ""
