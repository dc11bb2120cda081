"""The race before the contest: which rate, or which strategy, distortion and rate, where the budget allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graft.api.config import FitConfig
from graft.api.contenders import method_of
from graft.api.embedding import Embedded
from graft.api.trial_ground import identity_of
from graft.backbones.depth import layer_blocks
from graft.core.errors import GraftError, UsageError
from graft.core.files import read_json, write_json
from graft.core.text import percent
from graft.methods.arena import Arena
from graft.methods.budget import RunBudget, RunCost, n_planned_runs
from graft.methods.contest import n_contest_folds
from graft.methods.partial import Partial
from graft.methods.prepared import FineTuningMethod
from graft.selection.learning_rate import RATE_RUNGS, RateSearch, search_rate
from graft.selection.race import n_planned_runs as n_race_runs
from graft.selection.race_journal import Journal
from graft.selection.race_strategies import StrategyRace, n_strategy_runs, race_strategies
from graft.selection.trials import TrialBed, trial_bed, with_rate
from graft.selection.trials_executors import executor_for

__all__ = ["Raced", "race_before_contest", "racing_methods"]

_OVERHEAD = 1.3  # of a race's runs: looks at held-out examples, and short runs that start as slowly as long ones


@dataclass(frozen=True)
class Raced:
    """What goes into the contest.

    Parameters
    ----------
    methods : the finalists, the leader first; without a race what the strategy means.
    facts : JSON values of the race; None: there was none.
    notes : sentences.
    measured : a method and what a run of it costs, where that was measured: none is measured twice.
    """

    methods: list[FineTuningMethod]
    facts: dict[str, Any] | None = None
    notes: tuple[str, ...] = field(default=())
    measured: tuple[FineTuningMethod, RunCost] | None = None

    def cost_of(self, method: FineTuningMethod) -> RunCost | None:
        """Return what a run of `method` costs, whatever its rate; None: that was not measured."""
        if self.measured is None or with_rate(self.measured[0], None) != with_rate(method, None):
            return None
        return self.measured[1]


def race_before_contest(
    methods: Sequence[FineTuningMethod],
    embedded: Embedded,
    arena: Arena,
    config: FitConfig,
    *,
    folder: Path,
    seconds_left: Callable[[], float] | None,
    is_limited: bool,
    say: Callable[[str], None],
) -> Raced:
    """Return the methods for the contest, with the rates that a race gave them where it was held.

    Parameters
    ----------
    methods : what the strategy means.
    arena : of the contest.
    folder : for the trials, which a resumed run takes up.
    seconds_left : of the budget for race and contest; None: no bound.
    is_limited : whether the user set a time limit.

    Notes
    -----
    ``race="auto"`` holds a race only under a time limit that has room for it and the whole contest after it. Without a
    limit a fit is as fast as it was, and takes the prior.
    """
    if config.race == "none" or (config.race == "auto" and not is_limited):
        return Raced(list(methods))
    where = arena.where
    if where.processes.n > 1 and (config.jobs > 1 or config.ray_address is not None):
        raise UsageError(
            f"--jobs or --ray-address in a job of {where.processes.n} processes",
            expected="either several processes for each run, or several runs at once",
            fix="leave --jobs and --ray-address away (Python: jobs=1, ray_address=None), or start one process",
        )
    entries = racing_methods(config, embedded, methods)
    has_rate = config.learning_rate is None
    first = methods[0]
    bed = trial_bed(replace(arena, where=replace(where, folder=folder)), n_splits=1)
    kind, left_out, decided = config.race, "", folder / "kind.json"
    measured = None
    earlier = where.processes.from_main(read_json(decided) if where.resume and decided.is_file() else None)
    if earlier is not None:
        kind = str(earlier["kind"])
    elif seconds_left is not None:
        kind, left_out, measured = _affordable(
            config,
            bed,
            n_probe_folds=arena.n_folds,
            has_valid=arena.has_valid,
            n_entries=len(entries),
            n_contenders=len(methods),
            left=seconds_left,
        )
    elif kind == "all" and config.strategy != "auto":
        kind = "rate"
    if kind == "rate" and not has_rate:
        return Raced(list(methods), measured=measured)
    if kind == "none":
        say(left_out)
        return Raced(list(methods), notes=(left_out,), measured=measured)
    if where.processes.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(decided, earlier or {"kind": kind, "is_held": False})
    executor = executor_for(n_jobs=config.jobs, ray_address=config.ray_address, device=config.device)
    journal = None
    if where.processes.is_main:
        journal = Journal(folder, identity=identity_of(embedded, config))
    spare = None if seconds_left is None else lambda: 0.6 * seconds_left()
    if earlier is not None and earlier.get("is_held"):  # a rung that the budget left out then is left out now
        spare = lambda: 0.0  # noqa: E731
    found: StrategyRace | RateSearch
    if kind == "all":
        found = race_strategies(
            entries, bed, standard=first, has_rates=has_rate, executor=executor, journal=journal, seconds_left=spare,
            say=say,
        )  # fmt: skip
        told, finalists = "; ".join(found.why), list(found.finalists)
    else:
        found = search_rate(
            first, bed, executor=executor, journal=journal, seconds_left=spare, seed=config.seed, say=say
        )
        reasons = "; ".join([found.why, *found.doubts])
        told = f"learning rate {found.learning_rate:.2g} (prior {found.prior:.2g}): {reasons}"
        finalists = [with_rate(first, found.learning_rate), *methods[1:]]
    if where.processes.is_main:
        write_json(decided, {"kind": kind, "is_held": True})
    note = f"race of {len(found.race.standings)}, {found.race.n_steps:,} steps: {told}"
    if found.selection is not None:
        value = found.selection.corrected.value
        note += f"; held-out accuracy {percent(found.selection.plain)}, corrected for the choice {percent(value)}"
        note += " (it did not flatter)" if value >= found.selection.plain else ""
    say(note)
    return Raced(finalists, {"kind": kind, **found.as_dict()}, (note,), measured)


def racing_methods(
    config: FitConfig, embedded: Embedded, methods: Sequence[FineTuningMethod]
) -> list[FineTuningMethod]:
    """Return what races under strategy auto, the fewest trainable weights first: low-rank, last blocks, all layers."""
    found = [method_of(config, "lora"), *_partials(config, embedded)]
    return [*found, *methods, method_of(config, "full")]


def _partials(config: FitConfig, embedded: Embedded) -> list[Partial]:
    """Return the last blocks: as many as the option says, and about half of all."""
    model = embedded.model
    try:
        most = len(layer_blocks(model.network, head=model.head.name)) - 2
    except GraftError:  # no order of blocks is known for the architecture
        return []
    wanted = sorted({min(config.last_k_blocks, most), max(1, most // 2)})
    base = method_of(config, "partial")
    assert isinstance(base, Partial)
    return [replace(base, last_k_blocks=k) for k in wanted if 1 <= k <= most]


def _affordable(
    config: FitConfig,
    bed: TrialBed,
    *,
    n_probe_folds: int,
    has_valid: bool,
    n_entries: int,
    n_contenders: int,
    left: Callable[[], float],
) -> tuple[str, str, tuple[FineTuningMethod, RunCost]]:
    """Return which race fits beside the whole contest: all, rate or none; why none; and what a run was seen to cost."""
    may_race_all = config.strategy == "auto" and config.race in ("auto", "all")
    n_valid = len(bed.splits[0][1]) if has_valid else 0
    method = method_of(config, "lp-ft" if config.strategy == "auto" else config.strategy)
    budget = RunBudget(method, left, n_train=bed.n_train, n_valid=n_valid, soup=config.soup)
    common: dict[str, Any] = {"head": bed.head, "task": bed.task, "examples": bed.examples, "refit": bed.refit}
    cost = budget.measure(bed.network, start=bed.starts[0], where=bed.where, **common)
    run_s = budget.planned_run_s()
    n_folds = n_contest_folds(bed.n_train, n_probe_folds)
    contest_s = n_planned_runs(n_folds, soup=config.soup, has_valid=n_valid > 0) * run_s
    n_at_once = min(config.jobs, RATE_RUNGS[0].n_kept) if config.ray_address is not None else 1  # jobs share the cores
    rate_s = _OVERHEAD * n_race_runs(5, RATE_RUNGS) * run_s / n_at_once
    all_s = _OVERHEAD * n_strategy_runs(n_entries) * run_s / n_at_once
    seconds = bed.where.processes.from_main(left())
    if may_race_all and all_s + 2 * contest_s <= seconds:
        return "all", "", (method, cost)
    if rate_s + n_contenders * contest_s <= seconds:
        return "rate", "", (method, cost)
    why = (
        f"no race{' of strategies, distortions and rates, nor' if may_race_all else ''} for the learning rate: with the"
        " contest that alone would take about"
        f" {rate_s + n_contenders * contest_s:,.0f} s, {max(0.0, seconds):,.0f} s are left; the prior is taken"
    )
    return "none", why, (method, cost)
