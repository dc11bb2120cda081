"""What the kept model loses on other data: a user's own, and the test examples made worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graft.api.config import FitConfig
from graft.api.corrupting import corruption_figures
from graft.api.corruption_time import budget_s
from graft.api.embedding import Embedded
from graft.api.other_data import predict_other, read_other
from graft.backbones.extraction import Extractor
from graft.core.decision import AnyPredictions, Decision
from graft.data.kinds import TEXT
from graft.evaluation.alignment import with_targets
from graft.evaluation.claims import Claim
from graft.evaluation.label_free import without_labels
from graft.evaluation.shift import judge_shift
from graft.methods.head_only import HeadFit
from graft.tasks.base import Task

__all__ = ["figures_of_other", "shift_figures"]


def shift_figures(
    embedded: Embedded,
    head: HeadFit,
    predictions: Mapping[str, Any],
    config: FitConfig,
    *,
    decision: Decision,
    probe_decision: Decision,
    extractor: Extractor,
    tuned: Task | None,
    seconds: float,
    seconds_left: float = float("inf"),
    say: Callable[[str], None],
) -> tuple[dict[str, Any], list[Claim]]:
    """Return what ``metrics.json`` holds under ``shift``, and the claims made of it.

    Of examples with any number of labels those are right that were given exactly their own.

    Parameters
    ----------
    predictions : of the kept model by split; ``"test"``, and ``"out_of_fold"`` or ``"valid"``.
    decision, probe_decision : of the kept model, and of the head on the frozen network.
    extractor : of the kept model's features.
    tuned : over the fine-tuned network, where that is the kept model; None: the probe is.
    seconds : that the run took so far, which bounds what corruptions may cost.
    seconds_left : until the time limit.
    """
    found: dict[str, Any] = {}
    claims: list[Claim] = []
    test = predictions["test"]
    kept = tuned or embedded.task
    if config.shift_data is not None:
        names = embedded.label_names
        other = read_other(
            config.shift_data,
            label_names=names,
            kind=kept.kind,
            config=config,
            option="shift-data",
            is_multi_label=decision.is_multi_label,
            known_texts=embedded.splits["train"].text_columns if kept.kind is TEXT else None,
        )
        said, _ = predict_other(
            other,
            kept,
            extractor,
            label_names=names,
            decision=decision,
            skip_unreadable=config.skip_unreadable,
            say=say,
        )
        claim, figures = figures_of_other(other.name, said, test, labelled=_held_out(predictions), seed=config.seed)
        found["data"] = {other.name: figures}
        claims.append(claim)
    if config.corruptions == "none":
        return found, claims
    figures, more = corruption_figures(
        embedded,
        test,
        config,
        extractor=extractor,
        kept=kept,
        decision=decision,
        probe=None if tuned is None else (head, probe_decision),
        seconds=min(budget_s(config, seconds), seconds_left),
        say=say,
    )
    if figures:
        found["corruptions"] = figures
    return found, [*claims, *more]


def _held_out(predictions: Mapping[str, Any]) -> AnyPredictions | None:
    found: AnyPredictions | None = predictions.get("out_of_fold", predictions.get("valid"))
    return found if found is not None and len(found) else None


def figures_of_other(
    name: str, said: AnyPredictions, home: AnyPredictions, *, labelled: AnyPredictions | None, seed: int = 0
) -> tuple[Claim, dict[str, Any]]:
    """Return the claim on other data, and its figures; with labels also what would have been said without them.

    Parameters
    ----------
    said : predictions of the other data.
    home : of the test split.
    labelled : held-out examples that the estimate without labels rests on; None: `home`.
    """
    claim, facts = judge_shift(name, said, home, labelled=labelled, seed=seed)
    figures: dict[str, Any] = {
        "n": len(said),
        "n_labelled": len(with_targets(said)),
        "accuracy": facts["accuracy"].as_dict(),
        "loss": facts["loss"].as_dict(),
    }
    source = labelled if labelled is not None else home
    estimate = without_labels(source, said, seed=seed)
    figures["without_labels"] = estimate.as_dict() | {"from": source.split or "test", "n": len(source)}
    return claim, figures
