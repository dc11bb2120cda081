"""The first stations of `fit`: the pretrained model, one pass over all examples, and what could be read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from graft.api.checks import refuse_for_kind
from graft.api.config import FitConfig
from graft.api.model_choice import refuse_choice
from graft.backbones.cache import FeatureCache, default_cache_folder
from graft.backbones.extraction import Extractor, Features
from graft.backbones.on_disk import refuse_missing_folder
from graft.backbones.pretrained import PretrainedModel
from graft.backbones.views import training_views
from graft.core.devices import choose_device, choose_precision
from graft.core.errors import DataError
from graft.core.files import hash_json
from graft.core.processes import Processes
from graft.core.run_folder import Run
from graft.core.text import counted
from graft.data.dataset import LabeledDataset, Splits
from graft.data.duplicates import SplitOverlap
from graft.data.kinds import TEXT
from graft.data.texts import split_pair
from graft.data.traits import Traits
from graft.tasks.base import Task
from graft.tasks.registry import task_class

__all__ = ["Embedded", "describe_model", "embed", "extractor_for", "load_task", "without_unreadable"]


@dataclass(frozen=True)
class Embedded:
    """All splits with their features.

    Parameters
    ----------
    splits : name to examples; ``"train"`` always, ``"valid"`` and ``"test"`` where there are any.
    features : name to features of the plain view, in the same order.
    views : features of further views of train, without the plain one.
    groups : group of each training example that a fold must not tear: copies, and the user's groups.
    label_names : the one label map.
    notes : sentences for the report.
    engine : what computed the features.
    seconds : spent in starting the engine and in its forward passes.
    n_computed : examples computed now, not read from the cache.
    traits : name to what is known of the examples without a network; empty where the checks were not asked for.
    copies : group of each training example, where only copies share one.
    overlaps : name to which examples of that split have a copy in train.
    reviewed : ids that a corrections file calls right; no check names them again.
    """

    splits: Mapping[str, LabeledDataset]
    features: Mapping[str, Features]
    views: tuple[Features, ...]
    groups: NDArray[np.int64] | None
    label_names: tuple[str, ...]
    task: Task
    notes: tuple[str, ...]
    engine: str
    seconds: Mapping[str, float]
    n_computed: int = 0
    traits: Mapping[str, Traits] = field(default_factory=dict)
    copies: NDArray[np.int64] | None = None
    overlaps: Mapping[str, SplitOverlap] = field(default_factory=dict)
    reviewed: frozenset[str] = frozenset()

    @property
    def model(self) -> PretrainedModel:
        """The pretrained model."""
        return self.task.model

    @property
    def noun(self) -> str:
        """What an example is called."""
        return self.task.kind.noun

    def facts(self) -> dict[str, Any]:
        """Return what the manifest keeps of data and model."""
        own = self.model.saved_facts.get("preprocessing")
        more: dict[str, Any] = {} if own is None else {"own_preprocessing": own}
        if self.task.kind is TEXT:
            more["is_pair"] = split_pair(self.splits["train"].read(0).decode("utf-8", "replace"))[1] is not None
        return {
            "backbone": self.model.backbone.as_dict(),
            "task": self.task.name,
            "preprocessing": self.model.source().description["preprocessing"],
            "engine": self.engine,
            "labels": list(self.label_names),
            "splits": {
                name: {"n": len(part), "fingerprint": part.fingerprint, "ids": hash_json(part.ids)}
                for name, part in self.splits.items()
            },
            "class_counts": self.splits["train"].class_counts.tolist(),
            **more,
        }


def load_task(config: FitConfig, name: str, label_names: tuple[str, ...]) -> Task:
    """Return the task over the pretrained model that the options name.

    Raises
    ------
    UsageError
        When they leave the choice open, as only `fit` does.
    """
    refuse_choice(config.model)
    if not config.model.startswith("timm/"):
        refuse_missing_folder(config.model)
    found: Task = task_class(name).load(
        config.model,
        label_names=label_names,
        weights=config.weights,
        revision=config.revision,
        is_offline=config.offline,
        trust_remote_code=config.trust_remote_code,
        max_tokens=config.max_tokens,
        preprocessing=config.preprocessing,
    )
    return found


def describe_model(task: Task) -> str:
    """Return one sentence on the model."""
    backbone = task.model.backbone
    notes = "".join(f"; {note}" for note in task.model.notes)
    return (
        f"model {backbone.id}: {backbone.architecture}, {backbone.n_parameters / 1e6:.1f} M parameters, all frozen;"
        f" {backbone.n_features} features a {task.kind.noun} of {task.model.reads}{notes}"
    )


def extractor_for(
    model: PretrainedModel,
    config: FitConfig,
    *,
    say: Callable[[str], None],
    console: Console | None,
    processes: Processes | None = None,
) -> Extractor:
    """Return the extractor that the options ask for."""
    device = choose_device(config.device)
    return Extractor(
        model.source(),
        FeatureCache(Path(config.cache) if config.cache else default_cache_folder()),
        device=device,
        precision=choose_precision(device, wanted=config.precision),
        engine=config.engine,
        is_strict_precision=config.precision != "auto",
        batch_size=config.batch_size,
        n_workers=config.workers,
        skip_unreadable=config.skip_unreadable,
        say=say,
        console=console,
        processes=processes,
    )


def embed(
    splits: Splits,
    task: Task,
    config: FitConfig,
    run: Run,
    *,
    seconds: float = float("inf"),
    processes: Processes | None = None,
    say: Callable[[str], None],
    console: Console | None,
) -> Embedded:
    """Return the features of every split: one pass over all examples, through the cache.

    Parameters
    ----------
    seconds : that the pass may take; what is not reached of a split, a random part, is left out, and that is said.
    """
    refuse_for_kind(task.kind, config)
    views = training_views(config.views, has_flip=config.flip, seed=config.seed)
    parts = splits.present()
    n_examples = sum(map(len, parts.values())) + (len(views) - 1) * len(splits.train)
    extractor = extractor_for(task.model, config, say=say, console=console, processes=processes)
    features: dict[str, Features] = {}
    unreached: dict[str, int] = {}
    with run.phase("features"):
        end, n_left = time.monotonic() + seconds, n_examples
        for name, part in parts.items():
            now = time.monotonic()
            until = None if seconds == float("inf") else now + max(0.0, end - now) * len(part) / n_left
            features[name] = extractor.run(part, n_examples=n_examples, until=until)
            unreached[name], n_left = extractor.n_unreached, n_left - len(part)
        more = tuple(extractor.run(splits.train, n_examples=n_examples, view=view) for view in views[1:])
    if extractor.seconds_engine:
        run.seconds["features"] -= extractor.seconds_engine
        run.seconds["engine set-up"] = extractor.seconds_engine
    n_computed = sum(f.n_computed for f in (*features.values(), *more))
    seconds_forward = sum((processes or Processes()).gathered(extractor.seconds_forward))
    if n_computed:
        seconds = run.seconds["features"]
        say(f"{counted(n_computed, task.kind.noun)} computed in {seconds:.1f} s ({n_computed / seconds:,.0f}/s)")
    n_cut = sum(map(extractor.n_cut, parts.values()))
    remarks = [extractor.told_cut(n_cut, sum(map(len, parts.values())))] if n_cut else []
    for remark in remarks:
        say(remark)
    embedded = Embedded(
        splits=parts,
        features=features,
        views=more,
        groups=None,
        label_names=splits.train.label_names,
        task=task,
        notes=(*splits.notes, *remarks),
        engine=extractor.engine_label,
        seconds={"engine": extractor.seconds_engine, "forward": seconds_forward},
        n_computed=n_computed,
    )
    return without_unreadable(embedded, unreached, say=say)


def without_unreadable(embedded: Embedded, unreached: Mapping[str, int], *, say: Callable[[str], None]) -> Embedded:
    """Drop examples that could not be read, or not in time, and say how many."""
    splits, features, views, notes = (
        dict(embedded.splits),
        dict(embedded.features),
        embedded.views,
        list(embedded.notes),
    )
    for name, part in embedded.splits.items():
        is_readable = features[name].is_readable
        if is_readable.all():
            continue
        rows = np.flatnonzero(is_readable)
        example = part.ids[int(np.argmin(is_readable))]
        n_bad = len(part) - len(rows) - unreached.get(name, 0)
        if unreached.get(name):
            notes.append(
                f"the time limit left {unreached[name]:,} of {len(part):,} {embedded.noun}s of {name} unused, a"
                " random part"
            )
            say(notes[-1])
        if n_bad > 0:
            notes.append(f"{counted(n_bad, 'unreadable ' + embedded.noun)} of {name} skipped, for example {example}")
            say(notes[-1])
        splits[name], features[name] = part.select(rows), features[name].select(rows)
        if name == "train":
            views = tuple(view.select(rows) for view in views)
        fewest = int(splits[name].class_counts.min())
        if name == "train" and fewest < 2:
            raise DataError(
                f"after skipping {embedded.noun}s a class has {fewest} examples left in train",
                expected="at least 2 a class",
                fix=f"replace the unreadable {embedded.noun}s" if not unreached.get(name) else "a longer --time-limit",
            )
    return replace(embedded, splits=splits, features=features, views=views, notes=tuple(notes))
