from __future__ import annotations

from pathlib import Path

import pytest

from graft.backbones.licences import stated_licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: Apache-2.0\ntags:\n- a\n---\ntext", "apache-2.0"),
        ("---\ntags:\n- a\nlicense: 'mit'\n---\n", "mit"),
        ("---\ntags: []\n---\nlicense: mit\n", ""),
        ("no front matter\nlicense: mit\n", ""),
        ("---\nlicense: <script>\n---\n", ""),
    ],
)
def test_it_is_read_from_the_cards_front_matter_alone(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert stated_licence(str(tmp_path)) == licence


def test_none_is_guessed(tmp_path: Path) -> None:
    assert stated_licence(str(tmp_path)) == ""
    assert stated_licence("owner/not-in-any-cache") == ""
    assert stated_licence("torchvision:resnet18") == ""
