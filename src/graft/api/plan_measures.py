"""What a plan rests on: figures of this machine, measured on a few real examples of the data."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.training_examples import examples_of, pictures_of
from graft.backbones.engines import EngineChoice
from graft.backbones.loading import ImageModel
from graft.backbones.pretrained import PretrainedModel
from graft.backbones.source import FeatureSource
from graft.backbones.views import PLAIN
from graft.core.devices import choose_device, choose_precision
from graft.core.errors import DataError, GraftError, Interrupted
from graft.core.memory import is_out_of_memory, peak_memory
from graft.core.processes import Processes
from graft.core.seeds import generator
from graft.data.dataset import LabeledDataset
from graft.methods.budget import RunCost, measure_cost
from graft.methods.fine_tuning import fine_tune
from graft.methods.head_only import HeadOnly
from graft.methods.prepared import FineTuningMethod
from graft.methods.where import Where, training_precision
from graft.tasks.base import Task
from graft.training.examples import TrainingExamples

__all__ = [
    "MethodMeasure", "PassMeasure", "Prepared", "Sample", "compute_facts", "measure_head_s", "measure_method",
    "measure_pass", "read_sample",
]  # fmt: skip

_HEAD_ROWS, _HEAD_ROWS_A_CLASS = 500, 6
# Of the head's time a way of pooling is tried in: fewer folds and penalties, loosely, on so many rows at most.
_CHOOSING, _CHOOSING_ROWS = 0.3, 2_000


@dataclass(frozen=True)
class Sample:
    """A few examples of the training split, drawn by chance, read.

    Parameters
    ----------
    data : those that could be read, n_read, in the order in which the source of the model computes them.
    batches : of them, as it collates them.
    seconds_each : of reading, decoding, hashing and preprocessing an example, in one process.
    """

    data: LabeledDataset
    batches: tuple[Any, ...]
    seconds_each: float

    def prepared(self, model: PretrainedModel, config: FitConfig, *, n_classes: int, folder: Path) -> Prepared:
        """Return the examples as fine-tuning reads them.

        Parameters
        ----------
        folder : for what is stored of them.
        """
        if isinstance(model, ImageModel):  # they are pixels already
            pixels = np.concatenate(self.batches)
            return Prepared(pictures_of(pixels, self.data.labels, model, config, n_classes), pixels[0].nbytes)
        folder.mkdir(parents=True, exist_ok=True)
        examples = examples_of(
            [self.data], model, config, folder,
            n_classes=n_classes, processes=Processes(), say=lambda text: None, console=None,
        )  # fmt: skip
        return Prepared(examples, sum(path.stat().st_size for path in folder.iterdir()) // len(self.data))


@dataclass(frozen=True)
class Prepared:
    """Examples that fine-tuning reads, and the bytes on disk of each."""

    examples: TrainingExamples
    bytes_each: int


@dataclass(frozen=True)
class PassMeasure:
    """How fast the frozen network runs.

    Parameters
    ----------
    choice : the engine that was started, as the whole pass would.
    engine_s : seconds that its start took.
    forward_s : seconds an example.
    features : (n_read, n_features), all ways of pooling side by side.
    memory_bytes, held_bytes : peak of the engine's start and its batches; see `graft.core.memory.PeakMemory`.
    """

    choice: EngineChoice
    engine_s: float
    forward_s: float
    features: NDArray[np.float32]
    memory_bytes: int | None
    held_bytes: int


@dataclass(frozen=True)
class MethodMeasure:
    """What a few steps of a method took.

    Parameters
    ----------
    n_trainable : parameters that move.
    cost : of a step, and of what is cached of an example once a run.
    activation_bytes : an example, on disk, all views of it.
    memory_bytes : peak; see `graft.core.memory.PeakMemory`.
    """

    n_trainable: int
    cost: RunCost
    activation_bytes: int
    memory_bytes: int | None


def read_sample(data: LabeledDataset, rows: NDArray[np.int64], source: FeatureSource, config: FitConfig) -> Sample:
    """Return two batches of examples, drawn by chance from some rows of `data`; no other file is opened.

    Raises
    ------
    DataError
        When an example cannot be read (with `skip_unreadable`: when none can).
    """
    size = source.batch_size(config.batch_size)
    drawn = generator(config.seed, "plan").permutation(rows)[: 2 * size]
    read: dict[int, Any] = {}
    error = DataError(f"no {source.noun} could be read", expected=f"{source.noun}s")
    started = time.perf_counter()
    for row in source.arrange(data, drawn.tolist()):
        try:
            read[row], _ = source.read(data.read(row), name=data.place(row), key="", view=PLAIN)
        except DataError as found:
            if not config.skip_unreadable:
                raise
            error = found
    if not read:
        raise error
    seconds_each = (time.perf_counter() - started) / len(drawn)
    examples, kept = list(read.values()), np.array(list(read), dtype=np.int64)
    batches = tuple(source.collate(examples[first : first + size]) for first in range(0, len(examples), size))
    return Sample(data.select(kept), batches, seconds_each)


def measure_pass(source: FeatureSource, sample: Sample, config: FitConfig, *, n_examples: int) -> PassMeasure:
    """Return what the engine takes that a pass over `n_examples` would choose."""
    device = choose_device(config.device)
    choices = source.candidates(
        config.engine,
        device=device,
        precision=choose_precision(device, wanted=config.precision),
        n_examples=n_examples,
        is_strict_precision=config.precision != "auto",
    )
    size = source.batch_size(config.batch_size)
    with peak_memory(device) as memory:
        started = time.perf_counter()
        engine, choice, _ = source.start(
            choices,
            sample=sample.batches[0][:8],
            batch_size=size,
            device=device,
            say=lambda text: None,
        )
        engine_s = time.perf_counter() - started
        full = [source.filled(batch, size) for batch in sample.batches]
        for batch in full:  # the first time a shape is met, its products are set up
            engine(batch)
        started = time.perf_counter()
        found = [engine(batch)[: len(own)] for batch, own in zip(full, sample.batches, strict=True)]
        forward_s = (time.perf_counter() - started) / sum(map(len, full))
    return PassMeasure(choice, engine_s, forward_s, np.concatenate(found), memory.n_bytes, memory.held)


def measure_head_s(
    features: NDArray[np.float32], config: FitConfig, *, n_train: int, n_classes: int, n_blocks: int = 1
) -> tuple[float, int | None]:
    """Return the seconds that the solver will take for `n_train` examples, and its peak of memory in bytes.

    It is run on few rows made of the features read, with noise, and their cost is scaled by the number of rows.

    Parameters
    ----------
    n_blocks : ways of pooling that the columns of `features` hold side by side; one is chosen, by fewer folds.
    """
    random = generator(config.seed, "plan", "head")
    device = choose_device(config.device)
    n = min(n_train, max(_HEAD_ROWS, _HEAD_ROWS_A_CLASS * n_classes))
    targets = np.arange(n) % n_classes
    features = features[:, : features.shape[1] // n_blocks]
    noise = random.normal(0, 0.5, (n, features.shape[1])) * features.std(axis=0)
    made = (features[targets % len(features)] + noise).astype(np.float32)
    with peak_memory(device) as memory:
        started = time.perf_counter()
        HeadOnly(n_folds=config.folds).fit(
            made,
            targets,
            n_classes=n_classes,
            seed=config.seed,
            device=device,
            is_bf16=choose_precision(device).name == "bf16",
        )
        seconds = time.perf_counter() - started
    scale = config.views * n_train / n
    choosing = 0.0 if n_blocks == 1 else _CHOOSING * n_blocks * min(1.0, _CHOOSING_ROWS / n_train)
    return seconds * scale * (1 + choosing), None if memory.n_bytes is None else round(memory.n_bytes * scale)


def compute_facts(model: PretrainedModel, config: FitConfig, speed: PassMeasure) -> dict[str, Any]:
    """Return device, precision with its reason, engine, and what memory means: JSON values."""
    device = choose_device(config.device)
    precision = training_precision(model.network, device, wanted=config.precision)
    is_gpu = device.type == "cuda"
    return {
        "device": str(device),
        "precision": precision.name,
        "reason": precision.reason,
        "engine": speed.choice.label,
        "memory": "torch.cuda.max_memory_allocated" if is_gpu else "growth of the resident set",
    }


def measure_method(
    method: FineTuningMethod,
    task: Task,
    examples: TrainingExamples,
    config: FitConfig,
    *,
    folder: Path,
    like: MethodMeasure | None = None,
) -> MethodMeasure | str:
    """Return what a few steps of a method took, or why the method does not run here.

    A run on two examples comes first: libraries are loaded in it.

    Parameters
    ----------
    folder : for step logs and cached activations.
    like : of another method: where the same number of parameters moves, a step is the same work, and is not measured
        twice, which would only show this machine's moods.
    """
    model = task.model
    n_classes, n_features = model.head.layer.weight.shape
    where = Where(device=config.device, precision=config.precision, folder=folder, checkpoint_every_s=None)
    common: dict[str, Any] = {
        "head": model.head.name,
        "start": (np.zeros((n_classes, n_features), np.float32), np.zeros(n_classes, np.float32)),
        "task": task,
        "examples": examples,
        "where": where,
    }
    n = len(examples)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of peft and transformers to each other
            first = fine_tune(method, model.network, rows=np.arange(min(2, n)), n_steps=1, **common)
            if like is not None and like.n_trainable == first.n_trainable:
                return like
            with peak_memory(choose_device(config.device)) as memory:
                cost, done = measure_cost(method, model.network, n_rows=n, **common)
    except Interrupted:
        raise
    except GraftError as error:
        return error.got
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        half = max(1, (config.micro_batch_size or config.batch_size) // 2)
        return f"does not fit into memory; --micro-batch-size {half} takes less"
    n_cached = sum(path.stat().st_size for path in folder.glob("activations-*.npy"))
    return MethodMeasure(done.n_trainable, cost, n_cached // n, memory.n_bytes)
