"""What a language model wrote: the only currency between generation and its judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.types import Estimate
from graft.evaluation.bootstrap import bootstrap_means, draw_together
from graft.evaluation.comparisons import PairedBootstrap, PairedTest, mcnemar_exact, paired_bootstrap
from graft.evaluation.intervals import NoInterval, proportion

__all__ = ["Generations", "ScoredTexts", "compare_scores", "mean_score", "share_ended"]


@dataclass(frozen=True)
class Generations:
    """Texts that a model wrote to prompts, beside the true answers.

    Parameters
    ----------
    ids : n_examples names.
    prompts : what was asked, as a reader would see it.
    references : the true answers; empty where there is none.
    texts : what was written, without special tokens.
    ended : (n_examples,), whether the model stopped by itself, by a stop token, before the limit of tokens.
    n_tokens : (n_examples,), tokens written, the stop token among them.
    split : which split the examples come from, for example ``"test"``.

    Raises
    ------
    DataError
        When the lengths do not fit each other.
    """

    ids: Sequence[str]
    prompts: Sequence[str]
    references: Sequence[str]
    texts: Sequence[str]
    ended: NDArray[np.bool_]
    n_tokens: NDArray[np.int64]
    split: str = ""

    def __post_init__(self) -> None:
        n = len(self.ids)
        sizes = (len(self.prompts), len(self.references), len(self.texts), len(self.ended), len(self.n_tokens))
        if any(size != n for size in sizes):
            raise DataError(f"generations with {n} ids and {sizes}", expected="one of each an example")

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: NDArray[np.int64]) -> Generations:
        """Return some of the examples."""
        picked = [int(i) for i in rows]
        ids, prompts, references, texts = (
            [texts[i] for i in picked] for texts in (self.ids, self.prompts, self.references, self.texts)
        )
        return Generations(ids, prompts, references, texts, self.ended[picked], self.n_tokens[picked], self.split)


@dataclass(frozen=True)
class ScoredTexts:
    """Texts as a run keeps them, beside what others wrote to the same prompts.

    Parameters
    ----------
    texts : the model's.
    scores : (n_examples,), by the run's metric.
    baselines : texts in the same order, by baseline.
    """

    texts: Generations
    scores: NDArray[np.float64]
    baselines: Mapping[str, Sequence[str]] = field(default_factory=dict)


def share_ended(generations: Generations, *, level: float = 0.95) -> Estimate | NoInterval:
    """Return the share of texts that ended by themselves."""
    return proportion(int(generations.ended.sum()), len(generations), level=level)


def mean_score(
    scores: NDArray[np.float64], *, is_share: bool, level: float = 0.95, seed: int = 0
) -> Estimate | NoInterval:
    """Return the mean of scores of examples with its interval: Wilson's of right and wrong, else BCa's.

    Raises
    ------
    DataError
        When a score is not a number, or scores of right and wrong hold another than 0 and 1.

    Examples
    --------
    >>> mean_score(np.array([1.0, 0.0, 1.0, 1.0]), is_share=True).method
    'wilson'
    """
    _check(scores, is_share=is_share)
    if not scores.size:
        return NoInterval(None, 0, "no examples", level)
    if is_share:
        return proportion(int(scores.sum()), scores.size, level=level)
    return bootstrap_means(scores[None, :], level=level, seed=seed, purpose="scores")[0]


def compare_scores(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    metric: str,
    is_share: bool,
    level: float = 0.95,
    seed: int = 0,
) -> PairedTest | PairedBootstrap:
    """Return the test of two models' scores of the same examples in one order: McNemar's of right and wrong.

    Raises
    ------
    DataError
        When the numbers of scores differ, are none, or `mean_score` would not take them.

    Examples
    --------
    >>> compare_scores(np.ones(10), np.zeros(10), metric="exact-match", is_share=True).p_value < 0.01
    True
    """
    if own.shape != other.shape or not own.size:
        raise DataError(f"{own.size} and {other.size} scores", expected="the same, not empty, examples for both")
    for scores in (own, other):
        _check(scores, is_share=is_share)
    if is_share:
        return mcnemar_exact(own == 1, other == 1, level=level)
    both = np.stack([own, other], axis=1)
    a, b = draw_together(lambda w: np.asarray(w @ both / own.size), own.size, seed=seed, purpose="scores")
    return paired_bootstrap(a, b, metric=metric, level=level)


def _check(scores: NDArray[np.float64], *, is_share: bool) -> None:
    if not np.isfinite(scores).all() or (is_share and not np.isin(scores, (0.0, 1.0)).all()):
        raise DataError(
            "scores that are no numbers, or neither right nor wrong",
            expected="0 or 1 an example" if is_share else "a finite number an example",
        )
