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
from graft.api.embedding import Embedded, extractor_for, load_task, without_unreadable
from graft.api.trial_ground import ground_on
from graft.backbones.catalog import CatalogEntry
from graft.core.seeds import generator
from graft.data.dataset import LabeledDataset
from graft.methods.prepared import FineTuningMethod
from graft.selection.ranking import first_rows
from graft.selection.ranking_final import FINAL_SHARE, ShortFinal, hold_final
from graft.selection.ranking_standing import Standing
from graft.selection.trials import TrialBed

__all__ = ["final_of"]

_MOST_EXAMPLES = 2_000
_PASSES_A_STEP = 3  # forward passes that a training step costs an example: one forward, two backward


def final_of(
    entries: Sequence[CatalogEntry],
    task_name: str,
    train: LabeledDataset,
    config: FitConfig,
    *,
    groups: NDArray[np.int64] | None,
    standings: Sequence[Standing],
    end: float,
    say: Callable[[str], None],
) -> ShortFinal | None:
    """Return what a short fine-tuning run of two models says; None where the budget has no time for it.

    Parameters
    ----------
    entries : of the first and the second.
    groups : (n_examples,), examples of train that share a fold.
    standings : of the two: what looking at them took says what the final will take.
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
        expected = max(_expected_s(standing, method, len(rows)) for standing in standings)
        found = hold_final(beds(Path(name)), seconds_left=lambda: end - time.monotonic(), expected_s=expected)
    if found is None:
        say(f"no final of {entries[0].id} and {entries[1].id}: the budget has no time for both")
    return found


def _expected_s(standing: Standing, method: FineTuningMethod, n: int) -> float:
    """Return the seconds that a model's part of the final will take at least: load it, embed what is new, train."""
    if standing.examples_per_s is None:
        return standing.seconds
    n_steps = FINAL_SHARE * method.settings.n_steps(n)
    n_passes = n - standing.signals.n + _PASSES_A_STEP * n_steps * method.settings.batch_size
    return standing.seconds + max(0.0, n_passes) / standing.examples_per_s


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
    embedded = without_unreadable(embedded, {}, say=lambda text: None)
    ground = ground_on(embedded, own, folder, say=lambda text: None, console=console)
    return ground.bed()
