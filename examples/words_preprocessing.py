"""Preprocessing for the encoder that `scripts/pretrain_words.py` trains: a spectrogram of 0.8 s as a small picture.

Used as ``graft fit DATA --model ENCODER --preprocessing examples/words_preprocessing.py:spectrogram``.
"""

import numpy as np

SAMPLING_RATE_HZ = 8_000
N_FRAMES, FRAME, HOP, FFT, N_BANDS = 64, 256, 100, 512, 64
N_SAMPLES = FRAME + (N_FRAMES - 1) * HOP
WINDOW_S = N_SAMPLES / SAMPLING_RATE_HZ
HOP_S = 0.4
RANGE_DB = 70.0


def mel_filters() -> np.ndarray:
    """Return triangular filters (n_bands, n_bins), evenly spaced on the mel scale from 60 to 3,900 Hz."""

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    bins = mel(np.linspace(0, SAMPLING_RATE_HZ / 2, FFT // 2 + 1))
    edges = np.linspace(mel(60), mel(3900), N_BANDS + 2)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))


FILTERS = mel_filters()
WINDOW = np.hanning(FRAME)


def pixels(waveform: np.ndarray) -> np.ndarray:
    """Return the grey picture (64 bands, low ones at the bottom; 64 frames), uint8; the loudest place is white."""
    padded = np.zeros(N_SAMPLES)
    first = (N_SAMPLES - min(len(waveform), N_SAMPLES)) // 2
    padded[first : first + len(waveform)] = waveform[:N_SAMPLES]
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * WINDOW
    power = np.square(np.abs(np.fft.rfft(frames, FFT, axis=1))) @ FILTERS.T
    level_db = 10 * np.log10(power / max(power.max(), 1e-9) + 1e-9)
    return np.round(255 * np.clip(1 + level_db / RANGE_DB, 0, 1)).astype(np.uint8).T[::-1]


def spectrogram(waveform: np.ndarray, sampling_rate_hz: int) -> np.ndarray:
    """Return what the encoder reads: (3, 64, 64), three equal channels from -1 to 1."""
    scaled = pixels(waveform).astype(np.float32) / 127.5 - 1
    return np.repeat(scaled[None], 3, axis=0)
