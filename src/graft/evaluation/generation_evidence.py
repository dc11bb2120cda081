"""All figures and claims of a fine-tuned language model, from its losses and its texts beside the base model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.answer_losses import (
    AnswerLosses,
    LossChange,
    compare_losses,
    in_common,
    loss_per_token,
    perplexity,
)
from graft.evaluation.claims import Claim, not_judged
from graft.evaluation.generation_claims import (
    ScoreComparison,
    compare_with,
    judge_contamination,
    judge_recital,
    judge_repetition,
    judge_stops,
)
from graft.evaluation.generation_metrics import GenerationMetric
from graft.evaluation.generations import Generations, ScoredTexts, mean_score, share_ended
from graft.evaluation.intervals import NoInterval
from graft.evaluation.loss_claims import judge_forgetting, judge_learned, judge_more_data, judge_overfitting
from graft.evaluation.overfitting import judge_loss_history
from graft.evaluation.signal import judge_signal

__all__ = ["BASE", "GenerationEvidence", "evaluate_generations", "figures_of_split"]

BASE = "base-zero-shot"
"""The baseline that is the base model itself, without examples in its prompt."""


@dataclass(frozen=True)
class GenerationEvidence:
    """What was measured of a fine-tuned language model.

    Parameters
    ----------
    metric : by which texts are judged.
    texts : the model's, of the test split.
    baselines : texts of the same prompts, by baseline; `BASE` and ``"base-few-shot"``.
    losses : the final model's, by split; ``"test"`` at least.
    losses_before : the base model's of the same answers, by split.
    baseline_losses : of test answers, by baseline; those that the model's own hold as well are compared.
    other_texts : losses of other text, base model before and final model after, by what the text is called.
    train : prompt and answer of each training example.
    history : looks at the held-out loss while training, each with ``step`` and ``log_loss``.
    sizes : training examples of smaller runs and the losses of the test answers after each, for the learning curve.

    Raises
    ------
    DataError
        When the texts of a baseline are of other prompts.
    """

    metric: GenerationMetric
    texts: Generations
    baselines: Mapping[str, Generations]
    losses: Mapping[str, AnswerLosses]
    losses_before: Mapping[str, AnswerLosses]
    train: Sequence[tuple[str, str]]
    baseline_losses: Mapping[str, AnswerLosses] = field(default_factory=dict)
    other_texts: Mapping[str, tuple[AnswerLosses, AnswerLosses]] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    sizes: Mapping[int, AnswerLosses] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, other in self.baselines.items():
            if list(other.ids) != list(self.texts.ids):
                raise DataError(f"texts of {name} of other prompts", expected="the same ids in one order")

    def scored(self) -> ScoredTexts:
        """Return the texts with their scores, as a run keeps them."""
        others = {name: other.texts for name, other in self.baselines.items()}
        return ScoredTexts(self.texts, self.metric.scores(self.texts), others)


def evaluate_generations(evidence: GenerationEvidence, *, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Return what ``metrics.json`` holds of a language model: figures by split, baselines, forgetting, claims.

    Raises
    ------
    DataError
        When a metric fails on a text, or what belongs together differs.
    """
    own = evidence.metric.scores(evidence.texts)
    others = {name: evidence.metric.scores(texts) for name, texts in evidence.baselines.items()}
    is_share = evidence.metric.is_share or all(np.isin(s, (0.0, 1.0)).all() for s in (own, *others.values()))
    changes = {}
    for name, losses in evidence.baseline_losses.items():
        theirs, ours = in_common(losses, evidence.losses["test"])
        if len(theirs):
            changes[name] = compare_losses(theirs, ours, level=level, seed=seed).change.difference
    metric = evidence.metric.name
    compared = compare_with(own, others, metric=metric, is_share=is_share, losses=changes, seed=seed)
    forgotten = {
        name: compare_losses(before, after, level=level, seed=seed)
        for name, (before, after) in evidence.other_texts.items()
    }
    claims = _claims(evidence, own, compared, forgotten, seed=seed)
    return {
        "headline": metric,
        "metric": {"name": metric, "meaning": evidence.metric.meaning, "is_share": is_share},
        "test": figures_of_split(
            metric, own, evidence.texts, evidence.losses["test"], is_share=is_share, level=level, seed=seed
        ),
        "baselines": {
            name: _baseline(evidence, name, others[name], compared[name], is_share=is_share, level=level, seed=seed)
            for name in others
        },
        "held_out": {k: _losses(v, level, seed) for k, v in evidence.losses.items() if k not in ("train", "test")},
        "train": _losses(evidence.losses["train"], level, seed) if "train" in evidence.losses else {},
        "before": {name: _losses(losses, level, seed) for name, losses in evidence.losses_before.items()},
        "forgetting": {name: change.as_dict() for name, change in forgotten.items()},
        "claims": [claim.as_dict() for claim in claims],
    }


