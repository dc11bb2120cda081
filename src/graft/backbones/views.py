"""Augmented views of a picture, each fixed by the picture's content, so that its features can be cached.

A view is applied to the decoded picture before the checkpoint's own preprocessing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graft.core.errors import UsageError
from graft.core.seeds import generator

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PLAIN", "View", "training_views"]


@dataclass(frozen=True)
class View:
    """One way of looking at every picture.

    Parameters
    ----------
    number : 0 is the picture as it is.
    has_flip : mirror left and right: always in view 1, in later views by the draw.
    crop_scale : smallest share of the area that a random crop keeps; 1 keeps all.
    seed : the run's seed.
    """

    number: int = 0
    has_flip: bool = True
    crop_scale: float = 1.0
    seed: int = 0

    @property
    def description(self) -> str:
        """What the features of this view depend on."""
        if self.number == 0:
            return "plain"
        if self.number == 1 and self.has_flip:
            return "mirror"
        return f"crop from {self.crop_scale:g}, flip {self.has_flip}, number {self.number}, seed {self.seed}"

    def apply(self, picture: Image, key: str) -> Image:
        """Return this view of a picture whose content hash is `key`."""
        from PIL import Image, ImageOps

        if self.number == 0:
            return picture
        if self.number == 1 and self.has_flip:
            return ImageOps.mirror(picture)
        random = generator(self.seed, "view", self.number, key)
        width, height = picture.size
        side = float(random.uniform(self.crop_scale, 1.0)) ** 0.5
        w, h = max(1, round(width * side)), max(1, round(height * side))
        left, top = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
        crop = picture.crop((left, top, left + w, top + h)).resize((width, height), Image.Resampling.BICUBIC)
        return ImageOps.mirror(crop) if self.has_flip and random.random() < 0.5 else crop


PLAIN = View()


def training_views(n_views: int, *, has_flip: bool = True, crop_scale: float = 0.5, seed: int = 0) -> list[View]:
    """Return `n_views` views: the plain picture, its mirror image, then random crops.

    Raises
    ------
    UsageError
        When `n_views` is below 1.
    """
    if n_views < 1:
        raise UsageError(f"{n_views} views", expected="1 (the picture as it is) or more", fix="--views 1")
    return [PLAIN, *(View(i, has_flip, crop_scale, seed) for i in range(1, n_views))]
