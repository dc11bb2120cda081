from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor
from transformers.feature_extraction_utils import BatchFeature

from graft.backbones.frontends import CheckpointFrontend, model_inputs, noise
from graft.core.errors import ModelError


def ast() -> Any:
    return ASTFeatureExtractor(num_mel_bins=16, max_length=64)


def whisper() -> Any:
    return WhisperFeatureExtractor(feature_size=16, chunk_length=1)


def test_raw_samples_are_scaled_as_the_checkpoint_says_and_long_ones_cut() -> None:
    frontend = CheckpointFrontend(Wav2Vec2FeatureExtractor())
    assert (frontend.shape, frontend.window, frontend.input_name) == (None, 160_000, "input_values")
    whole = frontend(noise(5000))
    assert whole.shape == (5000,)
    assert abs(float(whole.mean())) < 1e-6
    assert float(whole.std()) == pytest.approx(1, abs=1e-3)
    assert frontend(noise(100)).shape == (400,), "too short for the network: filled up"
    assert [len(part) for part in model_inputs(frontend, noise(200_000))] == [160_000, 160_000]


@pytest.mark.parametrize(("extractor", "window", "shape"), [(ast, 10_480, (64, 16)), (whisper, 16_000, (16, 100))])
def test_spectrograms_have_one_shape_and_a_window_that_fills_it(
    extractor: Any, window: int, shape: tuple[int, ...]
) -> None:
    frontend = CheckpointFrontend(extractor())
    assert (frontend.window, frontend.shape) == (window, shape)
    assert {x.shape for n in (1, 3000, 50_000) for x in model_inputs(frontend, noise(n))} == {shape}
    loud = 4 * noise(window)
    assert not np.allclose(frontend(loud)[..., -1:], frontend(loud[: window // 2])[..., -1:]), "its end is heard"


@pytest.mark.parametrize("extractor", [ast, whisper, Wav2Vec2FeatureExtractor])
def test_one_window_is_what_the_extractor_itself_gives(extractor: Any, tmp_path: Path) -> None:
    frontend = CheckpointFrontend(extractor())
    expected = frontend.extractor(noise(9000), sampling_rate=16_000, return_tensors="np")[frontend.input_name][0]
    np.testing.assert_array_equal(frontend(noise(9000)), expected)
    frontend.save(tmp_path)
    again = CheckpointFrontend(type(frontend.extractor).from_pretrained(tmp_path))
    assert again.fingerprint == frontend.fingerprint


def test_settings_make_another_fingerprint() -> None:
    frontends = [CheckpointFrontend(Wav2Vec2FeatureExtractor(do_normalize=is_scaled)) for is_scaled in (True, False)]
    assert frontends[0].fingerprint != frontends[1].fingerprint


def test_an_extractor_of_another_kind_is_refused_with_the_way_out() -> None:
    class Frames(Wav2Vec2FeatureExtractor):  # type: ignore[misc]
        def __call__(self, waveform: Any, **options: Any) -> BatchFeature:
            return BatchFeature({"input_values": [waveform[: len(waveform) // 80 * 80].reshape(-1, 80)]})

    with pytest.raises(ModelError, match="--preprocessing"):
        CheckpointFrontend(Frames(), label="framed")