def figures_of_split(
    metric: str,
    scores: NDArray[np.float64],
    texts: Generations,
    losses: AnswerLosses,
    *,
    is_share: bool,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Return a split's score, loss per token, perplexity and share of texts that end, with intervals.

    Parameters
    ----------
    metric : name of what gave the scores.
    scores : (n_examples,), of the texts.
    losses : of all true answers of the split.
    """
    return {
        metric: _score(scores, is_share, level, seed),
        **_losses(losses, level, seed),
        "ends_by_itself": share_ended(texts, level=level).as_dict(),
        "n_examples": len(texts),
        "n_loss_examples": len(losses),
    }


def _claims(
    evidence: GenerationEvidence,
    scores: NDArray[np.float64],
    compared: Mapping[str, ScoreComparison],
    forgotten: Mapping[str, LossChange],
    *,
    seed: int,
) -> list[Claim]:
    """Return all claims, in the order in which they are asked."""
    after, before = evidence.losses, evidence.losses_before
    found = judge_signal(compared)
    if "test" in before:
        found.append(judge_learned(compare_losses(before["test"], after["test"], seed=seed), n=len(after["test"])))
    if "train" in after and min(len(after["train"]), len(after["test"])) > 1:
        found.append(
            judge_overfitting(
                after["train"],
                after["test"],
                seen_before=before.get("train"),
                held_out_before=before.get("test"),
                seed=seed,
            )
        )
    rises = judge_loss_history(evidence.history, n=len(after.get("valid", after["test"])))
    found += [rises] if rises is not None else []
    found += judge_forgetting(forgotten)
    found += [judge_stops(evidence.texts), judge_repetition(evidence.texts, seed=seed)]
    found.append(judge_recital(evidence.texts, [answer for _, answer in evidence.train]))
    test = list(zip(evidence.texts.prompts, evidence.texts.references, strict=True))
    found.append(judge_contamination(test, evidence.train, scores=scores, metric=evidence.metric.name))
    if evidence.sizes:
        found.append(judge_more_data(list(evidence.sizes), list(evidence.sizes.values()), seed=seed))
    else:
        why = "it takes training on parts of the data (--more-data, Python: more_data=True)"
        found.append(not_judged("more_data", "Would more data help?", why=why))
    return found


def _baseline(
    evidence: GenerationEvidence,
    name: str,
    scores: NDArray[np.float64],
    compared: ScoreComparison,
    *,
    is_share: bool,
    level: float,
    seed: int,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        evidence.metric.name: _score(scores, is_share, level, seed),
        "ends_by_itself": share_ended(evidence.baselines[name], level=level).as_dict(),
        "paired_test": compared.paired.as_dict() | {"adjusted_p_value": compared.adjusted_p_value},
    }
    if name in evidence.baseline_losses:
        found |= _losses(evidence.baseline_losses[name], level, seed)
    return found


def _score(scores: NDArray[np.float64], is_share: bool, level: float, seed: int) -> dict[str, Any]:
    return mean_score(scores, is_share=is_share, level=level, seed=seed).as_dict()


def _losses(losses: AnswerLosses, level: float, seed: int) -> dict[str, Any]:
    """Return loss per token and perplexity, strict JSON."""
    found = {
        "loss_per_token": loss_per_token(losses, level=level, seed=seed),
        "perplexity": perplexity(losses, level=level, seed=seed),
    }
    return {name: _finite(figure).as_dict() for name, figure in found.items()}


def _finite(figure: Estimate | NoInterval) -> Estimate | NoInterval:
    if isinstance(figure, Estimate) and np.isfinite([figure.value, figure.low, figure.high]).all():
        return figure
    if isinstance(figure, Estimate):
        return NoInterval(None, figure.n, "the figure is not finite", figure.level)
    return figure if figure.value is None or np.isfinite(figure.value) else replace(figure, value=None)
