from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from graft.core.errors import DataError
from graft.data.duplicates import cross_split_duplicates, duplicate_groups
from graft.data.images import decode_image, perceptual_hash
from graft.data.readers import read_splits


def textured(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """n random hashes, each with about half of its bits set."""
    return rng.integers(0, 2**64, size=(n, 4), dtype=np.uint64)


def flip(row: NDArray[np.uint64], n_bits: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    bits = np.unpackbits(row.view(np.uint8))
    bits[rng.choice(256, n_bits, replace=False)] ^= 1
    return np.packbits(bits).view(np.uint64)


@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_exact_groups_are_equal_hashes_numbered_by_first_occurrence(hashes: list[str]) -> None:
    groups = duplicate_groups(hashes)
    assert [[a == b for b in hashes] for a in hashes] == (groups[:, None] == groups[None]).tolist()
    assert list(dict.fromkeys(groups.tolist())) == list(range(len(set(hashes))))


@given(st.integers(0, 20), st.integers(0, 50))
def test_near_copies_are_found_up_to_the_distance_and_not_beyond(n_bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    perceptual = textured(rng, 40)
    perceptual[39] = flip(perceptual[7], n_bits, rng)
    perceptual[38] = flip(perceptual[9], 21 + n_bits, rng)
    names = [str(i) for i in range(40)]
    groups = duplicate_groups(names, perceptual=perceptual)
    assert groups[39] == groups[7]
    assert groups[38] != groups[9]
    assert groups.max() == 38


def test_the_grouping_is_the_same_as_by_brute_force_across_tiles() -> None:
    rng = np.random.default_rng(0)
    n = 9000  # more than one tile in both directions
    perceptual = textured(rng, n)
    copies = rng.permutation(n).reshape(-1, 2)[:300]
    for original, copy in copies:
        perceptual[copy] = flip(perceptual[original], int(rng.integers(0, 20)), rng)
    groups = duplicate_groups([str(i) for i in range(n)], perceptual=perceptual)
    assert groups.max() + 1 == n - 300
    assert (groups[copies[:, 0]] == groups[copies[:, 1]]).all()


def test_a_chain_of_copies_is_one_group() -> None:
    rng = np.random.default_rng(1)
    first = textured(rng, 1)[0]
    second = flip(first, 15, rng)
    third = flip(second, 15, rng)
    groups = duplicate_groups(["a", "b", "c", "b"], perceptual=np.stack([third, first, second, first]))
    assert groups.tolist() == [0, 0, 0, 0]


def test_smooth_pictures_are_compared_by_content_alone() -> None:
    flat = np.zeros((3, 4), dtype=np.uint64)
    assert duplicate_groups(["a", "b", "a"], perceptual=flat).tolist() == [0, 1, 0]


def test_features_veto_what_the_hash_confuses_and_find_what_it_misses() -> None:
    rng = np.random.default_rng(2)
    n = 50
    perceptual = textured(rng, n)
    features = rng.standard_normal((n, 64)).astype(np.float32) + 1
    perceptual[1] = flip(perceptual[0], 10, rng)  # alike by hash, features unrelated
    perceptual[3] = flip(perceptual[2], 50, rng)  # a crop: hash moved, features agree
    features[3] = features[2] + 0.1 * features[3]
    features[5] = features[4]  # features agree, pictures look different
    names = [str(i) for i in range(n)]
    groups = duplicate_groups(names, perceptual=perceptual, features=features)
    assert groups[0] != groups[1]
    assert groups[2] == groups[3]
    assert groups[4] != groups[5]
    assert groups.max() == n - 2


def test_lengths_must_fit() -> None:
    with pytest.raises(DataError, match=r"perceptual hashes \(2, 4\) for 1"):
        duplicate_groups(["a"], perceptual=np.zeros((2, 4), dtype=np.uint64))
    with pytest.raises(DataError, match=r"features \(3, 2\) for 1"):
        duplicate_groups(["a"], features=np.zeros((3, 2)))


def test_copies_between_splits_are_counted_once_each() -> None:
    rng = np.random.default_rng(3)
    first, second = textured(rng, 30), textured(rng, 20)
    second[4] = flip(first[11], 5, rng)
    first_names, second_names = [f"a{i}" for i in range(30)], [f"b{i}" for i in range(20)]
    second_names[7] = "a3"
    overlap = cross_split_duplicates(first_names, second_names, first_perceptual=first, second_perceptual=second)
    assert overlap.pairs.tolist() == [[11, 4], [3, 7]]
    assert (overlap.count, overlap.n_exact) == (2, 1)
    assert cross_split_duplicates(["a"], ["b"]).count == 0


def variants(image: Image.Image) -> dict[str, Image.Image]:
    width, height = image.size
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return {
        "jpeg": decode_image(file.getvalue(), name="copy"),
        "half": image.resize((width // 2, height // 2), Image.Resampling.BICUBIC),
        "larger": image.resize((int(width * 1.7), int(height * 1.7)), Image.Resampling.BILINEAR),
    }


def test_real_photos_copies_are_found_and_others_are_not_merged(shared: Path) -> None:
    photos = read_splits(shared / "data" / "flowers5").valid
    assert photos is not None
    images = [decode_image(photos.read(i), name=photos.ids[i]) for i in range(len(photos))]
    hashes = np.stack([perceptual_hash(image) for image in images])
    alone = duplicate_groups(photos.ids, perceptual=hashes)
    assert alone.max() + 1 == len(photos)
    copies = [copy for image in images[::5] for copy in variants(image).values()]
    overlap = cross_split_duplicates(
        photos.ids,
        [str(i) for i in range(len(copies))],
        first_perceptual=hashes,
        second_perceptual=np.stack([perceptual_hash(copy) for copy in copies]),
    )
    assert overlap.count >= 0.95 * len(copies)
    assert (overlap.pairs[:, 0] == overlap.pairs[:, 1] // 3 * 5).all()


def test_real_digits_are_not_merged(shared: Path) -> None:
    digits = read_splits(shared / "data" / "mnist").train.select(range(0, 2000, 2))
    hashes = np.stack([perceptual_hash(decode_image(content, name="digit")) for content in digits])
    n_distinct = len(set(digits.content_hashes()))
    assert duplicate_groups(digits.content_hashes(), perceptual=hashes).max() + 1 >= n_distinct - 1
