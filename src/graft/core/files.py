"""Files that are either whole or absent, and hashes of what they hold."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graft.core.errors import DataError, ModelError, ResourceError, UsageError

__all__ = [
    "as_resource_error",
    "atomic_folder",
    "atomic_path",
    "gone_if_in_vain",
    "hash_bytes",
    "hash_file",
    "hash_json",
    "read_json",
    "write_json",
    "write_text",
]

_CHUNK = 1 << 20


def hash_bytes(content: bytes) -> str:
    """Return the 128-bit BLAKE2b digest of `content` as 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def hash_file(path: Path) -> str:
    """Return `hash_bytes` of a file, read in pieces of 1 MiB."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """Return `hash_bytes` of a JSON value, keys sorted, so that equal values hash equally."""
    return hash_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it is flushed and renamed to `path`.

    Raises
    ------
    ResourceError
        When the disk is full or the place cannot be written; nothing half-written stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise as_resource_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary name beside `folder` for a new folder; on success it takes the place of `folder`.

    On any error it is removed, and `folder` stays as it was. Whoever may read the folder may read what is in it: some
    libraries write their files for the owner alone.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    readable = partial.stat().st_mode & 0o666
    for path in partial.rglob("*"):
        if path.is_file() and path.stat().st_mode & readable != readable:
            path.chmod(path.stat().st_mode | readable)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def as_resource_error(error: OSError, path: Path) -> ResourceError:
    """Return the `ResourceError` that says what an `OSError` at `path` means to the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"the disk is full while writing {path}",
            expected="enough free space for features, model and report",
            fix="free some space or choose another place with --out and --cache (Python: out=, cache=);"
            " finished shards are kept, so the same command with --resume goes on",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return ResourceError(
            f"{path} cannot be written: {error.strerror}",
            expected="a folder that this user may write",
            fix="choose another place with --out (Python: out=)",
        )
    return ResourceError(f"writing {path} failed: {error}", fix="see the operating system's message above")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the value that a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def gone_if_in_vain(folder: Path, *, holding: Collection[str]) -> Iterator[None]:
    """Remove a folder that the body made, where an error of the user's ends it before anything was computed.

    Parameters
    ----------
    folder : one that is there before the body stays as it is. New parents of it go too, if nothing else is in them.
    holding : names of files that are no result; with any other the folder stays.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except (UsageError, DataError, ModelError):
        if made and folder.is_dir() and all(path.is_dir() or path.name in holding for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made[1:]:
                with contextlib.suppress(OSError):  # something is in it
                    parent.rmdir()
        raise
