from __future__ import annotations

import numpy as np
import pytest
import torch

from graft.core.errors import UsageError
from graft.training.sounds import (
    SoundAugmentation,
    SoundDistortions,
    distort_waveform,
    draw_sound_distortions,
    mask_spectrogram,
)

WAVE = np.sin(np.arange(8000) / 10).astype(np.float32)


def drawn(how: SoundAugmentation, n: int = 64, *, seed: int = 0) -> SoundDistortions:
    return draw_sound_distortions(how, n, generator=torch.Generator().manual_seed(seed))


def test_none_changes_nothing() -> None:
    rows = drawn(SoundAugmentation.for_strength("none"), 8)
    spectrogram = np.random.default_rng(0).normal(size=(1, 30, 20)).astype(np.float32)
    for row in range(8):
        np.testing.assert_array_equal(distort_waveform(WAVE, rows, row), WAVE)
        np.testing.assert_array_equal(mask_spectrogram(spectrogram, rows, row), spectrogram)


@pytest.mark.parametrize("strength", ["light", "medium", "strong"])
def test_each_strength_is_the_same_for_the_same_generator_and_other_for_another(strength: str) -> None:
    how = SoundAugmentation.for_strength(strength)
    first, same, other = (
        [distort_waveform(WAVE, drawn(how, 8, seed=seed), row) for row in range(8)] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_a_row_depends_on_itself_alone() -> None:
    rows = drawn(SoundAugmentation.for_strength("strong"))
    part = rows[torch.tensor([5, 9])]
    assert len(part) == 2
    np.testing.assert_array_equal(distort_waveform(WAVE, part, 1), distort_waveform(WAVE, rows, 9))
    picture = np.random.default_rng(0).normal(size=(64, 40)).astype(np.float32)
    np.testing.assert_array_equal(mask_spectrogram(picture, part, 1), mask_spectrogram(picture, rows, 9))


def test_shifts_move_in_silence_and_keep_the_rest() -> None:
    rows = drawn(SoundAugmentation(shift=0.25))
    assert float(rows.shifts.min()) < -0.2
    assert float(rows.shifts.max()) > 0.2
    for row in range(64):
        shift = round(float(rows.shifts[row]) * 8000)
        moved = distort_waveform(WAVE, rows, row)
        kept = slice(shift, None) if shift >= 0 else slice(None, shift)
        np.testing.assert_array_equal(moved[kept], WAVE[: 8000 - shift] if shift >= 0 else WAVE[-shift:])
        moved[kept] = 0
        assert not moved.any()


def test_noise_has_the_drawn_power_and_gain_the_drawn_factor() -> None:
    rows = drawn(SoundAugmentation(noise=0.5, snr_db=(5, 20)))
    is_noisy = torch.isfinite(rows.snr_db)
    assert 16 <= int(is_noisy.sum()) <= 48
    for row in np.flatnonzero(is_noisy.numpy())[:8].tolist():
        noise = distort_waveform(WAVE, rows, row) - WAVE
        snr_db = 10 * np.log10(np.mean(WAVE**2) / np.mean(noise**2))
        assert snr_db == pytest.approx(float(rows.snr_db[row]), abs=0.3)
    louder = drawn(SoundAugmentation(gain_db=6))
    factors = [float(distort_waveform(WAVE, louder, row)[50] / WAVE[50]) for row in range(64)]
    assert 0.5 <= min(factors) < 0.6
    assert 1.7 < max(factors) <= 2.0


def test_noise_on_silence_is_silence() -> None:
    rows = drawn(SoundAugmentation(noise=1.0))
    assert not distort_waveform(np.zeros(100, np.float32), rows, 0).any()


@pytest.mark.parametrize("shape", [(100, 16), (16, 100), (1, 100, 16)])
def test_masks_cover_bands_and_spans_up_to_their_width(shape: tuple[int, ...]) -> None:
    how = SoundAugmentation(n_bands=1, band=0.5, n_spans=1, span=0.2)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    time = -1 if shape[-1] == 100 else -2
    widths = []
    for row in range(64):
        masked = mask_spectrogram(values, drawn(how), row)
        is_mean = np.isclose(masked, values.mean(dtype=np.float64), atol=1e-7).reshape(-1, *shape[-2:])[0]
        spans = is_mean.all(axis=1 if time == -2 else 0).sum()
        bands = is_mean.all(axis=0 if time == -2 else 1).sum()
        widths.append((spans, bands))
        assert np.array_equal(masked != values, np.broadcast_to(is_mean, shape))
    assert 15 < max(w[0] for w in widths) <= 20
    assert 6 < max(w[1] for w in widths) <= 8
    assert mask_spectrogram(WAVE, drawn(how), 0) is WAVE, "raw samples have no bands"


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'light'"):
        SoundAugmentation.for_strength("ligth")
    for options in ({"shift": 2}, {"gain_db": -1}, {"snr_db": (20, 10)}):
        with pytest.raises(UsageError):
            SoundAugmentation(**options)  # type: ignore[arg-type]
