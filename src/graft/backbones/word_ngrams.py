"""A language model of words: n-grams with interpolated Kneser-Ney smoothing, kept and read as an ARPA file."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from graft.core.errors import DataError

__all__ = ["BEGIN", "END", "UNKNOWN", "WordNgrams", "learn_ngrams", "read_arpa", "write_arpa"]

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
_DISCOUNT: Final = 0.75
_NEVER: Final = -99.0  # log10, as ARPA files write nought

Words = tuple[str, ...]


@dataclass(frozen=True)
class WordNgrams:
    """Probabilities of words after words, as a backoff model.

    Parameters
    ----------
    order : longest n-gram.
    log_p : natural logarithm of the last word's probability after the others, by n-gram.
    backoff : natural logarithm of the factor of a shorter history's probabilities, by history.
    """

    order: int
    log_p: Mapping[Words, float]
    backoff: Mapping[Words, float] = field(default_factory=dict)

    @property
    def words(self) -> frozenset[str]:
        """Words that it knows."""
        return frozenset(key[0] for key in self.log_p if len(key) == 1) - {BEGIN, END, UNKNOWN}

    def score(self, history: Words, word: str) -> float:
        """Return the natural logarithm of a word's probability after others, of which the last ``order - 1`` count.

        A word that it does not know has the probability of all such words together.

        Examples
        --------
        >>> model = learn_ngrams(["one two", "one two", "one six"], order=2)
        >>> model.score(("one",), "two") > model.score(("one",), "six") > model.score(("one",), "one")
        True
        """
        if (word,) not in self.log_p:
            word = UNKNOWN
        history = history[-(self.order - 1) :] if self.order > 1 else ()
        total = 0.0
        while True:
            found = self.log_p.get((*history, word))
            if found is not None:
                return total + found
            if not history:
                return total + _NEVER * math.log(10)
            total += self.backoff.get(history, 0.0)
            history = history[1:]


def learn_ngrams(texts: Iterable[str], *, order: int = 3) -> WordNgrams:
    """Return the model of some texts, each a sentence of words with blanks between.

    Raises
    ------
    DataError
        When there is no word.

    References
    ----------
    Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1998, section 2.7: interpolated
    Kneser-Ney, here with one discount of 0.75. Words that were never seen share what the discount frees of the single
    words, as one more word.
    """
    counts: Counter[Words] = Counter()  # of the longest n-grams, and of shorter ones that begin a sentence
    for text in texts:
        words = text.split()
        if not words:
            continue
        said = (BEGIN, *words, END)
        for last in range(1, len(said)):
            counts[said[max(0, last - order + 1) : last + 1]] += 1
    if not counts:
        raise DataError("no word to learn a language model from", expected="texts, a sentence a line")
    by_length: dict[int, Counter[Words]] = {order: Counter({k: n for k, n in counts.items() if len(k) == order})}
    for n in range(order - 1, 0, -1):  # of shorter n-grams count how many different words stand before
        own: Counter[Words] = Counter(key[1:] for key in by_length[n + 1])
        for key, times in counts.items():
            if len(key) == n and key[0] == BEGIN:
                own[key] += times
        by_length[n] = own
    log_p: dict[Words, float] = {}
    backoff: dict[Words, float] = {}
    p_of: dict[Words, float] = {}
    n_words = len(by_length[1]) + 1  # and the unknown one
    for n in range(1, order + 1):
        total: dict[Words, int] = defaultdict(int)
        followers: dict[Words, int] = defaultdict(int)
        for key, times in by_length[n].items():
            total[key[:-1]] += times
            followers[key[:-1]] += 1
        for history in total:
            freed = _DISCOUNT * followers[history] / total[history]
            if n > 1:
                backoff[history] = math.log(freed)
        for key, times in by_length[n].items():
            history = key[:-1]
            freed = _DISCOUNT * followers[history] / total[history]
            lower = 1 / n_words if n == 1 else p_of[key[1:]]
            p_of[key] = (times - _DISCOUNT) / total[history] + freed * lower
        if n == 1:
            p_of[(UNKNOWN,)] = _DISCOUNT * followers[()] / total[()] / n_words
    log_p = {key: math.log(p) for key, p in p_of.items()}
    return WordNgrams(order, log_p, backoff)


def write_arpa(model: WordNgrams, path: Path) -> None:
    """Write the model as an ARPA file, which KenLM and SRILM read."""
    keys = set(model.log_p) | set(model.backoff)
    lines = ["\\data\\"]
    by_length = [sorted(key for key in keys if len(key) == n) for n in range(1, model.order + 1)]
    lines += [f"ngram {n}={len(own)}" for n, own in enumerate(by_length, 1)]
    for n, own in enumerate(by_length, 1):
        lines += ["", f"\\{n}-grams:"]
        for key in own:
            p = model.log_p[key] / math.log(10) if key in model.log_p else _NEVER
            after = f"\t{model.backoff[key] / math.log(10):.6f}" if key in model.backoff else ""
            lines.append(f"{p:.6f}\t{' '.join(key)}{after}")
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")


def read_arpa(path: Path) -> WordNgrams:
    """Return the model of an ARPA file.

    Raises
    ------
    DataError
        When the file is none.
    """
    log_p: dict[Words, float] = {}
    backoff: dict[Words, float] = {}
    n = 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if line.startswith("\\") and line.endswith("-grams:"):
                n = int(line[1 : -len("-grams:")])
            elif n and line and not line.startswith("\\"):
                parts = line.split()
                try:
                    key, p = tuple(parts[1 : n + 1]), float(parts[0])
                    after = float(parts[n + 1]) if len(parts) > n + 1 else None
                except (ValueError, IndexError) as error:
                    raise DataError(f"{path}, line {number}: {line[:60]!r}", expected="an ARPA file") from error
                if p > _NEVER:
                    log_p[key] = p * math.log(10)
                if after is not None:
                    backoff[key] = after * math.log(10)
    if not log_p:
        raise DataError(
            f"{path} holds no n-grams",
            expected="an ARPA file, as KenLM's lmplz writes it, or a text with a sentence a line",
            fix="give the text itself: --language-model sentences.txt",
        )
    return WordNgrams(max(len(key) for key in log_p), log_p, backoff)
