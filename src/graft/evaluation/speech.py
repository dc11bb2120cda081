"""How well speech was recognised: error rates with intervals for new speakers or recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.core.types import Estimate
from graft.evaluation.bootstrap import bca_bootstrap
from graft.evaluation.intervals import NoInterval
from graft.evaluation.word_errors import ErrorCounts, character_errors, word_errors

__all__ = [
    "FEWEST_CLUSTERS",
    "SpeechEvaluation",
    "Transcripts",
    "compare_transcripts",
    "error_rate",
    "evaluate_speech",
    "paired_p_value",
]

FEWEST_CLUSTERS: Final = 10  # speakers or recordings under which a bootstrap over them says too little
_NOTHING = ErrorCounts(0, 0, 0, 0)
_ALL_SIGNS = 12  # utterances that differ, up to which all ways to turn their signs are counted


@dataclass(frozen=True)
class Transcripts:
    """What was said and what a model heard; the only currency between recogniser and evaluation.

    Parameters
    ----------
    ids : n_utterances names.
    said, heard : texts in one form.
    clusters : (n_utterances,), number of the speaker or recording of each.
    cluster_name : ``"speaker"``, ``"recording"`` or what else the clusters are.
    losses : (n_utterances,), the model's loss per second of sound; None: not computed.
    """

    ids: tuple[str, ...]
    said: tuple[str, ...]
    heard: tuple[str, ...]
    clusters: NDArray[np.int64]
    cluster_name: str = "recording"
    losses: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.said) == len(self.heard) == len(self.clusters):
            raise DataError("transcripts of unequal number", expected="one of each an utterance")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class SpeechEvaluation:
    """Error rates of a split.

    Parameters
    ----------
    wer, cer : by words and by characters.
    words, characters : errors by kind.
    n_utterances, n_clusters : judged.
    exact : share of utterances without an error.
    """

    wer: Estimate | NoInterval
    cer: Estimate | NoInterval
    words: ErrorCounts
    characters: ErrorCounts
    n_utterances: int
    n_clusters: int
    cluster_name: str
    exact: float

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form that ``metrics.json`` holds."""
        return {
            "wer": _as_dict(self.wer),
            "cer": _as_dict(self.cer),
            "words": _counts(self.words),
            "characters": _counts(self.characters),
            "n_utterances": self.n_utterances,
            "n_clusters": self.n_clusters,
            "clusters": self.cluster_name,
            "exact_utterances": self.exact,
        }


def error_rate(
    said: Sequence[str], heard: Sequence[str], *, of: Callable[[str, str], ErrorCounts] = word_errors
) -> float:
    """Return the errors of all utterances by all that was said.

    Examples
    --------
    >>> error_rate(["one two", "three"], ["one", "three"])
    0.3333333333333333
    """
    return reduce(add, (of(s, h) for s, h in zip(said, heard, strict=True)), _NOTHING).rate


def evaluate_speech(transcripts: Transcripts, *, seed: int = 0, level: float = 0.95) -> SpeechEvaluation:
    """Return the error rates of some utterances with intervals for new clusters like these.

    Raises
    ------
    DataError
        When there is no utterance.

    Notes
    -----
    The bootstrap draws whole speakers or recordings, as errors within one go together; below 10 of them no interval is
    given, and that is said.

    References
    ----------
    Liu and Peng, Statistical Testing on ASR Performance via Blockwise Bootstrap, 2020, https://arxiv.org/abs/1912.09508
    """
    if not len(transcripts):
        raise DataError("no utterance to judge", expected="at least one")
    words = [word_errors(s, h) for s, h in zip(transcripts.said, transcripts.heard, strict=True)]
    characters = [character_errors(s, h) for s, h in zip(transcripts.said, transcripts.heard, strict=True)]
    numbers = np.unique(transcripts.clusters, return_inverse=True)[1]
    name = transcripts.cluster_name
    return SpeechEvaluation(
        _rate(words, numbers, name=name, seed=seed, level=level),
        _rate(characters, numbers, name=name, seed=seed, level=level),
        reduce(add, words),
        reduce(add, characters),
        len(transcripts),
        int(numbers.max()) + 1,
        name,
        float(np.mean([c.errors == 0 for c in words])),
    )


