"""What a plan rests on: figures of this machine, measured on a few real pictures of the data."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.backbones.engines import EngineChoice, candidates, start_engine
from graft.backbones.loading import ImageModel
from graft.backbones.preprocessing import Preprocessing
from graft.core.devices import choose_device, choose_precision
from graft.core.errors import DataError, GraftError, Interrupted
from graft.core.memory import is_out_of_memory, peak_memory
from graft.core.seeds import generator
from graft.data.dataset import LabeledDataset
from graft.data.images import decode_image, perceptual_hash
from graft.methods.budget import RunCost, measure_cost
from graft.methods.fine_tuning import fine_tune
from graft.methods.head_only import HeadOnly
from graft.methods.prepared import FineTuningMethod
from graft.methods.where import Where, training_precision
from graft.tasks.image_classification import ImageClassification
from graft.training.examples import PictureExamples

__all__ = [
    "MethodMeasure", "PassMeasure", "Sample", "compute_facts", "measure_head_s", "measure_method", "measure_pass",
    "read_sample",
]  # fmt: skip

_HEAD_ROWS, _HEAD_ROWS_A_CLASS = 500, 6


@dataclass(frozen=True)
class Sample:
    """A few pictures of the training split, drawn by chance, preprocessed.

    Parameters
    ----------
    pixels : (n_read, n_channels, height, width), as `Preprocessing` gives them.
    targets : (n_read,), class numbers.
    seconds_a_picture : of reading, decoding, hashing and preprocessing, in one process.
    """

    pixels: NDArray[Any]
    targets: NDArray[np.integer[Any]]
    seconds_a_picture: float

    def examples(self, preprocessing: Preprocessing, *, n_classes: int, flip: bool) -> PictureExamples:
        """Return the pictures as fine-tuning reads them."""
        std = 1 / (255 * preprocessing.scale)
        return PictureExamples(
            pictures=self.pixels,
            targets=self.targets,
            n_classes=n_classes,
            mean=(-preprocessing.offset * std).tolist(),
            std=std.tolist(),
            flip=flip,
        )


@dataclass(frozen=True)
class PassMeasure:
    """How fast the frozen network runs.

    Parameters
    ----------
    choice : the engine that was started, as the whole pass would.
    engine_s : seconds that its start took.
    forward_s : seconds a picture.
    features : (n_read, n_features).
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
    cost : of a step, and of what is cached of a picture once a run.
    activation_bytes : a picture, on disk, all views of it.
    memory_bytes : peak; see `graft.core.memory.PeakMemory`.
    """

    n_trainable: int
    cost: RunCost
    activation_bytes: int
    memory_bytes: int | None


def read_sample(
    data: LabeledDataset, rows: NDArray[np.int64], preprocessing: Preprocessing, config: FitConfig
) -> Sample:
    """Return two batches of pictures, drawn by chance from some rows of `data`; no other file is opened.

    Raises
    ------
    DataError
        When a picture cannot be read (with `skip_unreadable`: when none can).
    """
    drawn = generator(config.seed, "plan").permutation(rows)[: 2 * config.batch_size]
    pixels, kept, error = [], [], DataError("no picture could be read", expected="pictures")
    started = time.perf_counter()
    for row in drawn.tolist():
        try:
            picture = decode_image(data.read(row), name=data.place(row))
        except DataError as found:
            if not config.skip_unreadable:
                raise
            error = found
            continue
        pixels.append(preprocessing(picture))
        perceptual_hash(picture)
        kept.append(row)
    if not pixels:
        raise error
    return Sample(np.stack(pixels), data.labels[kept], (time.perf_counter() - started) / len(drawn))


def measure_pass(model: ImageModel, sample: Sample, config: FitConfig, *, n_pictures: int) -> PassMeasure:
    """Return what the engine takes that a pass over `n_pictures` would choose."""
    device = choose_device(config.device)
    choices = candidates(
        config.engine,
        device=device,
        precision=choose_precision(device, wanted=config.precision),
        n_pictures=n_pictures,
        is_strict_precision=config.precision != "auto",
    )
    size = config.batch_size
    padded = np.resize(sample.pixels, (-(-len(sample.pixels) // size) * size, *sample.pixels.shape[1:]))
    with peak_memory(device) as memory:
        started = time.perf_counter()
        engine, choice, _ = start_engine(
            model.feature_network(),
            choices,
            sample=sample.pixels[:8],
            batch_size=size,
            device=device,
            say=lambda text: None,
        )
        engine_s = time.perf_counter() - started
        engine(padded[:size])
        started = time.perf_counter()
        found = [engine(padded[first : first + size]) for first in range(0, len(padded), size)]
        forward_s = (time.perf_counter() - started) / len(padded)
    features = np.concatenate(found)[: len(sample.pixels)].astype(np.float32)
    return PassMeasure(choice, engine_s, forward_s, features, memory.n_bytes, memory.held)


def measure_head_s(
    features: NDArray[np.float32], config: FitConfig, *, n_train: int, n_classes: int
) -> tuple[float, int | None]:
    """Return the seconds that the solver will take for `n_train` pictures, and its peak of memory in bytes.

    It is run on few rows made of the features read, with noise, and their cost is scaled by the number of rows.
    """
    random = generator(config.seed, "plan", "head")
    device = choose_device(config.device)
    n = min(n_train, max(_HEAD_ROWS, _HEAD_ROWS_A_CLASS * n_classes))
    targets = np.arange(n) % n_classes
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
    return seconds * scale, None if memory.n_bytes is None else round(memory.n_bytes * scale)


def compute_facts(model: ImageModel, config: FitConfig, speed: PassMeasure) -> dict[str, Any]:
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
    model: ImageModel,
    examples: PictureExamples,
    config: FitConfig,
    *,
    folder: Path,
    like: MethodMeasure | None = None,
) -> MethodMeasure | str:
    """Return what a few steps of a method took, or why the method does not run here.

    A run on two pictures comes first: libraries are loaded in it.

    Parameters
    ----------
    folder : for step logs and cached activations.
    like : of another method: where the same number of parameters moves, a step is the same work, and is not measured
        twice, which would only show this machine's moods.
    """
    n_classes, n_features = model.head.layer.weight.shape
    where = Where(device=config.device, precision=config.precision, folder=folder, checkpoint_every_s=None)
    common: dict[str, Any] = {
        "head": model.head.name,
        "start": (np.zeros((n_classes, n_features), np.float32), np.zeros(n_classes, np.float32)),
        "task": ImageClassification(model),
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
