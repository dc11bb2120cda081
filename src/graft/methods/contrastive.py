"""Body first by contrast between examples, then the head by the solver: fine-tuning for few labels a class.

Tunstall et al., Efficient Few-Shot Learning Without Prompts (SetFit), 2022: https://arxiv.org/abs/2209.11055. Its two
stages are these. Its loss compares the cosine of sampled pairs with 0 or 1; here all pairs within a group of examples
are compared in each step (Khosla et al., 2020), which learns more from a pass through the network
(docs/experiments.md, "Few labels").
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from graft.methods.prepared import Prepared
from graft.methods.rates import prior_rate
from graft.methods.settings import FineTuning
from graft.tasks.base import Batch, FeatureTask
from graft.training.contrast import GroupBatches, group_contrast_sum
from graft.training.examples import Rows, TrainingExamples
from graft.training.optimizers import ParameterGroup

__all__ = ["Contrastive", "GroupContrast"]


@dataclass(frozen=True)
class GroupContrast:
    """What the body is trained for in place of the task's loss.

    Parameters
    ----------
    n_classes_each, n_each : classes a group, where there are so many, and the fewest examples a class.
    temperature : of the cosines.
    """

    n_classes_each: int = 32
    n_each: int = 2
    temperature: float = 0.1

    def batches(self, examples: TrainingExamples, rows: Rows, *, batch_size: int, seed: int) -> GroupBatches:
        """Return endless batches of groups that come to `batch_size` examples or a little more.

        Of few classes a group holds more examples each, up to as many as the middle class has.
        """
        counts = np.unique(examples.targets[rows], return_counts=True)[1]
        n_classes_each = min(self.n_classes_each, len(counts))
        wanted = self.n_classes_each * self.n_each // max(1, n_classes_each)
        n_each = max(self.n_each, min(wanted, int(np.median(counts))))
        return GroupBatches(
            examples,
            rows,
            n_groups=-(-batch_size // (n_classes_each * n_each)),
            n_classes_each=n_classes_each,
            n_each=n_each,
            seed=seed,
        )

    def loss(self, task: FeatureTask, network: nn.Module, batch: Batch, *, group_size: int) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of the groups in a batch and the groups' number."""
        features = task.features(network, batch)
        return group_contrast_sum(features, batch["labels"], group_size=group_size, temperature=self.temperature)


@dataclass(frozen=True)
class Contrastive:
    """Train all layers but the head so that examples of a class lie together; then fit the head to what they say.

    Parameters
    ----------
    settings : of fine-tuning; an epoch is counted in examples drawn.
    objective : groups and temperature.
    rate_factor : of the prior rate of the family.
    """

    settings: FineTuning = field(default_factory=FineTuning)
    objective: GroupContrast = field(default_factory=GroupContrast)
    rate_factor: float = 1.25
    name: str = field(default="contrastive", init=False)
    start: Literal["probe", "fresh"] = field(default="probe", init=False)

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Make all parameters trainable but the head's."""
        network.requires_grad_(True)
        network.get_submodule(head).requires_grad_(False)
        names = tuple(name for name, parameter in network.named_parameters() if parameter.requires_grad)
        return Prepared(network, (ParameterGroup(names),), objective=self.objective)

    def learning_rate(self, family: str) -> float:
        """Return the rate of the settings, or a multiple of the family's prior."""
        return self.settings.learning_rate or self.rate_factor * prior_rate(family)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
