"""`plan` of conversations: what each strategy would take, from a few steps and a few answers on a sample of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.fit_generation import four_bits_of, settings_of_generation
from graft.api.generation_data import (
    GenerationData,
    divide_conversations,
    load_language_task,
    prepare_conversations,
    read_as_conversations,
)
from graft.api.generation_texts import answer_room, write_texts
from graft.api.plan_advice import fit_command
from graft.api.plan_record import MethodPlan, Plan
from graft.api.tuning import AUTO_BUDGET_S, Deadline
from graft.core.devices import choose_device
from graft.core.errors import UsageError
from graft.core.memory import peak_memory
from graft.core.seeds import generator
from graft.data.conversations import Conversations
from graft.methods.generation import fine_tune_generation, judge_answers
from graft.methods.where import Where, training_precision
from graft.report import wording as w
from graft.report.plan_table import print_short_plan
from graft.tasks.text_generation import TextGeneration

__all__ = ["plan_generation", "print_generation_plan"]

_STEPS = 4
_LOOKS = 10
_SAMPLE = 64
_ANSWERS = 4


@dataclass(frozen=True)
class _Beside:
    """Seconds that every strategy takes beside its steps."""

    start: float
    passes: float
    writing: float

    @property
    def total(self) -> float:
        return self.start + self.passes + self.writing


def plan_generation(data: str, config: FitConfig, folder: Path, *, began: float, show: Callable[[str], None]) -> Plan:
    """Return what each strategy of `fit` would take; nothing is kept.

    Parameters
    ----------
    folder : for what the sample needs on disk.
    began : when the command began, as `time.perf_counter` tells it.
    show : told what is done.

    Raises
    ------
    DataError, ModelError, UsageError
        As `fit` does.

    Notes
    -----
    64 conversations of train stand for all, and answers to four questions for all answers, each as long as may be.
    """
    splits = read_as_conversations(data, config)
    parts, notes = divide_conversations(splits, config)
    show("loading the model")
    task = load_language_task(config)
    ready = prepare_conversations({"train": _sample(parts["train"], config.seed)}, task, config, say=show)
    n = {split: len(part) for split, part in parts.items()}
    beside = _beside(task, ready, config, n, start_s=time.perf_counter() - began, show=show)
    tokens = float(ready.examples.lengths(ready.rows["train"]).mean())
    methods = []
    for name in ("lora", "full"):
        show(f"measuring {name}")
        methods.append(_method(name, ready, task, config, folder / name, n_train=n["train"], beside=beside))
    limit_s = Deadline.of(config).limit_s
    told = "lora" if config.strategy == "auto" else config.strategy
    chosen = next((method for method in methods if method.name == told), methods[0])
    how = chosen.why or f"about {w.duration(chosen.seconds['total'])}"
    device = choose_device(config.device)
    precision = training_precision(task.model.network, device, wanted=config.precision)
    return Plan(
        data={
            "path": data,
            "noun": "conversation",
            "n_examples": sum(n.values()),
            "splits": n,
            "tokens": {split: round(tokens * count) for split, count in n.items()},
            "form": splits.train.form,
            "notes": notes,
        },
        model={**task.model.backbone.as_dict(), "notes": list(task.model.notes)},
        compute={"device": str(device), "precision": precision.name, "memory": "torch's peak, or the process's growth"},
        measured={
            "n_examples_read": len(ready.rows["train"]),
            "answer_tokens": answer_room(ready),
            "seconds": time.perf_counter() - began,
        },
        methods=tuple(methods),
        budget={"is_time_limit": limit_s is not None, "seconds": limit_s or AUTO_BUDGET_S},
        recommendation=f"graft fit would take strategy {told}: {how}",
        command=fit_command(data, config),
    )


def _beside(
    task: TextGeneration,
    ready: GenerationData,
    config: FitConfig,
    n: Mapping[str, int],
    *,
    start_s: float,
    show: Callable[[str], None],
) -> _Beside:
    """Return the seconds of passes over held-out answers, and of writing by the model and its two baselines."""
    device = choose_device(config.device)
    network = task.build().to(device)
    precision = training_precision(network, device, wanted=config.precision)
    rows = ready.rows["train"]
    show("measuring the pass")
    began = time.perf_counter()
    judge_answers(task, network, ready.examples, rows, precision=precision)
    each_s = (time.perf_counter() - began) / len(rows)
    show("measuring an answer")
    began = time.perf_counter()
    asked = [ready.conversations[int(row)] for row in rows[:_ANSWERS]]
    write_texts(task, network, asked, room=answer_room(ready))
    written_s = (time.perf_counter() - began) / len(asked)
    network.to("cpu")
    n_written = min(config.generations, n["test"]) * (3 if config.shots else 2)
    passes_s = each_s * ((_LOOKS + 3) * n["valid"] + 3 * n["test"] + n["train"])
    return _Beside(start_s, passes_s, written_s * n_written)


def _method(
    name: str,
    ready: GenerationData,
    task: TextGeneration,
    config: FitConfig,
    folder: Path,
    *,
    n_train: int,
    beside: _Beside,
) -> MethodPlan:
    settings = settings_of_generation(config)
    is_quantised = name == "lora" and config.adapter == "qlora"
    try:
        with peak_memory(choose_device(config.device)) as peak:
            found = fine_tune_generation(
                task,
                ready.examples,
                ready.rows["train"],
                held_out_rows=None,
                strategy=name,
                adapter=config.adapter if name == "lora" else "lora",
                four_bits=four_bits_of(config) if is_quantised else None,
                settings=replace(settings, epochs=0.01, fewest_steps=_STEPS, most_steps=_STEPS),
                lora_rank=config.lora_rank,
                packing=config.packing,
                is_checkpointed=config.gradient_checkpointing,
                seed=config.seed,
                where=Where(device=config.device, precision=config.precision),
            )
    except UsageError as error:
        return MethodPlan(name, why=str(error).splitlines()[0])
    step_s = found.training.seconds / found.training.n_steps
    a_pass = max(1.0, found.steps_a_pass * n_train / len(ready.rows["train"]))
    n_steps = settings.bounded(round(settings.epochs * a_pass))
    total = beside.total + step_s * n_steps
    limit = Deadline.of(config).limit_s or AUTO_BUDGET_S
    share = max(0.0, limit - beside.total) / max(step_s * n_steps, 1e-9)
    return MethodPlan(
        name,
        n_trainable=found.n_trainable,
        trainable_share=found.n_trainable / sum(p.numel() for p in found.network.parameters()),
        memory_bytes=peak.n_bytes,
        step_s=step_s,
        epoch_s=step_s * a_pass,
        n_steps=n_steps,
        n_runs=1,
        seconds={
            "start": beside.start,
            "passes": beside.passes,
            "writing": beside.writing,
            "steps": step_s * n_steps,
            "total": total,
        },
        fits="yes" if total <= limit else f"{min(share, 1):.0%} of steps".replace("%", " %"),
    )


def _sample(part: Conversations, seed: int) -> Conversations:
    rows = generator(seed, "plan").permutation(len(part))[:_SAMPLE]
    return part.select(np.sort(rows))


def print_generation_plan(plan: dict[str, Any], *, console: Console) -> None:
    """Print a plan of conversations.

    Parameters
    ----------
    plan : as `graft.api.plan_record.Plan.as_dict` gives it.
    """
    data, measured = plan["data"], plan["measured"]
    told = ", ".join(f"{split} {n:,} (about {data['tokens'][split]:,} tokens)" for split, n in data["splits"].items())
    beside = (
        "held-out answers are judged ten times in training; answers of at most"
        f" {measured['answer_tokens']} tokens are written by the model and by the base model"
    )
    print_short_plan(plan, told=told, beside=beside, console=console)
