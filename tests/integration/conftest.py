"""The tiny network, the little pictures, and the command line, in this process and in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_things import checkpoint, make_folders, pictures  # noqa: F401

SOURCE = Path(__file__).parents[2] / "src"


def with_strategy(words: tuple[object, ...]) -> list[str]:
    """Return the words of a command; `fit` trains the head alone, which is fast, unless a strategy is named."""
    said = [str(word) for word in words]
    is_open = said[:1] == ["fit"] and not any(word.startswith(("--strategy", "--help")) for word in said)
    return [*said, "--strategy", "head"] if is_open else said


class Told(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the feature cache that the runs of a session share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environment(cache: Path) -> dict[str, str]:
    """Environment of a command in a process of its own."""
    paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "GRAFT_CACHE": str(cache),
        "OMP_WAIT_POLICY": "PASSIVE",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="session")
def graft(environment: dict[str, str]) -> Callable[..., Told]:
    """Run ``graft`` with some words in a process of its own, as a user does."""

    def run(*words: object, **more: str) -> Told:
        command = [sys.executable, "-m", "graft", *with_strategy(words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment | more, timeout=120)
        return Told(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> Iterator[Callable[..., Told]]:
    """Run ``graft`` in this process: faster; what it raises is not caught, so a traceback fails the test."""
    from graft.cli.app import run

    monkeypatch.setenv("GRAFT_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "200")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A shell that starts the tests in the background has Ctrl-C ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def call(*words: object) -> Told:
        capsys.readouterr()
        code = run(with_strategy(words))
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def finished(graft: Callable[..., Told], checkpoint: Path, pictures: Path, tmp_path_factory: Any) -> Path:  # noqa: F811
    """A run on undivided folders, by the command line; not to be changed."""
    out: Path = tmp_path_factory.mktemp("runs") / "finished"
    told = graft("fit", pictures, "--model", checkpoint, "--out", out, "--workers", 0)
    assert told.code == 0, told.err
    return out


@pytest.fixture(scope="session")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in train/ and test/."""
    folder = tmp_path_factory.mktemp("divided")
    make_folders(folder / "train", 8, seed=1)
    make_folders(folder / "test", 5, seed=2)
    return folder


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
