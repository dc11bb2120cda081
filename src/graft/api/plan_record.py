"""What a plan says: one record a strategy, and all of them with the data, the model and the machine they hold for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["MethodPlan", "Plan"]


@dataclass(frozen=True)
class MethodPlan:
    """What one strategy would take.

    Parameters
    ----------
    name : as ``--strategy`` has it.
    why : why the strategy does not run here, and the figures mean nothing; empty: it does.
    n_trainable, trainable_share : parameters that move, and their share of the network's.
    memory_bytes : peak, see `Plan.compute`; None: this system does not tell.
    disk : bytes when there is most: features, prepared examples, activations, checkpoints, model, total.
    step_s, epoch_s : seconds of an optimizer step and of a pass over the training examples.
    n_steps : of a run.
    n_runs : with which the contest ends at most.
    seconds : of each part of `fit`: start, pass, head, examples, contest, end, corruptions, total.
    fits : ``"yes"``, ``"no"``, ``"2 of 3 folds"`` or ``"40 % of steps"``: into the time limit, or into the 10 minutes
        of ``--strategy auto``.
    """

    name: str
    why: str = ""
    n_trainable: int = 0
    trainable_share: float = 0.0
    memory_bytes: int | None = None
    disk: dict[str, int] = field(default_factory=dict)
    step_s: float | None = None
    epoch_s: float | None = None
    n_steps: int = 0
    n_runs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    fits: str = ""


@dataclass(frozen=True)
class Plan:
    """What every strategy would take, on these data, with this model, on this machine.

    Parameters
    ----------
    data : path, examples by split and what one is called, classes.
    model : its record, and what it reads of an example.
    compute : device, precision, engine, and what memory means.
    measured : on how many examples what was measured.
    methods : one a strategy, in the order of the options.
    budget : the time that `MethodPlan.fits` is about.
    recommendation, command : what ``graft fit`` would do with these options, and how it is typed.
    """

    data: dict[str, Any]
    model: dict[str, Any]
    compute: dict[str, Any]
    measured: dict[str, Any]
    methods: tuple[MethodPlan, ...]
    budget: dict[str, Any]
    recommendation: str
    command: str

    def method(self, name: str) -> MethodPlan:
        """Return the plan of one strategy."""
        return next(method for method in self.methods if method.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(_rounded(asdict(self)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
