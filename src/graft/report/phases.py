"""What the phases of a run are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping

from graft.report import wording as w

__all__ = ["phase_name", "shown_seconds"]

_NAMES = {
    "start-up": "starting",
    "task": "finding the task",
    "imports": "loading libraries",
    "data": "reading the data",
    "model": "loading the model",
    "ranking": "ranking models",
    "features": "computing features",
    "engine set-up": "setting up the engine",
    "checks and split": "looking for copies, dividing the data",
    "head": "fitting the head",
    "save": "saving and reloading the model",
    "baselines": "computing the baselines",
    "evaluation": "judging it on the test",
    "checks": "checking the data",
    "verdict": "weighing the evidence",
    "other data": "trying other and distorted data",
    "report": "writing the report",
    "tokens": "turning texts into tokens",
    "decode": "decoding recordings",
    "decoding": "setting up the beam",
    "zero-shot": "trying the base model",
    "embed": "computing features",
    "solve": "fitting the head",
}
_LEAST_S = 0.005  # less is shown as 0.00


def phase_name(name: str) -> str:
    """Return what a phase does, as it stands within a sentence.

    Examples
    --------
    >>> phase_name("model"), phase_name("warming_up")
    ('loading the model', 'warming up')
    """
    return _NAMES.get(name) or w.clipped(name.replace("_", " "), 60)


def shown_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of the phases that took any, by name, without the total."""
    return {k: float(v) for k, v in seconds.items() if k != "total" and float(v) >= _LEAST_S}
