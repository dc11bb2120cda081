from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graft.backbones.audio_loading import load_audio_model
from graft.backbones.audio_model import AudioModel
from graft.backbones.cache import FeatureCache
from graft.backbones.extraction import Extractor
from graft.backbones.frontends import model_inputs
from graft.backbones.recording_batches import RecordingBatch, mean_by_owner, window_tensors
from graft.backbones.views import View
from graft.core.devices import Precision
from graft.core.errors import DataError, UsageError
from graft.data.audio import decode_recording
from graft.data.kinds import RECORDING
from graft.data.readers import read_splits
from small_sounds import make_audio_checkpoint, make_recordings, tone

CPU, FULL = torch.device("cpu"), Precision("fp32", "test")
ROOT = Path(__file__).resolve().parents[3]


class Waves:
    """What an extractor needs, over arrays."""

    def __init__(self, waves: Sequence[np.ndarray], folder: Path) -> None:
        import soundfile

        self.paths = [folder / f"{i}.wav" for i in range(len(waves))]
        for path, wave in zip(self.paths, waves, strict=True):
            soundfile.write(path, wave, 16_000, subtype="FLOAT")

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        return self.paths[index].read_bytes()

    def place(self, index: int) -> str:
        return str(self.paths[index])


def extractor(model: AudioModel, folder: Path, **options: Any) -> Extractor:
    return Extractor(
        model.source(), FeatureCache(folder), device=CPU, precision=FULL, **{"n_workers": 0, "batch_size": 4, **options}
    )


def features_of(model: AudioModel, data: Any, folder: Path, **options: Any) -> np.ndarray:
    found = [features for _, features, _ in extractor(model, folder, **options).stream(data)]
    return np.concatenate(found)


def one_by_one(model: AudioModel, data: Any) -> np.ndarray:
    """Return mean features of all windows, each alone."""
    network, rate = model.feature_network(), model.frontend.sampling_rate_hz
    rows = []
    for i in range(len(data)):
        waveform = decode_recording(data.read(i), name="x", sampling_rate_hz=rate).waveform
        windows = model_inputs(model.frontend, waveform)
        with torch.inference_mode():
            rows.append(np.mean([network(torch.from_numpy(x)[None])[0].numpy() for x in windows], axis=0))
    return np.stack(rows)


@pytest.mark.parametrize("name", ["wav2vec2", "wav2vec2 stable", "wavlm stable", "hubert", "whisper", "ast"])
def test_features_in_batches_are_those_of_each_window_alone(name: str, tmp_path: Path) -> None:
    model = load_audio_model(str(make_audio_checkpoint(tmp_path / "m", name)), label_names=("a", "b"))
    lengths = (0.3, 2.1, 0.5, 0.29, 0.5, 1.0, 0.31)
    data = Waves([tone(300, seed=i, duration_s=s) for i, s in enumerate(lengths)], tmp_path)
    got = features_of(model, data, tmp_path / "cache")
    assert got.shape == (7, 48)
    np.testing.assert_allclose(got, one_by_one(model, data), rtol=2e-3, atol=2e-4)


def test_long_recordings_are_the_mean_of_their_windows(tmp_path: Path) -> None:
    model = load_audio_model(str(make_audio_checkpoint(tmp_path / "m", "hubert")), label_names=("a", "b"))
    wave = tone(300, seed=1, duration_s=25)
    data = Waves([wave], tmp_path)
    parts = Waves([wave[:160_000], wave[120_000:280_000], wave[240_000:]], tmp_path / "m")
    whole, each = (features_of(model, d, tmp_path / "cache") for d in (data, parts))
    np.testing.assert_allclose(whole[0], each.mean(axis=0), rtol=1e-3, atol=1e-4)


def test_blocks_are_layers_and_the_cache_is_filled_once(tmp_path: Path) -> None:
    model = load_audio_model(str(make_audio_checkpoint(tmp_path / "m")), label_names=("high", "low", "middle"))
    assert model.source().blocks == ("layer 3", "layer 2", "layer 1")
    assert model.ending_after(2).source().blocks == ("head input",)
    data = read_splits(make_recordings(tmp_path / "data", 4), kind=RECORDING).train
    first = extractor(model, tmp_path / "cache").run(data, n_examples=12)
    again = extractor(model, tmp_path / "cache").run(data, n_examples=12)
    assert (first.n_computed, again.n_computed) == (12, 0)
    assert first.matrix.shape == (12, 48)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert (np.bitwise_count(first.perceptual).sum(axis=1) > 40).all()
    in_workers = extractor(model, tmp_path / "other", n_workers=2, batch_size=2).run(data, n_examples=12)
    np.testing.assert_allclose(in_workers.matrix, first.matrix, rtol=1e-3, atol=1e-4)


