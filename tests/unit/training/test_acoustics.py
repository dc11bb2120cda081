"""Distorted recordings: as long as before, the same for the same draws, and distorted in the way that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from graft.core.errors import UsageError
from graft.training.acoustics import Acoustics, heard_elsewhere

RATE = 8_000


def tones(seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * f * time) for f in range(150, 3900, 150)).astype(np.float32) / 25


def heard(how: Acoustics, seed: int = 0) -> np.ndarray:
    return heard_elsewhere(tones(), how, rate_hz=RATE, random=np.random.default_rng(seed))


@pytest.mark.parametrize(
    "how", [Acoustics(6.0), Acoustics(band=1.0), Acoustics(echo=1.0), Acoustics(noise=1.0), Acoustics(6, 1, 1, 1)]
)
def test_length_stays_and_draws_alone_decide(how: Acoustics) -> None:
    once = heard(how)
    assert once.shape == tones().shape
    assert once.dtype == np.float32
    assert np.array_equal(once, heard(how))
    assert not np.allclose(once, heard(how, seed=1))
    assert np.isfinite(once).all()


def test_band_is_lost_and_the_rest_stays() -> None:
    before = np.abs(np.fft.rfft(tones()))[150:3900:150]
    levels = np.array([np.abs(np.fft.rfft(heard(Acoustics(band=1.0), seed)))[150:3900:150] for seed in range(10)])
    shares = levels / before
    assert (shares.min(axis=1) < 0.1).sum() >= 7  # narrow ones may lie between two tones
    assert (np.median(shares, axis=1) > 0.9).all()


def test_noise_has_the_drawn_power() -> None:
    noise = heard(Acoustics(noise=1.0, snr_db=(10.0, 10.0))) - tones()
    assert 10 * np.log10(np.mean(tones() ** 2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.1)


def test_echo_goes_on_after_the_sound() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    found = heard_elsewhere(click, Acoustics(echo=1.0), rate_hz=RATE, random=np.random.default_rng(0))
    assert np.abs(found[:100]).max() < 1e-4
    assert np.abs(found[101:]).max() > 1e-3
    assert found[100] == pytest.approx(1.0, abs=0.05)


def test_amounts_out_of_bounds_are_refused() -> None:
    with pytest.raises(UsageError, match="band 2"):
        Acoustics(band=2.0)
