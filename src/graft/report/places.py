"""How examples and models are called on a page: by what tells them apart, not by where they lie on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath

__all__ = ["model_name", "short_names", "title_of"]

_SAYS_NOTHING = frozenset({"model", "models", "checkpoint", "weights", "network"})


def model_name(place: str) -> str:
    """Return what a model is called: the last part of its place, or the part before where that says nothing.

    Examples
    --------
    >>> model_name("/home/me/minilm/model"), model_name("microsoft/resnet-50"), model_name("model")
    ('minilm', 'resnet-50', 'model')
    """
    path = PurePath(place)
    parts = [part for part in path.parts if part not in (path.anchor, "..", "~")]
    while len(parts) > 1 and parts[-1].lower() in _SAYS_NOTHING:
        parts.pop()
    return parts[-1] if parts else place


def title_of(data: object, model: str) -> str:
    """Return what a run is called: the last part of its data's place, and its pretrained model."""
    return f"{PurePath(str(data)).name}: {model_name(model)}"


def short_names(ids: Iterable[str]) -> Callable[[str], str]:
    """Return what makes an absolute path one below the folder that all absolute paths among `ids` share.

    Other names stay as they are. The whole path stands in checks.json and predictions.parquet.

    Examples
    --------
    >>> name = short_names(["/home/me/birds/owl/1.wav", "/home/me/birds/tit/1.wav"])
    >>> name("/home/me/birds/owl/1.wav"), name("row 7"), name("/elsewhere/2.wav")
    ('owl/1.wav', 'row 7', '2.wav')
    """
    folders = {PurePath(name).parent.parts for name in ids if PurePath(name).is_absolute()}
    shared = PurePath(*_beginning(list(folders))) if folders else None

    def name(example: str) -> str:
        path = PurePath(example)
        if not path.is_absolute():
            return example
        if shared is not None and path.is_relative_to(shared):
            return str(path.relative_to(shared))
        return path.name or example

    return name


def _beginning(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(paths), max(paths)
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:n]
