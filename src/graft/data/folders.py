"""Folders of files: a class per subfolder, and files to predict. Plain `os.scandir`; no file is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graft.core.errors import DataError, did_you_mean
from graft.core.text import counted
from graft.data.found import Found
from graft.data.kinds import PICTURE, ExampleKind

__all__ = [
    "ClassFolders",
    "is_file_of",
    "list_inputs",
    "missing_path",
    "scan_class_folders",
    "told_endings",
    "walk",
]

# What systems leave behind in folders.
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_FORMS = "a folder with a subfolder a class, a CSV, JSONL or Parquet table, or a saved Hugging Face dataset"


@dataclass(frozen=True)
class ClassFolders:
    """What a folder with a class per subfolder holds.

    Parameters
    ----------
    folder : the folder that was searched.
    root : folder that `paths` start from.
    paths : paths relative to `root`, with forward slashes, sorted by class and name.
    labels : name of the class of each.
    empty : class folders without an example.
    n_hidden, n_other : hidden files, and files that are no examples or lie outside the class folders; ignored.
    endings : how often each ending occurs among the files of another kind.
    kind : of the examples.
    """

    folder: Path
    root: Path
    paths: list[str]
    labels: list[str]
    empty: tuple[str, ...]
    n_hidden: int
    n_other: int
    kind: ExampleKind = PICTURE
    endings: Mapping[str, int] = field(default_factory=dict)

    def as_examples(self) -> Found:
        """Return the files as examples, with a note on what was ignored."""
        ignored = [
            f"{count} {what}"
            for count, what in (
                (self.n_hidden, "hidden"),
                (
                    self.n_other,
                    f"that are no {self.kind.noun}s or lie outside the class folders"
                    + told_endings(self.endings, self.kind),
                ),
            )
            if count
        ]
        notes = (f"{self.folder}: ignored files: {', '.join(ignored)}.",) if ignored else ()
        root = str(self.root)
        return Found(
            str(self.folder),
            self.paths,
            self.labels,
            self.paths,
            lambda index: f"{root}/{self.paths[index]}",
            root,
            empty=self.empty,
            notes=notes,
        )


def told_endings(endings: Mapping[str, int], kind: ExampleKind) -> str:
    """Return the endings of files of another kind, in brackets, and how those that could be examples are converted.

    Examples
    --------
    >>> from graft.data.kinds import RECORDING
    >>> told_endings({".m4a": 2, ".csv": 1}, RECORDING)
    ' (2 .m4a, 1 .csv; of .m4a: ffmpeg -i FILE FILE.wav makes recordings of them)'
    """
    if not endings:
        return ""
    order = sorted(endings, key=lambda ending: (-endings[ending], ending))
    told = ", ".join(f"{endings[e]:,} {e or 'without ending'}" for e in order[:5]) + (", ..." if order[5:] else "")
    could = ", ".join(ending for ending in order if ending in kind.convertible)
    return f" ({told}; of {could}: {kind.conversion})" if could else f" ({told})"


def is_file_of(kind: ExampleKind, path: str) -> bool:
    """Return whether a file holds an example by its suffix, or, where it has none, by its first bytes."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  50,000 Path objects cost half a second
    if suffix or not kind.signatures:
        return suffix in kind.suffixes
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith(kind.signatures)
    except OSError:
        return False


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  as above


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


def _is_within(folder: str, above: str) -> bool:
    return (os.path.realpath(folder) + os.sep).startswith(os.path.realpath(above) + os.sep)


