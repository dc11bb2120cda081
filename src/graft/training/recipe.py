"""How a network is trained, as one frozen value: it is printed, stored and compared on resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from graft.core.errors import UsageError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run.

    Parameters
    ----------
    n_steps : optimizer steps, at least 1.
    optimizer : ``"adamw"`` or ``"sgd"`` (momentum, Nesterov).
    learning_rate : the highest rate, reached after the warm-up.
    weight_decay : decoupled for AdamW, an L2 penalty for SGD; never on norms and biases.
    momentum : of SGD; AdamW's betas are 0.9 and 0.999.
    schedule : shape after the warm-up, see `graft.training.schedules`.
    warmup_fraction : share of the run with a linearly rising rate, 0 to 1.
    clip_norm : largest norm of the gradient; None: never clipped.
    ema_decay : decay of the average of the weights, 0 to 1, which is what is returned; None: the last weights are.
    seed : of everything random.

    Raises
    ------
    UsageError
        When a value is out of its range; zero steps are an error, not a run that does nothing.
    """

    n_steps: int
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    momentum: float = 0.9
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_fraction: float = 0.05
    clip_norm: float | None = 1.0
    ema_decay: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise UsageError(
                f"a training run of {self.n_steps} optimizer steps",
                expected="at least one step",
                fix="raise --epochs (Python: epochs=), or add examples",
            )
        if self.optimizer not in ("adamw", "sgd"):
            raise UsageError(f"the optimizer '{self.optimizer}'", expected="adamw or sgd")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise UsageError(f"the schedule '{self.schedule}'", expected="cosine, linear or constant")
        ranges: dict[str, tuple[float | None, float, float]] = {
            "learning_rate": (self.learning_rate, 1e-12, 1e3),
            "weight_decay": (self.weight_decay, 0, 1e3),
            "momentum": (self.momentum, 0, 0.9999),
            "warmup_fraction": (self.warmup_fraction, 0, 1),
            "clip_norm": (self.clip_norm, 1e-12, 1e12),
            "ema_decay": (self.ema_decay, 0, 0.999999),
        }
        for name, (value, low, high) in ranges.items():
            if value is not None and not low <= value <= high:
                option = name.replace("_", "-")
                raise UsageError(
                    f"{name} {value}",
                    expected=f"a number from {low:g} to {high:g}",
                    fix=f"--{option} (Python: {name}=)",
                )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
