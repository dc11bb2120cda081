from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from graft.backbones.views import PLAIN, View, training_views
from graft.core.errors import UsageError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))


def pixels(picture: Image.Image) -> bytes:
    return picture.tobytes()


def test_the_first_views_are_the_picture_and_its_mirror_image() -> None:
    views = training_views(4)
    assert views[0] == PLAIN
    assert [view.number for view in views] == [0, 1, 2, 3]
    assert pixels(views[0].apply(PICTURE, "k")) == pixels(PICTURE)
    assert pixels(views[1].apply(PICTURE, "k")) == pixels(ImageOps.mirror(PICTURE))


def test_random_views_follow_content_number_and_seed_alone() -> None:
    view = View(2, seed=5, crop_scale=0.5)
    first = pixels(view.apply(PICTURE, "key"))
    assert first == pixels(View(2, seed=5, crop_scale=0.5).apply(PICTURE, "key"))
    others = [
        View(2, seed=6, crop_scale=0.5).apply(PICTURE, "key"),
        View(3, seed=5, crop_scale=0.5).apply(PICTURE, "key"),
    ]
    others.append(view.apply(PICTURE, "other key"))
    assert first not in {pixels(other) for other in others}
    assert view.apply(PICTURE, "key").size == PICTURE.size


def test_without_flips_no_view_is_mirrored() -> None:
    ramp = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1)))
    for view in training_views(12, has_flip=False)[1:]:
        seen = np.asarray(view.apply(ramp, "k")).astype(int)
        assert seen[:, -1].mean() > seen[:, 0].mean()
    flipped = [np.asarray(view.apply(ramp, "k")).astype(int) for view in training_views(12)[1:]]
    assert any(seen[:, -1].mean() < seen[:, 0].mean() for seen in flipped[1:])


def test_descriptions_say_what_features_depend_on() -> None:
    texts = [view.description for view in training_views(4, seed=1)]
    assert texts[:2] == ["plain", "mirror"]
    assert len({*texts, *(view.description for view in training_views(4, seed=2))}) == 6
    # without flips view 1 is a random crop: another thing than the mirror image
    assert training_views(2, has_flip=False)[1].description != "mirror"


def test_tiny_pictures_survive() -> None:
    dot = Image.new("RGB", (1, 1), (5, 6, 7))
    for view in training_views(5):
        assert view.apply(dot, "k").getpixel((0, 0)) == (5, 6, 7)


def test_no_views_are_refused() -> None:
    with pytest.raises(UsageError, match="0 views"):
        training_views(0)
