"""The checkpoint's own preprocessing, split into a uint8 part for workers and a linear part for the network.

Resizing and cropping run in worker processes and give uint8 pictures, a quarter of the bytes of float32. Rescaling and
normalising are linear in the pixels and run inside the network, on its device and in its engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import ModelError
from graft.core.files import hash_json

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Preprocessing", "plain_settings"]

_UNSTABLE_KEYS = {"_processor_class", "processor_class", "transformers_version", "_name_or_path", "return_tensors"}


class Preprocessing:
    """What a checkpoint's image processor does to one picture.

    Picklable, so that worker processes can hold it.

    Parameters
    ----------
    processor : a transformers image processor.
    label : name of the checkpoint, for messages.

    Attributes
    ----------
    scale, offset : (n_channels,), float32. The network sees ``pixels * scale + offset``.
    shape : (n_channels, height, width) of every preprocessed picture.
    is_split : whether pixels are uint8 and the linear part runs in the network. False for processors that do something
        else between or after: then workers give the processor's own float32 output, scale 1, offset 0.
    """

    def __init__(self, processor: Any, *, label: str = "") -> None:
        self.processor = processor
        self.label = label
        self._arguments: dict[str, Any] = {}
        probe = _probe_pictures()
        whole = [self._run(picture) for picture in probe]
        shapes = {picture.shape for picture in whole}
        if len(shapes) != 1 or len(whole[0].shape) != 3:
            raise ModelError(
                f"the image processor of {label or 'this model'} gives pictures of different sizes: {sorted(shapes)}",
                expected="one fixed size, so that pictures can be batched",
                fix="set size (and crop_size) in the checkpoint's preprocessor_config.json to a fixed height and width",
            )
        self.shape: tuple[int, int, int] = whole[0].shape
        self.scale, self.offset = np.ones(self.shape[0], np.float32), np.zeros(self.shape[0], np.float32)
        self.is_split = self._try_split(probe, whole)

    def __call__(self, picture: Image) -> NDArray[Any]:
        """Return the pixels of an RGB picture: (n_channels, height, width), uint8 (float32 when not `is_split`)."""
        return np.ascontiguousarray(self._run(picture).astype(np.uint8 if self.is_split else np.float32, copy=False))

    @property
    def fingerprint(self) -> str:
        """Hash of the processor's settings and kind: equal for equal preprocessing."""
        kind = type(self.processor).__name__
        return hash_json({"kind": kind, "settings": plain_settings(self.processor), "is_split": self.is_split})

    def _run(self, picture: Image, **arguments: Any) -> NDArray[Any]:
        output = self.processor(images=picture, return_tensors="np", **(self._arguments | arguments))
        return np.asarray(output["pixel_values"][0])

    def _try_split(self, probe: list[Image], whole: list[NDArray[Any]]) -> bool:
        """Split off the linear part, if that reproduces the processor's output on the probe pictures."""
        settings = self.processor.to_dict()
        n_channels = self.shape[0]
        scale, offset = np.ones(n_channels), np.zeros(n_channels)
        if settings.get("do_rescale"):
            scale = scale * float(settings.get("rescale_factor") or 1 / 255)
        if settings.get("do_normalize"):
            mean = np.broadcast_to(np.asarray(settings.get("image_mean"), dtype=float), (n_channels,))
            std = np.broadcast_to(np.asarray(settings.get("image_std"), dtype=float), (n_channels,))
            scale, offset = scale / std, -mean / std
        arguments = {"do_rescale": False, "do_normalize": False}
        try:
            parts = [self._run(picture, **arguments) for picture in probe]
        except (TypeError, ValueError, KeyError):
            return False
        for part, full in zip(parts, whole, strict=True):
            if part.shape != full.shape or not np.array_equal(part, part.astype(np.uint8)):
                return False
            if not np.allclose(part * scale[:, None, None] + offset[:, None, None], full, atol=1e-4):
                return False
        self.scale, self.offset = scale.astype(np.float32), offset.astype(np.float32)
        self._arguments = arguments
        return True


def plain_settings(processor: Any) -> dict[str, Any]:
    """Return the settings of a transformers processor as JSON values, without what varies from version to version."""
    settings: dict[str, Any] = _plain({k: v for k, v in processor.to_dict().items() if k not in _UNSTABLE_KEYS})
    return settings


def _probe_pictures() -> list[Image]:
    """Return three small pictures, wide, high and square, that exercise every step of a processor."""
    from PIL import Image

    random = np.random.default_rng(0)
    sizes = ((61, 97), (90, 40), (33, 33))
    return [Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def _plain(value: Any) -> Any:
    """Return `value` with mappings, sequences and enums as JSON types."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
