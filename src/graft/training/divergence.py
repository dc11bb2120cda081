"""The error of a run that comes apart."""

from __future__ import annotations

from graft.core.errors import ModelError

__all__ = ["DivergedError", "diverged"]


class DivergedError(ModelError):
    """The loss or the gradient ceased to be finite."""


def diverged(step: int, *, value: float, norm: float, rate: float) -> DivergedError:
    """Return the error of a step, with its loss, the norm of its gradient and its learning rate."""
    return DivergedError(
        f"training came apart in step {step}: loss {value:g}, norm of the gradient {norm:g},"
        f" learning rate {rate:.3g}; the weights before this step are untouched",
        expected="finite numbers",
        fix="a learning rate 3 to 10 times smaller: --learning-rate (Python: learning_rate=); or a longer warm-up:"
        " --warmup-fraction (warmup_fraction=); or look for examples whose values are not numbers",
    )
