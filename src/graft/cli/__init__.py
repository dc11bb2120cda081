"""The command line: one file a verb; exit codes as `graft.core.errors` draws them."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    from graft.cli.app import run

    sys.exit(run(sys.argv[1:]))
