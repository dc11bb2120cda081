"""Pictures made worse: noise, blur, contrast, JPEG, rotation, brightness and resolution, each in five strengths."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from graft.data.images import decode_image

__all__ = ["PICTURE_CORRUPTIONS", "corrupt_picture"]

_NOISE = (10.0, 18.0, 28.0, 42.0, 60.0)  # standard deviation, of 255
_BLUR = (0.005, 0.009, 0.014, 0.020, 0.028)  # standard deviation, of the shorter side
_CONTRAST = (0.75, 0.6, 0.45, 0.3, 0.15)  # what is left of it
_JPEG = (40, 25, 15, 10, 6)  # quality
_DEGREES = (5.0, 10.0, 15.0, 25.0, 40.0)
_BRIGHTNESS = (0.15, 0.3, 0.45, 0.6, 0.75)  # taken off, or put on top
_RESOLUTION = (0.75, 0.5, 0.375, 0.25, 0.18)  # of each side

PictureCorruption = Callable[[Image.Image, int, np.random.Generator], Image.Image]


def corrupt_picture(content: bytes, corruption: str, severity: int, *, name: str, rng: np.random.Generator) -> bytes:
    """Return the picture made worse, upright in RGB and of its own size, as the bytes of a BMP file.

    Parameters
    ----------
    content : bytes of a picture file.
    corruption : a key of `PICTURE_CORRUPTIONS`.
    severity : 1 to 5.
    name : for messages.
    rng : the same for all severities of an example, so that a stronger one is the weaker one and more.

    Raises
    ------
    DataError
        When the content is no picture.

    References
    ----------
    Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions and perturbations. The
    strengths are our own; blur is measured by the picture's side, so that small pictures are not wiped out.
    """
    image = PICTURE_CORRUPTIONS[corruption](decode_image(content, name=name), severity, rng)
    file = io.BytesIO()
    image.save(file, "BMP")
    return file.getvalue()


def _noise(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    drawn = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(_NOISE[severity - 1])
    return Image.fromarray(np.clip(np.rint(pixels + drawn), 0, 255).astype(np.uint8))


def _blur(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(_BLUR[severity - 1] * min(image.size)))


def _contrast(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(_CONTRAST[severity - 1])


def _jpeg(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_JPEG[severity - 1])
    return Image.open(file).convert("RGB")


def _rotation(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    angle = _DEGREES[severity - 1] * rng.choice([-1, 1])
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    red, green, blue = (int(v) for v in border)
    return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(red, green, blue))


def _brightness(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1 + _BRIGHTNESS[severity - 1] * float(rng.choice([-1, 1])))


def _resolution(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    width, height = (max(1, round(side * _RESOLUTION[severity - 1])) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


PICTURE_CORRUPTIONS: Final[Mapping[str, PictureCorruption]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "JPEG": _jpeg,
    "rotation": _rotation,
    "brightness": _brightness,
    "low resolution": _resolution,
}
"""By name; severity 2 of low resolution is half of it on each side."""
