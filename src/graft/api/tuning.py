"""The station that goes past the head: which strategy, whether it is kept, and the network that comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.config_values import seconds_of
from graft.api.contenders import contenders
from graft.api.corruption_time import reserved_s
from graft.api.embedding import Embedded, extractor_for
from graft.api.label_names import LabelNames
from graft.api.racing import race_before_contest
from graft.api.training_examples import arena_of, examples_of
from graft.api.trial_ground import identity_of
from graft.api.tuned import Tuned
from graft.backbones.loading import ImageModel
from graft.backbones.pretrained import PretrainedModel
from graft.core.errors import UsageError
from graft.core.files import read_json, write_json
from graft.core.memory import seconds_since_process_start
from graft.core.processes import Processes
from graft.core.run_folder import Run
from graft.data.dataset import LabeledDataset
from graft.methods.contest import Contest, hold_contest, refuse_soup
from graft.methods.head_only import HeadFit
from graft.methods.verdict import ALPHAS
from graft.methods.where import Where
from graft.tasks.registry import task_class

__all__ = [
    "AUTO_BUDGET_S",
    "Deadline",
    "forget",
    "network_logits",
    "tune",
    "why_not_tuned",
]

AUTO_BUDGET_S = 600.0  # of fine-tuning where no time limit was given; a strategy that was named has none


@dataclass(frozen=True)
class Deadline:
    """When the command must end, and what is still to be done at the end.

    Parameters
    ----------
    limit_s : seconds from the start of the process; None: no limit.
    """

    limit_s: float | None

    @classmethod
    def of(cls, config: FitConfig) -> Deadline:
        """Return the deadline that the options set."""
        return cls(None if config.time_limit is None else seconds_of(config.time_limit))

    def left_s(self, *, reserve_s: float = 0.0) -> float:
        """Return the seconds until the deadline, less what is kept in reserve; infinite without a limit."""
        return float("inf") if self.limit_s is None else self.limit_s - seconds_since_process_start() - reserve_s


def tune(
    embedded: Embedded,
    head: HeadFit,
    config: FitConfig,
    run: Run,
    *,
    names: LabelNames | None = None,
    folder: Path,
    deadline: Deadline,
    processes: Processes,
    say: Callable[[str], None],
    console: Console | None,
) -> Tuned:
    """Return the contender of the strategy, held against the probe, and the model that is kept.

    Parameters
    ----------
    names : label names that the head has learned from: further training examples; None: there are none.
    folder : the run's own, the same in all processes; ``folder/training`` is written to.
    """
    if config.strategy == "head":
        return Tuned(None, None, {"strategy": "head", "kept": "head", "why": "asked for"})
    is_auto = config.strategy == "auto"
    model = embedded.model
    methods = contenders(config, kind=embedded.task.kind, train=embedded.splits["train"])
    name = methods[0].name
    refuse_soup(config.soup, config.soup_kind == "greedy", "valid" in embedded.splits)
    if (told := why_not_tuned(model)) is not None:
        if not is_auto:
            raise UsageError(
                f"--strategy {config.strategy} with {model.backbone.id}: {told}",
                expected="square RGB pictures, resized and normalised",
                fix="--strategy head (Python: strategy='head')",
            )
        return _left_out(name, f"{name} left out: {told}", say=say)
    training = folder / "training"
    decided = training / "decision.json"
    reserve = _reserve_s(embedded, config, run, limit_s=deadline.limit_s)
    began = seconds_since_process_start()
    budget_s = deadline.left_s(reserve_s=reserve)
    if is_auto and deadline.limit_s is None:
        budget_s = AUTO_BUDGET_S
    if processes.from_main(budget_s) < 1:
        return _left_out(name, f"{name} left out: the time limit leaves no time for it", say=say)
    _refuse_other_data(training / "identity.json", identity_of(embedded, config), run, processes)
    model.head.set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    why = processes.from_main(str(read_json(decided)["why"]) if run.is_resumed and decided.is_file() else None)
    if why is not None:
        return _left_out(name, why, say=say)

    parts = [embedded.splits["train"], *([embedded.splits["valid"]] if "valid" in embedded.splits else [])]
    examples = examples_of(
        parts,
        model,
        config,
        training,
        n_classes=len(embedded.label_names),
        names=names,
        processes=processes,
        say=say,
        console=console,
    )
    is_bounded = deadline.limit_s is not None or is_auto

    def seconds_left() -> float:
        return float(processes.from_main(budget_s - (seconds_since_process_start() - began)))

    where = Where(
        device=config.device,
        precision=config.precision,
        folder=training,
        checkpoint_every_s=60 * config.checkpoint_minutes,
        resume=run.is_resumed,
        processes=processes,
        console=console,
    )
    arena = arena_of(embedded, head, examples, config, names=names, where=where)
    raced = race_before_contest(
        methods,
        embedded,
        arena,
        config,
        folder=training / "race",
        seconds_left=seconds_left if is_bounded else None,
        is_limited=deadline.limit_s is not None,
        say=say,
    )
    methods = raced.methods
    held: list[Contest] = []
    for number, method in enumerate(methods):
        held.append(
            hold_contest(
                method,
                arena if number == 0 else replace(arena, where=where.inside(method.name)),
                incumbent=_leader(held),
                alphas=ALPHAS if config.wise == "auto" else (float(config.wise),),
                soup=config.soup,
                is_greedy=config.soup_kind == "greedy",
                seconds_left=seconds_left if is_bounded else None,
                cost=raced.cost_of(method),
                is_cut_short=deadline.limit_s is not None,
                is_kept_anyway=not is_auto,
                say=say,
            )
        )
    leader = _leader(held)
    contest = leader or held[0]
    notes = (*raced.notes, *(note for one in held for note in one.notes))
    facts: dict[str, Any] = {"strategy": config.strategy, "method": contest.method, "contender": None, **contest.facts}
    if raced.facts is not None:
        facts["race"] = raced.facts
    if len(held) > 1:
        facts["contenders"] = [{"method": one.method, **one.facts} for one in held]
    if contest.network is None:
        if contest.verdict is None and processes.is_main and deadline.limit_s is None:
            write_json(decided, {"decision": "left out", "why": contest.notes[0]})
        facts |= {"kept": "head", "why": contest.facts.get("left_out", "not better on held-out examples")}
        return Tuned(contest, None, facts, notes, tuple(held))
    facts |= {"kept": contest.method, "why": "better on held-out examples" if leader else "asked for"}
    tuned = model.with_network(contest.network)
    if processes.is_main and contest.save_adapter is not None:
        contest.save_adapter(folder / "adapter")
    return Tuned(contest, task_class(embedded.task.name)(tuned), facts, notes, tuple(held))


def _leader(held: list[Contest]) -> Contest | None:
    """Return the last contender that was better than all before it; None: the probe leads."""
    better = [one for one in held if one.verdict is not None and one.verdict.is_better and one.network is not None]
    return better[-1] if better else None


def _refuse_other_data(kept: Path, identity: dict[str, Any], run: Run, processes: Processes) -> None:
    """Keep what the fine-tuning depends on; raise where an earlier process began with something else.

    Raises
    ------
    UsageError
        When the examples to learn from, or the pretrained weights, have changed since.
    """
    is_other = run.is_resumed and kept.is_file() and read_json(kept) != identity
    if processes.from_main(is_other):
        raise UsageError(
            "the run was begun with other examples or other pretrained weights",
            expected="the same data, splits and model, to go on with",
            fix="--overwrite starts anew (Python: overwrite=True)",
        )
    if processes.is_main:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, identity)


def why_not_tuned(model: PretrainedModel) -> str | None:
    """Return why the model cannot be fine-tuned; None: it can."""
    if not isinstance(model, ImageModel):
        return None
    pre = model.preprocessing
    if pre.is_split and pre.shape[0] == 3 and pre.shape[1] == pre.shape[2]:
        return None
    return f"its preprocessing gives {pre.shape} pictures that are not square, RGB and normalised at the end"


def network_logits(
    model: PretrainedModel,
    part: LabeledDataset,
    config: FitConfig,
    *,
    say: Callable[[str], None],
    console: Console | None,
) -> NDArray[np.float32]:
    """Return the logits (n_examples, n_classes) of a fine-tuned network, by the fastest engine, without the cache."""
    weights = model.head.layer.weight.detach().numpy()
    bias = model.head.layer.bias.detach().numpy()
    extractor = extractor_for(model, config, say=say, console=console)
    found = [features @ weights.T + bias for _, features, _ in extractor.stream(part)]
    return np.concatenate(found).astype(np.float32)


def forget(folder: Path) -> None:
    """Remove what only an unfinished run needs: pictures, activations and checkpoints; the step logs stay."""
    training = folder / "training"
    for path in (*training.glob("**/*.np[yz]"), training / "decision.json", training / "identity.json"):
        path.unlink(missing_ok=True)
    for path in (*training.glob("**/checkpoints"), training / "race"):
        shutil.rmtree(path, ignore_errors=True)


def _left_out(name: str, note: str, *, say: Callable[[str], None]) -> Tuned:
    say(note)
    return Tuned(
        None, None, {"strategy": "auto", "method": name, "contender": None, "kept": "head", "why": note}, (note,)
    )


def _reserve_s(embedded: Embedded, config: FitConfig, run: Run, *, limit_s: float | None) -> float:
    """Return the seconds that saving, predicting the test split, judging, corruptions and the report will take."""
    n_test = sum(len(part) for name, part in embedded.splits.items() if name != "train")
    n_forward = max(1, embedded.n_computed)
    an_example = embedded.seconds.get("forward", 0.0) / n_forward if embedded.n_computed else 0.01
    n_judged = len(embedded.splits["test"]) if "test" in embedded.splits else 0
    return (
        5.0
        + 1.3 * n_test * max(an_example, 0.002)
        + embedded.seconds.get("engine", 0.0)
        + 0.4 * run.seconds.get("head", 0.0)
        + reserved_s(config, embedded.task.kind, n_test=n_judged, example_s=an_example, limit_s=limit_s)
    )
