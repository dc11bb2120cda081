"""Predictions, as a stream: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

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
    label : the most probable label; empty when the example could not be read.
    probability : of that label.
    probabilities : of all labels, in the model's order.
    error : why the example could not be read; empty when it could.
    """

    id: str
    label: str
    probability: float
    probabilities: tuple[float, ...]
    error: str = ""


class _Chunk:
    """Some inputs in the form that the extractor reads."""

    def __init__(self, inputs: list[Input]) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def place(self, index: int) -> str:
        return self._inputs[index].id

    def read(self, index: int) -> bytes:
        return self._inputs[index].read()


def predict_examples(
    fine_tuned: FineTunedModel,
    inputs: Iterable[Input],
    *,
    extractor: Extractor,
    skip_unreadable: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Prediction]:
    """Yield a prediction for each input, in order.

    Parameters
    ----------
    inputs : read lazily, 512 at a time.
    extractor : made for the model; it runs the network without the cache.
    skip_unreadable : yield a prediction with an error in place of raising.

    Raises
    ------
    DataError
        When an input cannot be read (unless `skip_unreadable`).
    """
    weight = fine_tuned.task.model.head.layer.weight.detach().numpy()
    bias = fine_tuned.task.model.head.layer.bias.detach().numpy()
    waiting = iter(inputs)
    while chunk := list(islice(waiting, _CHUNK)):
        for first, features, errors in extractor.stream(_Chunk(chunk)):
            probabilities = _softmax(features @ weight.T + bias)
            for i, error in enumerate(errors):
                name = chunk[first + i].id
                if error and not skip_unreadable:
                    raise DataError(error.partition("\nTo fix: ")[0], fix=error.partition("\nTo fix: ")[2])
                if error:
                    say(f"skipped: {error.splitlines()[0]}")
                    yield Prediction(name, "", 0.0, (), error.splitlines()[0])
                    continue
                best = int(probabilities[i].argmax())
                row: Any = probabilities[i]
                yield Prediction(name, fine_tuned.label_names[best], float(row[best]), tuple(map(float, row)))


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