def walk(folder: str, *, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Yield ``(relative path with forward slashes, is hidden)`` of every file below a folder, sorted in each folder.

    One folder's names are held at a time. Hidden folders are given as one hidden entry; links to folders are followed
    unless they lead back to a folder above.

    Raises
    ------
    DataError
        When a folder may not be read (named).
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be read: {error.strerror or error}", fix="give this user the right to read it"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if _is_hidden(entry.name):
            yield name, True
        elif not entry.is_dir():
            yield name, False
        elif not (entry.is_symlink() and _is_within(folder, entry.path)):
            yield from walk(entry.path, prefix=name + "/")


def scan_class_folders(folder: Path, *, top: Path | None = None, kind: ExampleKind = PICTURE) -> ClassFolders:
    """Return the files of examples below each subfolder of `folder`; the subfolder's name is the class.

    Parameters
    ----------
    folder : the folder that holds one subfolder a class; files may lie deeper in it.
    top : a folder above, that paths shall start from; None: `folder` itself.

    Raises
    ------
    DataError
        When a folder may not be read (named).
    """
    start = "" if top is None else folder.relative_to(top).as_posix() + "/"
    depth = len(start)
    root = str(folder if top is None else top)
    paths: list[str] = []
    labels: list[str] = []
    classes: dict[str, int] = {}
    n_hidden = n_other = 0
    endings: Counter[str] = Counter()
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _is_hidden(entry.name)):
        classes[name] = 0
    for name, is_hidden in walk(str(folder), prefix=start):
        label, _, inner = name[depth:].partition("/")
        if is_hidden:
            n_hidden += 1
        elif inner and is_file_of(kind, f"{root}/{name}"):
            paths.append(name)
            labels.append(label)
            classes[label] += 1
        else:
            n_other += 1
            if not is_file_of(kind, f"{root}/{name}"):
                endings[_ending(name)] += 1
    empty = tuple(name for name, count in classes.items() if not count)
    return ClassFolders(folder, folder if top is None else top, paths, labels, empty, n_hidden, n_other, kind, endings)


def list_inputs(
    paths: Sequence[str | Path], *, kind: ExampleKind = PICTURE, say: Callable[[str], None] = lambda text: None
) -> Iterator[tuple[str, Path]]:
    """Yield ``(id, path)`` of every file of examples in files and folders, in order, never holding the whole list.

    Folders are searched in depth; hidden files and files of other kinds are passed over. A file that is named
    itself is always given. The id is the path as given, for files in folders continued from the folder, with forward
    slashes. Only the names in one folder are held at a time.

    Parameters
    ----------
    say : told, after the last, how many files could be examples in a form that is not read.

    Raises
    ------
    DataError
        When a path does not exist (before the first is given), or there is no such file at all (after the last).
    """
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110
            raise missing_path(Path(path), expected=f"a {kind.noun}, or a folder of {kind.noun}s")
    found = False
    endings: Counter[str] = Counter()
    for path in map(Path, paths):
        if not path.is_dir():
            found = True
            yield path.as_posix(), path
            continue
        for name, is_hidden in walk(str(path)):
            if not is_hidden and is_file_of(kind, f"{path}/{name}"):
                found = True
                yield (path / name).as_posix(), path / name
            elif not is_hidden:
                endings[_ending(name)] += 1
    if found and any(ending in kind.convertible for ending in endings):
        n = counted(endings.total(), "file")
        say(f"passed over {n} of another kind than {kind.noun}s{told_endings(endings, kind)}")
    if not found:
        where = ", ".join(str(path) for path in paths) or "no path given"
        raise DataError(
            f"no {kind.noun} found in {where}{told_endings(endings, kind)}",
            expected=f"files that end in {', '.join(sorted(kind.suffixes))}",
            fix="name the files themselves, or the folder that holds them",
        )


def missing_path(path: Path, *, expected: str = _FORMS) -> DataError:
    """Return the error for a file or folder that does not exist, with the nearest name beside it."""
    parent = path.parent
    beside = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    hint = did_you_mean(path.name, beside)
    if not parent.is_dir():
        hint = f" There is no folder {parent} either."
    return DataError(
        f"no such file or folder: {path}.{hint}",
        expected=expected,
        fix="check the path; a relative path starts from the current folder",
    )
