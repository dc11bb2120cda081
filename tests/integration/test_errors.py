"""Every mistake of a user: one message, its exit code, no traceback, and no run folder that looks finished."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from small_things import COLOURS, make_folders, make_picture, make_table

Run = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_folders(tmp_path / "data", 6, seed=20)


@pytest.fixture
def refused(here: Run, checkpoint: Path, tmp_path: Path) -> Callable[..., str]:
    """Run a fit that must fail with an exit code, and return what it said."""

    def run(data: object, code: int, *words: object, model: object = checkpoint, out: object = tmp_path / "run") -> str:
        told = here(
            "fit",
            data,
            "--model",
            model,
            "--out",
            out,
            "--workers",
            0,
            "--engine",
            "eager",
            "--precision",
            "fp32",
            *words,
        )
        assert told.code == code, told.err
        assert told.err.startswith("error: ")
        assert "Traceback" not in told.err
        assert not (Path(str(out)) / "metrics.json").exists()
        return str(told.err)

    return run


def test_no_such_folder(refused: Callable[..., str], data: Path) -> None:
    text = refused(data.with_name("dat"), 3)
    assert "no such file or folder" in text
    assert "Did you mean 'data'?" in text


def test_an_empty_class(refused: Callable[..., str], data: Path) -> None:
    (data / "yellow").mkdir()
    assert "'yellow'" in refused(data, 3)


def test_one_class_only(refused: Callable[..., str], data: Path) -> None:
    import shutil

    for name in ("blue", "green"):
        shutil.rmtree(data / name)
    assert "one class only, 'red'" in refused(data, 3)


def test_one_example_of_a_class(refused: Callable[..., str], data: Path) -> None:
    (data / "yellow").mkdir()
    make_picture((200, 200, 0), seed=1).save(data / "yellow" / "only.png")
    assert "one example only of the class 'yellow'" in refused(data, 3)


@pytest.mark.parametrize("content", [b"", b"text", None], ids=["empty", "no picture", "truncated"])
def test_a_picture_that_cannot_be_read(
    refused: Callable[..., str], here: Run, data: Path, checkpoint: Path, tmp_path: Path, content: bytes | None
) -> None:
    bad = data / "red" / "03.png"
    bad.write_bytes(bad.read_bytes()[:200] if content is None else content)
    text = refused(data, 3)
    assert str(bad) in text
    assert "--skip-unreadable" in text
    assert text.count("To fix:") == 1
    told = here(
        "fit", data, "--model", checkpoint, "--out", tmp_path / "skipped", "--workers", 0, "--skip-unreadable",
        "--engine", "eager", "--precision", "fp32",
    )  # fmt: skip
    assert told.code == 0
    assert "1 unreadable picture of train skipped, for example red/03.png" in told.out


def test_a_class_that_is_unreadable_as_a_whole(refused: Callable[..., str], data: Path) -> None:
    for file in sorted((data / "red").iterdir())[1:]:
        file.write_bytes(b"")
    assert "after skipping pictures" in refused(data, 3, "--skip-unreadable")


def test_a_label_column_that_is_missing(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    table = make_table(data, tmp_path / "t.csv", label_column="colour")
    text = refused(table, 3, "--label-column", "color")
    assert "Did you mean 'colour'?" in text


def test_a_file_that_is_gone(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    table = make_table(data, tmp_path / "t.csv")
    (data / "red" / "02.png").unlink()
    assert "02.png" in refused(table, 3)


def test_a_label_of_test_that_train_does_not_have(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    test = make_folders(tmp_path / "test", 2, seed=3)
    (test / "red").rename(test / "rd")
    assert "Did you mean 'red'?" in refused(data, 3, "--test", test)


def test_a_model_that_is_nowhere(refused: Callable[..., str], data: Path) -> None:
    text = refused(data, 4, model="nobody/no-such-model")
    assert "'nobody/no-such-model' is not on this disk and could not be fetched" in text


def test_no_network_and_a_model_that_is_not_local(
    refused: Callable[..., str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not told to be offline, but every name look-up fails, as without a network."""
    import huggingface_hub.constants

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    text = refused(data, 4, model="nobody/no-such-model")
    assert "not on this disk and could not be fetched" in text


def test_a_folder_that_is_no_model(refused: Callable[..., str], data: Path) -> None:
    assert "holds no config.json" in refused(data, 4, model=data)


def test_a_run_that_exists(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    (tmp_path / "run" / "training").mkdir()
    text = refused(data, 2)
    assert "--resume" in text
    assert "--overwrite" in text


def test_a_place_that_cannot_be_written(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(data, 5, out=tmp_path / "file" / "run")


def test_a_cache_that_cannot_be_written(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(data, 5, "--cache", tmp_path / "file" / "cache")


def test_a_full_disk(refused: Callable[..., str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    import numpy as np

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    text = refused(data, 5, "--cache", tmp_path / "cache")
    assert "the disk is full" in text
    assert "--cache" in text


def test_memory_that_runs_out_for_good(
    refused: Callable[..., str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graft.backbones import engines

    def never(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setitem(engines._BUILDERS, "eager", never)
    assert "out of memory on cpu with a single picture" in refused(data, 5, "--cache", tmp_path / "cache")


def test_an_interrupt_keeps_what_was_computed(
    here: Run, checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of the pass: exit 130; the same command with --resume computes the rest alone."""
    from graft.backbones.extraction import Extractor

    forward, n_calls = Extractor._forward, 0

    def press(self: Extractor, pixels: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, pixels)

    words = [
        "fit", data, "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0, "--batch-size", 4,
        "--cache", tmp_path / "cache", "--engine", "eager", "--precision", "fp32",
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "_forward", press)
        told = here(*words)
    assert told.code == 130
    assert told.err.startswith("interrupted: ")
    assert "--resume goes on" in told.err
    told = here(*words, "--resume")
    assert told.code == 0
    assert "features of 12 pictures are in the cache, 6 to compute" in told.out


def test_a_bad_device_and_engine(refused: Callable[..., str], data: Path) -> None:
    assert "device 'cuda:77'" in refused(data, 2, "--device", "cuda:77")


def test_pictures_of_one_label_named_twice_are_no_error(here: Run, checkpoint: Path, tmp_path: Path) -> None:
    """A label with signs that mean something to file systems, HTML and rich must come through."""
    data = make_folders(tmp_path / "data", 4, seed=30)
    (data / "red").rename(data / "[bold]r&d <é>")
    told = here("fit", data, "--model", checkpoint, "--out", tmp_path / "run", "--workers", 0, "--engine", "eager")
    assert told.code == 0
    assert "[bold]r&d <é>" in told.out
    assert "<é>" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert COLOURS


def test_what_a_user_typed_is_shown_as_it_is(refused: Callable[..., str], data: Path) -> None:
    text = refused(data, 3, "--test", data.with_name("data:smile:"))
    assert "data:smile:" in text
