"""How recordings are heard: whole, or in windows, which is not what ``transformers.pipeline`` does with long ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from graft.api.embedding import Embedded
from graft.backbones.audio_model import AudioModel
from graft.core.text import counted
from graft.data.audio import duration_s
from graft.data.windows import MOST_WINDOWS, window_starts

__all__ = ["count_long"]


def count_long(embedded: Embedded, *, say: Callable[[str], None]) -> tuple[Embedded, dict[str, Any] | None]:
    """Return `embedded` with a note on recordings longer than a window, and the counts behind it.

    The headers of all files are read for it, in a tenth of a millisecond each.

    Returns
    -------
    Embedded
        With the note, where there are any such recordings.
    dict or None
        ``n``, ``n_long``, ``window_s``, ``longest_s``, ``most_windows`` (of the longest), ``pipeline_hears``. None
        where the examples are no recordings.
    """
    model = embedded.model
    if not isinstance(model, AudioModel):
        return embedded, None
    lengths_s = np.array([duration_s(part.read(i)) for part in embedded.splits.values() for i in range(len(part))])
    rate = model.frontend.sampling_rate_hz
    n_samples = np.round(lengths_s * rate).astype(np.int64)
    n_long, longest = int((n_samples > model.frontend.window).sum()), int(n_samples.max())
    n_windows = len(window_starts(longest, window=model.frontend.window, hop=model.frontend.hop))
    facts = {
        "n": len(lengths_s),
        "n_long": n_long,
        "window_s": model.window_s,
        "longest_s": float(lengths_s.max()),
        "most_windows": n_windows,
        "pipeline_hears": model.pipeline_hears,
    }
    if not n_long:
        return embedded, facts
    verb = "is" if n_long == 1 else "are"
    told = (
        f"{n_long:,} of {counted(len(lengths_s), embedded.noun)} {verb} longer than a window of {model.window_s:.3g} s"
        f" (the longest lasts {lengths_s.max():.3g} s): the mean of its windows counts, here of up to {n_windows}"
    )
    if n_windows == MOST_WINDOWS:
        told += ", with gaps between them where they do not reach"
    if model.pipeline_hears:
        told += (
            f". transformers.pipeline hears {model.pipeline_hears} and gives other scores for"
            f" {'it' if n_long == 1 else 'these'}; graft predict gives ours"
        )
    say(told)
    return replace(embedded, notes=(*embedded.notes, told)), facts
