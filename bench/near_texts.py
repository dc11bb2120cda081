"""Edited texts planted into the test split: which of them are found to say nearly the same, and what else is.

Real data (GRAFT_SHARED, else ../shared) of two sets of short questions, all-MiniLM-L6-v2. Features are computed once
and kept in a temporary folder, or in --cache. 5 % of train, drawn anew each time, copied into test with one edit: two
letters mistyped, two words swapped, one word put in, one word left out. Found: by the proof of copies (MinHash), and by
either that or the finding 'nearly the same'. False alarms: test texts, not planted, whose partner in train has another
label. The share of test that is named though nothing was planted is told as well: both sets have many questions that
are asked twice in nearly the same words.

    python bench/near_texts.py [--draws 5] [--cache DIR]
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frozen import embedded_of
from measure import Bar, finish, options, shared, table, temporary_folder

KINDS = ("mistyped", "swapped", "put in", "left out")
WORDS = ("please", "really", "just", "now", "actually", "also", "again", "today")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
DATA = {"banking77": ("train.jsonl", "test.jsonl"), "clinc150": ("small_train.jsonl", "test.jsonl")}


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    rows = []
    with temporary_folder() as folder:
        for name in ("banking77",) if args.quick else DATA:
            found = figures[name] = planted(name, args.cache or folder, 1 if args.quick else args.draws, args.quick)
            rows.append(
                [name, *(f"{found['copies'][k]:.0%} / {found['found'][k]:.0%}" for k in KINDS),
                 f"{found['named']['train']:.1%}", f"{found['named']['test']:.1%}", f"{found['false_alarms']:.2%}"]
            )  # fmt: skip
            of_words = float(np.mean([found["found"][k] for k in KINDS[1:]]))
            bars.append(Bar(f"{name}: edits of a word that are found", of_words, 0.9))
            bars.append(Bar(f"{name}: test texts beside one of another label", found["false_alarms"], 0.01, False))
    table(["copies / found", *KINDS, "of train", "of test", "false"], rows)
    finish("near_texts", args, figures, bars)


def planted(name: str, cache: Path, n_draws: int, is_quick: bool) -> dict[str, Any]:
    """Return recall by kind, what is named without anything planted, and the share of that with another label."""
    from graft.api.copying import copies_between, copies_within, joined_features
    from graft.api.near_meaning import alike_by_split
    from graft.data.joining import joined
    from graft.data.kinds import TEXT
    from graft.data.readers import read_labeled, read_splits

    train_file, test_file = (str(shared() / "data" / name / file) for file in DATA[name])
    splits = read_splits(train_file, kind=TEXT, test=test_file)
    train, test = splits.train, splits.test
    assert test is not None
    if is_quick:
        random = np.random.default_rng(0)
        train, test = (part.select(np.sort(random.permutation(len(part))[:800])) for part in (train, test))
    base = one_layer(embedded_of({"train": train, "test": test}, cache, kind="text"))
    base = replace(base, copies=copies_within(base), overlaps={"test": copies_between(base, "test")})
    nearness, alike = alike_by_split(base)
    pairs = alike["test"].pairs
    n_false = int((train.labels[pairs[:, 0]] != test.labels[pairs[:, 1]]).sum())
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    copied: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    right: list[bool] = []
    for seed in range(n_draws):
        random = np.random.default_rng([seed, 5])
        chosen = random.permutation(len(train))[: len(train) // 20]
        with temporary_folder() as folder:
            file = folder / "planted.jsonl"
            lines = [
                {"text": edited(train.read(row).decode(), KINDS[i % 4], random), "label": name_of(train, row)}
                for i, row in enumerate(chosen.tolist())
            ]
            file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
            new = read_labeled(str(file), kind=TEXT, label_names=train.label_names)
            more = one_layer(embedded_of({"train": train.select([0, 1]), "new": new}, cache, kind="text"))
        features = base.features | {"test": joined_features(base.features["test"], more.features["new"])}
        both = replace(base, splits={"train": train, "test": joined(test, new)}, features=features, traits={})
        overlap = copies_between(both, "test")
        twins = dict(overlap.pairs[:, ::-1].tolist())
        _, alike = alike_by_split(replace(both, overlaps={"test": overlap}))
        near = dict(alike["test"].pairs[:, ::-1].tolist())
        for i, row in enumerate(chosen.tolist()):
            at = len(test) + i
            copied[KINDS[i % 4]].append(at in twins)
            found[KINDS[i % 4]].append(at in twins or at in near)
            right += [twins.get(at, near.get(at)) == row] if at in twins or at in near else []
        print(name, seed, {kind: f"{np.mean(own):.3f}" for kind, own in found.items()}, flush=True)
    return {
        "n_train": len(train),
        "n_test": len(test),
        "n_planted": sum(map(len, found.values())),
        "nearness": vars(nearness),
        "copies": {kind: float(np.mean(own)) for kind, own in copied.items()},
        "found": {kind: float(np.mean(own)) for kind, own in found.items()},
        "right_original": float(np.mean(right)),
        "named": {split: len(own.pairs) / len(base.splits[split]) for split, own in alike_by_split(base)[1].items()},
        "false_alarms": n_false / len(test),
    }


def one_layer(embedded: Any) -> Any:
    """Return the features of the first of the poolings that a fit would choose among."""
    width = next(iter(embedded.features.values())).matrix.shape[1] // len(embedded.model.source().blocks)
    return replace(
        embedded,
        features={name: replace(own, matrix=own.matrix[:, :width]) for name, own in embedded.features.items()},
    )


def name_of(part: Any, row: int) -> str:
    return str(part.label_names[int(part.labels[row])])


def edited(text: str, kind: str, random: np.random.Generator) -> str:
    """Return the text with one edit of a kind."""
    if kind == "mistyped":
        letters = list(text)
        for _ in range(2):
            i, what = int(random.integers(len(letters) - 1)), int(random.integers(4))
            if what == 0:
                letters[i], letters[i + 1] = letters[i + 1], letters[i]
            elif what == 1:
                del letters[i]
            else:
                letters[i : i + (what == 2)] = LETTERS[int(random.integers(26))]
        return "".join(letters)
    words = text.split()
    i = int(random.integers(max(1, len(words) - 1)))
    if kind == "swapped" and len(words) > 1:
        words[i], words[i + 1] = words[i + 1], words[i]
    elif kind == "put in":
        words.insert(int(random.integers(len(words) + 1)), WORDS[int(random.integers(len(WORDS)))])
    elif kind == "left out" and len(words) > 2:
        del words[int(random.integers(len(words)))]
    return " ".join(words)


if __name__ == "__main__":
    main()
