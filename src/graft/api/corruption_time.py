"""What test examples made worse may cost: in a run, foreseen by `plan`, and kept in reserve under a time limit."""

from __future__ import annotations

from typing import Final

from graft.api.config import FitConfig
from graft.data.corruptions.corrupted import SEVERITIES, corruptions_of
from graft.data.kinds import ExampleKind

__all__ = ["FEWEST_TO_JUDGE", "MOST_EXAMPLES", "budget_s", "foreseen_s", "reserved_s"]

MOST_EXAMPLES: Final = 300
FEWEST_TO_JUDGE: Final = 30
"""Test examples; fewer could show a loss of 20 points or so at best."""
_SHARE, _FREE_S, _AT_LEAST_S = 0.25, 4.0, 1.0  # of the run's own seconds, beyond the first few
_RESERVED, _RESERVED_ALL = 0.1, 0.5  # of a time limit, at most; the second where all corruptions are wanted
_PACE = 0.9  # reading and making worse takes time beside the network's


def budget_s(config: FitConfig, seconds: float) -> float:
    """Return the most that corruptions may take after a run of so many seconds; infinite where all are wanted."""
    return float("inf") if config.corruptions == "all" else max(_SHARE * (seconds - _FREE_S), _AT_LEAST_S)


def foreseen_s(
    config: FitConfig, kind: ExampleKind, *, n_test: int, example_s: float, seconds: float, is_tuned: bool
) -> float:
    """Return what corruptions will take.

    Parameters
    ----------
    n_test : test examples.
    example_s : seconds an example, read and passed.
    seconds : that the run takes without them.
    is_tuned : a fine-tuned network is judged, and the frozen one beside it.

    Examples
    --------
    >>> from graft.data.kinds import PICTURE
    >>> config = FitConfig(model="m", out="run")
    >>> foreseen_s(config, PICTURE, n_test=1_000, example_s=1.0, seconds=100.0, is_tuned=False)
    24.0
    >>> foreseen_s(config, PICTURE, n_test=20, example_s=1.0, seconds=100.0, is_tuned=False)
    0.0
    """
    return min(_whole_s(config, kind, n_test=n_test, example_s=example_s, is_tuned=is_tuned), budget_s(config, seconds))


def reserved_s(config: FitConfig, kind: ExampleKind, *, n_test: int, example_s: float, limit_s: float | None) -> float:
    """Return the seconds of a time limit that fine-tuning leaves for corruptions.

    A tenth of the limit at most; half of it where all corruptions are wanted.

    Parameters
    ----------
    n_test, example_s : as `foreseen_s` has them.
    limit_s : None: no limit, and nothing to reserve.
    """
    if limit_s is None:
        return 0.0
    most = _RESERVED_ALL * limit_s if config.corruptions == "all" else _RESERVED * limit_s
    return min(_whole_s(config, kind, n_test=n_test, example_s=example_s, is_tuned=True), most)


def _whole_s(config: FitConfig, kind: ExampleKind, *, n_test: int, example_s: float, is_tuned: bool) -> float:
    if config.corruptions == "none" or (config.corruptions != "all" and n_test < FEWEST_TO_JUDGE):
        return 0.0
    n = len(corruptions_of(kind))
    passes = n * len(SEVERITIES) + 1 + (n + 1 if is_tuned else 0)
    return passes * min(n_test, MOST_EXAMPLES) * example_s / _PACE
