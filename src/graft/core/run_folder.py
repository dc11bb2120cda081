"""The folder of a run: made, refused, resumed; its configuration, phases, log and manifest."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from graft.core.errors import UsageError
from graft.core.files import as_resource_error, gone_if_in_vain, read_json, write_json, write_text
from graft.core.memory import peak_memory_mib
from graft.core.processes import Processes
from graft.core.version import VERSION

__all__ = ["RUN_FORM", "Run", "environment"]

RUN_FORM = "graft-run-1"
"""Version of the run folder's forms; docs/run-folder.md describes them."""

_OURS = (
    "config.toml", "manifest.json", "metrics.json", "predictions.parquet", "log.txt", "report.html", "leaderboard.json",
    "reads.json", "model", "model.partial", "scratch", "training", "adapter", "strategy.json", "checks.json",
    "previews.parquet",
    "label-next.csv", "texts.parquet", "example.json", "ranking.json",
)  # fmt: skip
_BEFORE_ALL = {"config.toml", "log.txt"}  # what a run holds that ended before it had computed anything
_LEFTOVERS = ".*.partial"  # what `atomic_path` leaves behind in a killed process
_VERSIONS_OF = (
    "torch", "transformers", "datasets", "numpy", "scipy", "pillow", "safetensors", "accelerate", "peft",
    "openvino",
)  # fmt: skip


class Run:
    """A run's folder while it is written.

    Parameters
    ----------
    folder : the run's place.
    config : the options as JSON values; ``config.toml`` keeps them.
    is_resumed : whether an earlier run of the same configuration began here.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], *, is_resumed: bool) -> None:
        self.folder, self.config, self.is_resumed = folder, dict(config), is_resumed
        self.seconds: dict[str, float] = {}

    @classmethod
    def open(cls, folder: Path, config: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Run:
        """Return a run that may be written.

        Raises
        ------
        UsageError
            When the folder holds something and neither `resume` nor `overwrite` was given, when it is not a run's, or
            when the run in it had other options.
        ResourceError
            When the folder cannot be written.
        """
        leftovers = [*folder.glob(_LEFTOVERS)] if folder.is_dir() else []
        is_filled = folder.exists() and (not folder.is_dir() or any(p not in leftovers for p in folder.iterdir()))
        is_run = (folder / "config.toml").is_file()
        if is_filled and not is_run:
            raise UsageError(
                f"{folder} exists and is no run of Graft",
                expected="a new or empty folder",
                fix="choose another --out (Python: out=)",
            )
        is_begun = is_filled and not {path.name for path in folder.iterdir()} <= _BEFORE_ALL
        if is_begun and not (resume or overwrite):
            raise UsageError(
                f"{folder} holds a run already",
                expected="a new folder, or a word on what to do with the old run",
                fix="--resume goes on with it, --overwrite replaces it (Python: resume=True, overwrite=True)",
            )
        if is_filled and resume:
            _refuse_other_options(folder, config)
        try:
            for path in leftovers:
                path.unlink(missing_ok=True)
            if is_filled and not resume:
                for name in _OURS:
                    place = folder / name
                    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied", str(folder))
        except OSError as error:
            raise as_resource_error(error, folder) from error
        write_text(folder / "config.toml", tomli_w.dumps({k: v for k, v in config.items() if v is not None}))
        return cls(folder, config, is_resumed=is_filled and resume)

    @classmethod
    @contextmanager
    def beside(
        cls, folder: Path, config: Mapping[str, Any], processes: Processes, *, resume: bool, overwrite: bool
    ) -> Iterator[Run]:
        """Yield the run: of the main process the one in `folder`, of the others one in a temporary folder each.

        A folder that is new goes again where an error ends the run before anything is computed.

        Raises
        ------
        UsageError, ResourceError
            As `open` does.
        """
        if processes.is_main:
            with gone_if_in_vain(folder, holding=_BEFORE_ALL):
                run = cls.open(folder, config, resume=resume, overwrite=overwrite)
                run.is_resumed = processes.from_main(run.is_resumed)
                yield run
            return
        is_resumed = processes.from_main(None)
        with tempfile.TemporaryDirectory(prefix="graft-process-") as own:
            yield cls(Path(own), config, is_resumed=is_resumed)

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end: ``metrics.json`` is written last."""
        return (self.folder / "metrics.json").is_file()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of the body under `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def logger(self, show: Callable[[str], None]) -> Callable[[str], None]:
        """Return a function that shows a sentence and appends it to ``log.txt`` with the time."""
        path = self.folder / "log.txt"

        def say(text: str) -> None:
            show(text)
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")

        return say

    def count_test_read(self) -> int:
        """Count one more reading of the test split's labels, and return how many there were."""
        kept = self._reads()
        write_json(self.folder / "reads.json", kept | {"test": kept["test"] + 1})
        return int(kept["test"]) + 1

    @property
    def identity(self) -> str:
        """What tells the run apart from others: by chance, kept with the readings; a run anew has another."""
        kept = self._reads()
        if "run" not in kept:
            kept["run"] = os.urandom(8).hex()
            write_json(self.folder / "reads.json", kept)
        return str(kept["run"])

    def _reads(self) -> dict[str, Any]:
        path = self.folder / "reads.json"
        return {"test": 0} | (read_json(path) if path.is_file() else {})

    def write_manifest(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``manifest.json``: what it takes to repeat the run; return what was written."""
        manifest = {"form": RUN_FORM, **environment(), "peak_memory_mib": round(peak_memory_mib(), 1), **facts}
        write_json(self.folder / "manifest.json", manifest)
        return manifest


def environment() -> dict[str, Any]:
    """Return versions, platform and command line of this process."""
    versions = {"graft": VERSION, "python": platform.python_version()}
    for package in _VERSIONS_OF:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": " ".join(["graft", *sys.argv[1:]]) if Path(sys.argv[0]).stem in ("graft", "__main__") else "Python",
        "versions": versions,
        # not platform.platform(): it starts a process, which on this side of an OpenVINO pass can crash (vfork and AMX)
        "platform": "{0.sysname} {0.release} {0.machine}".format(os.uname()) if hasattr(os, "uname") else sys.platform,
        "n_cores": os.cpu_count(),
    }


def _refuse_other_options(folder: Path, config: Mapping[str, Any]) -> None:
    with open(folder / "config.toml", "rb") as file:
        old = tomllib.load(file)
    new = {k: v for k, v in config.items() if v is not None}
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    if changed:
        told = "; ".join(f"{k} was {old.get(k)!r}, is now {new.get(k)!r}" for k in changed[:3])
        raise UsageError(
            f"{folder} was begun with other options: {told}",
            expected="the same options as in its config.toml",
            fix="repeat the first command with --resume, or start anew with --overwrite",
        )
