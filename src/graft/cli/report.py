"""``graft report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["report"]


def report(
    run: Path | None = None,
    /,
    *,
    open: Annotated[bool, Parameter(negative="")] = False,
    compare: Annotated[tuple[Path, Path] | None, Parameter(negative="")] = None,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """Write the report of a finished run anew, without its data; or set two runs beside each other.

    Parameters
    ----------
    run
        Folder that graft fit wrote.
    open
        Show the page in the browser.
    compare
        RUN1 RUN2: paired tests on the test examples that both runs have.
    out
        File to write. Default: RUN/report.html; of a comparison RUN1/compare-RUN2.html.
    seed
        Of the bootstrap draws of a comparison.
    """
    from rich.console import Console

    from graft.api.report import compare_runs
    from graft.api.report import report as run_report
    from graft.core.errors import UsageError

    console = Console()
    if (run is None) == (compare is None):
        raise UsageError(
            "graft report takes one run, or two to compare",
            expected="graft report RUN, or graft report --compare RUN1 RUN2",
        )
    if compare is not None:
        from graft.report.comparing import Comparison, print_comparison, write_comparison
        from graft.report.comparing_speech import SpeechComparison, print_speech_comparison, write_speech_comparison
        from graft.report.comparing_texts import print_text_comparison, write_text_comparison

        found = compare_runs(*compare, seed=seed)
        path = out or compare[0] / f"compare-{compare[1].resolve().name}.html"
        if isinstance(found, Comparison):
            print_comparison(found, console=console)
            write_comparison(path, found)
        elif isinstance(found, SpeechComparison):
            print_speech_comparison(found, console=console)
            write_speech_comparison(path, found)
        else:
            print_text_comparison(found, console=console)
            write_text_comparison(path, found)
    else:
        assert run is not None
        path = run_report(
            run, out=out, say=lambda text: console.print(f"· {text}", style="dim", markup=False, highlight=False)
        )
    console.print(f"report: {path}", markup=False, highlight=False)
    if open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
