from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graft.core.errors import DataError
from graft.data.images import decode_image, perceptual_hash
from graft.data.readers import read_splits

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 9, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def files() -> dict[str, bytes]:
    """One small file of every kind that users have."""
    rgb = Image.fromarray(PIXELS)
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.fromarray(PIXELS[:, :, 0]))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = rgb.quantize(16)
    frames = [rgb, rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return {
        "rgb.png": encoded(rgb),
        "rgb.jpg": encoded(rgb, "JPEG"),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "alpha.png": encoded(alpha),
        "alpha.webp": encoded(alpha, "WEBP"),
        "palette.png": encoded(palette),
        "transparent.png": encoded(palette, transparency=3),
        "grey-alpha.png": encoded(alpha.convert("LA")),
        "grey.png": encoded(rgb.convert("L")),
        "one-bit.png": encoded(rgb.convert("1")),
        "one-bit.tiff": encoded(rgb.convert("1"), "TIFF"),
        "turned.jpg": encoded(rgb, "JPEG", exif=turned),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "rgb.bmp": encoded(rgb, "BMP"),
    }


@pytest.mark.parametrize("name", files())
def test_pixels_are_those_of_the_pipeline(name: str, tmp_path: Path) -> None:
    from transformers.image_utils import load_image

    path = tmp_path / name
    path.write_bytes(files()[name])
    image = decode_image(path.read_bytes(), name=name)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(load_image(str(path))))


def test_a_turned_photo_is_upright() -> None:
    assert decode_image(files()["turned.jpg"], name="turned.jpg").size == (12, 9)


def test_an_animation_gives_its_first_frame() -> None:
    np.testing.assert_array_equal(np.asarray(decode_image(files()["animated.webp"], name="a.webp")), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_greys_are_scaled_not_clipped(kind: str) -> None:
    grey = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    image = decode_image(encoded(Image.fromarray(grey), kind), name="x")
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "it is empty"),
        (b"<html>not found</html>", "of no known picture format"),
        (files()["rgb.jpg"][:-300], "truncated"),
        (files()["rgb.png"][:60], "truncated"),
        (files()["animated.gif"][:30], ""),
        (files()["alpha.webp"][:40], ""),
    ],
)
def test_damaged_files_are_named_with_cause_and_remedy(content: bytes, cause: str) -> None:
    with pytest.raises(DataError) as error:
        decode_image(content, name="rose/7.jpg")
    text = str(error.value)
    assert text.startswith("rose/7.jpg cannot be read as a picture: ")
    assert cause in text.lower()
    assert "--skip-unreadable" in text
    assert "skip_unreadable=True" in text


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_no_cut_of_a_file_escapes_as_another_error() -> None:
    for name, content in files().items():
        for end in range(0, len(content), max(1, len(content) // 40)):
            try:
                decode_image(content[:end], name=name)
            except DataError:
                continue


def test_a_picture_that_claims_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match=r"a\.png cannot be read.*pixels"):
        decode_image(files()["rgb.png"], name="a.png")


def test_the_hash_is_the_sign_of_the_differences() -> None:
    rising = Image.fromarray(np.tile(np.arange(0, 255, 15, dtype=np.uint8), (16, 1)))
    assert int(np.bitwise_count(perceptual_hash(rising)).sum()) == 256
    falling = rising.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert int(np.bitwise_count(perceptual_hash(falling)).sum()) == 0
    half = np.asarray(rising).copy()
    half[8:] = 0
    # the lower half is flat, and every word sees both halves
    assert np.bitwise_count(perceptual_hash(Image.fromarray(half))).tolist() == [32, 32, 32, 32]


def test_the_hash_survives_encoding_and_scaling_of_photos(shared: Path) -> None:
    data = read_splits(shared / "data" / "flowers5").train
    images = [decode_image(data.read(i), name=data.ids[i]) for i in range(0, len(data), 50)]
    distances = []
    start = time.perf_counter()
    hashes = [perceptual_hash(image) for image in images]
    assert (time.perf_counter() - start) / len(images) < 0.005  # 0.2 ms on a quiet core
    for image, original in zip(images, hashes, strict=True):
        copy = decode_image(encoded(image.resize((120, 120)), "JPEG", quality=60), name="copy")
        distances.append(int(np.bitwise_count(perceptual_hash(copy) ^ original).sum()))
    assert np.median(distances) <= 16
