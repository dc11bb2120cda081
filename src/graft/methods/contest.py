"""The probe against a fine-tuned contender, on examples that neither has seen.

The contender is trained on some of the very folds whose examples the probe was cross-validated on: its predictions of
the held-out examples stand beside the probe's, example by example. From them come the share of the way from the probe
to the fine-tuned weights (WiSE-FT), the temperature, and the paired test. Then the contender is trained once more, on
all examples.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.core.errors import UsageError
from graft.methods.arena import Arena
from graft.methods.budget import RunBudget, RunCost, fewest_steps
from graft.methods.contest_runs import ContestJob, gather_evidence, run_last
from graft.methods.fine_tuning import FineTuned
from graft.methods.kept_network import mixed_network, why_no_adapter, with_head
from graft.methods.prepared import FineTuningMethod
from graft.methods.verdict import ALPHAS, Verdict, judge_contender, verdict_sentence
from graft.methods.word_table import word_table_note

__all__ = ["Contest", "hold_contest", "n_contest_folds", "refuse_soup"]


@dataclass(frozen=True)
class Contest:
    """A contender and the evidence for or against it.

    Parameters
    ----------
    method : name of the method.
    verdict : of the held-out examples; None when the budget did not allow any.
    rows : (n_held_out,), positions of the held-out examples.
    final : the run on all examples, or the held-out run itself where the budget allowed no second; None: there is none.
    network : what is kept if the contender is: interpolated, its head divided by the temperature; None as `final`.
    facts : JSON values for report and manifest.
    notes : sentences.
    save_adapter : writes what turns the pretrained network into `network`, where the method can tell it apart.
    """

    method: str
    verdict: Verdict | None
    rows: NDArray[np.int64]
    final: FineTuned | None
    network: nn.Module | None
    facts: dict[str, Any]
    notes: tuple[str, ...]
    save_adapter: Callable[[Path], None] | None = None

    def logits_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the contender said of some of its held-out examples: (n_rows, n_classes)."""
        assert self.verdict is not None
        place = {int(row): number for number, row in enumerate(self.rows)}
        return self.verdict.logits[[place[int(row)] for row in rows]]


def n_contest_folds(n_examples: int, n_folds: int) -> int:
    """Return how many of the probe's folds a contender is trained on: all for few examples, one for many."""
    wanted = 5 if n_examples <= 250 else 3 if n_examples <= 1_000 else 2 if n_examples <= 3_000 else 1
    return min(wanted, n_folds)


