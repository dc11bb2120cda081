"""``graft plan``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graft.api.config import FitConfig
from graft.api.config_parts import ONE_MODEL, part_of

if TYPE_CHECKING:
    PlanConfig = FitConfig
else:
    PlanConfig = part_of(
        "PlanConfig",
        [field.name for field in fields(FitConfig)],
        out="run",
        told={"model": ONE_MODEL, "out": "Folder that the run would have; nothing is written there."},
    )

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
