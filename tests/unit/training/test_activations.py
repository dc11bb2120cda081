"""Activations come back from the disk as they were, and batches are a function of the step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from graft.core.errors import DataError, ModelError
from graft.training.activations import ActivationBatches, ActivationStore, store_activations
from graft.training.batches import Batches, ShuffledOrder

ACTIVATIONS = torch.randn(23, 4, 3, 3, generator=torch.Generator().manual_seed(0))
TARGETS = np.arange(23) % 5


def store(path: Path, activations: Tensor = ACTIVATIONS, *, is_bf16: bool = False) -> ActivationStore:
    return store_activations(
        path,
        len(activations),
        compute=lambda rows: activations[rows.start : rows.stop],
        is_bf16=is_bf16,
        batch_size=5,
    )


def views(folder: Path) -> list[ActivationStore]:
    """Return two views of which the second is the first with the sign changed."""
    return [store(folder / "plain.npy"), store(folder / "mirror.npy", -ACTIVATIONS)]


@pytest.mark.parametrize("is_bf16", [False, True])
def test_what_is_read_is_what_was_computed(tmp_path: Path, is_bf16: bool) -> None:
    stored = store(tmp_path / "a.npy", is_bf16=is_bf16)
    rows = np.array([7, 0, 22, 7])
    kind = torch.bfloat16 if is_bf16 else torch.float32
    assert stored.read(rows).dtype == kind
    assert torch.equal(stored.read(rows), ACTIVATIONS[rows].to(kind))
    assert (len(stored), stored.shape, stored.is_bf16) == (23, (4, 3, 3), is_bf16)
    assert stored.read(np.array([], dtype=np.int64)).shape == (0, 4, 3, 3)
    plain = np.load(tmp_path / "a.npy")  # a usual file
    assert plain.dtype == (np.uint16 if is_bf16 else np.float32)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_nothing_is_computed_twice_and_batches_are_asked_for_in_order(tmp_path: Path) -> None:
    asked = []

    def compute(rows: range) -> Tensor:
        asked.append(rows)
        return ACTIVATIONS[rows.start : rows.stop].bfloat16()  # other kinds are converted

    for _ in range(2):
        store_activations(tmp_path / "a.npy", 23, compute=compute, is_bf16=False, batch_size=10)
    assert asked == [range(10), range(10, 20), range(20, 23)]


def test_a_pass_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def compute(rows: range) -> Tensor:
        if rows.start:
            raise KeyboardInterrupt
        return ACTIVATIONS[rows.start : rows.stop]

    with pytest.raises(KeyboardInterrupt):
        store_activations(tmp_path / "a.npy", 23, compute=compute, is_bf16=True, batch_size=5)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_number_or_shape_are_an_error(tmp_path: Path) -> None:
    for wrong in (lambda rows: ACTIVATIONS[:1], lambda rows: torch.zeros(len(rows), 2 + rows.start)):
        with pytest.raises(ModelError, match="activations of shape"):
            store_activations(tmp_path / "a.npy", 23, compute=wrong, is_bf16=False, batch_size=5)
    assert not (tmp_path / "a.npy").exists()


def test_a_file_for_others_is_an_error(tmp_path: Path) -> None:
    store(tmp_path / "a.npy")
    with pytest.raises(DataError, match="holds 23 activations in float32"):
        store(tmp_path / "a.npy", is_bf16=True)
    with pytest.raises(DataError, match="holds 23"):
        store(tmp_path / "a.npy", ACTIVATIONS[:9])
    with pytest.raises(DataError, match="no example"):
        store(tmp_path / "b.npy", ACTIVATIONS[:0])
    np.save(tmp_path / "c.npy", np.zeros((3, 3)))
    with pytest.raises(DataError, match="holds float64"):
        ActivationStore(tmp_path / "c.npy")


def test_a_batch_has_the_rows_of_the_order_each_in_one_view(tmp_path: Path) -> None:
    batches: Batches = ActivationBatches(views(tmp_path), TARGETS, batch_size=8, seed=3)
    n_mirrored = 0
    for step in range(20):
        rows = ShuffledOrder(23, batch_size=8, seed=3).indices(step)
        batch = batches.batch(step)
        sign = torch.sign(batch["pixel_values"] / ACTIVATIONS[rows])
        assert torch.equal(batch["pixel_values"], sign * ACTIVATIONS[rows])
        assert torch.equal(sign, sign[:, :1, :1, :1].expand_as(sign))
        assert batch["labels"].tolist() == TARGETS[rows].tolist()
        assert batch["labels"].dtype == torch.int64
        n_mirrored += int((sign[:, 0, 0, 0] < 0).sum())
    assert 50 < n_mirrored < 110  # of 160


def test_batches_are_a_function_of_the_step_and_parts_make_the_whole(tmp_path: Path) -> None:
    first, again = (ActivationBatches(views(tmp_path), TARGETS, batch_size=7, seed=0) for _ in range(2))
    first.batch(2)
    for step in (5, 40):
        whole = again.batch(step)
        for parts in ([slice(0, 3), slice(3, None)], [slice(i, i + 1) for i in range(7)]):
            for name, tensor in whole.items():
                assert torch.equal(torch.cat([first.batch(step, part)[name] for part in parts]), tensor)
        assert torch.equal(first.batch(step, slice(1, None, 2))["labels"], whole["labels"][1::2])
    assert again.batch(6, slice(3, 3))["pixel_values"].shape == (0, 4, 3, 3)


def test_only_the_named_rows_are_drawn_and_bfloat16_comes_as_float32(tmp_path: Path) -> None:
    stored = store(tmp_path / "a.npy", is_bf16=True)
    batches = ActivationBatches([stored], TARGETS, rows=np.array([4, 9, 11]), batch_size=6, seed=0)
    batch = batches.batch(0)
    assert batch["pixel_values"].dtype == torch.float32
    assert sorted(batch["labels"].tolist()) == sorted([4, 4, 1] * 2)


def test_views_of_different_examples_are_an_error(tmp_path: Path) -> None:
    plain = store(tmp_path / "a.npy")
    with pytest.raises(DataError, match="views of"):
        ActivationBatches([plain, store(tmp_path / "b.npy", ACTIVATIONS[:9])], TARGETS, batch_size=2, seed=0)
    with pytest.raises(DataError, match="views of"):
        ActivationBatches([], TARGETS, batch_size=2, seed=0)
    with pytest.raises(DataError, match="9 targets for 23"):
        ActivationBatches([plain], TARGETS[:9], batch_size=2, seed=0)
