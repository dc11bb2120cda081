"""Letters of eleven alphabets in the fonts that matplotlib ships, distorted towards coarse handwriting.

Made for the demo's backbone: what it is pretrained on. No digit is drawn. Letters that look like
digits (O, I, Z, b, Cyrillic Ze and Che, ...) are letters and stay in.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from graft.api.strokes import COARSE_SIDE, GLYPH_SIDE, SCAN_SIDE, distort, thin
from graft.core.seeds import derive_seed, generator

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["PER_LETTER", "RECIPE", "draw_letters", "letter_glyphs", "pretrain_letters", "write_letters"]

PER_LETTER = 300
RECIPE: dict[str, Any] = {
    "arch": "resnet_nano",
    "image_size": 32,
    "epochs": 4.0,
    "batch_size": 128,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "label_smoothing": 0.1,
    "ema_decay": 0.998,
    "flip": False,
}

_ALPHABETS = ("GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "NKO", "LAO", "TIFINAGH", "LISU")
# Latin letters, those of mathematics (script, sans, ...), then the other alphabets, in the order of `_ALPHABETS`.
_RANGES = ((0x41, 0x5B), (0x61, 0x7B), (0x2100, 0x2150), (0x1D400, 0x1D6A4), (0x391, 0x3CA), (0x410, 0x450),
           (0x531, 0x588), (0x10D0, 0x10F1), (0x5D0, 0x5EB), (0x621, 0x64B), (0x7CA, 0x7EB), (0xE81, 0xEAF),
           (0x2D30, 0x2D68), (0xA4D0, 0xA4F8))  # fmt: skip
_ORNATE = "FRAKTUR", "BLACK-LETTER", "DOUBLE-STRUCK"  # nobody writes so, and 8 x 8 pixels can't show it
_ALIKE = 0.02  # mean difference of two letters' pixels, 0 to 1, below which they are one
_MATHEMATICAL_SYMBOLS = "STIXSiz", "STIXNonUni", "LastResort", "cmex"


def letter_glyphs() -> dict[str, list[Image.Image]]:
    """Return the drawn glyphs of every letter, white on black, cut to their ink, at most 64 pixels a side.

    Keys are the letters; small and capital letters are different ones. Symbol fonts are left out, and so are codes at
    which a font holds no letter (the small letters of ``cmsy10`` are arrows).
    """
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    glyphs: dict[str, list[Image.Image]] = defaultdict(list)
    for path in sorted(Path(get_data_path(), "fonts", "ttf").glob("*.ttf")):
        if path.name.startswith(_MATHEMATICAL_SYMBOLS) or "Display" in path.name:
            continue
        present = FT2Font(str(path)).get_charmap()
        font = ImageFont.truetype(str(path), size=GLYPH_SIDE)
        for code in (code for low, high in _RANGES for code in range(low, high) if code in present):
            letter = unicodedata.normalize("NFKC", chr(code))
            if not _is_plain_letter(letter) or any(style in unicodedata.name(chr(code)) for style in _ORNATE):
                continue
            if path.name.startswith("cm") and not (letter.isascii() and (letter.isupper() or "cmsy" not in path.name)):
                continue
            if (glyph := _draw(chr(code), font)) is not None:
                glyphs[letter].append(glyph)
    return _merged(dict(glyphs))


def _merged(glyphs: dict[str, list[Image.Image]]) -> dict[str, list[Image.Image]]:
    """Join letters that are drawn alike in their first font (A, Alpha and Cyrillic A; O and o), named by the first."""
    kept: dict[str, list[Image.Image]] = {}
    shapes: dict[str, NDArray[np.float32]] = {}
    for letter, drawings in glyphs.items():
        shape = _fitted(drawings[0])
        twin = next((k for k, other in shapes.items() if np.abs(shape - other).mean() < _ALIKE), None)
        if twin is None:
            kept[letter], shapes[letter] = list(drawings), shape
        else:
            kept[twin] += drawings
    return kept


def _is_plain_letter(text: str) -> bool:
    """Return whether `text` is one letter of the eleven alphabets, without accents."""
    if len(text) != 1 or unicodedata.category(text) not in ("Lu", "Ll", "Lo"):
        return False
    is_accented = len(unicodedata.normalize("NFKD", text)) > 1
    return not is_accented and (text.isascii() or unicodedata.name(text, "").startswith(_ALPHABETS))


def _draw(character: str, font: ImageFont.FreeTypeFont) -> Image.Image | None:
    canvas = Image.new("L", (3 * GLYPH_SIDE, 3 * GLYPH_SIDE))
    ImageDraw.Draw(canvas).text((GLYPH_SIDE, GLYPH_SIDE), character, fill=255, font=font, anchor="ls")
    box = canvas.getbbox()
    return None if box is None else canvas.crop(box)


def draw_letters(
    glyphs: dict[str, list[Image.Image]], *, per_letter: int, seed: int
) -> Iterator[tuple[str, list[Image.Image]]]:
    """Yield each letter with `per_letter` distorted grey pictures of it, white on black, 8 pixels a side."""
    for letter, drawings in sorted(glyphs.items()):
        rng = generator(seed, "letters", letter)
        squares = torch.from_numpy(np.stack([_fitted(drawing) for drawing in drawings]))
        # Drawn anew with a pen of even width along the middle of their strokes, as by hand.
        lines = thin(squares)
        chosen = lines[torch.from_numpy(rng.integers(len(lines), size=per_letter))]
        random = torch.Generator().manual_seed(derive_seed(seed, "distort", letter))
        scans = distort(chosen[:, None], random=random)
        yield letter, [_coarse(scan, rng=rng) for scan in scans.numpy()]


def _fitted(drawing: Image.Image) -> NDArray[np.float32]:
    """Return a glyph scaled into the middle of a square, its longer side filling three quarters: (64, 64), 0 to 1."""
    inner = GLYPH_SIDE * 3 // 4
    scale = inner / max(drawing.size)
    size = max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale))
    canvas = Image.new("L", (GLYPH_SIDE, GLYPH_SIDE))
    canvas.paste(
        drawing.resize(size, Image.Resampling.BICUBIC), ((GLYPH_SIDE - size[0]) // 2, (GLYPH_SIDE - size[1]) // 2)
    )
    return np.asarray(canvas, dtype=np.float32) / np.float32(255)


def _coarse(scan: NDArray[np.float32], *, rng: np.random.Generator) -> Image.Image:
    """Return a grey picture of 8 pixels a side, each the share of ink of its 4 x 4 block in 17 levels, with noise."""
    block = SCAN_SIDE // COARSE_SIDE
    share = scan.reshape(COARSE_SIDE, block, COARSE_SIDE, block).mean(axis=(1, 3))
    noisy = share * rng.uniform(0.9, 1.5) + (share > 0) * rng.normal(0, rng.uniform(0, 0.1), share.shape)
    levels = np.round(np.clip(noisy, 0, 1) * 16) * 16
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def write_letters(folder: Path, *, per_letter: int, seed: int = 0) -> Path:
    """Write ``folder/train/<code>/<number>.png`` and a tenth as many to ``folder/valid``; return `folder`.

    Classes are named by code point, for example ``U+0041-LATIN-CAPITAL-LETTER-A``.
    """
    glyphs = letter_glyphs()
    for split, count in (("train", per_letter), ("valid", max(1, per_letter // 10))):
        for letter, pictures in draw_letters(glyphs, per_letter=count, seed=derive_seed(seed, split)):
            name = f"U+{ord(letter):04X}-{unicodedata.name(letter).replace(' ', '-')}"
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(pictures):
                picture.save(place / f"{number:05d}.png")
    return folder


def pretrain_letters(out: Path, *, work: Path, seed: int = 0, console: Console | None = None) -> Path:
    """Draw the letters into `work`, pretrain the demo's backbone on them, store it in half precision; return `out`.

    `work` is removed at the end. About a quarter of an hour on 2 cores.
    """
    from graft.api.pretrain import pretrain
    from graft.backbones.architectures import halve_weights

    write_letters(work, per_letter=PER_LETTER, seed=seed)
    pretrain(work, out=out, seed=seed, console=console, **RECIPE)
    halve_weights(out)
    shutil.rmtree(work)
    return out
