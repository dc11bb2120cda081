"""``graft find-lr``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graft.api.config_parts import FOR_FIND_RATE, ONE_MODEL, part_of

if TYPE_CHECKING:
    from graft.api.config import FitConfig as FindRateConfig
else:
    FindRateConfig = part_of(
        "FindRateConfig",
        FOR_FIND_RATE,
        out="learning-rate",
        told={
            "model": ONE_MODEL,
            "out": "Folder of the search; called again with it, the search goes on.",
            "task": "Auto (found from the data), image-, text- or audio-classification.",
        },
    )

__all__ = ["find_lr"]


def find_lr(
    data: str,
    /,
    *,
    options: Annotated[FindRateConfig, Parameter(name="*")],
    config: Path | None = None,
    range_test: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find the learning rate of a strategy by short runs; the test split is not read, no model is kept.

    Of examples with classes or labels; transcribed speech and conversations have no search. Called again with the same
    folder and options it goes on where it was.

    Parameters
    ----------
    data
        As in graft fit.
    config
        TOML file of options; flags given here win over it.
    range_test
        Let a run with a rising rate come first, and try no rate above the one where it came apart.
    """
    from graft.api.find_learning_rate import find_learning_rate

    find_learning_rate(data, range_test=range_test, **options.as_dict())
