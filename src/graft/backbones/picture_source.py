"""Pictures on their way through a frozen network: decoded and resized in workers, run by the fastest engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.engines import Engine, EngineChoice, candidates, start_engine
from graft.backbones.heads import FeatureNetwork
from graft.backbones.preprocessing import Preprocessing
from graft.backbones.source import Readable
from graft.backbones.views import View
from graft.core.devices import Precision
from graft.data.images import decode_image, perceptual_hash

__all__ = ["PictureSource"]

_USUAL_PIXELS: Final = 224 * 224


class PictureSource:
    """Reads picture files with a checkpoint's preprocessing.

    Parameters
    ----------
    preprocessing : the checkpoint's own.
    weights_hash : of the frozen network.
    network : makes the network up to its head; called when an engine starts.
    """

    noun = "picture"
    blocks = ("head input",)
    scalings = ("none", "z-score", "unit-norm")

    def __init__(self, preprocessing: Preprocessing, weights_hash: str, network: Callable[[], FeatureNetwork]) -> None:
        self._preprocessing, self._weights_hash, self._network = preprocessing, weights_hash, network

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}  # workers read, they do not compute

    @property
    def description(self) -> Mapping[str, Any]:
        """Weights, preprocessing and layer."""
        return {
            "weights": self._weights_hash,
            "preprocessing": self._preprocessing.fingerprint,
            "layer": "head input",
        }

    def n_cut(self, data: Readable) -> int:
        """Return 0: pictures are read whole."""
        return 0

    def told_cut(self, n_cut: int, n: int) -> str:
        """Return nothing."""
        return ""

    def n_workers(self, wanted: int) -> int:
        """Return all that are wanted: decoding costs as much as many a network."""
        return wanted

    def batch_size(self, wanted: int) -> int:
        """Return what is wanted."""
        return wanted

    def arrange(self, data: Readable, positions: Sequence[int]) -> Sequence[int]:
        """Return the order as it is: all pictures cost the same."""
        return positions

    def read(self, content: bytes, *, name: str, key: str, view: View) -> tuple[NDArray[Any], NDArray[np.uint64]]:
        """Return the pixels (n_channels, height, width) and the perceptual hash of a picture file."""
        picture = decode_image(content, name=name)
        return self._preprocessing(view.apply(picture, key)), perceptual_hash(picture)

    def blank(self) -> NDArray[Any]:
        """Return black pixels."""
        return np.zeros(self._preprocessing.shape, np.uint8 if self._preprocessing.is_split else np.float32)

    def collate(self, examples: list[NDArray[Any]]) -> NDArray[Any]:
        """Return pixels (n, n_channels, height, width)."""
        return np.stack(examples)

    def filled(self, batch: NDArray[Any], size: int) -> NDArray[Any]:
        """Return the batch repeated to its full size: compiled engines know one size only."""
        return batch if len(batch) == size else np.resize(batch, (size, *batch.shape[1:]))

    def candidates(
        self, wanted: str, *, device: torch.device, precision: Precision, n_examples: int, is_strict_precision: bool
    ) -> list[EngineChoice]:
        """Return engines as `graft.backbones.engines.candidates` has them, which counts pictures of 224 x 224.

        Converting a network takes as long for small pictures as for large ones; what it saves grows with their pixels.
        """
        height, width = self._preprocessing.shape[-2:]
        return candidates(
            wanted,
            device=device,
            precision=precision,
            n_pictures=math.ceil(n_examples * height * width / _USUAL_PIXELS),
            is_strict_precision=is_strict_precision,
        )

    def start(
        self,
        choices: list[EngineChoice],
        *,
        sample: NDArray[Any],
        batch_size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> tuple[Engine, EngineChoice, float]:
        """Return the first engine that agrees with eager fp32 on `sample`."""
        return start_engine(self._network(), choices, sample=sample, batch_size=batch_size, device=device, say=say)
