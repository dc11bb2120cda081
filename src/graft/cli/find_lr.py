"""``graft find-lr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graft.api.find_learning_rate import FindRateConfig

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

    Called again with the same folder and options it goes on where it was.

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
