"""All checks of the data, from what the pass and the head left: each one finding, with examples and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.api.headline import Headline
from graft.api.near_meaning import near_meaning
from graft.core.decision import AnyPredictions
from graft.core.findings import MOST_EXAMPLES, Finding, Suspect
from graft.core.text import counted, percent
from graft.data.dataset import LabeledDataset
from graft.data.kinds import PICTURE, RECORDING, TEXT
from graft.data.neighbours import nearest, unit_rows
from graft.evaluation.imbalance import imbalance_of
from graft.evaluation.label_errors import LEAST_SKILL, find_label_errors
from graft.evaluation.outliers import far_out
from graft.evaluation.shortcuts import find_shortcuts

__all__ = ["check_data", "label_of"]

_NEIGHBOURS = 5
_FEWEST_TO_LEARN, _FEWEST_TO_JUDGE = 5, 20
_MOST_NEIGHBOURHOODS = 20_000
_NEAR = {
    PICTURE: "encoded anew, scaled or cropped",
    TEXT: "words in common",
    RECORDING: "encoded or resampled anew",
}


def check_data(embedded: Embedded, out_of_fold: AnyPredictions, headline: Headline, config: FitConfig) -> list[Finding]:
    """Return the findings on train and, where they are about it, test; in the order in which they matter.

    Parameters
    ----------
    out_of_fold : of the head, for the training examples.
    headline : tells the headline metric without some examples.
    """
    checks: list[Callable[[], Finding]] = [
        lambda: _across(embedded, headline),
        lambda: _within(embedded),
        lambda: _conflicts(embedded, headline),
        lambda: near_meaning(embedded, headline),
        lambda: _label_errors(embedded, out_of_fold, headline),
        lambda: _shortcuts(embedded, config),
        lambda: _groups(embedded, headline),
        lambda: _outliers(embedded, headline),
        lambda: _small_classes(embedded, headline),
        lambda: _imbalance(embedded),
    ]
    return [check() for check in checks]


def label_of(part: LabeledDataset, row: int) -> str:
    """Return the label of an example as it is said; several are joined by commas; empty where it is not known."""
    own = part.labels[row]
    if part.is_multi_label:
        return ", ".join(part.label_names[i] for i in np.flatnonzero(own == 1))
    return part.label_names[int(own)] if own >= 0 else ""


def _across(embedded: Embedded, headline: Headline) -> Finding:
    overlaps = {name: found for name, found in embedded.overlaps.items() if found.count}
    noun = embedded.noun
    if not embedded.overlaps:
        text = "there are no given splits to compare: where a test is held out, copies stay on one side"
        return Finding("copies_across_splits", "ok", text)
    if not overlaps:
        return Finding("copies_across_splits", "ok", f"no {noun} of test or validation has a copy in train")
    train = embedded.splits["train"]
    suspects, parts = [], []
    for name, found in overlaps.items():
        part = embedded.splits[name]
        suspects += [
            Suspect(part.ids[b], name, label_of(part, b) if name != "test" else "", other=train.ids[a])
            for a, b in found.pairs.tolist()
        ]
        parts.append(f"{found.count:,} of {len(part):,} {noun}s of {name} ({found.n_exact:,} byte for byte)")
    rows = overlaps["test"].pairs[:, 1] if "test" in overlaps else np.zeros(0, np.int64)
    return Finding(
        "copies_across_splits",
        "warning",
        f"{' and '.join(parts)} {'has' if len(suspects) == 1 else 'have'} a copy in train: figures there flatter;"
        " --fix-splits moves to train what has one",
        len(suspects),
        tuple(suspects),
        headline.without_test(rows),
        {name: {"n": found.count, "n_exact": found.n_exact} for name, found in overlaps.items()},
    )


def _within(embedded: Embedded) -> Finding:
    copies, train, noun = embedded.copies, embedded.splits["train"], embedded.noun
    assert copies is not None
    firsts = np.unique(copies, return_index=True)[1]
    again = np.setdiff1d(np.arange(len(copies)), firsts)
    if not len(again):
        return Finding("copies", "ok", f"no {noun} of train is a copy of another")
    first_of = dict(zip(copies[firsts].tolist(), firsts.tolist(), strict=True))
    suspects = tuple(
        Suspect(train.ids[i], "train", label_of(train, i), other=train.ids[first_of[int(copies[i])]]) for i in again
    )
    verb = "is a copy" if len(again) == 1 else "are copies"
    text = (
        f"{counted(len(again), noun)} of train {verb} of another, byte for byte or near ({_NEAR[embedded.task.kind]});"
        " copies share a fold"
    )
    return Finding("copies", "note", text, len(again), suspects)


def _conflicts(embedded: Embedded, headline: Headline) -> Finding:
    copies, train, noun = embedded.copies, embedded.splits["train"], embedded.noun
    assert copies is not None
    suspects, rows = [], []
    order = np.argsort(copies, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(copies[order])) + 1):
        labels = [label_of(train, int(i)) for i in members]
        if len(set(labels)) < 2 or all(train.ids[i] in embedded.reviewed for i in members):
            continue
        rows += members.tolist()
        for i, label in zip(members.tolist(), labels, strict=True):
            other = next(int(j) for j, name in zip(members, labels, strict=True) if name != label)
            suspects.append(Suspect(train.ids[i], "train", label, other=train.ids[other]))
    if not rows:
        return Finding("conflicting_labels", "ok", f"no two copies in train have different labels ({noun}s)")
    text = f"{counted(len(rows), noun)} of train have a copy with another label: one of the two is wrong, or both fit"
    without = headline.without_train(np.array(rows))
    return Finding("conflicting_labels", "warning", text, len(rows), tuple(suspects), without)


def _label_errors(embedded: Embedded, out_of_fold: AnyPredictions, headline: Headline) -> Finding:
    train, noun = embedded.splits["train"], embedded.noun
    found = find_label_errors(out_of_fold)
    if found.is_too_weak:
        text = (
            "the model is too weak to judge labels, or too many of them are wrong: without having seen an example it"
            f" makes {percent(1 - found.skill)} of a guess's mistakes; asked for is at most {percent(1 - LEAST_SKILL)}"
        )
        return Finding("label_errors", "note", text, details={"skill": found.skill})
    likely = [i for i, row in enumerate(found.likely.tolist()) if train.ids[row] not in embedded.reviewed]
    if not likely:
        return Finding("label_errors", "ok", f"no label of train is contradicted by the model of the other {noun}s")
    names = train.label_names
    suspects = []
    for i in likely:
        row, label = int(found.ranked[i]), names[int(found.suggested[i])]
        corrected: tuple[str, ...] | None = None
        if train.is_multi_label:
            label = f"{'not ' if train.labels[row, found.suggested[i]] == 1 else ''}{label}"
            is_own = (train.labels[row] == 1) ^ (np.arange(len(names)) == found.suggested[i])
            corrected = tuple(names[k] for k in np.flatnonzero(is_own))
        score, now = float(found.margin[i]), label_of(train, row)
        suspects.append(Suspect(train.ids[row], "train", now, suggested=label, score=score, corrected=corrected))
    text = (
        f"{counted(len(likely), noun)} of {len(train):,} in train may have a wrong label, the likeliest first; none was"
        " dropped: look at them, and say what is right in a corrections file"
    )
    rows = found.ranked[likely]
    share = len(likely) / len(train)
    severity = "warning" if share > _usual_share(out_of_fold) else "note"
    return Finding("label_errors", severity, text, len(likely), tuple(suspects), headline.without_train(rows))


def _usual_share(predictions: AnyPredictions) -> float:
    """Return the share of likely errors that a model this often wrong finds among right labels too: half its errors."""
    wrong = 1 - float(predictions.is_correct.mean())
    return max(0.01, 0.5 * wrong)


def _shortcuts(embedded: Embedded, config: FitConfig) -> Finding:
    train, noun = embedded.splits["train"], embedded.noun
    if train.is_multi_label:
        return Finding("shortcuts", "not checked", "shortcuts are not looked for with several labels an example")
    if "train" not in embedded.traits:
        return Finding("shortcuts", "not checked", f"nothing is known of these {noun}s but their features")
    assert embedded.copies is not None
    rows = np.unique(embedded.copies, return_index=True)[1]
    traits = embedded.traits["train"]
    found = find_shortcuts(traits.columns, traits.values[rows], train.labels[rows], seed=config.seed)
    guilty = [s for s in found if s.is_shortcut]
    details = {"traits": [s.as_dict() for s in found]}
    if not guilty:
        names = ", ".join(s.name for s in found) or "none varies"
        text = f"nothing outside of the content gives the label away ({names})"
        return Finding("shortcuts", "ok", text, details=details)
    told = " and ".join(
        f"{s.name} alone tells the label of {s.accuracy:.0%} of train (chance: {s.chance:.0%})"
        if s.skill >= s.class_skill
        else f"{s.name} alone tells '{train.label_names[s.class_number]}' from the others"
        for s in guilty
    )
    return Finding(
        "shortcuts",
        "warning",
        f"{told}: the model may have learned that, and will fail where it is otherwise",
        len(guilty),
        details=details,
    )


def _groups(embedded: Embedded, headline: Headline) -> Finding:
    train, test, noun = embedded.splits["train"], embedded.splits.get("test"), embedded.noun
    used = train.groups is not None
    own, theirs = (None if p is None else (p.groups if used else p.suspected_groups) for p in (train, test))
    column = train.group_column
    if own is None or theirs is None:
        return Finding("groups", "not checked", "no column of groups (speakers, patients, sessions) was found or named")
    rows = np.flatnonzero(np.isin(theirs, own))
    if not len(rows):
        return Finding("groups", "ok", f"no {column} stands both in train and in test")
    assert test is not None
    n = len(np.unique(theirs[rows]))
    text = (
        f"{n:,} values of '{column}' stand both in train and in test, which has {counted(len(rows), noun)} of them:"
        f" figures flatter for a new {column}"
    )
    suspects = tuple(Suspect(test.ids[i], "test") for i in rows[:MOST_EXAMPLES])
    return Finding("groups", "warning", text, len(rows), suspects, headline.without_test(rows), {"n_groups": n})


def _outliers(embedded: Embedded, headline: Headline) -> Finding:
    noun = embedded.noun
    matrix = unit_rows(embedded.features["train"].matrix)
    if len(matrix) > _MOST_NEIGHBOURHOODS:
        text = f"outliers are looked for among {_MOST_NEIGHBOURHOODS:,} {noun}s at most"
        return Finding("outliers", "not checked", text)
    distance = {"train": nearest(matrix, matrix, _NEIGHBOURS, is_same=True)[1].mean(axis=1)}
    if "test" in embedded.splits:
        own = unit_rows(embedded.features["test"].matrix)
        distance["test"] = nearest(own, matrix, _NEIGHBOURS)[1].mean(axis=1)
    suspects: list[Suspect] = []
    rows: dict[str, NDArray[np.int64]] = {}
    for name, values in distance.items():
        part = embedded.splits[name]
        far = np.flatnonzero(far_out(values, distance["train"]))
        rows[name] = np.array([i for i in far if part.ids[i] not in embedded.reviewed], dtype=np.int64)
        suspects += [
            Suspect(part.ids[i], name, label_of(part, i) if name == "train" else "", score=float(values[i]))
            for i in rows[name].tolist()
        ]
    if not suspects:
        return Finding("outliers", "ok", f"no {noun} lies far from all others in the network's features")
    suspects.sort(key=lambda s: -(s.score or 0.0))
    text = (
        f"{counted(len(suspects), noun)} ({len(rows['train']):,} of train) unlike all others: look whether they belong"
    )
    without = headline.without_test(rows.get("test", np.zeros(0, np.int64)))
    details = {name: len(found) for name, found in rows.items()}
    return Finding("outliers", "note", text, len(suspects), tuple(suspects), without, details)


def _small_classes(embedded: Embedded, headline: Headline) -> Finding:
    noun, names = embedded.noun, embedded.label_names
    word = "labels" if embedded.splits["train"].is_multi_label else "classes"
    in_train, in_test = embedded.splits["train"].class_counts, headline.test_counts()
    few = [names[i] for i in np.flatnonzero(in_train < _FEWEST_TO_LEARN)]
    unsure = [] if in_test is None else [names[i] for i in np.flatnonzero(in_test < _FEWEST_TO_JUDGE)]
    details = {"few_in_train": few, "few_in_test": unsure}
    told = []
    if few:
        told.append(f"{len(few)} of {len(names)} {word} have fewer than {_FEWEST_TO_LEARN} {noun}s in train")
    if unsure:
        told.append(
            f"{len(unsure)} of {len(names)} {word} have fewer than {_FEWEST_TO_JUDGE} {noun}s in test: what is said of"
            f" each alone is uncertain by 20 points or so ({_some(unsure)})"
        )
    if not told:
        return Finding(
            "small_classes", "ok", f"all {word} have {noun}s enough to learn from and to judge by", details=details
        )
    return Finding("small_classes", "note", "; ".join(told), len(set(few) | set(unsure)), details=details)


def _imbalance(embedded: Embedded) -> Finding:
    train = embedded.splits["train"]
    if train.is_multi_label:
        return Finding("imbalance", "not checked", "labels of unequal frequency are usual where there may be several")
    found = imbalance_of(train.class_counts, embedded.label_names)
    severity = "note" if found.is_imbalanced else "ok"
    return Finding("imbalance", severity, found.sentence(noun=embedded.noun), details=found.as_dict())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
