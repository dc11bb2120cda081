"""The command line: one file a verb; exit codes as `graft.core.errors` draws them."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    from graft.core.process import leave_process, prepare_process, uncollected

    prepare_process()  # before NumPy's threads begin
    with uncollected():
        from graft.cli.app import run
    leave_process(run(sys.argv[1:]))