def hold_contest(
    method: FineTuningMethod,
    arena: Arena,
    *,
    incumbent: Contest | None = None,
    n_folds: int | None = None,
    alphas: tuple[float, ...] = ALPHAS,
    soup: int = 1,
    is_greedy: bool = False,
    seconds_left: Callable[[], float] | None = None,
    cost: RunCost | None = None,
    is_cut_short: bool = True,
    is_kept_anyway: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Contest:
    """Return the contender, trained, with what held-out examples say of it.

    Parameters
    ----------
    incumbent : a contender that has beaten the probe: this one must beat both, on the same examples; None: none.
    n_folds : how many of the probe's folds; None: `n_contest_folds`.
    alphas : shares to choose from; (1.0,): no interpolation.
    soup : runs whose weights are averaged; greedily by held-out loss or all.
    seconds_left : of the budget for all of this; None: no bound.
    cost : of a run, where it was measured before; None: with a bound on time it is measured.
    is_cut_short : runs may be shortened to fit the budget; False: what does not fit whole is left out.
    is_kept_anyway : the user named the method: the last run is made whatever the verdict says.

    Notes
    -----
    With a bound on time, folds are given up first; then a run takes its share of what is left. Where neither 50
    steps nor a quarter of the planned ones would fit, nothing is done, and that is a note.
    """
    started = time.perf_counter()
    job = ContestJob(method, arena, soup, is_greedy)
    network, probe, examples, n_train = arena.network, arena.probe, arena.examples, arena.n_train
    splits = arena.splits(n_folds or n_contest_folds(n_train, arena.n_folds))
    if incumbent is not None:
        splits = [(rows, held_out) for rows, held_out in splits if np.isin(held_out, incumbent.rows).all()]
    notes: list[str] = []
    if method.name != "lora" and (told := word_table_note(method.settings, network, n_examples=len(examples))):
        notes.append(told)
        say(told)
    budget = None
    if seconds_left is not None:
        budget = RunBudget(method, seconds_left, n_train=n_train, n_valid=arena.n_valid, soup=soup, cost=cost)
        if cost is None:
            cost = budget.measure(network, start=arena.start, where=arena.where, **arena.common)
        n_affordable, ratio = budget.affordable(len(splits))
        splits = splits[:n_affordable]
        planned = method.settings.n_steps(n_train)
        if ratio * planned < fewest_steps(planned, is_cut_short=is_cut_short, is_kept_anyway=is_kept_anyway):
            needed = budget.planned_s(1)
            note = (
                f"{method.name} left out: it would take about {needed:,.0f} s, {cost.step_s * 1e3:.0f} ms a step,"
                f" and {max(0.0, seconds_left()):,.0f} s are left; --time-limit {needed * 1.5 / 60 + 1:.0f}m or"
                f" --strategy {method.name} gives it the time"
            )
            say(note)
            return Contest(method.name, None, np.empty(0, np.int64), None, None, {"left_out": note}, (note,))
        if ratio < 1:
            notes.append(f"the time limit leaves {ratio:.0%} of the planned steps of {method.name}")
            say(notes[-1])

    evidence = gather_evidence(job, splits, alphas=alphas, budget=budget)
    held_out_rows = np.concatenate([held_out for _, held_out in splits])
    probe_logits = probe.out_of_fold_logits[held_out_rows] if arena.valid_logits is None else arena.valid_logits
    verdict = arena.where.processes.from_main(
        judge_contender(
            probe_logits,
            evidence.logits,
            examples.targets[held_out_rows],
            seed=arena.seed,
            alphas=alphas,
            centre=probe.centre,
            incumbent=None if incumbent is None else (incumbent.method, incumbent.logits_of(held_out_rows)),
        )
    )
    facts: dict[str, Any] = {
        "settings": method.as_dict(),
        "held_out": "valid" if arena.has_valid else f"{len(splits)} of {arena.n_folds} folds",
        **verdict.figures,
        "is_better": verdict.is_better,
        "seconds_evidence": round(time.perf_counter() - started, 3),
    }
    say(verdict_sentence(method.name, facts))
    if not (verdict.is_better or is_kept_anyway):
        facts["seconds"] = facts["seconds_evidence"]
        return Contest(method.name, verdict, held_out_rows, None, None, facts, tuple(notes))

    last = run_last(job, evidence, budget=budget)
    for note in last.notes:
        notes.append(note)
        say(note)
    final = last.run
    mixed = mixed_network(
        with_head(network, arena.head, last.start),
        last.weights,
        head=arena.head,
        share=verdict.alpha,
        temperature=verdict.temperature,
        centre=probe.centre,
    )
    save_adapter = None
    if final.save_adapter is not None:
        if why := why_no_adapter(network, mixed, n_runs=last.n_runs):
            notes.append(f"no adapter is saved beside the model: {why}")
            say(notes[-1])
        else:
            save_adapter = partial(final.save_adapter, kept=mixed, share=verdict.alpha)
    facts |= {
        "temperature": verdict.temperature,
        "learning_rate": final.learning_rate,
        "n_trainable": final.n_trainable,
        "n_steps": final.training.n_steps,
        "ended_by": final.training.ended_by,
        "precision": final.training.precision,
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Contest(method.name, verdict, held_out_rows, final, mixed, facts, tuple(notes), save_adapter)


def refuse_soup(soup: int, is_greedy: bool, has_valid: bool) -> None:
    """Raise where a greedy soup has nothing to be chosen on."""
    if soup > 1 and is_greedy and not has_valid:
        raise UsageError(
            "a greedy soup without a validation split",
            expected="examples that no member has seen",
            fix="--valid DIR (Python: valid=), or --soup-kind uniform",
        )
