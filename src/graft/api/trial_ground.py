"""What races need before `fit` has run: data, probe and encoded examples, the test split set apart as `fit` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from graft.api import dividing, embedding, pooling, stations
from graft.api.check import corrected
from graft.api.config import FitConfig
from graft.api.copying import read_all_traits
from graft.api.embedding import Embedded
from graft.api.label_names import LabelNames
from graft.api.reading import read_as_told
from graft.api.training_examples import arena_of, examples_of
from graft.core.processes import Processes
from graft.core.run_folder import Run
from graft.methods.head_only import HeadFit
from graft.methods.where import Where
from graft.selection.trials import TrialBed, trial_bed
from graft.tasks.finding import find_task, refuse_without_classes
from graft.training.examples import TrainingExamples

__all__ = ["TrialGround", "embedded_for_trials", "ground_on", "identity_of", "prepare_ground"]

_NOT_TOLD = ("jobs", "ray_address", "time_limit", "out", "workers", "cache", "offline")  # no result depends on them


@dataclass(frozen=True)
class TrialGround:
    """Data, probe and encoded examples.

    Parameters
    ----------
    embedded : splits with their features; the test split is in it, its labels are not read.
    head : the probe.
    names : label names that the head has learned from; None: none.
    examples : train, then valid where there is one, then the label names.
    """

    embedded: Embedded
    head: HeadFit
    names: LabelNames | None
    examples: TrainingExamples
    config: FitConfig
    folder: Path

    @property
    def n_train(self) -> int:
        """Training examples."""
        return len(self.embedded.splits["train"])

    def bed(self, *, processes: Processes | None = None) -> TrialBed:
        """Return the bed for a race: all of its runs hold the same examples out."""
        config = self.config
        where = Where(
            device=config.device,
            precision=config.precision,
            folder=self.folder,
            checkpoint_every_s=None,
            processes=processes or Processes(),
        )
        arena = arena_of(self.embedded, self.head, self.examples, config, names=self.names, where=where)
        return trial_bed(arena, n_splits=1)


def prepare_ground(
    data: str, config: FitConfig, folder: Path, *, say: Callable[[str], None], console: Console
) -> TrialGround:
    """Return what the first stations of `fit` give, with examples encoded into `folder`."""
    embedded = embedded_for_trials(data, config, folder, say=say, console=console)
    return ground_on(embedded, config, folder, say=say, console=console)


def embedded_for_trials(
    data: str, config: FitConfig, folder: Path, *, say: Callable[[str], None], console: Console
) -> Embedded:
    """Return splits and features as the first stations of `fit` give them.

    The same options and the same seed hold out the same test split as `fit` does.
    """
    task_name = find_task(data, config.model, wanted=config.task)
    refuse_without_classes(task_name, verb="find-lr")  # races start at the probe
    splits = read_as_told(data, task_name, config)
    for note in splits.notes:
        say(note)
    splits, reviewed = corrected(splits, config, say=say)
    task = embedding.load_task(config, task_name, splits.train.label_names)
    run = Run(folder, {}, is_resumed=False)  # keeps the seconds; writes nothing
    embedded = embedding.embed(splits, task, config, run, say=say, console=console)
    traits = read_all_traits(embedded.splits, task.kind, config)
    return dividing.divide(replace(embedded, traits=traits, reviewed=reviewed), config, say=say)


def identity_of(embedded: Embedded, config: FitConfig) -> dict[str, Any]:
    """Return what the results of runs depend on: options, examples to learn from, weights of the pretrained network."""
    options = {name: value for name, value in config.as_dict().items() if name not in _NOT_TOLD}
    learned = {name: part.fingerprint for name, part in embedded.splits.items() if name in ("train", "valid")}
    return {"options": options, "splits": learned, "weights": embedded.model.backbone.weights_hash}


def ground_on(
    embedded: Embedded, config: FitConfig, folder: Path, *, say: Callable[[str], None], console: Console
) -> TrialGround:
    """Return what a race needs of examples whose features are there, with the examples encoded into `folder`."""
    embedded = pooling.choose_pooling(embedded, config, say=say)
    head, _, names = stations.fit_head(embedded, config, say=say)
    parts = [embedded.splits["train"], *([embedded.splits["valid"]] if "valid" in embedded.splits else [])]
    folder.mkdir(parents=True, exist_ok=True)
    examples = examples_of(
        parts,
        embedded.model,
        config,
        folder,
        n_classes=len(embedded.label_names),
        names=names,
        processes=Processes(),
        say=say,
        console=console,
    )
    return TrialGround(embedded, head, names, examples, config, folder)
