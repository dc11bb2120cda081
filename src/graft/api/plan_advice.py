"""What a plan comes to: a sentence, and the command that goes with it; and the folder that planning may write to."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft.api.config import FitConfig
from graft.report.wording import duration

if TYPE_CHECKING:
    from graft.api.plan import MethodPlan

__all__ = ["advise", "fit_command", "own_folder"]


def advise(
    strategy: str,
    methods: Mapping[str, MethodPlan],
    *,
    budget: Mapping[str, Any],
    noun: str = "picture",
    also: Sequence[str] = (),
) -> str:
    """Return what ``graft fit`` would do, and how long that takes.

    Parameters
    ----------
    strategy : that of the options.
    methods : by name.
    budget : see `graft.api.plan.Plan`.
    noun : what an example is called.
    also : strategies that ``auto`` tries after lp-ft.
    """
    limit = _budget_words(budget)
    head_s = f"about {duration(methods['head'].seconds['total'])}"
    if strategy == "head":
        return f"The head alone takes {head_s}."
    name = "lp-ft" if strategy == "auto" else strategy
    method = methods[name]
    if method.why and strategy == "auto":
        return f"lp-ft does not run here: graft fit will fit the head alone, in {head_s}."
    if method.why:
        return f"{name} does not run here: graft fit will say so. --strategy head takes {head_s}."
    takes = duration(method.seconds["total"])
    how = f", about {takes} in all" if method.fits == "yes" else f", with {method.fits}"
    if strategy == "auto" and method.fits != "no":
        later = f"; after it {' and '.join(also)}, in the time that is left" if also else ""
        return (
            f"lp-ft fits into {limit}: graft fit will try it, and keep it only if it beats the head on held-out"
            f" {noun}s{how}{later}."
        )
    if strategy == "auto":
        others = [m for m in methods.values() if m.fits == "yes" and m.name != "head"]
        least = min(others, key=lambda m: m.seconds["total"], default=None)
        other = f", --strategy {least.name} about {duration(least.seconds['total'])}" if least else ""
        return (
            f"lp-ft does not fit into {limit}: graft fit will fit the head alone, in {head_s}."
            f" With --strategy lp-ft it takes about {takes}{other}."
        )
    if not budget["is_time_limit"]:
        return f"{name} takes about {takes} in all."
    if method.fits == "no":
        return f"{name} does not fit into {limit}, it takes about {takes}: graft fit will fit the head alone."
    return f"{name} fits into {limit}{how}."


def fit_command(data: str, config: FitConfig) -> str:
    """Return the call of ``graft fit`` with every option that is not at its default, quoted for a shell.

    Examples
    --------
    >>> fit_command("my flowers", FitConfig(model="m", out="run", epochs=3.0, flip=False))
    "graft fit 'my flowers' --model m --out run --epochs 3.0 --no-flip"
    """
    words = ["graft", "fit", data]
    for option in fields(FitConfig):
        value, flag = getattr(config, option.name), option.name.replace("_", "-")
        if option.default is not MISSING and value == option.default:
            continue
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return shlex.join(words)


@contextmanager
def own_folder() -> Iterator[Path]:
    """Yield a folder that goes away; what torch.compile leaves lies in it too."""
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="graft-plan-") as folder:
        os.environ |= {name: before[name] or str(Path(folder) / "compiled") for name in names}
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)


def _budget_words(budget: Mapping[str, Any]) -> str:
    seconds = float(budget["seconds"])
    return f"{seconds / 60:g} minutes" if seconds % 60 == 0 and seconds > 60 else duration(seconds)
