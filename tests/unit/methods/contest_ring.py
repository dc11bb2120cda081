"""All that a small contest is held with: 30 noisy pictures, 12 more, a probe, and the runs that it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from conformance.small_methods import Small, settings, weights_of
from graft.backbones.heads import Head
from graft.methods.arena import Arena
from graft.methods.contest import Contest, hold_contest
from graft.methods.fine_tuning import FineTuned
from graft.methods.head_only import HeadFit
from graft.methods.lp_ft import LPFT
from graft.methods.where import Where

Logits = NDArray[np.float32]


@dataclass
class Ring:
    """All that a contest is held with, and the runs that it made."""

    small: Small
    features: Logits
    probe: HeadFit
    runs: list[dict[str, Any]]
    tuned: list[FineTuned]
    die_in: int | None = None

    def hold(self, folder: Path, *, method: Any = None, has_valid: bool = False, **more: Any) -> Contest:
        self.runs.clear()
        self.tuned.clear()
        valid = self.probe.logits(self.features[30:]) if has_valid else None
        own = {"device": "cpu", "precision": "fp32", "folder": folder, "resume": more.pop("resume", False)}
        arena = Arena(
            network=self.small.network,
            head=self.small.head,
            probe=self.probe,
            features=self.features[:30],
            task=self.small.task,
            examples=self.small.examples,
            n_train=30,
            valid_logits=valid,
            seed=more.pop("seed", 0),
            where=Where(**own),
        )
        return hold_contest(method or fast(), arena, **more)

    def network_of(self, weights: Any) -> nn.Module:
        from copy import deepcopy

        own = deepcopy(self.small.network)
        own.load_state_dict(weights)
        return own

    @property
    def probe_weights(self) -> Any:
        from copy import deepcopy

        own = deepcopy(self.small.network)
        Head(own, self.small.head).set(torch.from_numpy(self.probe.weights), torch.from_numpy(self.probe.bias))
        return weights_of(own)


def fast(**changes: Any) -> LPFT:
    return LPFT(settings(**{"epochs": 0.01, "fewest_steps": 6, "learning_rate": 3e-3, **changes}))


def slow() -> LPFT:
    """Return a method that leaves everything nearly as it is."""
    return fast(learning_rate=1e-9)


def equal(first: nn.Module | None, second: nn.Module | None) -> bool:
    assert first is not None
    assert second is not None
    other = weights_of(second)
    return all(torch.equal(tensor, other[name]) for name, tensor in weights_of(first).items())


def figures_of(contest: Contest) -> dict[str, Any]:
    return {key: value for key, value in contest.facts.items() if not key.startswith("seconds")}
