"""Settings of this process that must be made before the first tensor."""

from __future__ import annotations

import os
import sys

from graft.core.memory import keep_freed_pages

__all__ = ["prepare_process"]


def prepare_process() -> None:
    """Make the settings, once, before torch is imported; where it already is, only what still can be set.

    - glibc keeps freed pages (see `graft.core.memory.keep_freed_pages`).
    - OpenMP threads sleep rather than spin at barriers. Spinning threads that share a core with another process
      cost the solver a factor of 20 (docs/experiments.md). A value of ``OMP_WAIT_POLICY`` set outside is kept.
    - tokenizers do not warn when data workers fork.
    """
    keep_freed_pages()
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
