"""Predictions, as a stream: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from graft.backbones.extraction import Extractor
from graft.core.errors import DataError
from graft.deploy.inputs import Input
from graft.tasks.fine_tuned import FineTunedModel

__all__ = ["Prediction", "predict_examples"]

_CHUNK = 512


@dataclass(frozen=True)
class Prediction:
    """What the model says of one example.

    Parameters
    ----------
    id : the path as it was given; of a text its file and row.
    label : what the model says; where an example may have several labels, the most probable of those it is given.
        Empty when the example could not be read, or is given none.
    probability : of that label; of an example that is given none, the largest there is.
    probabilities : of all labels, in the model's order.
    error : why the example could not be read; empty when it could.
    labels : all that the example is given, most probable first; None: the model says one class.
    label_probabilities : of those.
    likely : all classes of the conformal set, the most probable first; None: no coverage was asked for.
    """

    id: str
    label: str
    probability: float
    probabilities: tuple[float, ...]
    error: str = ""
    labels: tuple[str, ...] | None = None
    label_probabilities: tuple[float, ...] = ()
    likely: tuple[str, ...] | None = None


class _Chunk:
    """Some inputs in the form that the extractor reads."""

    def __init__(self, inputs: list[Input]) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def place(self, index: int) -> str:
        return self._inputs[index].place or self._inputs[index].id

    def read(self, index: int) -> bytes:
        return self._inputs[index].read()


def predict_examples(
    fine_tuned: FineTunedModel,
    inputs: Iterable[Input],
    *,
    extractor: Extractor,
    skip_unreadable: bool = False,
    threshold: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Prediction]:
    """Yield a prediction for each input, in order.

    Parameters
    ----------
    inputs : read lazily, 512 at a time.
    extractor : made for the model; it runs the network without the cache.
    skip_unreadable : yield a prediction with an error in place of raising.
    threshold : probability from which on a class is in the conformal set, where the likeliest always is; None: no sets.

    Raises
    ------
    DataError
        When an input cannot be read (unless `skip_unreadable`).
    """
    weight = fine_tuned.task.model.head.layer.weight.detach().numpy()
    bias = fine_tuned.task.model.head.layer.bias.detach().numpy()
    waiting, n, n_cut = iter(inputs), 0, 0
    while chunk := list(islice(waiting, _CHUNK)):
        n, n_cut = n + len(chunk), n_cut + extractor.n_cut(_Chunk(chunk))
        for first, features, errors in extractor.stream(_Chunk(chunk)):
            logits = (features @ weight.T + bias).astype(np.float64)
            for i, error in enumerate(errors):
                name = chunk[first + i].id
                if error and not skip_unreadable:
                    raise DataError.from_text(error)
                if error:
                    say(f"skipped: {error.splitlines()[0]}")
                    yield Prediction(name, "", 0.0, (), error.splitlines()[0])
                    continue
                yield _prediction(name, logits[i], fine_tuned, threshold=threshold)
    if n_cut:
        say(extractor.told_cut(n_cut, n))


def _prediction(
    name: str, logits: NDArray[np.float64], fine_tuned: FineTunedModel, *, threshold: float | None
) -> Prediction:
    """Return what one row of calibrated logits (n_classes,) means."""
    names, decision = fine_tuned.label_names, fine_tuned.decision
    row = decision.probabilities(logits)
    if decision.thresholds is None:
        best = int((logits if decision.offset is None else logits + decision.offset).argmax())
        found = Prediction(name, names[best], float(row[best]), tuple(map(float, row)))
        if threshold is None:
            return found
        order = np.argsort(-row, kind="stable")
        return replace(found, likely=tuple(names[k] for i, k in enumerate(order) if i == 0 or row[k] >= threshold))
    given = [int(k) for k in np.argsort(-row, kind="stable") if row[k] >= decision.thresholds[k]]
    return Prediction(
        name,
        names[given[0]] if given else "",
        float(row[given[0]] if given else row.max()),
        tuple(map(float, row)),
        labels=tuple(names[k] for k in given),
        label_probabilities=tuple(float(row[k]) for k in given),
    )
