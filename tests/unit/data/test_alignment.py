from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from graft.data.aligned_copies import Looks, aligned_copies
from graft.data.alignment import SIDE, agreement


def scene(seed: int, side: int = 256) -> Image.Image:
    """A picture with details of all sizes, as photos have."""
    random = np.random.default_rng(seed)
    grey = np.zeros((side, side))
    for n in (4, 8, 16, 32, 64):
        part = Image.fromarray(random.normal(0, 40, (n, n)).astype(np.float32))
        grey += np.asarray(part.resize((side, side), Image.Resampling.BICUBIC))
    return Image.fromarray((grey + 128).clip(0, 255).astype(np.uint8))


def thumbnail(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)


def crop(picture: Image.Image, share: float, seed: int) -> Image.Image:
    random = np.random.default_rng(seed)
    side = round(picture.width * share**0.5)
    left, top = random.integers(0, picture.width - side + 1, 2).tolist()
    return picture.crop((left, top, left + side, top + side))


@pytest.mark.parametrize("share", [1.0, 0.9, 0.75, 0.6])
def test_a_crop_agrees_with_its_original_either_way_round(share: float) -> None:
    whole = np.stack([thumbnail(scene(i)) for i in range(12)])
    part = np.stack([thumbnail(crop(scene(i), share, i)) for i in range(12)])
    assert agreement(whole, part).min() > 0.8
    np.testing.assert_allclose(agreement(part, whole), agreement(whole, part), atol=0.02)


def test_others_do_not_agree() -> None:
    a, b = (np.stack([thumbnail(scene(i)) for i in range(start, start + 60)]) for start in (0, 100))
    assert agreement(a, b).max() < 0.6


def test_fields_under_a_sky_do_not_agree_for_their_horizon() -> None:
    random = np.random.default_rng(0)
    land = np.repeat([220.0, 60.0], SIDE // 2)[:, None] + np.zeros(SIDE)
    a, b = (np.asarray(land + random.normal(0, 8, (40, SIDE, SIDE)), np.float32) for _ in range(2))
    flat = land.astype(np.float32)[None]
    assert np.corrcoef(a[0].ravel(), b[0].ravel())[0, 1] > 0.9
    assert agreement(a, b).max() < 0.75
    assert agreement(flat * 0 + 90, flat * 0 + 90).tolist() == [0.0]


def test_crops_are_found_where_features_do_not_help() -> None:
    random = np.random.default_rng(1)
    originals = [scene(i) for i in range(80)]
    copies = [crop(originals[i], 0.7, i) for i in range(0, 80, 4)]
    first = Looks(random.normal(size=(80, 16)).astype(np.float32), np.stack([thumbnail(p) for p in originals]))
    second = Looks(random.normal(size=(20, 16)).astype(np.float32), np.stack([thumbnail(p) for p in copies]))
    found = aligned_copies(first, second)
    right = [[4 * i, i] for i in range(20)]
    assert sum(pair in right for pair in found.pairs.tolist()) >= 18
    assert all(pair in right for pair in found.pairs.tolist())


def test_within_one_set_the_smaller_index_stands_first_and_none_is_its_own_copy() -> None:
    pictures = [scene(i) for i in range(30)]
    pictures[20] = crop(pictures[3], 0.8, 5)
    features = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    found = aligned_copies(Looks(features, np.stack([thumbnail(p) for p in pictures])), classes=np.arange(30) % 3)
    assert found.pairs.tolist() == [[3, 20]]
    assert 0.8 < found.agreement[0] <= 1


@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 0), (0, 3), (1, 1)])
def test_few_or_no_pictures(n: int, m: int) -> None:
    def looks(size: int) -> Looks:
        return Looks(np.ones((size, 4), np.float32), np.zeros((size, SIDE, SIDE), np.float32))

    assert len(aligned_copies(looks(n), looks(m)).pairs) == 0
    assert len(aligned_copies(looks(n)).pairs) == 0
