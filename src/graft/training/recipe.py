"""How a network is trained, as one frozen value: it is printed, stored and compared on resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from graft.core.errors import UsageError
from graft.training.schedules import Schedule

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run.

    Parameters
    ----------
    n_steps : optimizer steps, at least 1.
    optimizer : ``"adamw"`` or ``"sgd"`` (momentum, Nesterov).
    learning_rate : the highest rate, reached after the warm-up; a parameter group may take a share of it.
    weight_decay : decoupled for AdamW, an L2 penalty for SGD; never on norms and biases.
    momentum : of SGD; AdamW's betas are 0.9 and 0.999.
    schedule : shape after the warm-up, see `graft.training.schedules`.
    warmup_fraction : share of the run with a linearly rising rate, 0 to 1.
    clip_norm : largest norm of the gradient; None: never clipped.
    ema_decay : decay of the average of the weights, 0 to 1, which is what is returned; None: the last weights are.
    l2_sp : pull towards the weights at the start, decoupled: after each step a weight w loses
        ``rate * l2_sp * (w - w_start)``. Groups whose weights are new (a head) decay to zero by `weight_decay` instead.
    micro_batch_size : examples that one forward pass takes; a batch is worked off in as many as it needs. None: all.
    batch_norm : ``"train"`` moves BatchNorm's statistics with the batches, ``"frozen"`` keeps them as they are.
    is_compiled : run the network through ``torch.compile``.
    seed : of everything random.

    Raises
    ------
    UsageError
        When a value is out of its range; zero steps are an error, not a run that does nothing.

    References
    ----------
    L2-SP: Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning, 2018, equation 3; here decoupled
    from the gradient, as weight decay is in AdamW, so that the adaptive step does not rescale it.
    """

    n_steps: int
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    warmup_fraction: float = 0.05
    clip_norm: float | None = 1.0
    ema_decay: float | None = None
    l2_sp: float = 0.0
    micro_batch_size: int | None = None
    batch_norm: Literal["train", "frozen"] = "train"
    is_compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise UsageError(
                f"a training run of {self.n_steps} optimizer steps",
                expected="at least one step",
                fix="raise --epochs (Python: epochs=), or add examples",
            )
        words: dict[str, tuple[str, tuple[str, ...]]] = {
            "optimizer": (self.optimizer, ("adamw", "sgd")),
            "schedule": (self.schedule, get_args(Schedule)),
            "batch_norm": (self.batch_norm, ("train", "frozen")),
        }
        for name, (word, known) in words.items():
            if word not in known:
                raise UsageError(f"the {name} '{word}'", expected=" or ".join(known))
        ranges: dict[str, tuple[float | None, float, float]] = {
            "learning_rate": (self.learning_rate, 1e-12, 1e3),
            "weight_decay": (self.weight_decay, 0, 1e3),
            "momentum": (self.momentum, 0, 0.9999),
            "warmup_fraction": (self.warmup_fraction, 0, 1),
            "clip_norm": (self.clip_norm, 1e-12, 1e12),
            "ema_decay": (self.ema_decay, 0, 0.999999),
            "l2_sp": (self.l2_sp, 0, 1e6),
            "micro_batch_size": (self.micro_batch_size, 1, 1e9),
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
