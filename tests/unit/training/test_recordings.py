from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor

from graft.backbones.frontends import CheckpointFrontend
from graft.backbones.recording_batches import collate_windows
from graft.core.errors import DataError, UsageError
from graft.training.mixing import Mixing
from graft.training.recordings import (
    RecordingExamples,
    Waveforms,
    open_waveforms,
    store_waveforms,
)

LENGTHS = (4000, 9000, 4000, 30_000, 5000, 8000)


def waves() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(0, 0.1, n).astype(np.float32) for n in LENGTHS]


def examples(folder: Path, *, is_raw: bool = True, can_pad: bool = True) -> RecordingExamples:
    store_waveforms(folder / "waves.npy", waves())
    frontend = CheckpointFrontend(
        Wav2Vec2FeatureExtractor() if is_raw else ASTFeatureExtractor(num_mel_bins=16, max_length=64)
    )
    targets = np.array([0, 1, 0, 1, 2, 2])
    return RecordingExamples(open_waveforms(folder / "waves.npy"), targets, 3, frontend, "input_values", can_pad)


def batches(of: RecordingExamples, **options: Any) -> Any:
    rows = options.pop("rows", np.arange(6))
    return of.batches(
        rows,
        **{"batch_size": 4, "augmentation": "medium", "mixing": None, "label_smoothing": 0.0, "seed": 0, **options},
    )


def test_waveforms_come_back_from_a_map_of_one_file(tmp_path: Path) -> None:
    store_waveforms(tmp_path / "waves.npy", iter(waves()))
    stored = open_waveforms(tmp_path / "waves.npy")
    assert isinstance(stored.samples, np.memmap)
    assert stored.lengths.tolist() == list(LENGTHS)
    for i, wave in enumerate(waves()):
        np.testing.assert_array_equal(stored[i], wave)


def test_a_recording_that_cannot_be_read_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Any:
        yield np.zeros(5, np.float32)
        raise DataError("broken")

    with pytest.raises(DataError):
        store_waveforms(tmp_path / "waves.npy", broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("is_raw", "can_pad"), [(True, True), (True, False), (False, False)])
def test_a_step_is_the_same_whole_in_parts_and_again(is_raw: bool, can_pad: bool, tmp_path: Path) -> None:
    of = examples(tmp_path, is_raw=is_raw, can_pad=can_pad)
    for step in range(3):
        whole, again = batches(of).batch(step), batches(of).batch(step)
        parts = [batches(of).batch(step, part) for part in (slice(0, 1), slice(1, 4))]
        for name in whole:
            assert torch.equal(whole[name], again[name])
        assert torch.equal(whole["input_values"], torch.cat([part["input_values"] for part in parts]))
        assert torch.equal(whole["labels"], torch.cat([part["labels"] for part in parts]))
        if "attention_mask" in whole:
            assert torch.equal(whole["attention_mask"], torch.cat([part["attention_mask"] for part in parts]))
    assert not torch.equal(
        batches(of).batch(0)["input_values"][:, :400], batches(of, seed=1).batch(0)["input_values"][:, :400]
    )


def test_long_recordings_are_cut_at_a_drawn_place_and_all_rows_come(tmp_path: Path) -> None:
    of = examples(tmp_path, is_raw=False)
    batch = batches(of, augmentation="none").batch(0)
    assert batch["input_values"].shape == (4, 64, 16)
    rows = np.array([3])
    cuts = [batches(of, rows=rows, batch_size=1, augmentation="none").batch(step)["input_values"] for step in range(2)]
    assert not torch.equal(*cuts)
    assert batches(of, rows=rows, batch_size=1).batch(0)["labels"].tolist() == [1]


def test_raw_samples_that_must_not_be_padded_are_cut_to_the_shortest(tmp_path: Path) -> None:
    padded, cut = (batches(examples(tmp_path, can_pad=can_pad), augmentation="none") for can_pad in (True, False))
    for step in range(6):
        lengths = (
            padded.batch(step).get("attention_mask", torch.ones(4, padded.batch(step)["input_values"].shape[1])).sum(1)
        )
        assert cut.batch(step)["input_values"].shape == (4, int(lengths.min()))
        assert "attention_mask" not in cut.batch(step)


def test_smoothed_labels_are_shares(tmp_path: Path) -> None:
    batch = batches(examples(tmp_path), label_smoothing=0.3).batch(0)
    assert batch["soft_labels"].shape == (4, 3)
    torch.testing.assert_close(batch["soft_labels"].sum(1), torch.ones(4))


def test_mixing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mixup or CutMix of recordings"):
        batches(examples(tmp_path), mixing=Mixing(mixup_alpha=0.2))


@pytest.mark.parametrize("can_pad", [True, False])
def test_plain_batches_hold_every_window_once_in_order(can_pad: bool, tmp_path: Path) -> None:
    of = examples(tmp_path, can_pad=can_pad)
    order = of.cheapest_order(np.arange(6))
    assert sorted(order.tolist()) == list(range(6))
    assert [LENGTHS[i] for i in order] == sorted(LENGTHS, reverse=True)
    seen = list(of.plain(order, batch_size=4))
    assert [len(batch["labels"]) for batch in seen] == ([4, 2] if can_pad else [1, 1, 1, 1, 2])
    assert torch.cat([batch["labels"] for batch in seen]).tolist() == of.targets[order].tolist()
    assert can_pad == any("attention_mask" in batch for batch in seen)


def test_plain_batches_say_whose_each_window_is(tmp_path: Path) -> None:
    of = examples(tmp_path, is_raw=False)
    (batch,) = of.plain(np.array([3, 0]), batch_size=4)
    assert batch["window_of"].tolist() == [0, 0, 0, 1]
    assert batch["input_values"].shape == (4, 64, 16)
    assert batch["labels"].tolist() == [1, 0]


def test_labels_of_many_classes_stay_rows() -> None:
    batch = collate_windows([[np.ones(4, np.float32)]] * 2, [[0, 1], [1, 1]], input_name="input_values")
    assert batch["labels"].tolist() == [[0, 1], [1, 1]]
    assert set(batch) == {"input_values", "labels"}
    assert Waveforms(np.zeros(4, np.float32), np.array([1, 4])).lengths.tolist() == [1, 3]
