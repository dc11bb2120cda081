"""What the tests of methods compare by."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor

from conformance.small_methods import (
    Small,
)
from graft.methods.prepared import FineTuningMethod, Prepared


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def prepared(method: FineTuningMethod, small: Small) -> Prepared:
    """Return a copy of the task's network, prepared."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = small.network.config.model_type  # type: ignore[union-attr]
        return method.prepare(deepcopy(small.network), head=small.head, family=str(family))


def is_idle(key: str) -> bool:
    """Return whether a parameter is a key's bias: it shifts all scores of a query alike, which the softmax forgets.

    Its gradient is rounding, and Adam makes steps of full size of it.
    """
    return key.endswith((".key.bias", ".k_proj.bias"))
