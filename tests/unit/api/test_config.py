from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from graft.api.config import FitConfig
from graft.api.gathering import gather_options, read_config_file
from graft.core.errors import UsageError

NAMES = {"model": "m", "out": "o"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test_fraction", 0.0), ("test_fraction", 1.0), ("strategy", "everything"), ("views", 0), ("folds", 1),
        ("engine", "onnx"), ("precision", "fp8"), ("batch_size", 0), ("workers", -1),
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        FitConfig(**NAMES, **{name: value})
    assert f"--{name.replace('_', '-')} {value}" in caught.value.got
    assert f"{name}=" in caught.value.got
    assert caught.value.expected


def test_every_option_is_documented() -> None:
    text = FitConfig.__doc__ or ""
    lines = [line.strip() for line in text.splitlines()]
    for field in fields(FitConfig):
        assert field.name in lines, f"{field.name} has no entry in the docstring"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_options(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", 'data = "d"\nmodel = "m"\nviews = 2\nflip = false\n')
    assert read_config_file(file) == {"data": "d", "model": "m", "views": 2, "flip": False}


@pytest.mark.parametrize(
    ("text", "words"),
    [("view = 2", ["sets 'view'", "Did you mean 'views'?"]), ("views = ", ["is no TOML"]), ("[views]\nx = 1", [])],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, words: list[str]) -> None:
    file = write(tmp_path / "c.toml", text)
    if not words:
        with pytest.raises((UsageError, TypeError)):
            gather_options(model="m", out="o", config=file, options={})
        return
    with pytest.raises(UsageError) as caught:
        read_config_file(file)
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no config file"):
        read_config_file(tmp_path / "none.toml")


def test_the_call_wins_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", 'data = "d"\nmodel = "file"\nout = "o"\nviews = 2\nfolds = 3\n')
    config = gather_options(model="call", out=None, config=file, options={"views": 4, "weights": None})
    assert (config.model, config.out, config.views, config.folds) == ("call", "o", 4, 3)


def test_options_that_are_missing_or_unknown() -> None:
    with pytest.raises(UsageError, match="no model was named"):
        gather_options(model=None, out="o", config=None, options={})
    with pytest.raises(UsageError, match="no out was named"):
        gather_options(model="m", out=None, config=None, options={})
    with pytest.raises(UsageError, match=r"no option 'fold'\. Did you mean 'folds'"):
        gather_options(model="m", out="o", config=None, options={"fold": 3})


def test_paths_become_texts_that_a_file_can_keep() -> None:
    config = gather_options(model=Path("m"), out=Path("o"), config=None, options={"test": Path("t")})  # type: ignore[arg-type]
    assert (config.model, config.out, config.test) == ("m", "o", "t")
    assert FitConfig(**config.as_dict()) == config
