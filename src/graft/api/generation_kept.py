"""What a run keeps of a language model's answers, written and read again: losses, texts with scores, an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graft.api.generation_data import GenerationData
from graft.core.errors import DataError
from graft.core.files import atomic_path, read_json, write_json
from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generations import Generations, ScoredTexts
from graft.methods.generation import Judged
from graft.report.wording import storable

__all__ = ["keep_example", "keep_losses", "keep_texts", "read_example", "read_losses", "read_texts"]

_OWN = ("id", "prompt", "reference", "text", "ended", "n_tokens", "score")


def keep_texts(path: Path, scored: ScoredTexts) -> None:
    """Write a row a question of the test split: prompt, true answer, what was written, whether it ended, its score."""
    texts = scored.texts
    columns: dict[str, list[Any]] = {
        "id": list(texts.ids),
        "prompt": [storable(text) for text in texts.prompts],
        "reference": [storable(text) for text in texts.references],
        "text": [storable(text) for text in texts.texts],
        "ended": texts.ended.tolist(),
        "n_tokens": texts.n_tokens.tolist(),
        "score": scored.scores.tolist(),
    }
    columns |= {name: [storable(text) for text in other] for name, other in scored.baselines.items()}
    _write(path, columns)


def read_texts(path: Path, *, split: str = "test") -> ScoredTexts:
    """Return what `keep_texts` wrote.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    found = _read(path, _OWN)
    texts = Generations(
        found["id"], found["prompt"], found["reference"], found["text"], np.array(found["ended"], np.bool_),
        np.array(found["n_tokens"], np.int64), split,
    )  # fmt: skip
    others = {name: values for name, values in found.items() if name not in _OWN}
    return ScoredTexts(texts, np.array(found["score"], np.float64), others)


def keep_losses(path: Path, ready: GenerationData, losses: Mapping[str, Judged]) -> None:
    """Write a row a conversation: id, split, reference answer, loss, number of tokens."""
    columns: dict[str, list[Any]] = {name: [] for name in ("id", "split", "reference", "loss", "n_tokens")}
    for split, judged in losses.items():
        columns["id"] += ready.ids(split)
        columns["split"] += [split] * len(judged.sums)
        columns["reference"] += [storable(ready.conversations[int(row)].answer) for row in ready.rows[split]]
        columns["loss"] += judged.sums.tolist()
        columns["n_tokens"] += judged.n_tokens.tolist()
    _write(path, columns)


def read_losses(path: Path, *, split: str = "test") -> tuple[AnswerLosses, list[str]]:
    """Return a split's losses from what `keep_losses` wrote, and the true answers.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    found = _read(path, ("id", "split", "reference", "loss", "n_tokens"))
    rows = [i for i, name in enumerate(found["split"]) if name == split]
    losses = AnswerLosses(
        [found["id"][i] for i in rows],
        np.array([found["loss"][i] for i in rows], np.float64),
        np.array([found["n_tokens"][i] for i in rows], np.int64),
        split,
    )
    return losses, [found["reference"][i] for i in rows]


def keep_example(path: Path, example: Sequence[tuple[str, bool]]) -> None:
    """Write a training conversation in pieces: text, and whether it carries loss."""
    write_json(path, [[storable(text), is_learned] for text, is_learned in example])


def read_example(path: Path) -> list[tuple[str, bool]]:
    """Return what `keep_example` wrote.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    try:
        return [(str(text), bool(is_learned)) for text, is_learned in read_json(path)]
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", expected="the file that graft fit wrote") from error


def _write(path: Path, columns: dict[str, list[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    with atomic_path(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)


def _read(path: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    import pyarrow.parquet as parquet

    try:
        found: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    except Exception as error:  # pyarrow's errors have no common root
        raise DataError(f"{path} cannot be read: {error}", expected="the file that graft fit wrote") from error
    if lacking := [name for name in columns if name not in found]:
        raise DataError(f"{path} has no column {lacking[0]}", expected=", ".join(columns))
    return found
