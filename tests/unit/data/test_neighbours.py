from __future__ import annotations

import numpy as np
import pytest

from graft.data import neighbours
from graft.data.neighbours import nearest, typical_distance, unit_rows


@pytest.mark.parametrize("is_same", [False, True])
def test_neighbours_are_those_of_brute_force_across_tiles(monkeypatch: pytest.MonkeyPatch, is_same: bool) -> None:
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    monkeypatch.setattr(neighbours, "_COLUMNS", 11)
    random = np.random.default_rng(0)
    b = unit_rows(random.normal(size=(40, 6)))
    a = b if is_same else unit_rows(random.normal(size=(23, 6)))
    distance = 1 - a @ b.T
    if is_same:
        np.fill_diagonal(distance, np.inf)
    places, found = nearest(a, b, 3, is_same=is_same)
    np.testing.assert_array_equal(places, np.argsort(distance, axis=1)[:, :3])
    np.testing.assert_allclose(found, np.sort(distance, axis=1)[:, :3], atol=1e-6)


def test_the_long_way_through_random_directions_finds_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_LONG", 100)
    random = np.random.default_rng(1)
    b = random.normal(size=(300, 400))
    a = b[:50] + 0.3 * random.normal(size=(50, 400))
    places, distance = nearest(unit_rows(a), unit_rows(b), 2)
    assert places[:, 0].tolist() == list(range(50))
    assert (distance[:, 0] < 0.15).all()


def test_fewer_rows_than_neighbours() -> None:
    rows = unit_rows(np.eye(3))
    assert nearest(rows, rows, 5, is_same=True)[0].shape == (3, 2)
    assert nearest(rows[:1], rows[:1], 5, is_same=True)[0].shape == (1, 0)
    assert nearest(rows[:0], rows, 2)[0].shape == (0, 0)


def test_the_typical_distance_is_that_of_one_class() -> None:
    random = np.random.default_rng(0)
    classes = np.arange(200) % 2
    rows = unit_rows(np.eye(8)[classes] + 0.05 * random.normal(size=(200, 8)))
    assert typical_distance(rows, classes) < 0.1
    assert typical_distance(rows, np.arange(200)) == 1.0  # no pairs
    assert typical_distance(rows, None) > 2 * typical_distance(rows, classes)
