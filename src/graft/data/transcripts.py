"""From what the user names to transcribed utterances: manifests, and folders with the text beside the sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from graft.core.errors import DataError
from graft.data.columns import split_name
from graft.data.folders import is_file_of, missing_path, walk
from graft.data.kinds import RECORDING
from graft.data.manifests import ManifestColumns, utterances_of
from graft.data.saved import is_saved, read_saved
from graft.data.tables import TABLE_SUFFIXES, read_table
from graft.data.utterances import Utterance, Utterances

__all__ = ["TranscribedSplits", "read_transcribed", "side_texts"]

_SIDE_SUFFIXES = (".txt", ".lab")
_TRANS_SUFFIX = ".trans.txt"  # LibriSpeech: a line an utterance, its id first
_DESCRIBING = ("metadata", "transcripts", "manifest")


@dataclass(frozen=True)
class TranscribedSplits:
    """Utterances to train, to choose and to judge with; None where the data brings none."""

    train: Utterances
    valid: Utterances | None = None
    test: Utterances | None = None
    notes: tuple[str, ...] = ()


def read_transcribed(
    data: str | Path, *, valid: str | Path | None = None, test: str | Path | None = None, columns: ManifestColumns
) -> TranscribedSplits:
    """Return the transcribed utterances of some data by split.

    Parameters
    ----------
    data : one of

        - a table (CSV, TSV, JSONL, JSON, Parquet) with the audio file and the text in each row, perhaps with the part
          of the file in seconds (start_s, end_s; or offset and duration), the speaker and the split;
        - a folder with such tables: train, valid and test, or one named metadata, transcripts or manifest;
        - a folder of recordings, at any depth, with the text in a .txt or .lab file of the same name beside each, or
          with LibriSpeech's ``.trans.txt`` files; also below train/, valid/ and test/;
        - a folder that ``save_to_disk`` of Hugging Face `datasets` wrote.
    valid, test : the same forms.
    columns : the user's names of columns.

    Raises
    ------
    DataError
        When nothing is there that could be read, or no row has a text.
    """
    parts = _located(Path(data).expanduser(), columns)
    if set(parts) == {""}:
        parts = {"train": parts[""]}
    if "train" not in parts:
        raise DataError(
            f"{data} has the splits {', '.join(parts)}, but none to train with",
            expected="a split named train",
            fix="name the folder or file to train with, and the others by --valid and --test (Python: valid=, test=)",
        )
    for split, named in (("valid", valid), ("test", test)):
        if named is not None:
            found = _located(Path(named).expanduser(), columns)
            parts[split] = found[split] if split in found else next(iter(found.values()))
    notes = []
    for split, part in list(parts.items()):
        heard = [row for row, item in enumerate(part) if item.text.strip()]
        if not heard:
            raise DataError(
                f"{part.source}: none of {len(part)} recordings has a transcript",
                expected="a text for each recording",
                fix="name its column with --text-column (Python: text_column=)",
            )
        if len(heard) < len(part):
            notes.append(f"{part.source}: {len(part) - len(heard)} recordings without a transcript are left out.")
            parts[split] = part.select(heard)
    return TranscribedSplits(parts["train"], parts.get("valid"), parts.get("test"), tuple(notes))


def _located(path: Path, columns: ManifestColumns) -> dict[str, Utterances]:
    if path.is_file():
        return utterances_of(read_table([path]), columns)
    if not path.is_dir():
        raise missing_path(path)
    if is_saved(path):
        found: dict[str, Utterances] = {}
        for split, saved in read_saved(path).items():
            found |= {split or name: part for name, part in utterances_of(saved, columns).items()}
        return found
    tables = [p for p in sorted(path.iterdir()) if p.suffix.lower() in TABLE_SUFFIXES and p.is_file()]
    divided = {split_name(p.stem) or "": p for p in tables if split_name(p.stem) is not None}
    if divided:
        return {split: _whole(utterances_of(read_table([p]), columns)) for split, p in divided.items()}
    described = [p for p in tables if p.stem.lower() in _DESCRIBING] or (tables if len(tables) == 1 else [])
    if described:
        return utterances_of(read_table(described[:1]), columns)
    below = [p for p in sorted(path.iterdir()) if p.is_dir()]
    folders = {split_name(p.name) or "": p for p in below if split_name(p.name) is not None}
    if "train" in folders:
        parts = {}
        for split, folder in folders.items():
            inner = _located(folder, columns)
            parts[split] = _whole(inner)
        return parts
    return {"": _of_folder(path)}


def _whole(parts: Mapping[str, Utterances]) -> Utterances:
    """Return all utterances of a table or folder that is one split already."""
    first = next(iter(parts.values()))
    return replace(first, items=tuple(item for part in parts.values() for item in part))


def _of_folder(folder: Path) -> Utterances:
    """Return the recordings of a folder, at any depth, that have a text beside them."""
    names = [name for name, is_hidden in walk(str(folder)) if not is_hidden]
    sounds = [name for name in names if is_file_of(RECORDING, f"{folder}/{name}")]
    texts = side_texts(folder, names)
    items, is_libri = [], any(name.endswith(_TRANS_SUFFIX) for name in names)
    has_folders = len({name.rpartition("/")[0] for name in sounds}) > 1
    for name in sounds:
        stem = name.rpartition(".")[0]
        group = stem.rpartition("/")[2].split("-")[0] if is_libri else name.split("/")[0] if has_folders else ""
        items.append(Utterance(name, f"{folder}/{name}", texts.get(stem, ""), group=group))
    if not sounds or not texts:
        raise DataError(
            f"{folder} holds {len(sounds)} recordings and {len(texts)} transcripts beside them",
            expected="a table with audio files and texts, or recordings with a .txt or .lab file of the same name"
            " beside each, or LibriSpeech's .trans.txt files",
            fix="write the texts beside the recordings, or name a table",
        )
    return Utterances(tuple(items), str(folder), "speaker" if is_libri else "folder" if has_folders else "")


def side_texts(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the text of each recording by its name without ending, from the files beside the recordings."""
    stems = {name.rpartition(".")[0] for name in names if is_file_of(RECORDING, f"{folder}/{name}")}
    found: dict[str, str] = {}
    for name in names:
        if name.endswith(_TRANS_SUFFIX):
            above = name.rpartition("/")[0]
            for line in _read(folder / name).splitlines():
                key, _, text = line.strip().partition(" ")
                found[f"{above}/{key}" if above else key] = text
        elif name.lower().endswith(_SIDE_SUFFIXES) and name.rpartition(".")[0] in stems:
            found[name.rpartition(".")[0]] = _read(folder / name)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text: byte {error.start}",
            expected="transcripts in UTF-8",
            fix=f"save it again as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name}",
        ) from error
