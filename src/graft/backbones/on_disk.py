"""Where the weights of a catalog entry lie on this machine, without asking anybody."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from graft.backbones.catalog import CatalogEntry
from graft.core.errors import ModelError, did_you_mean

__all__ = ["cached_revision", "parameters_on_disk", "place_on_disk", "refuse_missing_folder"]

_BYTES = 4  # of a parameter; one of 16 bits is counted half
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def place_on_disk(entry: CatalogEntry) -> str | None:
    """Return the folder, or the hub id where the hub's cache holds its files; None: it would have to be fetched."""
    if (Path(entry.id) / "config.json").is_file():
        return entry.id
    if entry.package and (folder := _in_package(entry.package)):
        return folder
    return entry.id if cached_revision(entry) is not None else None


def refuse_missing_folder(model: str) -> None:
    """Raise where a model's name can only be a folder's, and there is none: no hub is asked for it.

    Raises
    ------
    ModelError
        When there is none.
    """
    place = Path(model).expanduser()
    is_path = place.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1
    if not is_path or ":" in model.partition("/")[0] or place.exists():
        return
    beside = [path.name for path in place.parent.iterdir() if path.is_dir()] if place.parent.is_dir() else []
    raise ModelError(
        f"there is no folder {model}.{did_you_mean(place.name, beside)}",
        expected="a folder that save_pretrained wrote, or a hub id (NAME or OWNER/NAME)",
        fix="check the path",
    )


def parameters_on_disk(folder: str) -> int:
    """Return about how many parameters the weights in a folder have, by the size of their files; 0: none are there."""
    place = Path(folder)
    files = {path for name in ("*.safetensors", "pytorch_model*.bin") for path in place.glob(name)}
    return sum(path.stat().st_size for path in files) // _BYTES if place.is_dir() else 0


def _in_package(package: str) -> str | None:
    module, _, inside = package.partition("/")
    spec = importlib.util.find_spec(module)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / inside
        if (folder / "config.json").is_file():
            return str(folder)
    return None


def cached_revision(entry: CatalogEntry) -> str | None:
    """Return which commit of a hub id the hub's cache holds: the pinned one before the newest that was fetched.

    Returns
    -------
    str or None
        The commit that is pinned; empty: not that one, but what was fetched last without a pin; None: neither.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    def has(name: str, revision: str) -> bool:
        return isinstance(try_to_load_from_cache(entry.id, name, revision=revision or None), str)

    try:
        for revision in dict.fromkeys((entry.revision, "")):
            if has("config.json", revision) and any(has(name, revision) for name in _WEIGHTS):
                return revision
    except HFValidationError:
        pass
    return None
