"""``graft demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["demo"]


def demo(
    *, out: Path = Path("demo-run"), pretrain: Annotated[bool, Parameter(negative="")] = False, seed: int = 0
) -> None:
    """Run the article's three steps offline: a pretrained backbone, 100 labelled digits, the evidence.

    Parameters
    ----------
    out
        Folder of the demo, made anew.
    pretrain
        Train the backbone on letters anew instead of taking the one that comes with Graft.
    seed
        Of the choice of labels and all that follows.
    """
    from graft.api.demo import demo as run_demo
    from graft.core.process import prepare_process

    prepare_process()
    run_demo(out, pretrain=pretrain, seed=seed)
