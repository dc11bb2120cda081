"""Preprocessing for YAMNet: log-mel patches of 0.975 s, 96 frames of 64 bands.

Used as ``graft fit DATA --model YAMNET --preprocessing examples/yamnet_preprocessing.py:log_mel``. Graft gives the
function one channel at ``SAMPLING_RATE_HZ``, in pieces of at most ``WINDOW_S``, and averages the features of all pieces
of a recording.

The front end is that of https://github.com/tensorflow/models/tree/master/research/audioset/yamnet.
"""

import numpy as np

SAMPLING_RATE_HZ = 16_000
N_FRAMES, FRAME, HOP, FFT, N_BANDS = 96, 400, 160, 512, 64
N_SAMPLES = FRAME + (N_FRAMES - 1) * HOP
WINDOW_S = N_SAMPLES / SAMPLING_RATE_HZ
HOP_S = 0.48


def mel_filters() -> np.ndarray:
    """Return triangular filters (n_bands, n_bins), evenly spaced on the mel scale from 125 to 7,500 Hz."""

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    bins = mel(np.linspace(0, SAMPLING_RATE_HZ / 2, FFT // 2 + 1))
    edges = np.linspace(mel(125), mel(7500), N_BANDS + 2)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    filters[:, 0] = 0
    return filters.astype(np.float32)


FILTERS = mel_filters()
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)  # periodic Hann


def log_mel(waveform: np.ndarray, sampling_rate_hz: int) -> np.ndarray:
    """Return log-mel energies (1, 96, 64); a shorter waveform is filled up with silence."""
    padded = np.zeros(N_SAMPLES, np.float32)
    padded[: len(waveform)] = waveform[:N_SAMPLES]
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * WINDOW
    spectrum = np.abs(np.fft.rfft(frames, FFT, axis=1)).astype(np.float32)
    return np.log(spectrum @ FILTERS.T + 0.001)[None]
