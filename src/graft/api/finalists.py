"""The first two of a ranking, each fine-tuned for some steps on the examples that were ranked on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from graft.api.candidates import as_config
from graft.api.config import FitConfig
from graft.api.contenders import method_of
from graft.api.embedding import Embedded, extractor_for, load_task
from graft.api.trial_ground import ground_on
from graft.backbones.catalog import CatalogEntry
from graft.core.seeds import generator
from graft.data.dataset import LabeledDataset
from graft.methods.prepared import FineTuningMethod
from graft.selection.ranking import first_rows
from graft.selection.ranking_final import ShortFinal, hold_final
from graft.selection.trials import TrialBed

__all__ = ["final_of"]

_MOST_EXAMPLES = 2_000


def final_of(
    entries: Sequence[CatalogEntry],
    task_name: str,
    train: LabeledDataset,
    config: FitConfig,
    *,
    groups: NDArray[np.int64] | None,
    end: float,
    say: Callable[[str], None],
) -> ShortFinal | None:
    """Return what a short fine-tuning run of two models says; None where the budget ended it.

    Parameters
    ----------
    entries : of the first and the second.
    groups : (n_examples,), examples of train that share a fold.
    end : reading of ``time.monotonic`` at the end of the budget.
    """
    order = generator(config.seed, "ranking", len(train)).permutation(len(train))
    rows = first_rows(train.labels, min(len(train), _MOST_EXAMPLES), order=order)
    some, own = train.select(rows), None if groups is None else groups[rows]
    method = method_of(config, "lp-ft")

    def beds(folder: Path) -> Iterator[tuple[str, FineTuningMethod, TrialBed]]:
        for number, entry in enumerate(entries):
            yield entry.id, method, _bed(entry, task_name, some, config, own, method, folder / str(number))

    with TemporaryDirectory(prefix="graft-rank-") as name:
        found = hold_final(beds(Path(name)), seconds_left=lambda: end - time.monotonic())
    if found is None:
        say(f"no final of {entries[0].id} and {entries[1].id}: the budget has no time for both")
    return found


def _bed(
    entry: CatalogEntry,
    task_name: str,
    examples: LabeledDataset,
    config: FitConfig,
    groups: NDArray[np.int64] | None,
    method: FineTuningMethod,
    folder: Path,
) -> TrialBed:
    """Return the bed of a model: its features come from the cache, where the ranking has put them."""
    console = Console(quiet=True)
    own = as_config(entry, config)
    task = load_task(own, task_name, examples.label_names)
    extractor = extractor_for(task.model, own, say=lambda text: None, console=None)
    embedded = Embedded(
        splits={"train": examples},
        features={"train": extractor.run(examples, n_examples=len(examples))},
        views=(),
        groups=groups,
        label_names=examples.label_names,
        task=task,
        notes=(),
        engine=extractor.engine_label,
        seconds={},
    )
    ground = ground_on(embedded, own, folder, say=lambda text: None, console=console)
    return ground.bed(n_splits=1)
