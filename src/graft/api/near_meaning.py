"""The finding on texts that say nearly the same, within train and between train and the other splits."""

from __future__ import annotations

import numpy as np

from graft.api.copying import own_texts
from graft.api.embedding import Embedded
from graft.api.headline import Headline
from graft.core.findings import Finding, Suspect
from graft.data.kinds import TEXT
from graft.data.minhash import near_texts
from graft.data.near_meaning import (
    FALSE_ALARMS,
    LEAST_OVERLAP_ALIKE,
    AlikeTexts,
    Nearness,
    alike_rows,
    alike_texts,
    measure_nearness,
)

__all__ = ["alike_by_split", "near_meaning"]

_NAME = "nearly_the_same"
_MOST_TEXTS = 20_000


def near_meaning(embedded: Embedded, headline: Headline) -> Finding:
    """Return which texts say nearly the same as another of train and are no copies of it."""
    if embedded.task.kind is not TEXT:
        return Finding(_NAME, "not checked", f"{embedded.noun}s that are no copies are not compared by what they show")
    if sum(map(len, embedded.splits.values())) > _MOST_TEXTS:
        return Finding(_NAME, "not checked", f"nearly equal texts are looked for among {_MOST_TEXTS:,} at most")
    nearness, found = alike_by_split(embedded)
    return _told(embedded, headline, found, details=vars(nearness))


def alike_by_split(embedded: Embedded) -> tuple[Nearness, dict[str, AlikeTexts]]:
    """Return from where on texts are nearly the same, and which are: of each split, beside those of train.

    Parameters
    ----------
    embedded : texts, with `copies` of train, and `overlaps` where the other splits were given.
    """
    assert embedded.copies is not None
    train = embedded.splits["train"]
    parts = {"train": train} | {name: embedded.splits[name] for name in ("test", "valid") if name in embedded.splits}
    pairs, overlap = near_texts([t for part in parts.values() for t in own_texts(part)], least=LEAST_OVERLAP_ALIKE)
    centre = embedded.features["train"].matrix.mean(axis=0)
    rows = {name: alike_rows(embedded.features[name].matrix, centre) for name in parts}
    is_own = pairs[:, 1] < len(train)
    own, shares = pairs[is_own], overlap[is_own]
    nearness = measure_nearness(rows["train"], train.labels, copies=embedded.copies, pairs=own, overlap=shares)
    within = alike_texts(rows["train"], rows["train"], nearness, pairs=own, overlap=shares, is_same=True)
    is_new = embedded.copies[within.pairs[:, 0]] != embedded.copies[within.pairs[:, 1]]
    found, start = {"train": AlikeTexts(within.pairs[is_new], within.distance[is_new])}, len(train)
    for name, part in list(parts.items())[1:]:
        at = (pairs[:, 0] < len(train)) & (pairs[:, 1] >= start) & (pairs[:, 1] < start + len(part))
        across = pairs[at] - np.array([[0, start]])
        alike = alike_texts(rows["train"], rows[name], nearness, pairs=across, overlap=overlap[at])
        found[name] = _without_copies(alike, embedded, name)
        start += len(part)
    return nearness, found


def _without_copies(found: AlikeTexts, embedded: Embedded, name: str) -> AlikeTexts:
    copied = embedded.overlaps[name].pairs[:, 1] if name in embedded.overlaps else np.zeros(0, np.int64)
    left = ~np.isin(found.pairs[:, 1], copied)
    return AlikeTexts(found.pairs[left], found.distance[left])


def _told(
    embedded: Embedded, headline: Headline, found: dict[str, AlikeTexts], *, details: dict[str, float]
) -> Finding:
    train = embedded.splits["train"]
    told, suspects = [], []
    for name in sorted(found, key=("test", "valid", "train").index):
        part, alike = embedded.splits[name], found[name]
        if len(alike.pairs):
            told.append(f"{len(alike.pairs):,} of {len(part):,} in {name}")
        suspects += [
            Suspect(part.ids[b], name, "", other=train.ids[a], score=float(distance))
            for (a, b), distance in zip(alike.pairs.tolist(), alike.distance, strict=True)
        ]
    facts = {key: round(value, 6) for key, value in details.items()}
    counts = {name: len(alike.pairs) for name, alike in found.items()}
    if not suspects:
        text = "no text that is no copy says nearly the same as one of train"
        return Finding(_NAME, "ok", text, details={**facts, "n": counts})
    text = (
        f"texts that say nearly the same as another of train, and are no copies: {', '.join(told)}; of train at most"
        f" {FALSE_ALARMS:.1%} have a text of another label so near"
    )
    rows = found["test"].pairs[:, 1] if "test" in found else np.zeros(0, np.int64)
    without = headline.without_test(rows)
    return Finding(_NAME, "note", text, len(suspects), tuple(suspects), without, {**facts, "n": counts})