def test_a_users_preprocessing_runs_any_network_on_sound(shared: Path, tmp_path: Path) -> None:
    model = load_audio_model(
        str(shared / "models" / "yamnet"),
        label_names=("a", "b"),
        preprocessing=f"{ROOT / 'examples' / 'yamnet_preprocessing.py'}:log_mel",
    )
    assert (model.input_name, model.head.n_features, model.layers) == ("pixel_values", 1024, ())
    data = Waves([tone(300, seed=i, duration_s=s) for i, s in enumerate((0.3, 2.1, 0.5))], tmp_path)
    got = features_of(model, data, tmp_path / "cache")
    rows = []
    for i in range(3):
        waveform = decode_recording(data.read(i), name="x", sampling_rate_hz=16_000).waveform
        values = torch.from_numpy(np.stack(model_inputs(model.frontend, waveform)))
        with torch.inference_mode():
            network: Any = model.network
            rows.append(network.mobilenet_v1(values).pooler_output.mean(dim=0).numpy())
    np.testing.assert_allclose(got, np.stack(rows), rtol=1e-2, atol=1e-3)


def test_silence_has_the_empty_hash_and_unreadable_files_are_told(tmp_path: Path) -> None:
    model = load_audio_model(str(make_audio_checkpoint(tmp_path / "m", "ast")), label_names=("a", "b"))
    source = model.source()
    data = Waves([tone(300, seed=1), np.zeros(9000)], tmp_path)
    hashes = [source.read(data.read(i), name="x", key="", view=View())[1] for i in (0, 1)]
    assert (hashes[0].any(), hashes[1].any()) == (True, False)
    with pytest.raises(DataError, match="cannot be read as a recording"):
        source.read(b"no sound", name="x", key="", view=View())
    with pytest.raises(UsageError, match="--views"):
        source.read(data.read(0), name="x", key="", view=View(1))
    assert len(source.collate([source.blank()])) == 1


def test_other_engines_are_refused_where_inputs_are_no_pictures(tmp_path: Path) -> None:
    source = load_audio_model(str(make_audio_checkpoint(tmp_path)), label_names=("a", "b")).source()
    options: dict[str, Any] = {"device": CPU, "n_examples": 9, "is_strict_precision": False}
    with pytest.raises(UsageError, match="raw samples"):
        source.candidates("openvino", precision=FULL, **options)
    labels = [c.label for c in source.candidates("auto", precision=Precision("bf16", "test"), **options)]
    assert labels == ["eager bf16", "eager fp32"]


def test_a_source_travels_to_workers_without_its_network(tmp_path: Path) -> None:
    source = load_audio_model(str(make_audio_checkpoint(tmp_path)), label_names=("a", "b")).source()
    assert len(pickle.dumps(source)) < 20_000
    assert pickle.loads(pickle.dumps(source)).blocks == source.blocks  # noqa: S301  our own


def test_long_files_come_first_where_length_matters(tmp_path: Path) -> None:
    data = Waves([tone(300, seed=i, duration_s=s) for i, s in enumerate((0.3, 0.5, 0.4))], tmp_path)
    raw = load_audio_model(str(make_audio_checkpoint(tmp_path / "a")), label_names=("a", "b")).source()
    assert list(raw.arrange(data, [0, 1, 2])) == [1, 2, 0]
    fixed = load_audio_model(str(make_audio_checkpoint(tmp_path / "b", "ast")), label_names=("a", "b")).source()
    assert list(fixed.arrange(data, [2, 0, 1])) == [2, 0, 1]


@pytest.mark.parametrize("can_pad", [True, False])
def test_every_window_is_given_once_with_little_padding(can_pad: bool) -> None:
    lengths = np.random.default_rng(0).integers(500, 2000, 60).tolist()
    windows = [np.full(n, n, np.float32) for n in [*lengths, *lengths[:5]]]
    seen: list[int] = []
    for places, values, mask in window_tensors(windows, most=8, can_pad=can_pad):
        assert 1 <= len(values) == len(places) <= 8
        given = torch.ones_like(values) if mask is None else mask
        assert can_pad or mask is None
        assert float(given.float().mean()) >= 0.9
        for row, place in enumerate(places.tolist()):
            assert int(given[row].sum()) == len(windows[place])
            assert float(values[row].sum()) == pytest.approx(len(windows[place]) ** 2, rel=1e-5)
        seen += places.tolist()
    assert sorted(seen) == list(range(65))


def test_batches_can_be_sliced() -> None:
    batch = RecordingBatch([[np.zeros(3, np.float32)], [np.ones(3, np.float32)] * 2, [np.ones(4, np.float32)]])
    assert (len(batch), len(batch[1:]), batch.owners.tolist()) == (3, 2, [0, 1, 1, 2])
    assert batch[1:].owners.tolist() == [0, 0, 1]
    sums = batch.pooled(lambda windows: np.array([[w.sum()] for w in windows], np.float32))
    assert sums.tolist() == [[0.0], [3.0], [4.0]]
    assert mean_by_owner(np.ones((2, 1), np.float32), np.array([0, 0]), n=1).tolist() == [[1.0]]
