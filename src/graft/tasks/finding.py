"""Which task a data set and a model are for, where the user does not say."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from graft.backbones.sentence_body import encoder_folder
from graft.core.errors import DataError, UsageError, did_you_mean
from graft.data.conversation_files import is_conversational
from graft.data.folders import is_file_of, walk
from graft.data.kinds import KINDS, PICTURE, RECORDING, TEXT, ExampleKind
from graft.data.manifests import is_manifest
from graft.data.saved import is_saved, read_saved
from graft.data.tables import TABLE_SUFFIXES, Table, read_table
from graft.tasks.registry import TASKS, task_class

__all__ = ["find_task", "is_transcribed", "refuse_without_classes"]

_SAMPLE = 20
_LONGEST_PATH = 1000
_MOST_TEXTS = 1000  # so many files of text are no notes beside pictures or recordings


def find_task(data: str | Path, model: str, *, wanted: str = "auto") -> str:
    """Return the name of the task.

    Parameters
    ----------
    data : what the user named as data.
    model : what the user named as model.
    wanted : ``"auto"``: by the first picture or recording below a folder, else texts, unless the model is of another
        kind; of a table, by the files that it names, and where it names none, texts; of a hub id, by the kind of
        model. Else this name.

    Raises
    ------
    UsageError
        When there is no task of that name.
    """
    if wanted != "auto":
        if wanted not in TASKS:
            raise UsageError(
                f"--task {wanted}.{did_you_mean(wanted, TASKS)}",
                expected=f"auto, {', '.join(TASKS)}",
                fix="leave it away, or name one (Python: task=)",
            )
        return wanted
    if is_transcribed(Path(data).expanduser()):
        return "automatic-speech-recognition"
    if is_conversational(data):
        return "text-generation"
    own, of_model = _of_data(Path(data).expanduser()), _of_model(Path(model))
    is_in_doubt = own is None or (own is TEXT and Path(data).expanduser().is_dir())
    kind = (of_model if is_in_doubt else None) or own or PICTURE
    return next((name for name in TASKS if task_class(name).kind is kind), next(iter(TASKS)))


_WITHOUT_CLASSES = {
    "automatic-speech-recognition": (
        "transcribed speech",
        "graft fit DATA --model MODEL --out RUN; for classes of recordings: --task audio-classification",
    ),
    "text-generation": (
        "conversations",
        "graft fit DATA --model MODEL --out RUN: its report holds what is known; then graft predict or graft chat",
    ),
}


def refuse_without_classes(task_name: str, *, verb: str) -> None:
    """Raise where a command that wants classes is given transcripts or conversations.

    Raises
    ------
    UsageError
        When the task has no classes.
    """
    if task_name in _WITHOUT_CLASSES:
        what, fix = _WITHOUT_CLASSES[task_name]
        raise UsageError(f"graft {verb} of {what}", expected="examples with classes", fix=fix)


def is_transcribed(path: Path) -> bool:
    """Return whether data are recordings with what is said: a manifest, or a text beside a sound."""
    if path.is_file():
        return path.suffix.lower() in TABLE_SUFFIXES and _is_manifest(path)
    if not path.is_dir() or is_saved(path):
        return False
    sounds: set[str] = set()
    texts: set[str] = set()
    for number, (name, is_hidden) in enumerate(walk(str(path))):
        if is_hidden:
            continue
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        if suffix in TABLE_SUFFIXES and "/" not in name:
            return _is_manifest(path / name)
        if name.endswith(".trans.txt"):
            return True
        if suffix in RECORDING.suffixes:
            sounds.add(f"{Path(name).parent}/{stem}")
        elif suffix in (".txt", ".lab"):
            texts.add(f"{Path(name).parent}/{stem}")
        if sounds & texts or number > _MOST_TEXTS:
            break
    return bool(sounds & texts)


def _is_manifest(path: Path) -> bool:
    try:
        return is_manifest(read_table([path])) and _of_table(path) is RECORDING
    except DataError:
        return False  # whoever reads the data says what is wrong with it


def _of_data(path: Path) -> ExampleKind | None:
    if path.is_file():
        return _of_table(path) if path.suffix.lower() in TABLE_SUFFIXES else _of_file(str(path))
    if not path.is_dir():
        return None
    if is_saved(path):
        return _of_columns(next(iter(read_saved(path).values())))
    tables: list[Path] = []
    n_texts = 0
    for name, is_hidden in walk(str(path)):
        if is_hidden:
            continue
        file = f"{path}/{name}"
        if Path(name).suffix.lower() in TABLE_SUFFIXES:
            tables.append(Path(file))
        elif (kind := _of_file(file)) is TEXT:
            n_texts += "/" in name
        elif kind is not None:
            return kind
        if n_texts == _MOST_TEXTS:
            break
    return TEXT if n_texts else _of_table(tables[0]) if tables else None


def _of_file(file: str) -> ExampleKind | None:
    return next((kind for kind in KINDS if is_file_of(kind, file)), None)


def _of_table(path: Path) -> ExampleKind | None:
    try:
        return _of_columns(read_table([path]))
    except DataError:
        return None  # whoever reads the data says what is wrong with it


def _of_columns(table: Table) -> ExampleKind | None:
    is_bytes = False
    for name in table.columns:
        declared = "" if isinstance(table.values, Mapping) else type(table.values.features[name]).__name__
        for kind in KINDS:
            if declared.lower() == kind.modality and kind is not TEXT:
                return kind
        for value in list(table.values[name][:_SAMPLE]):
            is_bytes = is_bytes or isinstance(value, (bytes, dict))
            if isinstance(value, str) and 0 < len(value) < _LONGEST_PATH:
                file = os.path.join(table.root, value)  # noqa: PTH118
                if os.path.isfile(file):  # noqa: PTH113
                    return _of_file(file)
    has_path = any(name.lower() in PICTURE.path_names for name in table.columns)
    has_text = any(name.lower() in TEXT.inline_names for name in table.columns)
    return None if is_bytes or (has_path and not has_text) else TEXT


def _of_model(folder: Path) -> ExampleKind | None:
    processor = folder / "preprocessor_config.json"
    if processor.is_file():
        settings = json.loads(processor.read_text(encoding="utf-8"))
        return next(kind for kind in KINDS if kind.modality == ("audio" if "sampling_rate" in settings else "image"))
    encoder = encoder_folder(folder)
    is_text = any((encoder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"))
    return TEXT if is_text else None
