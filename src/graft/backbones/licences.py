"""The licence that a checkpoint states, read from the card that lies beside it; never asked of a network."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["stated_licence"]

_LINE = re.compile(r"^license:\s*['\"]?([A-Za-z0-9][\w.-]{0,60})['\"]?\s*$", re.MULTILINE)


def stated_licence(model: str, *, revision: str = "") -> str:
    """Return the licence's short name; empty where none is stated or no card is at hand.

    Parameters
    ----------
    model : a folder, or a hub id whose files are in the hub's cache.
    revision : of the hub id; empty: the main one.
    """
    card = Path(model) / "README.md"
    if not card.is_file():
        card = _cached_card(model, revision) or card
    if not card.is_file():
        return ""
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return ""
    found = _LINE.search(parts[1])
    return found[1].lower() if found else ""


def _cached_card(model: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "README.md", revision=revision or None)
    except HFValidationError:  # a folder, or torchvision:...
        return None
    return Path(found) if isinstance(found, str) else None
