"""How much two texts have in common: words, n-grams, chrF and ROUGE-L."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["chrf", "grams", "longest_common", "rouge_l", "words_of"]

_ONE_SIGN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ffff"  # scripts written without blanks
_WORD: Final = re.compile(f"[{_ONE_SIGN}]|[^\\W_{_ONE_SIGN}]+")
_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters, without punctuation; a Chinese or Japanese sign is a word.

    Examples
    --------
    >>> words_of("It's 3.5 km, isn't it?")
    ['it', 's', '3', '5', 'km', 'isn', 't', 'it']
    """
    return _WORD.findall(text.lower())


def grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return the runs of `n` words, in order; none where there are fewer words.

    Examples
    --------
    >>> grams(["a", "b", "c"], 2)
    [('a', 'b'), ('b', 'c')]
    """
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def chrf(generated: str, reference: str, *, n_characters: int = 6, n_words: int = 0, beta: float = 2.0) -> float:
    """Return chrF of one text, 0 to 1: precision and recall of its character n-grams, joined; recall weighs more.

    Parameters
    ----------
    n_characters : longest n-gram of characters.
    n_words : longest n-gram of words; 2 gives chrF++.
    beta : how many times more recall weighs than precision.

    Notes
    -----
    As sacrebleu counts it for a sentence, but from 0 to 1: blanks do not count, a length of n-gram that one of the two
    texts does not have is left out of the means. Two empty texts agree.

    References
    ----------
    Popović 2015, chrF: character n-gram F-score for automatic MT evaluation, equation 1, https://aclanthology.org/W15-3049
    Popović 2017, chrF++: words helping character n-grams, https://aclanthology.org/W17-4770

    Examples
    --------
    >>> round(chrf("the cat", "the hat"), 4), chrf("", "a"), chrf("a", "a")
    (0.2806, 0.0, 1.0)
    """
    own, other = "".join(generated.split()), "".join(reference.split())
    if not own and not other:
        return 1.0
    pairs: list[tuple[Sequence[object], Sequence[object]]]
    pairs = [(_pieces(own, n), _pieces(other, n)) for n in range(1, n_characters + 1)]
    split, other_split = _with_punctuation_apart(generated), _with_punctuation_apart(reference)
    pairs += [(grams(split, n), grams(other_split, n)) for n in range(1, n_words + 1)]
    precision = recall = 0.0
    n_orders = 0
    for said, wanted in pairs:
        if said and wanted:
            n_orders += 1
            shared = _shared(said, wanted)
            precision += shared / len(said)
            recall += shared / len(wanted)
    if not precision:
        return 0.0
    precision, recall = precision / n_orders, recall / n_orders
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def rouge_l(generated: str, reference: str) -> float:
    """Return ROUGE-L of one text, 0 to 1: the longest common subsequence of words, as the F-measure of both lengths.

    Notes
    -----
    Words are those of `words_of`, so letters of every script count; Lin's program takes a to z and digits only.
    Precision and recall weigh alike. Two texts without words agree.

    References
    ----------
    Lin 2004, ROUGE: a package for automatic evaluation of summaries, section 3, https://aclanthology.org/W04-1013

    Examples
    --------
    >>> rouge_l("police kill the gunman", "police killed the gunman")
    0.75
    """
    said, wanted = words_of(generated), words_of(reference)
    if not said or not wanted:
        return float(not said and not wanted)
    return 2 * longest_common(said, wanted) / (len(said) + len(wanted))


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    References
    ----------
    Hyyrö 2004, Bit-parallel LCS-length computation revisited: one whole number holds a row of the table.

    Examples
    --------
    >>> longest_common("police killed the gunman".split(), "the gunman kill police".split())
    2
    """
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    everything = (1 << len(a)) - 1
    row = everything
    for word in b:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & everything
    return len(a) - row.bit_count()


def _pieces(text: str, n: int) -> list[str]:
    return [text[i : i + n] for i in range(len(text) - n + 1)]


def _shared(a: Iterable[object], b: Iterable[object]) -> int:
    return (Counter(a) & Counter(b)).total()


def _with_punctuation_apart(text: str) -> list[str]:
    """Return words with one sign of punctuation cut off at the end, else at the beginning, as chrF++ does."""
    found: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in _PUNCTUATION:
            found += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in _PUNCTUATION:
            found += [word[0], word[1:]]
        else:
            found.append(word)
    return found
