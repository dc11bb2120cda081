"""How a command line becomes one message and an exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from graft.cli import app as application
from graft.cli.app import run
from graft.core import errors


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["predict", "--help"], ["--version"], []])
def test_help_is_no_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capsys.readouterr().out


def test_the_help_of_fit_shows_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import fields

    from graft.api.config import FitConfig

    run(["fit", "--help"])
    text = capsys.readouterr().out
    for field in fields(FitConfig):
        assert "--" + field.name.replace("_", "-") in text


@pytest.mark.parametrize(
    ("verb", "flag", "read"),
    [
        ("check", "--epochs", ["--corrections", "--label-column", "--model", "--language"]),
        ("check", "--lora-rank", ["--out"]),
        ("rank", "--generations", ["--models", "--budget", "--race", "--epochs"]),
        ("rank", "--lora-rank", ["--offline"]),
        ("find-lr", "--generations", ["--out", "--lora-rank", "--epochs", "--jobs", "--ray-address"]),
        ("find-lr", "--more-data", ["--range-test"]),
    ],
)
def test_a_verb_shows_and_takes_what_it_reads(
    verb: str, flag: str, read: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run([verb, "--help"])
    text = capsys.readouterr().out
    assert all(known in text for known in read)
    assert flag not in text
    assert run([verb, "data", "--models" if verb == "rank" else "--model", "m", flag, "3"]) == 2
    assert f"Unknown option: {flag}" in capsys.readouterr().err


def test_the_help_of_check_tells_what_fit_tells(capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", "--help"])
    assert "Examples a batch." in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["fits"],
        ["fit"],
        ["fit", "d", "--model", "m"],
        ["fit", "d", "--model", "m", "--out", "o", "--viewz", "2"],
        ["fit", "d", "--model", "m", "--out", "o", "--views", "two"],
        ["fit", "d", "--model", "m", "--out", "o", "--views", "0"],
        ["predict", "r"],
        ["predict", "r", "p", "--format", "xml"],
        ["pretrain", "d", "--out", "o", "--optimizer", "lion"],
    ],
)
def test_what_cannot_be_meant_exits_2_with_one_message(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "name", ["GraftError", "UsageError", "DataError", "ModelError", "ResourceError", "Interrupted"]
)
def test_every_error_becomes_its_text_and_exit_code(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = getattr(errors, name)

    def fail(*_: object, **__: object) -> None:
        raise kind("[bold] was got", expected="x[0]", fix="do [this]")

    monkeypatch.setattr(application, "app", fail)
    assert run(["fit"]) == kind.exit_code
    word = "interrupted:" if name == "Interrupted" else "error:"
    assert capsys.readouterr().err == f"{word} [bold] was got\nExpected: x[0]\nTo fix: do [this]\n"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (MemoryError(), 5), (BrokenPipeError(), 0)])
def test_what_python_raises(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(application, "app", fail)
    monkeypatch.setattr(application.sys, "stderr", open("/dev/null", "w"))  # noqa: SIM115
    assert run(["fit"]) == code


def test_a_fault_of_graft_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(application, "app", fail)
    with pytest.raises(ZeroDivisionError):
        run(["fit"])
