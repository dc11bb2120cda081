"""`plan`: what every strategy of `fit` would take, before anything runs."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.config_values import STRATEGIES
from graft.api.gathering import gather_options
from graft.core.files import write_json
from graft.core.process import prepare_process

if TYPE_CHECKING:
    from graft.api.plan_estimates import Job
    from graft.api.plan_measures import MethodMeasure, Sample
    from graft.backbones.loading import ImageModel
    from graft.data.dataset import Splits

__all__ = ["MethodPlan", "Plan", "PlanConfig", "plan"]


@dataclass(frozen=True, kw_only=True)
class PlanConfig(FitConfig):  # noqa: D101 (its docstring is that of the options it has)
    __doc__ = FitConfig.__doc__

    out: str = "run"


@dataclass(frozen=True)
class MethodPlan:
    """What one strategy would take.

    Parameters
    ----------
    name : as ``--strategy`` has it.
    why : why the strategy does not run here, and the figures mean nothing; empty: it does.
    n_trainable, trainable_share : parameters that move, and their share of the network's.
    memory_bytes : peak, see `Plan.compute`; None: this system does not tell.
    disk : bytes when there is most: features, pictures, activations, checkpoints, model, total.
    step_s, epoch_s : seconds of an optimizer step and of a pass over the training pictures.
    n_steps : of a run.
    n_runs : with which the contest ends at most.
    seconds : of each part of `fit`: start, pass, head, pictures, contest, end, corruptions, total.
    fits : ``"yes"``, ``"no"``, ``"2 of 3 folds"`` or ``"40 % of steps"``: into the time limit, or into the 10 minutes
        of ``--strategy auto``.
    """

    name: str
    why: str = ""
    n_trainable: int = 0
    trainable_share: float = 0.0
    memory_bytes: int | None = None
    disk: dict[str, int] = field(default_factory=dict)
    step_s: float | None = None
    epoch_s: float | None = None
    n_steps: int = 0
    n_runs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    fits: str = ""


@dataclass(frozen=True)
class Plan:
    """What every strategy would take, on these data, with this model, on this machine.

    Parameters
    ----------
    data : path, pictures by split, classes.
    model : its record, and the shape of a preprocessed picture.
    compute : device, precision, engine, and what memory means.
    measured : on how many pictures what was measured.
    methods : one a strategy, in the order of the options.
    budget : the time that `MethodPlan.fits` is about.
    recommendation, command : what ``graft fit`` would do with these options, and how it is typed.
    """

    data: dict[str, Any]
    model: dict[str, Any]
    compute: dict[str, Any]
    measured: dict[str, Any]
    methods: tuple[MethodPlan, ...]
    budget: dict[str, Any]
    recommendation: str
    command: str

    def method(self, name: str) -> MethodPlan:
        """Return the plan of one strategy."""
        return next(method for method in self.methods if method.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(_rounded(asdict(self)))


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

    Two batches of pictures are read and a few steps run on them. Nothing is written but `json`.

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
        from graft.backbones.loading import ImageModel
        from graft.core.errors import UsageError
        from graft.tasks.finding import find_task, refuse_transcripts
        from graft.tasks.registry import task_class

        task_name = find_task(data, chosen.model, wanted=chosen.task)
        refuse_transcripts(task_name, verb="plan")
        splits = read_as_told(data, task_name, chosen)
        status.update("loading the model")
        loaded = embedding.load_task(chosen, task_name, splits.train.label_names).model
        if not isinstance(loaded, ImageModel):
            raise UsageError(
                f"graft plan with {chosen.model}, a model of {task_class(task_name).kind.noun}s",
                expected="a picture model: only their passes and steps are measured so far",
                fix="run graft fit with --time-limit, which measures as it goes and keeps to the limit",
            )
        found = _planned(str(data), splits, loaded, chosen, folder, began=began, show=status.update)
    if json is not None:
        write_json(Path(json), found.as_dict())
    from graft.report.plan_table import print_plan

    print_plan(found.as_dict(), console=console)
    return found


def _planned(
    data: str, splits: Splits, model: ImageModel, config: FitConfig, folder: Path, *, began: float, show: Any
) -> Plan:
    import numpy as np

    from graft.api import plan_estimates as estimates
    from graft.api import plan_measures as measures
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
    show("measuring the pass over the pictures")
    sample = measures.read_sample(train, rows, model.preprocessing, config)
    n_all = len(rows) + n_valid + n_test
    speed = measures.measure_pass(model, sample, config, n_pictures=n_all + (config.views - 1) * len(train))
    show("measuring head")
    head_s, head_bytes = measures.measure_head_s(speed.features, config, n_train=len(rows), n_classes=n_classes)
    job = estimates.Job(
        config=config,
        n_train=len(rows),
        n_valid=n_valid,
        n_test=n_test,
        is_test_ours=splits.test is None,
        n_folds=n_contest_folds(len(rows), feasible_folds(labels, config.folds, groups=groups)),
        n_features=model.backbone.n_features,
        picture_bytes=sample.pixels[0].nbytes,
        start_s=start_s,
        decode_s=sample.seconds_a_picture,
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
        told, like = _method(name, job, model, sample, n_classes, folder / name, like=like)
        methods.append(told)
    budget = {"is_time_limit": job.limit_s is not None, "seconds": job.limit_s or AUTO_BUDGET_S}
    found = {method.name: method for method in methods}
    return Plan(
        data={
            "path": data,
            "n_pictures": n_all,
            "splits": {k: n for k, n in (("train", len(rows)), ("valid", n_valid), ("test", n_test)) if n},
            "is_test_held_out": splits.test is None,
            "classes": list(train.label_names),
        },
        model={**model.backbone.as_dict(), "picture": list(model.preprocessing.shape), "notes": list(model.notes)},
        compute=measures.compute_facts(model, config, speed),
        measured={
            "n_pictures_read": len(sample.pixels),
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
        recommendation=advise(config.strategy, found, budget=budget),
        command=fit_command(data, config),
    )


def _method(
    name: str, job: Job, model: ImageModel, sample: Sample, n_classes: int, folder: Path, *, like: MethodMeasure | None
) -> tuple[MethodPlan, MethodMeasure | None]:
    """Return the plan of a method, and the first measure of any, which a method of the same work takes for its own."""
    from graft.api.contenders import method_of
    from graft.api.plan_measures import measure_method

    config, pre = job.config, model.preprocessing
    if not pre.is_split or pre.shape[0] != 3 or pre.shape[1] != pre.shape[2]:
        return MethodPlan(name, why=f"needs square RGB pictures, normalised at the end; these are {pre.shape}"), like
    method = method_of(config, name)
    examples = sample.examples(pre, n_classes=n_classes, flip=config.flip)
    found = measure_method(method, model, examples, config, folder=folder, like=like)
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


def _n_parameters(model: ImageModel) -> int:
    return sum(parameter.numel() for parameter in model.network.parameters())


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
