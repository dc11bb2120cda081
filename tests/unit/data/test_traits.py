from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageOps

from graft.core.errors import DataError
from graft.data.kinds import PICTURE, RECORDING, TEXT
from graft.data.traits import Traits, read_traits, unpacked


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)  # type: ignore[arg-type]
    return file.getvalue()


def traits_of(content: bytes) -> Traits:
    return unpacked(read_traits(content, PICTURE, name="a")[None], PICTURE)


def value(traits: Traits, name: str) -> list[float]:
    return [float(v) for v in traits.values[0, list(dict(traits.columns)[name])]]


def photo(side: tuple[int, int] = (400, 300)) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return Image.fromarray(small).resize(side, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_sizes_and_the_border_of_a_picture(form: str) -> None:
    content = encoded(ImageOps.expand(photo(), 8, (250, 10, 120)), form)
    traits = traits_of(content)
    assert value(traits, "file size") == [len(content)]
    assert value(traits, "picture dimensions") == [416, 316]
    np.testing.assert_allclose(value(traits, "border colour"), [250, 10, 120], atol=6)
    assert traits.thumbnails is not None
    assert traits.thumbnails.shape == (1, 32, 32)


def test_a_jpeg_decoded_small_has_the_thumbnail_of_the_whole() -> None:
    small, whole = (
        traits_of(encoded(photo((1200, 900)), "JPEG", quality=95)),
        traits_of(encoded(photo((1200, 900)), "PNG")),
    )
    assert small.thumbnails is not None
    assert whole.thumbnails is not None
    assert np.abs(small.thumbnails - whole.thumbnails).mean() < 3
    assert value(small, "picture dimensions") == value(whole, "picture dimensions") == [1200, 900]


def test_a_turned_jpeg_is_seen_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    traits = traits_of(encoded(photo(), "JPEG", exif=exif))
    assert value(traits, "picture dimensions") == [300, 400]


def test_a_recording() -> None:
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.ones((4000, 2)), 8000, format="WAV")
    row = read_traits(file.getvalue(), RECORDING, name="a.wav")
    traits = unpacked(row[None], RECORDING)
    assert (value(traits, "clip length"), value(traits, "sampling rate")) == ([0.5], [8000])
    assert value(traits, "channels") == [2]
    assert value(traits, "loudness")[0] == pytest.approx(-6, abs=0.1)
    assert traits.thumbnails is None


def test_a_text_and_what_cannot_be_read() -> None:
    assert read_traits("é and so".encode(), TEXT, name="a").tolist() == [8, 3]
    with pytest.raises(DataError, match=r"a\.jpg cannot be read"):
        read_traits(b"\xff\xd8\xff nothing", PICTURE, name="a.jpg")
    with pytest.raises(DataError, match=r"a\.wav cannot be read"):
        read_traits(b"nothing", RECORDING, name="a.wav")


def test_rows_are_chosen_and_joined() -> None:
    own = unpacked(np.stack([read_traits(text, TEXT, name="a") for text in (b"a", b"b c", b"d e f")]), TEXT)
    assert own.select(np.array([2, 0])).joined(own).values[:, 1].tolist() == [3, 1, 1, 2, 3]
