"""CTC's likeliest text: a beam over prefixes, with a language model of words where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graft.backbones.word_ngrams import BEGIN, END, WordNgrams

__all__ = ["BeamSearch", "aligned_path"]

_NOTHING = -math.inf


@dataclass(frozen=True)
class BeamSearch:
    """How CTC's frames are decoded.

    Parameters
    ----------
    tokens : the text of each token; those that are no letters (``<unk>`` and the like) are never written.
    blank, delimiter : numbers of CTC's blank and of the token between words.
    language : of words; None: letters alone decide.
    weight : of the language model's logarithm beside the network's.
    bonus : added for each word, as a language model likes few words.
    width : prefixes that are kept after each frame.
    narrow : tokens whose logarithm lies further below the best of a frame are not tried there.

    References
    ----------
    Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs, 2014,
    https://arxiv.org/abs/1408.2873, algorithm 1.
    """

    tokens: tuple[str, ...]
    blank: int
    delimiter: int
    language: WordNgrams | None = None
    weight: float = 0.5
    bonus: float = 0.0
    width: int = 24
    narrow: float = 7.0

    def with_weights(self, weight: float, bonus: float) -> BeamSearch:
        """Return the same with other weights."""
        return replace(self, weight=weight, bonus=bonus)

    def text_tokens(self, log_p: NDArray[np.floating]) -> list[int]:
        """Return the tokens of the likeliest text, letters and delimiters.

        Parameters
        ----------
        log_p : (n_frames, n_tokens), natural logarithms of probabilities.
        """
        scorer = _Words(self)
        root = _Prefix(None, -1, scorer)
        beam: dict[_Prefix, tuple[float, float]] = {root: (0.0, _NOTHING)}  # ends in a blank; ends in its last token
        is_written = np.array([len(t) == 1 or i == self.delimiter for i, t in enumerate(self.tokens)])
        is_written[self.blank] = False
        for frame in np.asarray(log_p, np.float64):
            blank = float(frame[self.blank])
            tried = np.flatnonzero(is_written & (frame > frame.max() - self.narrow)).tolist()
            found: dict[_Prefix, tuple[float, float]] = {}
            for prefix, (in_blank, in_token) in beam.items():
                whole = _sum(in_blank, in_token)
                here = found.get(prefix, (_NOTHING, _NOTHING))
                stays = in_token + float(frame[prefix.token]) if prefix.token >= 0 else _NOTHING
                found[prefix] = (_sum(here[0], whole + blank), _sum(here[1], stays))
                for token in tried:
                    p = float(frame[token])
                    start = in_blank if token == prefix.token else whole
                    if start == _NOTHING:
                        continue
                    longer = prefix.then(token, scorer)
                    old = found.get(longer, (_NOTHING, _NOTHING))
                    found[longer] = (old[0], _sum(old[1], start + p))
            if len(found) > self.width:
                ranked = sorted(found, key=lambda prefix: -(_sum(*found[prefix]) + prefix.score))
                found = {prefix: found[prefix] for prefix in ranked[: self.width]}
            beam = found
        best = max(beam, key=lambda prefix: _sum(*beam[prefix]) + scorer.ended(prefix))
        return best.spelled()

    def path(self, log_p: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the token of each frame on the likeliest way to the likeliest text: (n_frames,)."""
        return aligned_path(log_p, self.text_tokens(log_p), blank=self.blank)


