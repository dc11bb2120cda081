"""Where a model lies: what can only be a folder is not asked of a hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from graft.backbones.on_disk import refuse_missing_folder
from graft.core.errors import ModelError


def test_a_mistyped_folder_is_called_one_and_the_nearest_is_named(tmp_path: Path) -> None:
    (tmp_path / "mobilenet_v1").mkdir()
    with pytest.raises(ModelError, match=r"there is no folder .*mobilenet_v9\. Did you mean 'mobilenet_v1'"):
        refuse_missing_folder(str(tmp_path / "mobilenet_v9"))
    for name in ("./models/x", "~/nothing/here", "a/b/c"):
        with pytest.raises(ModelError, match="there is no folder"):
            refuse_missing_folder(name)


@pytest.mark.parametrize("name", ["bert-base-uncased", "microsoft/resnet-50", "torchvision:resnet50", "models"])
def test_what_may_be_a_hub_id_is_left_to_the_hub(name: str) -> None:
    refuse_missing_folder(name)
