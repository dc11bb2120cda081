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
from graft.core.files import atomic_path
from graft.core.seeds import derive_seed
from graft.methods.budget import RunBudget, fewest_steps
from graft.methods.fine_tuning import FineTuned, Where, fine_tune, held_out_figures
from graft.methods.head_only import HeadFit, refit_head
from graft.methods.kept_network import logits_with, mixed_network, why_no_adapter, with_head
from graft.methods.prepared import FineTuningMethod
from graft.methods.verdict import ALPHAS, Verdict, judge_contender, verdict_sentence
from graft.methods.weights import Weights, greedy_soup, interpolate, uniform_soup
from graft.tasks.base import Task
from graft.training.examples import TrainingExamples

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
    network: nn.Module,
    *,
    head: str,
    probe: HeadFit,
    features: NDArray[np.float32],
    task: Task,
    examples: TrainingExamples,
    n_train: int,
    valid_logits: NDArray[np.float32] | None = None,
    incumbent: Contest | None = None,
    n_folds: int | None = None,
    alphas: tuple[float, ...] = ALPHAS,
    soup: int = 1,
    is_greedy: bool = False,
    seconds_left: Callable[[], float] | None = None,
    is_cut_short: bool = True,
    is_kept_anyway: bool = False,
    seed: int = 0,
    where: Where,
    say: Callable[[str], None] = lambda text: None,
) -> Contest:
    """Return the contender, trained, with what held-out examples say of it.

    Parameters
    ----------
    network : pretrained, its head already the probe's.
    features : (n_train, n_features), plain views of the training examples.
    examples : the training examples first, then, where there is a validation split, its examples.
    n_train : number of the training examples.
    valid_logits : (n_valid, n_classes), the probe's of the validation split: it is then the judge; None: folds are.
    incumbent : a contender that has beaten the probe: this one must beat both, on the same examples; None: none.
    n_folds : how many of the probe's folds; None: `n_contest_folds`.
    alphas : shares to choose from; (1.0,): no interpolation.
    soup : runs whose weights are averaged; greedily by held-out loss or all.
    seconds_left : of the budget for all of this; None: no bound.
    is_cut_short : runs may be shortened to fit the budget; False: what does not fit whole is left out.
    is_kept_anyway : the user named the method: the last run is made whatever the verdict says.

    Notes
    -----
    With a bound on time, folds are given up first; then a run takes its share of what is left. Where neither 50
    steps nor a quarter of the planned ones would fit, nothing is done, and that is a note.
    """
    started = time.perf_counter()
    targets = examples.targets
    train_rows = np.arange(n_train)
    notes: list[str] = []
    start = (probe.weights, probe.bias)
    refit = partial(refit_head, probe, n_classes=examples.n_classes)
    common: dict[str, Any] = {"head": head, "task": task, "examples": examples, "refit": refit}
    has_valid = valid_logits is not None
    splits: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
    if has_valid:
        splits = [(train_rows, np.arange(n_train, len(examples)))]
    else:
        wanted = n_folds or n_contest_folds(n_train, int(probe.folds.max()) + 1)
        splits = [(np.flatnonzero(probe.folds != k), np.flatnonzero(probe.folds == k)) for k in range(wanted)]
    if incumbent is not None:
        splits = [(rows, held_out) for rows, held_out in splits if np.isin(held_out, incumbent.rows).all()]

    budget = None
    if seconds_left is not None:
        budget = RunBudget(method, seconds_left, n_train=n_train, n_valid=len(examples) - n_train, soup=soup)
        cost = budget.measure(network, start=start, where=where, **common)
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

    runs: list[FineTuned] = []
    all_logits: list[NDArray[np.float32]] = []
    probe_network = with_head(network, head, start)

    def logits_of(weights: Weights, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return logits_with(network, weights, rows, task=task, examples=examples, where=where)

    def loss_of(weights: Weights, rows: NDArray[np.int64]) -> float:
        return held_out_figures(logits_of(weights, rows), targets[rows])["log_loss"]

    for number, (rows, held_out) in enumerate(splits):
        own_start = start
        if not has_valid:
            own_start = refit_head(probe, features[rows], targets[rows], n_classes=examples.n_classes)
            own_start = where.processes.from_main(own_start)
        kept = None if where.folder is None else where.folder / f"fold-{number + 1}.npz"
        run_where = where.inside(f"fold-{number + 1}")
        is_done = kept is not None and where.resume and not has_valid and kept.exists()
        if where.processes.from_main(is_done) and kept is not None:
            with np.load(kept) as found:
                all_logits.append(found["logits"])
                runs.append(_Finished(int(found["best_step"]), int(found["n_steps"]), str(found["ended_by"])))  # type: ignore[arg-type]
            continue
        share = None
        if budget is not None:
            share = budget.share(soup, n_now=soup) if has_valid else budget.share(len(splits) - number + soup)
        members = [
            fine_tune(
                method,
                network,
                start=own_start,
                rows=rows,
                held_out_rows=held_out,
                seed=derive_seed(seed, "fold", number, member),
                max_seconds=share,
                where=run_where if soup == 1 else run_where.inside(f"member-{member + 1}"),
                **common,
            )
            for member in range(soup if has_valid else 1)
        ]
        runs.append(members[0])
        first = probe_network.state_dict() if has_valid else with_head(network, head, own_start).state_dict()
        second: Any = members[0].network.state_dict()
        if len(members) > 1:
            states = [member.network.state_dict() for member in members]
            second = greedy_soup(states, loss=partial(loss_of, rows=held_out))[0] if is_greedy else uniform_soup(states)
        all_logits.append(np.stack([logits_of(interpolate(first, second, alpha), held_out) for alpha in alphas]))
        if kept is not None and where.processes.is_main:
            done = members[0].training
            with atomic_path(kept) as temporary, open(temporary, "wb") as file:
                np.savez(file, logits=all_logits[-1], best_step=done.best_step, n_steps=done.n_steps,
                         ended_by=done.ended_by)  # fmt: skip
        where.processes.wait()

    held_out_rows = np.concatenate([held_out for _, held_out in splits])
    probe_logits = valid_logits if valid_logits is not None else probe.out_of_fold_logits[held_out_rows]
    verdict = where.processes.from_main(
        judge_contender(
            probe_logits,
            np.concatenate(all_logits, axis=1),
            targets[held_out_rows],
            seed=seed,
            alphas=alphas,
            centre=probe.centre,
            incumbent=None if incumbent is None else (incumbent.method, incumbent.logits_of(held_out_rows)),
        )
    )
    facts: dict[str, Any] = {
        "settings": method.as_dict(),
        "held_out": "valid" if has_valid else f"{len(splits)} of {int(probe.folds.max()) + 1} folds",
        **verdict.figures,
        "is_better": verdict.is_better,
        "seconds_evidence": round(time.perf_counter() - started, 3),
    }
    say(verdict_sentence(method.name, facts))
    if not (verdict.is_better or is_kept_anyway):
        facts["seconds"] = facts["seconds_evidence"]
        return Contest(method.name, verdict, held_out_rows, None, None, facts, tuple(notes))

    final, weights = runs[0], None
    if has_valid:
        weights = second
    else:
        share = None if budget is None else budget.share(soup, n_now=soup)
        is_too_late = share is not None and share < 0.15 * budget.planned_run_s()  # type: ignore[union-attr]
        if is_too_late and isinstance(runs[-1], FineTuned):  # of a fold of an earlier process only the logits are left
            notes.append("no time was left to train once more on all examples: the held-out run is kept")
            say(notes[-1])
            final, weights = runs[-1], second
            probe_network = with_head(network, head, own_start)
        else:
            n_steps = _final_steps(method, runs, n_train)
            members = [
                fine_tune(
                    method,
                    network,
                    start=start,
                    rows=train_rows,
                    n_steps=n_steps,
                    seed=derive_seed(seed, "final", member),
                    max_seconds=share,
                    where=where.inside("final" if soup == 1 else f"final-{member + 1}"),
                    **common,
                )
                for member in range(soup)
            ]
            final = members[0]
            weights = (
                uniform_soup([m.network.state_dict() for m in members]) if soup > 1 else final.network.state_dict()
            )
            if soup > 1:
                notes.append(f"the weights are the mean of {soup} runs with other seeds")
    mixed = mixed_network(
        probe_network,
        weights,
        head=head,
        share=verdict.alpha,
        temperature=verdict.temperature,
        centre=probe.centre,
    )
    save_adapter = None
    if final.save_adapter is not None:
        if why := why_no_adapter(network, mixed, n_runs=len(members)):
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


@dataclass(frozen=True)
class _Finished:
    """A fold that an earlier process finished: what is still asked of its run."""

    best_step: int
    n_steps: int
    ended_by: str

    @property
    def training(self) -> _Finished:
        return self


def _final_steps(method: FineTuningMethod, runs: list[Any], n_train: int) -> int:
    """Return the steps of the last run: as planned, or the folds' median best where patience ended most of them."""
    if sum(run.training.ended_by == "patience" for run in runs) * 2 <= len(runs):
        return method.settings.n_steps(n_train)
    return max(1, int(np.median([run.training.best_step for run in runs])))


def refuse_soup(soup: int, is_greedy: bool, has_valid: bool) -> None:
    """Raise where a greedy soup has nothing to be chosen on."""
    if soup > 1 and is_greedy and not has_valid:
        raise UsageError(
            "a greedy soup without a validation split",
            expected="examples that no member has seen",
            fix="--valid DIR (Python: valid=), or --soup-kind uniform",
        )
