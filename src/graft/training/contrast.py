"""Examples drawn in groups of like and unlike, and the loss that pulls the like together.

Groups are drawn when their step comes: of all pairs that n examples make, n^2 / 2, only those of the steps are ever
looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.core.errors import UsageError
from graft.core.seeds import generator
from graft.training.examples import Rows, TrainingExamples

__all__ = ["GroupBatches", "group_contrast_sum"]


class GroupBatches:
    """Batches of groups: a group holds some classes, and a few examples of each.

    The unit of a batch is the group, whose examples are compared among themselves alone. So a batch may be cut between
    groups, into micro-batches or over processes, and the sum of the losses stays what it was.

    Parameters
    ----------
    examples : gives plain batches of any rows.
    rows : which are drawn from.
    n_groups : groups a batch.
    n_classes_each : classes a group, at most as many as there are.
    n_each : examples a class; of a class with fewer, some stand in the group twice.
    seed : of all draws.

    Raises
    ------
    UsageError
        When an example may have several labels.
    """

    def __init__(
        self,
        examples: TrainingExamples,
        rows: Rows,
        *,
        n_groups: int,
        n_classes_each: int,
        n_each: int,
        seed: int,
    ) -> None:
        targets = examples.targets[rows]
        if targets.ndim == 2:
            raise UsageError(
                "contrast between examples with any number of labels",
                expected="one label an example",
                fix="--strategy lp-ft (Python: strategy='lp-ft')",
            )
        self._examples, self._seed, self.batch_size, self._n_each = examples, seed, n_groups, n_each
        self._rows_of = {int(c): np.asarray(rows)[targets == c] for c in np.unique(targets)}
        self._classes = np.array(sorted(self._rows_of))
        self._n_classes_each = min(n_classes_each, len(self._classes))
        self._pass = lru_cache(maxsize=4)(self._pass_of)

    @property
    def group_size(self) -> int:
        """Examples a group."""
        return self._n_classes_each * self._n_each

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        """Return the groups that `part` names, one after the other: model inputs and ``labels``."""
        rows = [self._group(step * self.batch_size + place) for place in range(self.batch_size)[part]]
        drawn = np.concatenate(rows) if rows else np.empty(0, np.int64)
        return next(iter(self._examples.plain(drawn, batch_size=max(1, len(drawn)))))

    def _group(self, number: int) -> NDArray[np.int64]:
        """Return the rows of a group: its classes are the next ones of a shuffled pass over all."""
        random = generator(self._seed, "group", number)
        first, size, n = number * self._n_classes_each, self._n_classes_each, len(self._classes)
        # A group that reaches over the end of a pass takes of the next one what it does not hold yet.
        epoch, place = divmod(first, n)
        own = self._pass(epoch)[place : place + size]
        more = self._pass(epoch + 1)
        chosen = np.concatenate([own, more[~np.isin(more, own)][: size - len(own)]])
        found = []
        for each in self._classes[chosen]:
            rows = self._rows_of[int(each)]
            found.append(random.choice(rows, self._n_each, replace=len(rows) < self._n_each))
        return np.concatenate(found).astype(np.int64)

    def _pass_of(self, epoch: int) -> NDArray[np.int64]:
        return generator(self._seed, "classes", epoch).permutation(len(self._classes))


def group_contrast_sum(
    features: Tensor, labels: Tensor, *, group_size: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the sum of the supervised contrastive losses of all examples, and the number of groups.

    Parameters
    ----------
    features : (n_groups * group_size, n_features), one group after the other; only their directions count.
    labels : (n_groups * group_size,).
    temperature : of the cosines.

    Notes
    -----
    An example's loss is the mean of ``-log softmax`` of its cosines to the others of its class, over all others of its
    group. The sum of a group is divided by its size, so that a group counts as one.

    References
    ----------
    Khosla et al., Supervised Contrastive Learning, 2020, equation 2.
    """
    grouped = torch.nn.functional.normalize(features.float(), dim=-1).view(-1, group_size, features.shape[-1])
    own = labels.view(-1, group_size)
    itself = torch.eye(group_size, dtype=torch.bool, device=features.device)
    cosines = (grouped @ grouped.transpose(1, 2) / temperature).masked_fill(itself, float("-inf"))
    log_shares = cosines - torch.logsumexp(cosines, dim=-1, keepdim=True)
    is_like = (own[:, :, None] == own[:, None, :]) & ~itself
    n_like = is_like.sum(-1).clamp(min=1)
    losses = -torch.where(is_like, log_shares, 0.0).sum(-1) / n_like
    return losses.sum() / group_size, torch.tensor(len(own), device=features.device)
