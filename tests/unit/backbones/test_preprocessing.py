"""The checkpoint's own preprocessing: the uint8 part and the linear part give what its processor gives."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from graft.backbones.preprocessing import Preprocessing
from graft.core.errors import ModelError

PICTURES = [
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8))
    for i, size in enumerate([(50, 80), (90, 33), (40, 40)])
]
SQUARE, CROP = {"height": 32, "width": 32}, {"height": 28, "width": 28}


def processor(name: str, **options: Any) -> Any:
    return getattr(transformers, name)(**options)


PROCESSORS: dict[str, Callable[[], Any]] = {
    "ViT": lambda: processor("ViTImageProcessorPil", size=SQUARE),
    "ViT, nearest": lambda: processor("ViTImageProcessorPil", size=SQUARE, resample=0),
    "ConvNext": lambda: processor("ConvNextImageProcessorPil", size={"shortest_edge": 28}, crop_pct=0.875),
    "MobileNetV2": lambda: processor("MobileNetV2ImageProcessorPil", size={"shortest_edge": 32}, crop_size=CROP),
    "MobileNetV1": lambda: processor("MobileNetV1ImageProcessorPil", size={"shortest_edge": 32}, crop_size=CROP),
    "CLIP": lambda: processor("CLIPImageProcessorPil", size={"shortest_edge": 28}, crop_size=CROP),
    "BiT": lambda: processor("BitImageProcessorPil", size={"shortest_edge": 28}, crop_size=CROP),
    "without normalising": lambda: processor("ViTImageProcessorPil", size=SQUARE, do_normalize=False),
    "without rescaling": lambda: processor("ViTImageProcessorPil", size=SQUARE, do_rescale=False, do_normalize=False),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_split_gives_the_processors_own_output(name: str) -> None:
    own = PROCESSORS[name]()
    preprocessing = Preprocessing(own, label=name)
    assert preprocessing.is_split
    for picture in PICTURES:
        pixels = preprocessing(picture)
        assert pixels.dtype == np.uint8
        assert pixels.shape == preprocessing.shape
        expected = np.asarray(own(images=picture, return_tensors="np")["pixel_values"][0])
        got = pixels * preprocessing.scale[:, None, None] + preprocessing.offset[:, None, None]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def efficient_net() -> Any:
    # rescales with an offset (-1 to 1), then normalises twice for its top: not the plain linear form
    return processor(
        "EfficientNetImageProcessorPil", size=SQUARE, rescale_offset=True, include_top=True, rescale_factor=1 / 127.5
    )


class Noisy:
    """A processor that does something after normalising."""

    def __init__(self) -> None:
        self.inner = processor("ViTImageProcessorPil", size=SQUARE)

    def to_dict(self) -> dict[str, Any]:
        return self.inner.to_dict()

    def __call__(self, images: Image.Image, **arguments: Any) -> dict[str, Any]:
        output = self.inner(images=images, **arguments)
        return {"pixel_values": np.tanh(np.asarray(output["pixel_values"]))}


@pytest.mark.parametrize("make", [efficient_net, Noisy], ids=["EfficientNet", "own steps"])
def test_what_cannot_be_split_keeps_the_processors_output(make: Callable[[], Any]) -> None:
    own = make()
    preprocessing = Preprocessing(own)
    assert not preprocessing.is_split
    assert preprocessing.scale.tolist() == [1, 1, 1]
    assert preprocessing.offset.tolist() == [0, 0, 0]
    for picture in PICTURES:
        pixels = preprocessing(picture)
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, np.asarray(own(images=picture, return_tensors="np")["pixel_values"][0]))


def test_a_plain_efficient_net_gives_its_own_output_too() -> None:
    own = processor("EfficientNetImageProcessorPil", size=SQUARE)
    preprocessing = Preprocessing(own)
    expected = np.asarray(own(images=PICTURES[0], return_tensors="np")["pixel_values"][0])
    got = preprocessing(PICTURES[0]) * preprocessing.scale[:, None, None] + preprocessing.offset[:, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_pictures_of_different_sizes_are_refused() -> None:
    own = processor("ViTImageProcessorPil", do_resize=False)
    with pytest.raises(ModelError, match="pictures of different sizes") as caught:
        Preprocessing(own, label="tiny")
    assert "tiny" in caught.value.got
    assert "preprocessor_config.json" in caught.value.fix


def test_the_fingerprint_follows_the_settings() -> None:
    one = Preprocessing(processor("ViTImageProcessorPil", size=SQUARE)).fingerprint
    assert one == Preprocessing(processor("ViTImageProcessorPil", size=SQUARE)).fingerprint
    others = [
        processor("ViTImageProcessorPil", size={"height": 36, "width": 36}),
        processor("ViTImageProcessorPil", size=SQUARE, resample=0),
        processor("ViTImageProcessorPil", size=SQUARE, image_mean=[0.4, 0.5, 0.5]),
    ]
    assert one not in {Preprocessing(other).fingerprint for other in others}


def test_worker_processes_can_hold_it() -> None:
    preprocessing = Preprocessing(processor("ViTImageProcessorPil", size=SQUARE))
    again = pickle.loads(pickle.dumps(preprocessing))  # noqa: S301
    np.testing.assert_array_equal(again(PICTURES[0]), preprocessing(PICTURES[0]))
    assert again.fingerprint == preprocessing.fingerprint
