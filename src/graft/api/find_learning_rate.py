"""`find-lr`: which learning rate, on these data, with this model; nothing is kept but the figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.config_values import seconds_of
from graft.api.gathering import gather_options
from graft.core.errors import Interrupted, UsageError
from graft.core.files import gone_if_in_vain, write_json
from graft.core.process import prepare_process

if TYPE_CHECKING:
    from graft.selection.learning_rate import RateSearch

__all__ = ["FoundRate", "find_learning_rate"]


@dataclass(frozen=True)
class FoundRate:
    """A search that was done.

    Parameters
    ----------
    learning_rate : what is recommended for ``graft fit --learning-rate``.
    prior : what `fit` takes without a search.
    out : folder with ``learning_rate.json``, ``report.html`` and the trials.
    facts : what the JSON file holds: the standings, their spread, and the corrected accuracy of the chosen one.
    """

    learning_rate: float
    prior: float
    out: Path
    facts: dict[str, Any]


def find_learning_rate(
    data: str | Path,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    range_test: bool = False,
    console: Console | None = None,
    **options: Any,
) -> FoundRate:
    """Find the learning rate of a strategy by short runs on some data; the test split is not read.

    Five rates around the prior of the architecture and the strategy run a tenth of the steps; the three largest that
    are not lost then run two fifths. Called again with the same folder and options it goes on where it was.

    Parameters
    ----------
    data, model, config : as in `graft.fit`.
    out : folder of the search; by default ``learning-rate``.
    range_test : a run with a rising rate comes first; rates above the one where it came apart are not tried.
    console : where it is printed; None: standard output.
    **options : further fields of `FitConfig`: ``strategy`` (auto means lp-ft), ``batch_size``, ``jobs``,
        ``ray_address``, ``time_limit``, ...

    Raises
    ------
    UsageError, DataError, ModelError, ResourceError
        As `graft.fit` does; UsageError also for strategy ``"head"``, which has no learning rate.

    Notes
    -----
    The rate holds for the batch size that it was found with. For a batch k times as large, multiply it by the square
    root of k (AdamW) or by k (SGD); see `graft.methods.rates.batch_factor`.

    Examples
    --------
    >>> found = find_learning_rate("flowers", model="microsoft/resnet-50")  # doctest: +SKIP
    >>> fit("flowers", model="microsoft/resnet-50", out="run", learning_rate=found.learning_rate)  # doctest: +SKIP
    """
    prepare_process()
    began = time.monotonic()
    chosen = gather_options(model=model, out=out or "learning-rate", config=config, options=options)
    if chosen.strategy == "head":
        raise UsageError(
            "find-lr with strategy head",
            expected="a strategy that trains the network; the head is solved for and has no learning rate",
            fix="--strategy lp-ft (Python: strategy='lp-ft')",
        )
    console = console or Console()

    def say(text: str) -> None:
        console.print(f"· {text}", style="dim", markup=False, highlight=False)

    from graft.selection.trials_executors import executor_for

    executor = executor_for(n_jobs=chosen.jobs, ray_address=chosen.ray_address, device=chosen.device)
    folder = Path(chosen.out)
    try:
        with gone_if_in_vain(folder / "trials", holding={"journal.log"}):
            found = _searched(str(data), chosen, executor, has_range_test=range_test, say=say, console=console)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(
            f"the trials that were done are kept in {folder}",
            fix="the same command goes on where it was",
        ) from error
    facts = {"data": str(data), "model": chosen.model, "batch_size": chosen.batch_size, **found.as_dict()}
    write_json(folder / "learning_rate.json", facts)
    from graft.report.rate_page import print_rates, write_rate_page

    write_rate_page(folder / "report.html", facts)
    print_rates(facts, console=console)
    limit_s = None if chosen.time_limit is None else seconds_of(chosen.time_limit)
    if limit_s is not None and (took := time.monotonic() - began) > limit_s + 1:
        say(f"it took {took:,.0f} s of {limit_s:,.0f} s: features, head and a step of each rate are not broken off")
    say(f"report: {folder / 'report.html'}; all figures: {folder / 'learning_rate.json'}")
    return FoundRate(found.learning_rate, found.prior, folder, facts)


def _searched(
    data: str,
    config: FitConfig,
    executor: Any,
    *,
    has_range_test: bool,
    say: Callable[[str], None],
    console: Console,
) -> RateSearch:
    from graft.api.contenders import method_of
    from graft.api.learning_rates import search_on
    from graft.api.trial_ground import embedded_for_trials, ground_on, identity_of
    from graft.selection.race_journal import Journal

    began, folder = time.monotonic(), Path(config.out)
    method = method_of(config, "lp-ft" if config.strategy == "auto" else config.strategy)
    embedded = embedded_for_trials(data, config, folder / "trials", say=say, console=console)
    identity = {**identity_of(embedded, config), "range_test": has_range_test}
    journal = Journal(folder / "trials", identity=identity)  # before anything is written beside earlier trials
    ground = ground_on(embedded, config, folder / "trials", say=say, console=console)
    limit_s = None if config.time_limit is None else seconds_of(config.time_limit)
    return search_on(
        ground,
        method,
        has_range_test=has_range_test,
        executor=executor,
        journal=journal,
        seconds_left=None if limit_s is None else lambda: limit_s - (time.monotonic() - began),
        say=say,
    )
