"""What can be said of an example without a network: sizes, brightness, border, lengths; and a thumbnail of a picture.

None of it is what a label should rest on, which is why labels are tried against it (`graft.evaluation.shortcuts`).
"""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from graft.core.errors import DataError
from graft.data.alignment import SIDE
from graft.data.audio import LONGEST_S
from graft.data.images import decode_image
from graft.data.kinds import PICTURE, TEXT, ExampleKind

__all__ = ["Traits", "read_traits", "trait_columns", "unpacked"]

_HEARD_S = 60  # of a recording, for its loudness
_COLUMNS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "image": (
        ("file size", ("file_bytes",)),
        ("picture dimensions", ("width_px", "height_px")),
        ("brightness", ("brightness",)),
        ("border colour", ("border_red", "border_green", "border_blue")),
    ),
    "text": (("text length", ("characters", "words")),),
    "audio": (
        ("file size", ("file_bytes",)),
        ("clip length", ("duration_s",)),
        ("sampling rate", ("sampling_rate_hz",)),
        ("channels", ("channels",)),
        ("loudness", ("loudness_db",)),
    ),
}


@dataclass(frozen=True)
class Traits:
    """Traits of some examples.

    Parameters
    ----------
    columns : name of each trait, and the columns of `values` that it is made of.
    values : (n_examples, n_columns).
    thumbnails : (n_examples, 32, 32), grey levels from 0 to 255; None where examples are no pictures.
    """

    columns: tuple[tuple[str, tuple[int, ...]], ...]
    values: NDArray[np.float32]
    thumbnails: NDArray[np.float32] | None = None

    def select(self, rows: NDArray[np.int64]) -> Traits:
        """Return the traits of some examples."""
        thumbnails = None if self.thumbnails is None else self.thumbnails[rows]
        return Traits(self.columns, self.values[rows], thumbnails)

    def joined(self, other: Traits) -> Traits:
        """Return the traits of both, one below the other."""
        thumbnails = None
        if self.thumbnails is not None and other.thumbnails is not None:
            thumbnails = np.concatenate([self.thumbnails, other.thumbnails])
        return Traits(self.columns, np.concatenate([self.values, other.values]), thumbnails)


def trait_columns(kind: ExampleKind) -> tuple[str, ...]:
    """Return the names of the numbers that `read_traits` gives, but for the thumbnail."""
    return tuple(name for _, names in _COLUMNS[kind.modality] for name in names)


def read_traits(content: bytes, kind: ExampleKind, *, name: str) -> NDArray[np.float32]:
    """Return the numbers of one example, and behind them, for a picture, the 1,024 grey levels of its thumbnail.

    Parameters
    ----------
    content : bytes of a file, or a text in UTF-8.
    name : for messages.

    Raises
    ------
    DataError
        When the content cannot be read.

    Examples
    --------
    >>> read_traits(b"two words", TEXT, name="a").tolist()
    [9.0, 2.0]
    """
    if kind is PICTURE:
        return _of_picture(content, name=name)
    if kind is TEXT:
        text = content.decode("utf-8", errors="replace")
        return np.array([len(text), len(text.split())], np.float32)
    return _of_recording(content, name=name)


def unpacked(matrix: NDArray[np.float32], kind: ExampleKind) -> Traits:
    """Return traits from rows of `read_traits`."""
    names = trait_columns(kind)
    columns = tuple((name, tuple(names.index(part) for part in parts)) for name, parts in _COLUMNS[kind.modality])
    values = matrix[:, : len(names)]
    thumbnails = matrix[:, len(names) :].reshape(len(matrix), SIDE, SIDE) if kind is PICTURE else None
    return Traits(columns, values, thumbnails)


def _of_picture(content: bytes, *, name: str) -> NDArray[np.float32]:
    small, width, height = _small_picture(content, name=name)
    pixels = np.asarray(small, dtype=np.float32)
    ring = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    grey = small.convert("L")
    # Where pixels have to be made up they are interpolated: repeated ones would have edges of their own.
    how = Image.Resampling.BOX if min(grey.size) >= SIDE else Image.Resampling.BILINEAR
    thumbnail = np.asarray(grey.resize((SIDE, SIDE), how), dtype=np.float32)
    numbers = np.array([len(content), width, height, float(np.asarray(grey).mean()), *ring], np.float32)
    return np.concatenate([numbers, thumbnail.ravel()])


def _small_picture(content: bytes, *, name: str) -> tuple[Image.Image, int, int]:
    """Return the picture in RGB, and its true width and height; JPEG files are decoded at a fraction of their size.

    That is several times faster, and leaves pixels enough for a thumbnail.
    """
    with suppress(Exception), Image.open(io.BytesIO(content)) as image:  # what is wrong, `decode_image` says below
        width, height = image.size
        if image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(0x0112, 1) == 1:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            return image.convert("RGB"), width, height
    whole = decode_image(content, name=name)
    return whole, whole.width, whole.height


def _of_recording(content: bytes, *, name: str) -> NDArray[np.float32]:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            heard = file.read(min(frames, rate * _HEARD_S), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as a recording: {error}", expected="a sound file") from error
    power: Any = np.square(heard).mean() if heard.size else 0.0
    loudness = 10 * np.log10(max(float(power), 1e-10))
    # A file that was written to a pipe claims to be endless.
    duration = (frames if frames < LONGEST_S * rate else len(heard)) / rate
    return np.array([len(content), duration, rate, channels, loudness], np.float32)
