from __future__ import annotations

from pathlib import Path

import pytest

from graft.cli.config_file import with_config_file
from graft.core.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "c.toml"
    path.write_text('data = "d"\nmodel = "m"\nviews = 2\nflip = false\nskip_unreadable = true\n')
    return str(path)


def test_without_a_file_nothing_changes() -> None:
    assert with_config_file(["fit", "d", "--model", "m"]) == ["fit", "d", "--model", "m"]


def test_options_stand_as_if_typed(file: str) -> None:
    for words in (["fit", "--config", file, "--out", "o"], ["fit", f"--config={file}", "--out", "o"]):
        assert with_config_file(words) == [
            "fit", "d", "--out", "o", "--model", "m", "--views", "2", "--no-flip", "--skip-unreadable",
        ]  # fmt: skip


def test_what_was_typed_wins(file: str) -> None:
    words = with_config_file(["fit", "mine", "--views", "5", "--flip", "--model=x", "--config", file])
    assert words == ["fit", "mine", "--views", "5", "--flip", "--model=x", "--skip-unreadable"]


def test_a_verb_that_reads_less_takes_a_file_of_fit_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('data = "d"\nmodel = "m"\nfolds = 3\nepochs = 2.0\nlora_rank = 4\n')
    assert with_config_file(["check", "--config", str(path)]) == ["check", "d", "--model", "m", "--folds", "3"]
    words = ["rank", "d", "--folds", "3", "--epochs", "2.0"]
    assert with_config_file(["rank", "--config", str(path)]) == words


def test_a_config_without_its_file() -> None:
    with pytest.raises(UsageError, match="--config without a file"):
        with_config_file(["fit", "d", "--config"])
