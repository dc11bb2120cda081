"""Would more labels help: the head's curve over training sizes, begun as soon as there is a head."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.core.devices import choose_device, choose_precision
from graft.core.errors import DataError
from graft.core.threads import Workers, n_threads
from graft.evaluation.learning_curve import LearningCurve, fit_learning_curve
from graft.methods.head_only import HeadFit
from graft.methods.learning_curve import accuracy_over_sizes

__all__ = ["LabelsCurve", "labels_curve"]

_SMALL = 100_000  # examples x classes, below which the curve is computed beside what follows, in a thread of its own


@dataclass
class LabelsCurve:
    """The probe's curve over training sizes, computed beside other work where that is small, else when asked for.

    Parameters
    ----------
    why_none : why there is none, once it was asked for; empty where there is one.
    """

    _compute: Callable[[], LearningCurve | DataError]
    _begun: Future[LearningCurve | DataError] | None = None
    _workers: Workers | None = None
    why_none: str = ""

    @classmethod
    def begin(cls, embedded: Embedded, head: HeadFit, config: FitConfig) -> LabelsCurve:
        """Begin, if that does not take threads away from more than it saves."""

        def compute() -> LearningCurve | DataError:
            try:
                return labels_curve(embedded, head, config)
            except DataError as error:
                return error

        train = embedded.splits["train"]
        is_small = len(train) * len(embedded.label_names) < _SMALL and not train.is_multi_label
        if not is_small or n_threads() < 2 or choose_device(config.device).type != "cpu":
            return cls(compute)
        workers = Workers(1)
        return cls(compute, workers.submit(compute), workers)

    def get(self, *, say: Callable[[str], None]) -> LearningCurve | None:
        """Return the curve; None, and why is said, where there are too few examples for one."""
        found = self._compute() if self._begun is None else self._begun.result()
        if self._workers is not None:
            self._workers.close()
        if isinstance(found, DataError):
            say(f"no curve of labels: {found.got}")
            self.why_none = f"{found.got}; asked for is {found.expected}"
            return None
        return found


def labels_curve(embedded: Embedded, head: HeadFit, config: FitConfig) -> LearningCurve:
    """Return the probe's curve over training sizes.

    Raises
    ------
    DataError
        When there are too few examples for one.
    """
    train = embedded.splits["train"]
    device = choose_device(config.device)
    resampled = accuracy_over_sizes(
        embedded.features["train"].matrix,
        train.labels,
        n_classes=len(embedded.label_names),
        head=head,
        groups=embedded.groups,
        seed=config.seed,
        device=device,
        is_bf16=choose_precision(device).name == "bf16",
    )
    return fit_learning_curve(
        resampled.sizes,
        resampled.accuracy,
        n_now=len(train),
        figure="exact label sets" if train.is_multi_label else "",
        seed=config.seed,
    )
