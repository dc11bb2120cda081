"""``graft fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graft.api.config import FitConfig

__all__ = ["fit"]


def fit(
    data: str,
    /,
    *,
    options: Annotated[FitConfig, Parameter(name="*")],
    config: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Fine-tune a pretrained model on labelled examples, transcripts or conversations; write model, evaluation, report.

    Parameters
    ----------
    data
        Folder with a class a subfolder (train/valid/test above it are understood), table (CSV, TSV, JSONL, Parquet)
        with a path or text and a label column, recordings with their transcripts, conversations (JSONL), saved Hugging
        Face dataset, or hub id.
    config
        TOML file of options; flags given here win over it.
    resume
        Go on with the run in OUT; what was computed is not computed again.
    overwrite
        Replace the run in OUT.
    """
    from graft.api.fit import fit as run_fit

    run_fit(data, resume=resume, overwrite=overwrite, **options.as_dict())
