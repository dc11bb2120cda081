"""Evidence beyond the run's own data: other data, distorted examples, and what to label next."""

from __future__ import annotations

from collections.abc import Callable

from graft.api.config import FitConfig
from graft.api.deciding import decision_of_head
from graft.api.embedding import Embedded, extractor_for
from graft.api.shift import shift_figures
from graft.api.stations import Judged
from graft.api.unlabeled import label_next
from graft.core.decision import Decision
from graft.core.run_folder import Run
from graft.methods.head_only import HeadFit
from graft.tasks.base import Task

__all__ = ["further_figures"]


def further_figures(
    embedded: Embedded,
    head: HeadFit,
    judged: Judged,
    config: FitConfig,
    run: Run,
    *,
    decision: Decision,
    tuned: Task | None,
    seconds_left: float,
    say: Callable[[str], None],
) -> None:
    """Add ``shift`` and ``label_next`` to the metrics, and to the claims those on other data.

    Parameters
    ----------
    tuned : over the fine-tuned network, where that is the kept model; None: the probe is.
    seconds_left : until the time limit.
    """
    extractor = extractor_for((tuned or embedded.task).model, config, say=_silent, console=None)
    shift, claims = shift_figures(
        embedded,
        head,
        judged.predictions,
        config,
        decision=decision,
        probe_decision=decision_of_head(embedded, head, config),
        extractor=extractor,
        tuned=tuned,
        seconds=sum(run.seconds.values()),
        seconds_left=seconds_left,
        say=say,
    )
    if shift:
        judged.metrics["shift"] = shift
    judged.metrics["claims"] = [*judged.metrics.get("claims", []), *(claim.as_dict() for claim in claims)]
    if config.unlabeled is not None:
        judged.metrics["label_next"] = label_next(
            run.folder, embedded, config, extractor=extractor, tuned=tuned, decision=decision, say=say
        )


def _silent(text: str) -> None:
    """Say nothing: the engine was told of in the first pass."""
