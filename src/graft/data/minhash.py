"""Near copies of texts: MinHash finds candidates, the share of common word pieces proves them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_OVERLAP", "near_texts"]

LEAST_OVERLAP = 0.8
"""Share of common pieces of two texts, Jaccard's, from which on they are near copies."""
_PIECE = 4  # characters
_FUNCTIONS, _BANDS = 64, 16  # 4 a band: an overlap of 0.8 is missed once in 5,000
_BLOCK = 2_000_000  # hashes at a time
_MOST_IN_BUCKET = 50
_NOT_WORDS = re.compile(r"[\W_]+")


def near_texts(texts: Sequence[str], *, least: float = LEAST_OVERLAP) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of near copies, (n_pairs, 2) with the smaller index first, and the overlap of each.

    Upper and lower case, punctuation and white space make no difference. Of exact copies each is a pair with the one
    before.

    Parameters
    ----------
    texts : n_examples texts.
    least : overlap from which on a pair is given, above 0, at most 1.

    References
    ----------
    Broder, On the resemblance and containment of documents, 1997; bands as in Leskovec, Rajaraman & Ullman, Mining of
    Massive Datasets, 2020, section 3.4; hashing by Dietzfelbinger et al., 1997.

    Examples
    --------
    >>> near_texts(["How do I pay?", "how do i pay", "Where is my card?"])[0].tolist()
    [[0, 1]]
    """
    plain = [" ".join(_NOT_WORDS.sub(" ", text.lower()).split()) for text in texts]
    numbers: dict[str, int] = {}
    chain: list[tuple[int, int]] = []
    distinct: list[int] = []
    for i, text in enumerate(plain):
        if text in numbers:
            chain.append((numbers[text], i))
        else:
            distinct.append(i)
        numbers[text] = i
    if not texts:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    pieces = [_pieces(plain[i]) for i in distinct]
    found = {(distinct[a], distinct[b]): share for (a, b), share in _overlaps(pieces, least=least).items()}
    found |= dict.fromkeys(chain, 1.0)
    pairs = sorted(found)
    return np.array(pairs, np.int64).reshape(-1, 2), np.array([found[pair] for pair in pairs])


def _pieces(text: str) -> frozenset[int]:
    padded = f" {text} "
    return frozenset(
        int.from_bytes(padded[i : i + _PIECE].encode()[:8], "little") for i in range(max(1, len(padded) - _PIECE + 1))
    )


def _overlaps(pieces: Sequence[frozenset[int]], *, least: float) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    seen: set[tuple[int, int]] = set()
    for band in np.split(_signatures(pieces), _BANDS, axis=1):
        _, bucket = np.unique(band, axis=0, return_inverse=True)
        bucket = bucket.ravel()
        order = np.argsort(bucket, kind="stable")
        ends = np.flatnonzero(np.diff(bucket[order], append=-1)) + 1
        for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
            members = order[start:end][:_MOST_IN_BUCKET].tolist()
            for at, b in enumerate(members):
                for a in members[:at]:
                    if (a, b) in seen:
                        continue
                    seen.add((a, b))
                    common = len(pieces[a] & pieces[b])
                    share = common / (len(pieces[a]) + len(pieces[b]) - common)
                    if share >= least:
                        found[a, b] = share
    return found


def _signatures(pieces: Sequence[frozenset[int]]) -> NDArray[np.uint64]:
    """Return (n_texts, 64): the least value of each random function over a text's pieces."""
    rng = np.random.default_rng(0)
    # Multiply-shift: the upper half of an odd multiple, modulo 2^64, of 32 bits.
    factors = rng.integers(0, 1 << 64, _FUNCTIONS, dtype=np.uint64) | np.uint64(1)
    terms = rng.integers(0, 1 << 64, _FUNCTIONS, dtype=np.uint64)
    result = np.empty((len(pieces), _FUNCTIONS), np.uint64)
    start = 0
    while start < len(pieces):
        end, n = start, 0
        while end < len(pieces) and (n == 0 or n + len(pieces[end]) <= _BLOCK // _FUNCTIONS):
            n += len(pieces[end])
            end += 1
        flat = np.fromiter((piece for own in pieces[start:end] for piece in own), np.uint64, count=n)
        folded = (flat ^ (flat >> np.uint64(32))) & np.uint64(0xFFFF_FFFF)
        folded = (folded * np.uint64(0x9E37_79B1)) & np.uint64(0xFFFF_FFFF)
        values = (folded[:, None] * factors + terms) >> np.uint64(32)
        at = np.cumsum([0, *(len(own) for own in pieces[start:end])])[:-1]
        result[start:end] = np.minimum.reduceat(values, at, axis=0)
        start = end
    return result
