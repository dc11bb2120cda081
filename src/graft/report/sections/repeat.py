"""How to repeat it: command, seed, versions, hashes, and all options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from graft.report import wording as w
from graft.report.places import model_name

__all__ = ["repeat_facts"]

_TOLD_ELSEWHERE = frozenset({"command", "notes", "noun", "title", "strategy", "class_counts", "is_pair"})
_MOST_ROWS = 200
_MOST_TEXT = 400
_MOST_VERSIONS = 2_000
_NAMES = {
    "form": "form of the run folder",
    "engine": "engine of the frozen pass",
    "labels": "labels",
    "weights_hash": "hash of the saved weights",
    "preprocessing": "hash of the preprocessing",
    "peak_memory_mib": "peak memory, MiB",
    "n_files": "files read",
    "saved_model_check.n_examples": "saved model reloaded on, examples",
    "saved_model_check.largest_difference": "its probabilities differ by at most",
    "saved_model_check.largest_difference_to_cached_features": "and from those of cached features by",
    "decision.thresholds": "thresholds of the labels",
    "decision.offset": "offset of the decision",
}


def repeat_facts(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``command``, and ``manifest`` and ``config`` as (name, text), numbers rounded; manifest.json has all."""
    command = manifest.get("command") or ""
    told = command if isinstance(command, str) else " ".join(str(part) for part in command)
    rest = {k: v for k, v in manifest.items() if k not in _TOLD_ELSEWHERE}
    rows = [*_network(rest), *_data(rest), *_machine(rest)]
    return {
        "command": w.clipped(told, 4_000),
        "manifest": [*rows, *((_named(k), v) for k, v in _flat(_known(rest)))][:_MOST_ROWS],
        "config": _flat(config)[:_MOST_ROWS],
    }


def _network(rest: dict[str, Any]) -> list[tuple[str, str]]:
    """Take the pretrained network out of `rest`, and return its rows."""
    backbone = _taken(rest, "backbone")
    if not backbone:
        return []
    parts = [_name(str(backbone.get("id", "")))]
    if backbone.get("revision"):
        parts.append(f"revision {backbone['revision']}")
    if backbone.get("architecture"):
        parts.append(str(backbone["architecture"]))
    if isinstance(backbone.get("n_parameters"), int):
        parts.append(f"{w.count(backbone['n_parameters'])} parameters")
    rows = [
        ("pretrained network", w.clipped(", ".join(filter(None, parts)), _MOST_TEXT)),
        ("its licence", w.clipped(backbone.get("licence") or "none stated", 80)),
    ]
    return rows + [("hash of its weights", w.clipped(backbone["weights_hash"], 80))] * ("weights_hash" in backbone)


def _data(rest: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for split, part in _taken(rest, "splits").items():
        if not isinstance(part, Mapping):
            continue
        told = [f"{w.count(part['n'])} examples"] if isinstance(part.get("n"), int) else []
        told += [f"fingerprint {part['fingerprint']}"] if part.get("fingerprint") else []
        rows.append((f"data of {w.clipped(split, 40)}", w.clipped(", ".join(told), _MOST_TEXT)))
    return rows


def _machine(rest: dict[str, Any]) -> list[tuple[str, str]]:
    versions = _taken(rest, "versions")
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    rows = [("versions", w.clipped(told, _MOST_VERSIONS))] if told else []
    if isinstance(platform := rest.pop("platform", None), str):
        cores = rest.pop("n_cores", None)
        rows.append(("machine", w.clipped(platform + (f", {cores} cores" if cores else ""), _MOST_TEXT)))
    return rows


def _taken(rest: dict[str, Any], key: str) -> Mapping[str, Any]:
    value = rest.get(key)
    if not isinstance(value, Mapping):
        return {}
    del rest[key]
    return value


def _name(place: str) -> str:
    """Return a name for a path on this machine; the whole one stands in manifest.json."""
    return model_name(place) if PurePath(place).is_absolute() else place


def _known(rest: Mapping[str, Any]) -> dict[str, Any]:
    """Return `rest` without what is not known or empty."""
    inner = {k: _known(v) if isinstance(v, Mapping) else v for k, v in rest.items()}
    return {k: v for k, v in inner.items() if v is not None and v not in ("", {}, [])}


def _named(key: str) -> str:
    return _NAMES.get(key) or key.replace(".", ", ").replace("_", " ")


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, inner in value.items():
        name = f"{prefix}{w.clipped(key, 80)}"
        if isinstance(inner, Mapping):
            rows += _flat(inner, f"{name}.") if inner else [(name, "none")]
        elif isinstance(inner, (list, tuple)):
            parts = [w.clipped(_rounded(i), 80) for i in inner[:50]]
            rows.append((name, w.clipped(", ".join(parts), _MOST_TEXT) or "none"))
        else:
            rows.append((name, "none" if inner is None or inner == "" else w.clipped(_rounded(inner), _MOST_TEXT)))
    return rows


def _rounded(value: object) -> str:
    """Return a value as it is read: yes or no, fractions to three digits.

    Examples
    --------
    >>> [_rounded(v) for v in (0.0012143147177994251, 809.3, True, "red")]
    ['0.00121', '809', 'yes', 'red']
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}".replace("-", "−") if isinstance(value, float) and abs(value) < 1e4 else str(value)
