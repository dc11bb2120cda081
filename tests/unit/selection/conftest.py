"""The tiny network and the little pictures, for the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from small_things import checkpoint, pictures  # noqa: F401
