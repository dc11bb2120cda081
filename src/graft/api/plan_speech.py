"""`plan` of transcribed speech: what each strategy would take, from a few steps on a sample of the utterances."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.plan_advice import fit_command
from graft.api.plan_record import MethodPlan, Plan
from graft.api.speech_data import SpeechData, divide, load_recogniser, prepare
from graft.api.speech_training import most_samples, settings_of
from graft.api.tuning import AUTO_BUDGET_S, Deadline
from graft.core.devices import choose_device
from graft.core.errors import UsageError
from graft.core.memory import peak_memory
from graft.core.seeds import generator
from graft.data.manifests import ManifestColumns
from graft.data.transcripts import read_transcribed
from graft.data.utterances import Utterances
from graft.methods.settings import FineTuning
from graft.methods.speech import fine_tune_speech, hear
from graft.methods.where import Where, training_precision
from graft.report import wording as w
from graft.report.plan_table import print_short_plan
from graft.tasks.speech_recognition import SpeechRecognition
from graft.training.duration_order import DurationOrder

__all__ = ["plan_speech", "print_speech_plan"]

_STEPS = 4
_LOOKS = 10
_SAMPLE = 64


def plan_speech(data: str, config: FitConfig, folder: Path, *, began: float, show: Callable[[str], None]) -> Plan:
    """Return what each strategy of `fit` would take; nothing is kept.

    Parameters
    ----------
    folder : for the sample's waveforms.
    began : when the command began, as `time.perf_counter` tells it.
    show : told what is done.

    Raises
    ------
    DataError, ModelError, UsageError
        As `fit` does.

    Notes
    -----
    64 utterances of train stand for all: their mean length gives the hours, their batches the seconds of a step.
    """
    columns = ManifestColumns(config.path_column, config.text_column, config.group_column)
    parts, notes = divide(read_transcribed(data, valid=config.valid, test=config.test, columns=columns), config)
    show("loading the model")
    task = load_recogniser(config, texts=parts["train"].texts)
    ready = prepare({"train": _sample(parts["train"], config.seed)}, task, config, folder / "sample", say=show)
    start_s = time.perf_counter() - began
    n = {split: len(part) for split, part in parts.items()}
    mean_s = float(ready.facts["splits"]["train"]["seconds"]) / len(ready.rows["train"])
    hours = {split: mean_s * count / 3600 for split, count in n.items()}
    most = most_samples(mean_s * n["train"], task, config)
    device = choose_device(config.device)
    show("measuring the pass")
    network = task.build().to(device)
    precision = training_precision(network, device, wanted=config.precision)
    began_pass = time.perf_counter()
    hear(task, network, ready.examples, ready.rows["train"], most=most, precision=precision)
    heard_s = (time.perf_counter() - began_pass) / len(ready.rows["train"])
    looks_s = heard_s * ((_LOOKS + 2) * n.get("valid", 0) + 2 * n["test"] + n["train"])
    limit_s = Deadline.of(config).limit_s
    methods = []
    for name in ("head", "full", "lora"):
        show(f"measuring {name}")
        methods.append(
            _method(
                name,
                ready,
                task,
                config,
                folder / name,
                most=most,
                n_train=n["train"],
                beside_s=start_s + looks_s,
                limit_s=limit_s,
            )
        )
    budget = {"is_time_limit": limit_s is not None, "seconds": limit_s or AUTO_BUDGET_S}
    told = "full" if config.strategy == "auto" else config.strategy
    chosen = next(method for method in methods if method.name == told)
    how = chosen.why or f"about {w.duration(chosen.seconds['total'])}"
    return Plan(
        data={
            "path": data,
            "noun": "utterance",
            "n_examples": sum(n.values()),
            "splits": n,
            "hours": hours,
            "notes": notes,
        },
        model={**task.model.backbone.as_dict(), "notes": list(task.model.notes)},
        compute={"device": str(device), "precision": precision.name, "memory": "torch's peak, or the process's growth"},
        measured={
            "n_examples_read": len(ready.rows["train"]),
            "batch_seconds": most / task.model.sampling_rate_hz,
            "heard_s": heard_s,
            "seconds": time.perf_counter() - began,
        },
        methods=tuple(methods),
        budget=budget,
        recommendation=f"graft fit would take strategy {told}: {how}",
        command=fit_command(data, config),
    )


def _method(
    name: str,
    ready: SpeechData,
    task: SpeechRecognition,
    config: FitConfig,
    folder: Path,
    *,
    most: int,
    n_train: int,
    beside_s: float,
    limit_s: float | None,
) -> MethodPlan:
    settings = settings_of(config, task.model.family)
    lengths = np.resize(ready.examples.waveforms.lengths[ready.rows["train"]], n_train)  # as of the sample, over again
    n_batches = float(DurationOrder(lengths, most=most, seed=config.seed).n_batches)
    n_steps = settings.bounded(round(settings.epochs * n_batches))
    few = FineTuning(learning_rate=1e-5, epochs=0.01, fewest_steps=_STEPS, most_steps=_STEPS, augmentation="light")
    began = time.perf_counter()
    try:
        with peak_memory(choose_device(config.device)) as peak:
            found = fine_tune_speech(
                task,
                ready.examples,
                ready.rows["train"],
                held_out_rows=None,
                strategy=name,
                settings=few,
                lora_rank=config.lora_rank,
                most=most,
                where=Where(device=config.device, precision=config.precision),
            )
    except UsageError as error:
        return MethodPlan(name, why=str(error).splitlines()[0])
    whole_s = time.perf_counter() - began
    n_parameters = sum(p.numel() for p in found.network.parameters())
    step_s = None if found.training is None else found.training.seconds / found.training.n_steps
    own_s = whole_s * n_train / len(ready.rows["train"]) if step_s is None else step_s * n_steps
    total = beside_s + own_s
    limit = limit_s or AUTO_BUDGET_S
    share = max(0.0, limit - beside_s) / max(own_s, 1e-9)
    return MethodPlan(
        name,
        n_trainable=found.n_trainable,
        trainable_share=found.n_trainable / n_parameters,
        memory_bytes=peak.n_bytes,
        step_s=step_s,
        epoch_s=None if step_s is None else step_s * n_batches,
        n_steps=0 if step_s is None else n_steps,
        n_runs=1,
        seconds={"beside": beside_s, "steps": own_s, "total": total},
        fits="yes" if total <= limit else f"{share:.0%} of steps".replace("%", " %"),
    )


def _sample(part: Utterances, seed: int) -> Utterances:
    rows = generator(seed, "plan").permutation(len(part))[:_SAMPLE]
    return part.select(np.sort(rows))


def print_speech_plan(plan: dict[str, Any], *, console: Console) -> None:
    """Print a plan of speech.

    Parameters
    ----------
    plan : as `graft.api.plan_record.Plan.as_dict` gives it.
    """
    data, measured = plan["data"], plan["measured"]
    hours = ", ".join(f"{split} {n:,} ({data['hours'][split]:.2f} h)" for split, n in data["splits"].items())
    beside = (
        f"batches of {measured['batch_seconds']:.0f} s; the untouched checkpoint is heard first, and held-out speech"
        " ten times in training"
    )
    print_short_plan(plan, told=hours, beside=beside, console=console)
