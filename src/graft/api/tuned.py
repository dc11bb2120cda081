"""What the station past the head came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graft.api.embedding import Embedded
from graft.core.decision import AnyPredictions, Decision
from graft.evaluation.judge import Candidates
from graft.methods.contest import Contest
from graft.tasks.base import Task

__all__ = ["Tuned"]


@dataclass(frozen=True)
class Tuned:
    """What the strategy came to.

    Parameters
    ----------
    contest : the contender and the evidence; None: the strategy was the head alone, or nothing could be tried.
    task : over the fine-tuned network; None: the probe is kept.
    facts : JSON values for ``strategy.json``, metrics and report.
    notes : sentences for the report.
    held : all contests, in their order.
    """

    contest: Contest | None
    task: Task | None
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()
    held: tuple[Contest, ...] = ()

    @property
    def history(self) -> list[dict[str, Any]]:
        """Looks at held-out examples in the run that is kept; none where it was made on all examples."""
        if self.task is None or self.contest is None or self.contest.final is None:
            return []
        return list(self.contest.final.training.history)

    @property
    def candidates(self) -> Candidates | None:
        """What probe and contenders said of held-out examples that all of them were judged by; None: no contest."""
        held = [one for one in self.held if one.verdict is not None and one.verdict.is_right_of_all is not None]
        if not held:
            return None
        rows = held[0].rows
        for one in held[1:]:
            rows = rows[np.isin(rows, one.rows)]
        right, losses = [], []
        for number, one in enumerate(held):
            assert one.verdict is not None
            place = {int(row): at for at, row in enumerate(one.rows)}
            own = [place[int(row)] for row in rows]
            first = 0 if number == 0 else 1  # column 0 is the probe, the same for all
            right.append(np.asarray(one.verdict.is_right_of_all)[own, first:])
            losses.append(np.asarray(one.verdict.losses_of_all)[own, first:])
        return Candidates(np.concatenate(right, axis=1), np.concatenate(losses, axis=1))

    def out_of_fold(self, embedded: Embedded, decision: Decision) -> AnyPredictions | None:
        """Return the kept fine-tuned model's predictions of training examples that its runs had not seen."""
        if self.contest is None or self.contest.verdict is None:
            return None
        train = embedded.splits["train"]
        if (self.contest.rows >= len(train)).any():
            return None
        rows = self.contest.rows
        ids = [train.ids[i] for i in rows]
        return decision.predictions(
            ids,
            train.labels[rows],
            logits=self.contest.verdict.logits,
            label_names=embedded.label_names,
            split="out_of_fold",
        )