def compare_transcripts(a: Transcripts, b: Transcripts, *, seed: int = 0, level: float = 0.95) -> Estimate | NoInterval:
    """Return the word error rate of A less that of B on the same utterances: below zero, A is better.

    Parameters
    ----------
    a, b : of the same utterances in the same order; the clusters are those of A.

    Raises
    ------
    DataError
        When there is no utterance, or what was said differs.

    Notes
    -----
    The draws of speakers or recordings are the same for both, so that what is hard for both cancels out.
    """
    if not len(a):
        raise DataError("no utterance to compare on", expected="at least one")
    if a.ids != b.ids or a.said != b.said:
        raise DataError("transcripts of other utterances", expected="the same utterances with the same texts, in order")
    pairs = [
        (word_errors(said, first), word_errors(said, second))
        for said, first, second in zip(a.said, a.heard, b.heard, strict=True)
    ]
    numbers = np.unique(a.clusters, return_inverse=True)[1]
    gaps = [first.errors - second.errors for first, second in pairs]
    return _by_clusters(gaps, [first.n for first, _ in pairs], numbers, name=a.cluster_name, seed=seed, level=level)


def paired_p_value(a: Transcripts, b: Transcripts, *, n_draws: int = 9_999, seed: int = 0) -> float:
    """Return how often chance makes as large a difference of word errors on the same utterances, two-sided.

    Parameters
    ----------
    a, b : of the same utterances in the same order.
    n_draws : of signs, where there are more than 2^12 ways to set them.

    Raises
    ------
    DataError
        As `compare_transcripts`.

    Notes
    -----
    The sign of each utterance's difference is turned over at random (Fisher's randomisation test). It speaks of further
    utterances of these speakers: for others there is no test under ten of them.

    Examples
    --------
    >>> said = tuple("abcdef")
    >>> right = Transcripts(said, said, said, np.arange(6), "speaker")
    >>> wrong = Transcripts(said, said, ("x",) * 6, np.arange(6), "speaker")
    >>> paired_p_value(right, wrong)
    0.03125
    """
    if a.ids != b.ids or a.said != b.said:
        raise DataError("transcripts of other utterances", expected="the same utterances with the same texts, in order")
    gaps = np.array(
        [
            word_errors(said, first).errors - word_errors(said, second).errors
            for said, first, second in zip(a.said, a.heard, b.heard, strict=True)
        ],
        dtype=np.int64,
    )
    gaps = gaps[gaps != 0]
    if not gaps.size:
        return 1.0
    if gaps.size <= _ALL_SIGNS:
        signs = 1 - 2 * ((np.arange(2**gaps.size)[:, None] >> np.arange(gaps.size)) & 1)
        return float((np.abs(signs @ gaps) >= abs(gaps.sum())).mean())
    signs = 1 - 2 * generator(seed, "word errors", len(gaps)).integers(0, 2, (n_draws, gaps.size))
    return float((1 + (np.abs(signs @ gaps) >= abs(gaps.sum())).sum()) / (n_draws + 1))


def _rate(
    counts: Sequence[ErrorCounts], clusters: NDArray[np.int64], *, name: str, seed: int, level: float
) -> Estimate | NoInterval:
    errors, words = [c.errors for c in counts], [c.n for c in counts]
    return _by_clusters(errors, words, clusters, name=name, seed=seed, level=level)


def _by_clusters(
    errors_of: Sequence[int], said_of: Sequence[int], clusters: NDArray[np.int64], *, name: str, seed: int, level: float
) -> Estimate | NoInterval:
    """Return errors by what was said, with an interval for new clusters."""
    n_clusters = int(clusters.max()) + 1
    errors = np.bincount(clusters, weights=errors_of)
    said = np.bincount(clusters, weights=said_of)
    value = float(errors.sum() / said.sum()) if said.sum() else None
    if n_clusters < FEWEST_CLUSTERS or value is None:
        lacking = (
            f"not estimable from {n_clusters} {name}{'' if n_clusters == 1 else 's'}: {FEWEST_CLUSTERS} are needed"
        )
        return NoInterval(value, n_clusters, lacking, level)

    def rates(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rate of each draw of clusters; a draw in which nothing is said has none."""
        total = weights @ said
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(total > 0, (weights @ errors) / total, np.nan), np.float64)

    return bca_bootstrap(rates, n_clusters, level=level, seed=seed, purpose="word errors")


def _as_dict(e: Estimate | NoInterval) -> dict[str, Any]:
    return {"value": e.value, "low": e.low, "high": e.high, "n": e.n, "method": e.method, "level": e.level}


def _counts(c: ErrorCounts) -> dict[str, int]:
    return {"n": c.n, "substituted": c.substituted, "deleted": c.deleted, "inserted": c.inserted}
