"""How the kept model decides: labels' thresholds, or an offset for unequal classes; chosen on held-out examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.api.tuned import Tuned
from graft.core.decision import AnyPredictions, Decision
from graft.core.errors import UsageError
from graft.data.dataset import Splits
from graft.evaluation import choose_decision, imbalance_of
from graft.methods.head_only import HeadFit

__all__ = ["decide", "decision_of_head", "held_out", "refuse_for_label_sets"]


def refuse_for_label_sets(splits: Splits, config: FitConfig) -> None:
    """Raise where an option is meant for one class an example, and the examples have any number of labels."""
    if not splits.train.is_multi_label:
        return
    if config.class_weights not in ("none", "auto"):
        raise UsageError(
            f"--class-weights {config.class_weights} with any number of labels an example",
            expected="none: each label has a threshold of its own, chosen on held-out examples",
            fix="leave --class-weights away (Python: class_weights='none')",
        )
    if config.from_scratch:
        raise UsageError(
            "--from-scratch with any number of labels an example",
            expected="one class an example",
            fix="leave --from-scratch away (Python: from_scratch=False)",
        )


def decision_of_head(embedded: Embedded, head: HeadFit, config: FitConfig) -> Decision:
    """Return how the head on frozen features decides."""
    return _decision(embedded, head.out_of_fold_logits, head.thresholds, config)[0]


def decide(
    embedded: Embedded, head: HeadFit, tuned: Tuned, config: FitConfig, *, say: Callable[[str], None]
) -> tuple[Decision, dict[str, Any] | None]:
    """Return how the kept model decides, and what metrics and manifest keep of the choice (None: nothing was chosen).

    Notes
    -----
    Whatever is kept, the examples that choose were not seen by the model that speaks of them: the folds of the head, or
    those of the contest.
    """
    train = embedded.splits["train"]
    if not train.is_multi_label:
        imbalance = imbalance_of(train.class_counts, embedded.label_names)
        if imbalance.is_imbalanced:
            say(imbalance.sentence(noun=embedded.noun))
    logits, thresholds = head.out_of_fold_logits, head.thresholds
    if tuned.task is not None and tuned.contest is not None and tuned.contest.verdict is not None:
        logits, thresholds = tuned.contest.verdict.logits, tuned.contest.verdict.thresholds
    decision, facts = _decision(embedded, logits, thresholds, config)
    if decision.offset is not None and facts is not None:
        say(
            f"decision: {facts['strength']:.0%} of the classes' log-frequencies taken off, chosen on held-out examples;"
            " the saved probabilities stay calibrated, so transformers' pipeline says the likeliest class"
        )
    return decision, facts


def held_out(embedded: Embedded, head: HeadFit, tuned: Tuned, decision: Decision) -> AnyPredictions | None:
    """Return predictions of examples that the kept model, or its like of other folds, was not fitted to.

    None where a fine-tuned network is kept without a contest.
    """
    names, train = embedded.label_names, embedded.splits["train"]
    if tuned.task is None:
        return decision.predictions(
            train.ids, train.labels, logits=head.out_of_fold_logits, label_names=names, split="out_of_fold"
        )
    if tuned.contest is None or tuned.contest.verdict is None:
        return None
    parts = [train, *([embedded.splits["valid"]] if "valid" in embedded.splits else [])]
    rows, labels = tuned.contest.rows, np.concatenate([part.labels for part in parts])
    ids = [example for part in parts for example in part.ids]
    return decision.predictions(
        [ids[int(row)] for row in rows],
        labels[rows],
        logits=tuned.contest.verdict.logits,
        label_names=names,
        split="held_out",
    )


def _decision(
    embedded: Embedded, logits: NDArray[np.float32], thresholds: NDArray[np.float64] | None, config: FitConfig
) -> tuple[Decision, dict[str, Any] | None]:
    train = embedded.splits["train"]
    if train.is_multi_label:
        return Decision(thresholds=thresholds), None
    if config.class_weights == "none":
        return Decision(), None
    imbalance = imbalance_of(train.class_counts, embedded.label_names)
    if config.class_weights != "auto" or not imbalance.is_imbalanced:
        return Decision(), {"rule": "likeliest class", "class_weights": config.class_weights, "strength": 0.0}
    rule = choose_decision(logits, train.class_counts)
    return Decision(offset=rule.offset if rule.strength else None), rule.as_dict()
