"""`plan`: what every strategy of `fit` would take, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.config_values import STRATEGIES
from graft.api.gathering import gather_options
from graft.api.plan_record import MethodPlan, Plan
from graft.core.files import write_json
from graft.core.process import prepare_process

if TYPE_CHECKING:
    from graft.api.plan_estimates import Job
    from graft.api.plan_measures import MethodMeasure
    from graft.backbones.pretrained import PretrainedModel
    from graft.data.dataset import Splits
    from graft.tasks.base import Task
    from graft.training.examples import TrainingExamples

__all__ = ["MethodPlan", "Plan", "plan"]


def plan(
    data: str | Path,
    *,
    model: str | None = None,
    config: str | Path | None = None,
    json: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> Plan:
    """Say what each strategy of `fit` would take in parameters, memory, disk and time; nothing is trained.

    Two batches of examples are read and a few steps run on them. Nothing is written but `json`.

    Parameters
    ----------
    data, model, config : as in `graft.fit`.
    json : a file for the same as JSON.
    console : where it is printed; None: standard output.
    **options : further fields of `FitConfig`; ``out`` may be left away.

    Raises
    ------
    UsageError, DataError, ModelError, ResourceError
        As `graft.fit` does.

    Examples
    --------
    >>> found = plan("flowers", model="microsoft/resnet-50")  # doctest: +SKIP
    >>> found.method("lp-ft").seconds["total"]  # doctest: +SKIP
    512.3
    """
    began = time.perf_counter()
    prepare_process()
    options["out"] = options.get("out") or "run"
    chosen = gather_options(model=model, out=options.pop("out"), config=config, options=options)
    console = console or Console()
    from graft.api.plan_advice import own_folder

    with console.status("reading the data") as status, own_folder() as folder:
        from graft.api import embedding
        from graft.api.reading import read_as_told
        from graft.tasks.finding import find_task

        task_name = find_task(data, chosen.model, wanted=chosen.task)
        if task_name == "automatic-speech-recognition":
            from graft.api.plan_speech import plan_speech, print_speech_plan

            own = plan_speech(str(data), chosen, folder, began=began, show=status.update)
            return _shown(own, json, print_speech_plan, console=console)
        if task_name == "text-generation":
            from graft.api.plan_generation import plan_generation, print_generation_plan

            own = plan_generation(str(data), chosen, folder, began=began, show=status.update)
            return _shown(own, json, print_generation_plan, console=console)
        splits = read_as_told(data, task_name, chosen)
        status.update("loading the model")
        task = embedding.load_task(chosen, task_name, splits.train.label_names)
        found = _planned(str(data), splits, task, chosen, folder, began=began, show=status.update)
    from graft.report.plan_table import print_plan

    return _shown(found, json, print_plan, console=console)


def _shown(found: Plan, json: str | Path | None, show: Callable[..., None], *, console: Console) -> Plan:
    if json is not None:
        write_json(Path(json), found.as_dict())
    show(found.as_dict(), console=console)
    return found


def _planned(
    data: str, splits: Splits, task: Task, config: FitConfig, folder: Path, *, began: float, show: Any
) -> Plan:
    import numpy as np

    from graft.api import plan_estimates as estimates
    from graft.api import plan_measures as measures
    from graft.api.contenders import contenders
    from graft.api.plan_advice import advise, fit_command
    from graft.api.tuning import AUTO_BUDGET_S
    from graft.core.devices import choose_device
    from graft.data.splitting import feasible_folds, stratified_split
    from graft.methods.contest import n_contest_folds, refuse_soup

    if config.strategy != "head":
        refuse_soup(config.soup, config.soup_kind == "greedy", splits.valid is not None)
    train, start_s = splits.train, time.perf_counter() - began
    rows, n_test = np.arange(len(train)), len(splits.test) if splits.test is not None else 0
    if splits.test is None:
        shares = {"train": 1 - config.test_fraction, "test": config.test_fraction}
        rows = stratified_split(train.labels, groups=train.groups, fractions=shares, seed=config.seed)["train"]
        n_test = len(train) - len(rows)
    labels, device = train.labels[rows], choose_device(config.device)
    groups = None if train.groups is None else train.groups[rows]
    n_valid, n_classes = len(splits.valid) if splits.valid is not None else 0, len(train.label_names)
    model, noun = task.model, task.kind.noun
    source = model.source()
    show(f"measuring the pass over the {noun}s")
    sample = measures.read_sample(train, rows, source, config)
    n_all = len(rows) + n_valid + n_test
    speed = measures.measure_pass(source, sample, config, n_examples=n_all + (config.views - 1) * len(train))
    show("measuring head")
    head_s, head_bytes = measures.measure_head_s(
        speed.features, config, n_train=len(rows), n_classes=n_classes, n_blocks=len(source.blocks)
    )
    prepared = sample.prepared(model, config, n_classes=n_classes, folder=folder / "prepared")
    job = estimates.Job(
        config=config,
        kind=task.kind,
        n_train=len(rows),
        n_valid=n_valid,
        n_test=n_test,
        is_test_ours=splits.test is None,
        n_folds=n_contest_folds(len(rows), feasible_folds(labels, config.folds, groups=groups)),
        n_features=speed.features.shape[1],
        prepared_bytes=prepared.bytes_each,
        start_s=start_s,
        decode_s=sample.seconds_each,
        n_workers=source.n_workers(config.workers),
        head_s=head_s,
        is_gpu=device.type != "cpu",
        measured=speed,
    )
    head = MethodPlan(
        "head",
        n_trainable=n_classes * (model.backbone.n_features + 1),
        trainable_share=n_classes * (model.backbone.n_features + 1) / _n_parameters(model),
        memory_bytes=max((n for n in (speed.memory_bytes, head_bytes) if n is not None), default=None),
        disk=job.disk(model, None, None),
        seconds=job.seconds(),
        fits="yes" if job.limit_s is None or job.seconds()["total"] <= job.limit_s else "no",
    )
    methods = [head]
    like: MethodMeasure | None = None
    for name in STRATEGIES[2:]:
        show(f"measuring {name}")
        told, like = _method(name, job, task, prepared.examples, folder / name, like=like)
        methods.append(told)
    budget = {"is_time_limit": job.limit_s is not None, "seconds": job.limit_s or AUTO_BUDGET_S}
    found = {method.name: method for method in methods}
    return Plan(
        data={
            "path": data,
            "noun": noun,
            "n_examples": n_all,
            "splits": {k: n for k, n in (("train", len(rows)), ("valid", n_valid), ("test", n_test)) if n},
            "is_test_held_out": splits.test is None,
            "classes": list(train.label_names),
        },
        model={**model.backbone.as_dict(), "reads": model.reads, "notes": list(model.notes)},
        compute=measures.compute_facts(model, config, speed),
        measured={
            "n_examples_read": len(sample.data),
            "decode_s": job.decode_s,
            "forward_s": speed.forward_s,
            "engine_s": speed.engine_s,
            "pass_s": job.pass_s,
            "n_pass": job.n_pass,
            "held_bytes": speed.held_bytes,
            "seconds": time.perf_counter() - began,
        },
        methods=tuple(methods),
        budget=budget,
        recommendation=advise(
            config.strategy,
            found,
            budget=budget,
            noun=noun,
            also=[method.name for method in contenders(config, kind=task.kind, train=train)[1:]],
        ),
        command=fit_command(data, config),
    )


def _method(
    name: str, job: Job, task: Task, examples: TrainingExamples, folder: Path, *, like: MethodMeasure | None
) -> tuple[MethodPlan, MethodMeasure | None]:
    """Return the plan of a method, and the first measure of any, which a method of the same work takes for its own."""
    from graft.api.contenders import method_of
    from graft.api.plan_measures import measure_method
    from graft.api.tuning import why_not_tuned

    config, model = job.config, task.model
    if (why := why_not_tuned(model)) is not None:
        return MethodPlan(name, why=why), like
    method = method_of(config, name)
    found = measure_method(method, task, examples, config, folder=folder, like=like)
    if isinstance(found, str):
        return MethodPlan(name, why=found), like
    fit = job.fit(method, found)
    fits = "yes" if fit.is_whole else "no" if not fit.is_tried else f"{fit.share:.0%} of steps".replace("%", " %")
    if fit.is_tried and not fit.is_whole and fit.share == 1:
        fits = f"{fit.n_folds} of {job.n_folds} folds"
    told = MethodPlan(
        name,
        n_trainable=found.n_trainable,
        trainable_share=found.n_trainable / _n_parameters(model),
        memory_bytes=found.memory_bytes,
        disk=job.disk(model, method, found),
        step_s=found.cost.step_s,
        epoch_s=found.cost.step_s * job.n_train / min(config.batch_size, job.n_train),
        n_steps=method.settings.n_steps(job.n_train),
        n_runs=job.n_runs,
        seconds=job.seconds(method.settings, found),
        fits=fits,
    )
    return told, like or found


def _n_parameters(model: PretrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.network.parameters())
