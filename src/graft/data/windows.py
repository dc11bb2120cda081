"""Windows of a long recording: equally long, evenly spread, from its first sample to its last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import UsageError

__all__ = ["MOST_WINDOWS", "cut_windows", "window_starts"]

MOST_WINDOWS = 60


def window_starts(n_samples: int, *, window: int, hop: int, most: int = MOST_WINDOWS) -> NDArray[np.int64]:
    """Return the first sample of each window: (n_windows,), ascending; 0 alone where the recording fits into one.

    Parameters
    ----------
    n_samples : of the recording.
    window : samples of a window.
    hop : largest distance between the starts of two windows; it is shortened so that the last window ends with the
        recording and none reaches beyond.
    most : windows a recording; a longer one has this many, further apart than `hop`, so that its middle and end are
        heard too.

    Raises
    ------
    UsageError
        When window, hop or `most` is below 1.

    Examples
    --------
    >>> window_starts(25, window=10, hop=10).tolist()
    [0, 8, 15]
    >>> window_starts(9, window=10, hop=5).tolist()
    [0]
    """
    if min(window, hop, most) < 1:
        raise UsageError(f"window {window}, hop {hop}, at most {most} windows", expected="1 or more of each")
    n_windows = 1 + max(0, -(-(n_samples - window) // hop))
    last = max(0, n_samples - window)
    return np.round(np.linspace(0, last, min(n_windows, most))).astype(np.int64)


def cut_windows(
    waveform: NDArray[np.float32], *, window: int, hop: int, most: int = MOST_WINDOWS
) -> list[NDArray[np.float32]]:
    """Return the windows of a recording, each of `window` samples, or the whole of it where it is shorter.

    Parameters
    ----------
    waveform : (n_samples,); the windows are parts of it, not copies.
    window, hop, most : as in `window_starts`.

    Examples
    --------
    >>> [len(part) for part in cut_windows(np.zeros(25, np.float32), window=10, hop=10)]
    [10, 10, 10]
    """
    starts = window_starts(len(waveform), window=window, hop=hop, most=most)
    return [waveform[start : start + window] for start in starts.tolist()]
