"""Real spoken strings, recognised by a small encoder that has heard only synthesised speech before fine-tuning.

Digits: strings of 3 to 5 of the free spoken digits with pauses between; of six speakers four train, one is held out to
choose by and one to judge with, in all six rotations; 5, 20 and 60 strings to train with. yesno: 60 recordings of eight
words of one speaker, in six folds. Each is fine-tuned from ``--encoder`` (made by `scripts/speak_strings.py` and
`graft.api.pretrain_speech`), and learned from scratch by the same network on the same strings. Cells are kept in
``--work``: run again, it goes on.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.console import Console

from graft import fit, predict
from graft.api.pretrain_speech import pretrain_speech
from graft.core.seeds import generator
from graft.evaluation.speech import Transcripts, compare_transcripts, error_rate, evaluate_speech
from measure import Bar, finish, options, shared, table

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE_HZ = 8_000
_HELD_OUT = {"valid": 20, "test": 60}
Row = dict[str, str]


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--encoder", type=Path, required=True, help="folder that graft.api.pretrain_speech wrote")
    parser.add_argument("--work", type=Path, required=True, help="folder for strings, runs and cells.jsonl")
    parser.add_argument("--sizes", type=int, nargs="+", default=[60, 20, 5])
    parser.add_argument("--corpora", nargs="+", default=["digits", "yesno"])
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(6)), help="which of the six")
    parser.add_argument("--arms", nargs="+", default=["tuned", "scratch"], help="tuned, scratch, beside")
    parser.add_argument("--beside", type=Path, help="table of synthesised strings, for the arm beside")
    parser.add_argument("--n-beside", type=int, default=240, help="of them learned beside the real ones")
    parser.add_argument("--augmentation", default="medium", help="of both arms")
    parser.add_argument("--scratch-epochs", type=float, default=60.0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    cells = args.work / "cells.jsonl"
    found = [json.loads(line) for line in cells.read_text().splitlines()] if cells.exists() else []
    done = {(c["corpus"], c["n"], c["fold"], c["arm"]) for c in found}
    for corpus, n, fold, arm in wanted(args):
        if (corpus, n, fold, arm) in done:
            continue
        folder = args.work / f"{corpus}-{n}-{fold}"
        data = (digits if corpus == "digits" else yesno)(folder, n, fold)
        for cell in ran(data, folder, arm, args):
            found.append({"corpus": corpus, "n": n, "fold": fold, **cell})
            with open(cells, "a", encoding="utf-8") as file:
                file.write(json.dumps(found[-1]) + "\n")
    summary = summed(found)
    header = ["corpus, strings, how", "words wrong", "95 %, by strings", "by fold, %", "points to scratch"]
    table(header, [list(s["row"]) for s in summary])
    by_name = {s["name"]: s["wer"] for s in summary}
    bars = []  # of what was run alone
    if (tuned := by_name.get("digits 60 tuned, language model")) is not None:
        name = "digits, 60 strings: words wrong, at most, in percent"
        bars.append(Bar(name, 100 * tuned, 15.0, is_floor=False))
        if common := shares_of_scratch(found):
            name = f"digits, 60 strings: share of scratch's errors in {len(common)} rotations, at most, in percent"
            bars.append(Bar(name, 100 * sum(common.values()) / len(common), 50.0, is_floor=False))
    if (yesno_wer := by_name.get("yesno 40 tuned, language model")) is not None:
        bars.append(Bar("yesno: words wrong, at most, in percent", 100 * yesno_wer, 3.0, is_floor=False))
    finish("speech", args, {"summary": summary, "cells": found}, bars)


def wanted(args: Any) -> Iterator[tuple[str, int, int, str]]:
    """Yield the cells: corpus, strings to train with, fold, how."""
    for fold in args.folds[:1] if args.quick else args.folds:
        for corpus in args.corpora:
            for n in args.sizes if corpus == "digits" else [40]:
                for arm in args.arms:
                    yield corpus, n, fold, arm


def digits(folder: Path, n: int, fold: int) -> Path:
    """Write strings of digits of a rotation of speakers; return their table."""
    source = shared() / "data" / "fsdd"
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    speakers = sorted({row["speaker"] for row in rows})
    role = {speakers[fold]: "test", speakers[(fold + 1) % len(speakers)]: "valid"}
    train = [name for name in speakers if name not in role]
    by_speaker = {name: [row for row in rows if row["speaker"] == name] for name in speakers}
    strings: list[Row] = []
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    plan = [(train[i % len(train)], "train") for i in range(n)]
    plan += [(name, split) for name, split in role.items() for _ in range(_HELD_OUT[split])]
    for number, (speaker, split) in enumerate(plan):
        random = generator(fold, "string", split, number)
        parts, said = [], []
        for i in random.integers(0, len(by_speaker[speaker]), random.integers(3, 6)):
            row = by_speaker[speaker][int(i)]
            wave, _ = soundfile.read(source / row["audio"], dtype="float32")
            parts += [wave, np.zeros(round(random.uniform(0.05, 0.3) * RATE_HZ), np.float32)]
            said.append(WORDS[int(row["label"])])
        name = f"wav/{split}{number:03d}.wav"
        soundfile.write(folder / name, np.concatenate(parts), RATE_HZ)
        strings.append({"path": name, "text": " ".join(said), "speaker": speaker, "split": split})
    return written(folder, strings)


def yesno(folder: Path, n: int, fold: int) -> Path:
    """Write the table of a fold of yesno: 40 recordings train, 10 to choose by, 10 to judge with."""
    source = shared() / "data" / "yesno"
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    order = generator(0, "yesno").permutation(len(rows))
    part = {int(row): place // 10 for place, row in enumerate(order)}
    named = {fold: "test", (fold + 1) % 6: "valid"}
    folder.mkdir(parents=True, exist_ok=True)
    strings = [
        {"path": str(source / row["audio"]), "text": row["text"], "speaker": "", "split": named.get(part[i], "train")}
        for i, row in enumerate(rows)
    ]
    return written(folder, strings)


def written(folder: Path, strings: list[Row]) -> Path:
    """Write a table; return it."""
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "text", "speaker", "split"])
        writer.writeheader()
        writer.writerows(strings)
    return folder / "table.csv"


def written_beside(data: Path, rows: list[Row], args: Any) -> Path:
    """Write the table again with synthesised strings of three digits and more before the real ones; return it."""
    with open(args.beside, encoding="utf-8") as file:
        pool = [row for row in csv.DictReader(file) if row["split"] == "train"]
    fit_in = [row for row in pool if set(row["text"].split()) <= set(WORDS) and len(row["text"].split()) >= 3]
    chosen = [{**row, "path": str(args.beside.parent.resolve() / row["path"])} for row in fit_in[: args.n_beside]]
    path = data.with_name("beside.csv")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "text", "speaker", "split"])
        writer.writeheader()
        writer.writerows([*chosen, *rows])
    return path


def ran(data: Path, folder: Path, arm: str, args: Any) -> Iterator[dict[str, Any]]:
    """Yield what was said and heard of the test strings, with and without a language model of the training strings.

    Of the fine-tuned also what the untouched encoder hears. The weights of the language model are chosen by `fit` on
    the speaker held out; those of the others are the usual ones.
    """
    quick: dict[str, Any] = {"epochs": 0.5, "fewest_steps": 3} if args.quick else {}
    silent = Console(quiet=True)
    with open(data, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    test = [row for row in rows if row["split"] == "test"]
    files, said = [data.parent / row["path"] for row in test], [row["text"] for row in test]
    sentences = folder / "sentences.txt"
    sentences.write_text("\n".join(row["text"] for row in rows if row["split"] == "train"), encoding="utf-8")

    def heard(model: Path, name: str, language_model: str | Path) -> Iterator[dict[str, Any]]:
        greedy = [found.text for found in predict(model, files, decoding="greedy")]
        yield {"arm": name, "said": said, "heard": greedy}
        beam = [found.text for found in predict(model, files, language_model=language_model)]
        yield {"arm": f"{name}, language model", "said": said, "heard": beam}

    started = time.perf_counter()
    if arm in ("tuned", "beside"):
        model = folder / ("run" if arm == "tuned" else arm)
        if arm == "beside":
            data = written_beside(data, rows, args)
            quick = quick or {"epochs": 9.0, "patience": 20, "ema_decay": 0.98}
        fit(
            data, model=str(args.encoder), out=model, strategy="full", overwrite=True, console=silent,
            language_model="train", corruptions="none", augmentation=args.augmentation, **quick,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        if arm == "tuned":
            yield from heard(args.encoder, "zero-shot", sentences)
        for cell in heard(model, arm, "train"):
            yield {**cell, "seconds": seconds}
    else:
        model = folder / "scratch"
        arch = json.loads((args.encoder / "pretrain.json").read_text())["arch"]
        epochs = 1.0 if args.quick else args.scratch_epochs
        pretrain_speech(
            data, out=model, arch=arch, epochs=epochs, batch_seconds=16.0, augmentation=args.augmentation,
            overwrite=True,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        for cell in heard(model, arm, sentences):
            yield {**cell, "seconds": seconds}


def summed(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the error rate of each kind of cell over its folds, and how far it is below that of the untaught.

    Of digits each fold is a speaker: six are too few for an interval for new speakers, so intervals draw strings, and
    the rates of all six stand beside.
    """
    kinds = sorted({(c["corpus"], c["n"], c["arm"]) for c in cells})
    heard = {kind: _joined([c for c in cells if (c["corpus"], c["n"], c["arm"]) == kind]) for kind in kinds}
    found = []
    for corpus, n, arm in kinds:
        own = [c for c in cells if (c["corpus"], c["n"], c["arm"]) == (corpus, n, arm)]
        judged = evaluate_speech(heard[corpus, n, arm]).as_dict()
        by_fold = {c["fold"]: error_rate(c["said"], c["heard"]) for c in own}
        wer, rival = judged["wer"], heard.get((corpus, n, arm.replace("tuned", "scratch")))
        gap = None
        if rival is not None and arm.startswith("tuned") and rival.ids == heard[corpus, n, arm].ids:
            found_gap = compare_transcripts(heard[corpus, n, arm], rival)
            gap = {"value": found_gap.value, "low": found_gap.low, "high": found_gap.high}
        ends = f"{wer['low']:.1%} to {wer['high']:.1%}" if wer["low"] is not None else wer["method"]
        folds = " ".join(f"{100 * by_fold[fold]:.0f}" for fold in sorted(by_fold))
        against = f"{100 * gap['value']:+.1f} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})" if gap else ""
        name = f"{corpus} {n} {arm}"
        row = (name, f"{wer['value']:.1%}", ends, folds, against)
        found.append({"name": name, "wer": wer["value"], "by_fold": by_fold, "gap": gap, "row": row, "figures": judged})
    return found


def shares_of_scratch(cells: list[dict[str, Any]]) -> dict[int, float]:
    """Return the word errors of the fine-tuned over those of the untaught, by rotation that has both."""
    errors = {
        (c["arm"], c["fold"]): error_rate(c["said"], c["heard"])
        for c in cells
        if (c["corpus"], c["n"]) == ("digits", 60) and c["arm"].endswith("language model")
    }
    return {
        fold: rate / errors["scratch, language model", fold]
        for (arm, fold), rate in errors.items()
        if arm == "tuned, language model" and errors.get(("scratch, language model", fold))
    }


def _joined(cells: list[dict[str, Any]]) -> Transcripts:
    cells = sorted(cells, key=lambda c: c["fold"])
    said = tuple(text for c in cells for text in c["said"])
    ids = tuple(f"{c['fold']}/{i}" for c in cells for i in range(len(c["said"])))
    heard = tuple(text for c in cells for text in c["heard"])
    return Transcripts(ids, said, heard, np.arange(len(ids)), "string")


if __name__ == "__main__":
    main()
