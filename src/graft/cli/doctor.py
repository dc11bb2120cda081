"""``graft doctor``."""

from __future__ import annotations

__all__ = ["doctor"]


def doctor() -> None:
    """Say what this installation can do, and what in it is broken."""
    from rich.console import Console

    from graft.api.doctor import diagnose

    console = Console(highlight=False)
    for finding in diagnose():
        mark = {"good": "[green]ok[/green]  ", "note": "[dim]--[/dim]  ", "bad": "[red]BAD[/red] "}[finding.kind]
        console.print(mark, end="")
        console.print(finding.text, markup=False)
