"""`diagnose`: what an installation can do, and what in it is broken."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from graft.core.optional import is_installed
from graft.core.process import prepare_process

__all__ = ["Finding", "diagnose"]


@dataclass(frozen=True)
class Finding:
    """One thing found: good, worth a note, or bad."""

    kind: Literal["good", "note", "bad"]
    text: str


def diagnose() -> Iterator[Finding]:
    """Yield findings on packages, device and precision, one at a time."""
    prepare_process()
    for package in ("torch", "transformers", "datasets", "accelerate", "safetensors", "scikit-learn"):
        try:
            yield Finding("good", f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            yield Finding("bad", f"{package} is missing: pip install graft-finetune again")
    if is_installed("torchvision"):
        try:
            importlib.import_module("torchvision")
            yield Finding("good", "torchvision works; Graft does not need it")
        except Exception as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            yield Finding(
                "bad",
                f"torchvision is installed but does not import ({first[:100]}): transformers then cannot load image"
                " processors. A broken torchvision is worse than none: pip uninstall torchvision",
            )
    if is_installed("openvino"):
        yield Finding("good", f"openvino {metadata.version('openvino')}: the fastest frozen pass on CPUs")
    else:
        yield Finding(
            "note",
            "openvino is not installed; on CPUs it makes the frozen pass about 3 times faster: pip install openvino",
        )
    from graft.core.devices import choose_device, choose_precision

    device = choose_device()
    precision = choose_precision(device)
    yield Finding("good", f"device {device}, precision {precision.name}: {precision.reason}")
