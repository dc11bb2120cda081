"""The tiny networks and the little examples, for the tests of this folder, which run in one thread."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.small_methods import ARCHITECTURES, SMALL, Small, make_architecture, small_images
from small_things import checkpoint, pictures  # noqa: F401


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    return {name: make_architecture(name, folder / name) for name in ARCHITECTURES}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Small:
    """Return a task with its examples, on the small ResNet."""
    return SMALL[request.param](checkpoints["resnet"])


@pytest.fixture(scope="module")
def resnet(checkpoints: dict[str, Path]) -> Small:
    """Return image classification on the small ResNet."""
    return small_images(checkpoints["resnet"])


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pictured(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Small:
    """Return image classification on each small network."""
    return small_images(checkpoints[request.param])


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
