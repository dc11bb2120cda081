"""Long passages that texts share word for word: training answers recited, test examples seen in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graft.evaluation.text_overlap import grams, words_of

__all__ = ["LONG", "Recited", "contaminated", "recited"]

LONG: Final = 13
"""Words in a row that two texts do not share by chance."""

_BOILERPLATE: Final = 10  # training examples with the same words from which on they are a form, not an example


@dataclass(frozen=True)
class Recited:
    """What of each text stands word for word in a training answer.

    Parameters
    ----------
    longest : (n_texts,), words of the longest passage; 0 where none is long enough.
    share : (n_texts,), share of the text's words that lie in such passages.
    source : (n_texts,), number of the training answer with the longest passage; -1 where there is none.
    """

    longest: NDArray[np.int64]
    share: NDArray[np.float64]
    source: NDArray[np.int64]

    @property
    def is_any(self) -> NDArray[np.bool_]:
        """(n_texts,), whether the text holds such a passage."""
        return np.asarray(self.longest > 0)


def recited(texts: Sequence[str], answers: Sequence[str], *, prompts: Sequence[str] = (), n: int = LONG) -> Recited:
    """Return the passages of at least `n` words that texts share with training answers.

    Parameters
    ----------
    texts : what a model wrote.
    answers : the training answers.
    prompts : of the texts; what already stands in its prompt is not recited. May be empty.

    Notes
    -----
    A passage is a run of words of which every `n` in a row stand in one training answer or another.

    References
    ----------
    Carlini et al. 2023, Quantifying memorization across neural language models, https://arxiv.org/abs/2202.07646 (there
    50 tokens in a row; here words, as many as contamination is judged by).

    Examples
    --------
    >>> found = recited(["so: one two three four now"], ["one two three four five"], n=3)
    >>> int(found.longest[0]), round(float(found.share[0]), 2)
    (4, 0.67)
    """
    index: dict[tuple[str, ...], int] = {}
    for row, answer in enumerate(answers):
        for gram in grams(words_of(answer), n):
            index.setdefault(gram, row)
    longest, share = np.zeros(len(texts), np.int64), np.zeros(len(texts))
    source = np.full(len(texts), -1, np.int64)
    for i, text in enumerate(texts):
        words = words_of(text)
        own = set(grams(words_of(prompts[i]), n)) if len(prompts) else set()
        rows = [-1 if gram in own else index.get(gram, -1) for gram in grams(words, n)]
        covered = np.zeros(len(words), np.bool_)
        run = 0
        for place, row in enumerate(rows):
            run = run + 1 if row >= 0 else 0
            if row >= 0:
                covered[place : place + n] = True
                if run + n - 1 > longest[i]:
                    longest[i], source[i] = run + n - 1, row
        if words:
            share[i] = covered.mean()
    return Recited(longest, share, source)


def contaminated(
    test: Sequence[tuple[str, str]], train: Sequence[tuple[str, str]], *, n: int = LONG
) -> NDArray[np.int64]:
    """Return for each test example the number of a training example that it shares a passage with; -1: with none.

    Parameters
    ----------
    test, train : prompt and answer of each example.

    Notes
    -----
    A prompt, or prompt and answer together, that has `n` words in a row in common with those of a training example is
    contaminated; shorter ones, where all words are the same. What more than ten training examples share is a form, not
    an example, and is passed over.

    References
    ----------
    Brown et al. 2020, Language models are few-shot learners, appendix C, https://arxiv.org/abs/2005.14165. There a text
    of fewer words is also looked for within longer ones; here it must be the whole.

    Examples
    --------
    >>> contaminated([("What is it?", "A cat"), ("What is it?", "A dog")], [("What is it", "a cat!")]).tolist()
    [0, 0]
    """
    seen: dict[tuple[str, ...], list[int]] = {}
    for row, example in enumerate(train):
        for gram in set(_passages(example, n)):
            found = seen.setdefault(gram, [])
            if len(found) <= _BOILERPLATE:
                found.append(row)
    rows = np.full(len(test), -1, np.int64)
    for i, example in enumerate(test):
        for gram in _passages(example, n):
            if 0 < len(found := seen.get(gram, [])) <= _BOILERPLATE:
                rows[i] = found[0]
                break
    return rows


def _passages(example: tuple[str, str], n: int) -> Iterable[tuple[str, ...]]:
    """Yield what may be shared: runs of `n` words of prompt and answer, or all words where there are fewer."""
    prompt, answer = (words_of(text) for text in example)
    for words in (prompt, prompt + answer):
        if words:
            yield from grams(words, n) if len(words) >= n else [tuple(words)]
