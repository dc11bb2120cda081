"""``graft check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graft.api.check import CheckConfig

__all__ = ["check"]


def check(
    data: str,
    /,
    *,
    options: Annotated[CheckConfig, Parameter(name="*")],
    config: Path | None = None,
) -> None:
    """Look for copies, wrong labels, outliers, shortcuts and leaks in labelled data; change nothing, train nothing.

    Findings go to OUT/checks.json, suspects to OUT/corrections.csv: fill in what is to be done with each, and give the
    file to graft fit with --corrections.

    Parameters
    ----------
    data
        As in graft fit.
    config
        TOML file of options; flags given here win over it.
    """
    from graft.api.check import check as run_check

    run_check(data, **options.as_dict())
