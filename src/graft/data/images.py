"""From the bytes of a picture file to RGB pixels, and a short hash of how a picture looks."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from graft.core.errors import DataError

__all__ = ["HASH_BITS", "decode_image", "perceptual_hash"]

HASH_BITS = 256
_SIDE = 16
# Each of the four words takes every fourth bit, so that any single word already looks at the whole picture.
_WORDS = np.ascontiguousarray(np.arange(HASH_BITS).reshape(-1, 4).T)


def decode_image(content: bytes, *, name: str) -> Image.Image:
    """Return the picture in RGB, upright, first frame, as `transformers.pipeline` would load it.

    Parameters
    ----------
    content : the bytes of the file.
    name : the file or row, for messages.

    Raises
    ------
    DataError
        When the bytes are no picture, end too early, or claim more pixels than Pillow deems safe.

    Notes
    -----
    The steps are those of `transformers.image_utils.load_image` (turn by the EXIF orientation, then convert to
    RGB), so that scores equal the pipeline's. Alpha is dropped, not blended; CMYK, palettes and 1-bit pictures are
    converted by Pillow. One thing differs: 16-bit greys (modes ``I;16*`` and ``I``) are divided by 257, where
    Pillow's own conversion clips everything above 255 to white.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> Image.new("CMYK", (3, 2)).save(file, "JPEG")
    >>> decode_image(file.getvalue(), name="a.jpg").mode
    'RGB'
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "I" or upright.mode.startswith("I;16"):
                upright = _grey16_to_grey8(upright)
            return upright.convert("RGB")
    except UnidentifiedImageError:
        cause = "its bytes are of no known picture format" if content else "it is empty"
    except Image.DecompressionBombError as error:
        cause = str(error)
    # Pillow's decoders raise any of these on damaged files.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
        cause = str(error) or type(error).__name__
    raise DataError(
        f"{name} cannot be read as a picture: {cause}",
        expected="a whole JPEG, PNG, WebP, GIF, BMP or TIFF file",
        fix="replace or remove it, or leave unreadable pictures out and have them counted:"
        " --skip-unreadable (Python: skip_unreadable=True)",
    )


def _grey16_to_grey8(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip((values + 128) // 257, 0, 255).astype(np.uint8))


def perceptual_hash(image: Image.Image) -> NDArray[np.uint64]:
    """Return a 256-bit difference hash: bit (y, x) is set where the thumbnail grows lighter from x to x + 1.

    Copies that were encoded again, scaled or mildly retouched differ in few bits. So do unrelated pictures that are
    smooth or alike (digits, skies): never take a small distance alone as proof, see `graft.data.duplicates`.

    Returns
    -------
    (4,) uint64. The distance of two pictures is ``np.bitwise_count(a ^ b).sum()``, 0 to 256.

    Examples
    --------
    >>> flat = perceptual_hash(Image.new("RGB", (64, 64)))
    >>> int(np.bitwise_count(flat).sum())
    0
    """
    thumbnail = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    grey = np.asarray(thumbnail)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()[_WORDS]
    return np.packbits(bits, axis=1).view(np.uint64).ravel()
