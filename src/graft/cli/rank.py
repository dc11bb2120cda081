"""``graft rank``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from graft.api.config_parts import FOR_RANK, part_of

if TYPE_CHECKING:
    from graft.api.config import FitConfig as RankConfig
else:
    RankConfig = part_of(
        "RankConfig",
        FOR_RANK,
        told={"task": "Auto (found from the data), image-, text- or audio-classification."},
    )

__all__ = ["rank"]

_MAKE: Any = RankConfig
_DEFAULTS = _MAKE()


def rank(
    data: str,
    /,
    *,
    options: Annotated[RankConfig, Parameter(name="*")] = _DEFAULTS,
    models: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    catalog: Annotated[bool, Parameter(negative="")] = False,
    budget: str = "5m",
    licence: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    config: Path | None = None,
    json: Path | None = None,
) -> None:
    """Say which of several pretrained models to begin with on these data: examples with classes.

    Heads on frozen features are compared. Where these can't tell the first two apart, both are fine-tuned for a quarter
    of the steps if the budget allows (--race none: never). The test split is not read. With --offline only models on
    this disk are looked at.

    Parameters
    ----------
    data
        As in graft fit.
    models
        Hub ids and folders to compare; a folder of folders stands for all checkpoints in it.
    catalog
        Compare Graft's own list of models as well; without --models it is taken anyway.
    budget
        Time for all of it: 90s, 5m, 1h.
    licence
        Look only at models that state one of these licences.
    config
        TOML file of options, also one of graft fit; flags given here win over it.
    json
        File for the same as JSON.
    """
    from graft.api.rank import rank as run_rank

    run_rank(data, models=models, catalog=catalog, budget=budget, licence=licence, json=json, **options.as_dict())
