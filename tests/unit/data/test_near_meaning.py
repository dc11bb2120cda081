"""Texts that say nearly the same: how near is near comes from other labels, and what is found is told once."""

from __future__ import annotations

import numpy as np
import pytest

from graft.data.minhash import near_texts
from graft.data.near_meaning import LEAST_OVERLAP_ALIKE, alike_rows, alike_texts, measure_nearness, share_a_label


def clouds(rng: np.random.Generator, n: int = 400, d: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return features of `n` texts in four clouds, and their labels."""
    labels = rng.integers(0, 4, n)
    return rng.standard_normal((4, d))[labels] + 0.7 * rng.standard_normal((n, d)), labels


NONE = {"pairs": np.zeros((0, 2), np.int64), "overlap": np.zeros(0)}


def test_a_text_told_anew_is_found_and_a_stranger_is_not() -> None:
    rng = np.random.default_rng(0)
    matrix, labels = clouds(rng)
    rows = alike_rows(matrix, matrix.mean(axis=0))
    nearness = measure_nearness(rows, labels, copies=np.arange(400), **NONE)
    new = np.concatenate(
        [matrix[:50] + 0.05 * rng.standard_normal((50, 32)), clouds(np.random.default_rng(1))[0][:100]]
    )
    found = alike_texts(rows, alike_rows(new, matrix.mean(axis=0)), nearness, **NONE)
    assert found.pairs.tolist() == [[i, i] for i in found.pairs[:, 0]]
    assert sorted(found.pairs[:, 1].tolist()) == list(range(50))
    assert np.all(np.diff(found.distance) >= 0)


def test_other_labels_bound_what_is_near() -> None:
    rng = np.random.default_rng(0)
    matrix, labels = clouds(rng)
    other = (labels + 1) % 4
    twice = np.concatenate([matrix, matrix + 0.05 * rng.standard_normal(matrix.shape)])
    rows = alike_rows(twice, twice.mean(axis=0))
    trusting = measure_nearness(rows, np.concatenate([labels, labels]), copies=np.arange(800), **NONE)
    wary = measure_nearness(rows, np.concatenate([labels, other]), copies=np.arange(800), **NONE)
    assert wary.distance < 0.1 * trusting.distance
    # Copies with wrong labels say nothing: they are left out.
    told = measure_nearness(rows, np.concatenate([labels, other]), copies=np.tile(np.arange(400), 2), **NONE)
    assert told.distance > 10 * wary.distance


def test_common_pieces_find_a_typing_error_that_features_do_not() -> None:
    rng = np.random.default_rng(0)
    matrix, labels = clouds(rng, 60)
    texts = [" ".join(rng.choice([*"abcdefgh"], 3)) + f" question number {i * 7919} of many" for i in range(60)]
    texts[1] = texts[0].replace("question", "qeustion")
    labels[1], matrix[1] = labels[0], matrix[0] + 0.9 * rng.standard_normal(32)
    rows = alike_rows(matrix, matrix.mean(axis=0))
    pairs, overlap = near_texts(texts, least=LEAST_OVERLAP_ALIKE)
    own = {"pairs": pairs, "overlap": overlap}
    nearness = measure_nearness(rows, labels, copies=np.arange(60), **own)
    found = alike_texts(rows, rows, nearness, is_same=True, **own)
    assert [0, 1] in found.pairs.tolist()
    assert [0, 1] not in alike_texts(rows, rows, nearness, is_same=True, **NONE).pairs.tolist()
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all()


def test_label_sets_that_meet_share_a_label() -> None:
    sets = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1], [-1, 0, -1]])
    assert share_a_label(sets, sets)[0].tolist() == [True, True, False, False]
    assert share_a_label(np.array([0, 1]), np.array([1, 1, 0])).tolist() == [[False, False, True], [True, True, False]]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_text(n: int) -> None:
    rows = alike_rows(np.eye(3)[:n], np.zeros(3))
    nearness = measure_nearness(rows, np.arange(n), copies=np.arange(n), **NONE)
    assert len(alike_texts(rows, rows, nearness, is_same=True, **NONE).pairs) == 0
