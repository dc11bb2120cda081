"""Fixtures for all tests: where real data lies, and no network."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Before torch is imported: threads that spin at barriers slow each other down when two test processes share two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A busy machine takes longer for some examples than for others; that is no failure.
hypothesis.settings.register_profile("graft", deadline=None)
hypothesis.settings.load_profile("graft")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of public data and pretrained weights (environment variable GRAFT_SHARED, else ../shared)."""
    folder = Path(os.environ.get("GRAFT_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        if "GRAFT_SHARED" in os.environ:
            pytest.fail(f"GRAFT_SHARED is {folder}, but there is no folder data in it")
        pytest.skip(f"no real data at {folder}: set GRAFT_SHARED to the folder that holds data/ and models/")
    return folder
