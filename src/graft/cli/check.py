"""``graft check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graft.api.config_parts import FOR_CHECK, ONE_MODEL, part_of

if TYPE_CHECKING:
    from graft.api.config import FitConfig as CheckConfig
else:
    CheckConfig = part_of(
        "CheckConfig",
        FOR_CHECK,
        out="checks",
        told={"model": ONE_MODEL, "out": "Folder of checks.json and corrections.csv, made by it."},
    )

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
        TOML file of options, also one of graft fit; flags given here win over it.
    """
    from graft.api.check import check as run_check

    run_check(data, **options.as_dict())
