"""``graft plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graft.api.plan import PlanConfig

__all__ = ["plan"]


def plan(
    data: str,
    /,
    *,
    options: Annotated[PlanConfig, Parameter(name="*")],
    config: Path | None = None,
    json: Path | None = None,
) -> None:
    """Say what each strategy of fit would take in parameters, memory, disk and time; train nothing.

    Two batches of examples are read, and a few steps of each strategy run on them.

    Parameters
    ----------
    data
        As in graft fit.
    config
        TOML file of options; flags given here win over it.
    json
        File for the same as JSON.
    """
    from graft.api.plan import plan as run_plan

    run_plan(data, json=json, **options.as_dict())