class _Prefix:
    """A text so far: a node of the tree of all that were tried."""

    __slots__ = ("children", "history", "letters", "parent", "score", "token", "words_score")

    def __init__(self, parent: _Prefix | None, token: int, scorer: _Words) -> None:
        self.parent, self.token = parent, token
        self.children: dict[int, _Prefix] = {}
        self.history: tuple[str, ...]
        if parent is None:
            self.history, self.letters, self.words_score = (BEGIN,), "", 0.0
        elif token == scorer.search.delimiter:
            self.words_score, self.history = scorer.closed(parent)
            self.letters = ""
        else:
            self.history, self.words_score = parent.history, parent.words_score
            self.letters = parent.letters + scorer.search.tokens[token]
        self.score = self.words_score + scorer.foreseen(self)

    def then(self, token: int, scorer: _Words) -> _Prefix:
        """Return the text with one more token."""
        found = self.children.get(token)
        if found is None:
            found = self.children[token] = _Prefix(self, token, scorer)
        return found

    def spelled(self) -> list[int]:
        """Return the tokens."""
        tokens: list[int] = []
        node: _Prefix | None = self
        while node is not None and node.token >= 0:
            tokens.append(node.token)
            node = node.parent
        return tokens[::-1]


class _Words:
    """What the language model adds to a text, word by word."""

    def __init__(self, search: BeamSearch) -> None:
        self.search = search
        words = frozenset() if search.language is None else search.language.words
        self._words = words
        self._n_kept = 1 if search.language is None else max(1, search.language.order - 1)
        self._beginnings = {word[:n] for word in words for n in range(1, len(word) + 1)}
        self._letter = math.log(max(2, sum(len(t) == 1 for t in search.tokens)))

    def closed(self, prefix: _Prefix) -> tuple[float, tuple[str, ...]]:
        """Return the score with the open word closed, and the history after it."""
        if not prefix.letters:
            return prefix.words_score, prefix.history
        score = prefix.words_score + self._word(prefix.history, prefix.letters)
        return score, (*prefix.history, prefix.letters)[-self._n_kept :]

    def foreseen(self, prefix: _Prefix) -> float:
        """Return what an open word that no known word begins with will cost at least."""
        if self.search.language is None or not prefix.letters or prefix.letters in self._beginnings:
            return 0.0
        return self._word(prefix.history, prefix.letters) - self.search.bonus

    def ended(self, prefix: _Prefix) -> float:
        """Return the score of a whole text."""
        score, history = self.closed(prefix)
        if self.search.language is None:
            return score
        return score + self.search.weight * self.search.language.score(history, END)

    def _word(self, history: tuple[str, ...], word: str) -> float:
        if self.search.language is None:
            return self.search.bonus
        p = self.search.language.score(history, word)
        if word not in self._words:
            p -= self._letter * (len(word) + 1)  # an unknown word is spelled letter by letter
        return self.search.weight * p + self.search.bonus


def aligned_path(log_p: NDArray[np.floating], tokens: Sequence[int], *, blank: int) -> NDArray[np.int64]:
    """Return the likeliest way in which frames spell a text: the token of each, (n_frames,).

    Parameters
    ----------
    log_p : (n_frames, n_tokens), natural logarithms.
    tokens : of the text, without blanks; no more than the frames can spell.

    Examples
    --------
    >>> log_p = np.log(np.array([[0.1, 0.8, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]]))
    >>> aligned_path(log_p, [1, 2], blank=0).tolist()
    [1, 0, 2]
    """
    n_frames = len(log_p)
    states = np.full(2 * len(tokens) + 1, blank, np.int64)
    states[1::2] = tokens
    if not len(tokens) or not n_frames:
        return np.full(n_frames, blank, np.int64)
    may_skip = np.zeros(len(states), bool)
    may_skip[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    score = np.full(len(states), -np.inf)
    score[:2] = log_p[0, states[:2]]
    came = np.zeros((n_frames, len(states)), np.int8)
    for frame in range(1, n_frames):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        ways = np.stack([score, one, two])
        came[frame] = ways.argmax(axis=0)
        score = ways.max(axis=0) + log_p[frame, states]
    at = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    path = np.zeros(n_frames, np.int64)
    for frame in range(n_frames - 1, -1, -1):
        path[frame] = states[at]
        at -= int(came[frame, at])
    return path


def _sum(a: float, b: float) -> float:
    """Return log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == _NOTHING else a + math.log1p(math.exp(b - a))
