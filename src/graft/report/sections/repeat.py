"""How to repeat it: command, seed, versions, hashes, and all options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graft.report import wording as w

__all__ = ["repeat_facts"]

_TOLD_ELSEWHERE = frozenset({"command", "notes", "noun", "title", "strategy"})
_MOST_ROWS = 200
_MOST_TEXT = 400


def repeat_facts(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``command``, and ``manifest`` and ``config`` as (name, text); nested names are joined by dots."""
    command = manifest.get("command") or ""
    told = command if isinstance(command, str) else " ".join(str(part) for part in command)
    return {
        "command": w.clipped(told, 4_000),
        "manifest": _flat({k: v for k, v in manifest.items() if k not in _TOLD_ELSEWHERE})[:_MOST_ROWS],
        "config": _flat(config)[:_MOST_ROWS],
    }


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, inner in value.items():
        name = f"{prefix}{w.clipped(key, 80)}"
        if isinstance(inner, Mapping):
            rows += _flat(inner, f"{name}.") if inner else [(name, "none")]
        elif isinstance(inner, (list, tuple)):
            parts = [w.clipped(i, 80) for i in inner[:50]]
            rows.append((name, w.clipped(", ".join(parts), _MOST_TEXT) or "none"))
        else:
            rows.append((name, "none" if inner is None or inner == "" else w.clipped(inner, _MOST_TEXT)))
    return rows
