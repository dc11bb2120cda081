"""The learning rate of a method on prepared data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from graft.api.trial_ground import TrialGround
from graft.methods.prepared import FineTuningMethod
from graft.selection.learning_rate import RateSearch, prior_of, search_rate
from graft.selection.learning_rate_range import range_test
from graft.selection.race_journal import Journal
from graft.selection.trials import TrialBed
from graft.selection.trials_executors import Executor

__all__ = ["search_on"]

_CEILING_SHARE: Final = 0.1  # of a run's steps, for the range test


def search_on(
    ground: TrialGround,
    method: FineTuningMethod,
    *,
    bed: TrialBed | None = None,
    has_range_test: bool = False,
    executor: Executor | None = None,
    journal: Journal | None = None,
    seconds_left: Callable[[], float] | None = None,
    say: Callable[[str], None],
) -> RateSearch:
    """Return the rate for a method.

    Parameters
    ----------
    has_range_test : a short range test comes first, above whose ceiling no rate races.
    """
    bed = bed or ground.bed()
    ceiling = None
    if has_range_test:
        centre = method.settings.learning_rate or prior_of(method, bed.network)
        n_steps = max(12, round(_CEILING_SHARE * method.settings.n_steps(bed.n_train)))
        ceiling = range_test(method, bed, centre=centre, n_steps=n_steps)
    return search_rate(
        method,
        bed,
        ceiling=ceiling,
        executor=executor,
        journal=journal,
        seconds_left=seconds_left,
        seed=bed.seed,
        say=say,
    )
