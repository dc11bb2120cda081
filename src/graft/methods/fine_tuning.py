"""One fine-tuning run of any method, top to bottom: start, freeze, train, hand back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.heads import Head
from graft.backbones.text_pooling import fixed_modules, head_input_scale
from graft.core.devices import choose_device
from graft.core.seeds import derive_seed
from graft.methods.cached_boundary import cache_boundary
from graft.methods.prepared import FineTuningMethod, Prepared, SaveAdapter
from graft.methods.rates import width_factor
from graft.methods.where import Where, family_of, train_here, training_precision
from graft.methods.word_table import without_word_table
from graft.tasks.base import FeatureTask, Task
from graft.training.examples import BatchExtras, PictureExamples, Rows, TrainingExamples, predict_logits
from graft.training.freezing import recalibrate_batch_norms
from graft.training.loop import Training

__all__ = ["FineTuned", "Refit", "fine_tune", "held_out_figures", "mend_dropout", "planned_rate"]

_RECALIBRATION_EXAMPLES = 1024

Refit = Callable[[NDArray[np.float32], NDArray[np.integer[Any]]], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class FineTuned:
    """What a run came to.

    Parameters
    ----------
    network : of the original architecture, on the CPU, in eval mode, float32.
    training : the loop's account.
    learning_rate : the highest.
    n_trainable : parameters that could move.
    frozen_s : seconds of the one pass through the frozen part; 0 where none is cut off, or its output was there.
    save_adapter : see `Prepared`.
    """

    network: nn.Module
    training: Training
    learning_rate: float
    n_trainable: int
    frozen_s: float = 0.0
    save_adapter: SaveAdapter | None = None


def planned_rate(method: FineTuningMethod, network: nn.Module) -> float:
    """Return the highest rate of a run: that of the settings, else the method's prior for the network."""
    return method.settings.learning_rate or method.learning_rate(family_of(network)) * width_factor(network)


def mend_dropout(network: nn.Module) -> list[str]:
    """Turn keep probabilities that stand as drop probabilities into what was meant; return the modules' names.

    transformers' MobileNets carry TensorFlow's keep probability as dropout before the head: 0.999 (v1) and 0.8 (v2),
    with which next to nothing reaches the head in training.
    """
    mended = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout) and module.p > 0.5:
            module.p = 1 - module.p
            mended.append(name)
    return mended


def held_out_figures(logits: NDArray[np.float32], targets: NDArray[np.integer[Any]]) -> dict[str, float]:
    """Return mean log-loss and accuracy of logits (n, n_classes).

    Where an example may have several labels, targets (n, n_classes), both are means over examples and labels.
    """
    z = logits.astype(np.float64)
    if targets.ndim == 2:
        losses = np.logaddexp(0, np.where(targets == 1, -z, z))
        return {"log_loss": float(losses.mean()), "accuracy": float(((z > 0) == (targets == 1)).mean())}
    z = z - z.max(axis=1, keepdims=True)
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]
    return {"log_loss": float(losses.mean()), "accuracy": float((z.argmax(1) == targets).mean())}


def fine_tune(
    method: FineTuningMethod,
    network: nn.Module,
    *,
    head: str,
    start: tuple[NDArray[np.float32], NDArray[np.float32]],
    task: Task,
    examples: TrainingExamples,
    rows: Rows,
    held_out_rows: Rows | None = None,
    n_steps: int | None = None,
    max_seconds: float | None = None,
    refit: Refit | None = None,
    seed: int = 0,
    where: Where | None = None,
) -> FineTuned:
    """Return a fine-tuned copy of `network`; `network` itself is left as it is.

    Parameters
    ----------
    network : pretrained, with a head of n_classes rows.
    head : dotted name of its last linear layer.
    start : weights (n_classes, n_features) and bias (n_classes,) of the probe; a method that starts fresh takes zeros.
    examples : all examples; `rows` are trained on, `held_out_rows` looked at between steps (None: nothing is).
    n_steps : optimizer steps; None: as the method's settings say for ``len(rows)``.
    max_seconds : of the loop; see `graft.training.loop.train`.
    refit : for a method with an objective of its own: gives weights and bias of a head from the trained network's
        features of `rows`; None: the head stays that of `start`. Between steps nothing is looked at then.

    Raises
    ------
    UsageError, DataError, ModelError, Interrupted
        As the loop and the method do.
    """
    where = where or Where()
    settings, family = method.settings, family_of(network)
    network = copy.deepcopy(network)
    mend_dropout(network)
    weights, bias = (torch.from_numpy(np.ascontiguousarray(x)) for x in start)
    is_fresh = method.start == "fresh"
    Head(network, head).set(
        torch.zeros_like(weights) if is_fresh else weights, torch.zeros_like(bias) if is_fresh else bias
    )
    device = choose_device(where.device)
    precision = training_precision(network, device, wanted=where.precision)
    if device.type == "cpu":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    with torch.random.fork_rng(devices=[]):  # low-rank updates start from random numbers
        torch.default_generator.manual_seed(derive_seed(seed, "prepare"))
        prepared = method.prepare(network, head=head, family=family)
    prepared = without_word_table(prepared, settings, n_examples=len(examples))
    prepared = _suited_to_pooling(prepared, head, power=2 if settings.optimizer == "sgd" else 1)
    n_trainable = sum(p.numel() for p in prepared.network.parameters() if p.requires_grad)
    rate = planned_rate(method, network)
    recipe = settings.recipe(n_steps or settings.n_steps(len(rows)), learning_rate=rate, seed=seed)
    batch_size = min(settings.batch_size, max(len(rows), where.processes.n))
    frozen_s, loss = 0.0, task.loss
    if prepared.n_frozen_blocks and isinstance(examples, PictureExamples):  # others differ in length
        cached = cache_boundary(
            prepared,
            settings,
            examples,
            rows=rows,
            held_out_rows=held_out_rows,
            head=head,
            precision=precision,
            batch_size=batch_size,
            seed=seed,
            where=where,
        )
        runnable, batches, looked_at, frozen_s = cached.network, cached.batches, cached.examples, cached.seconds
    elif prepared.objective is not None:
        assert isinstance(task, FeatureTask)
        runnable, looked_at, held_out_rows = prepared.network, examples, None
        groups = prepared.objective.batches(examples, rows, batch_size=batch_size, seed=seed)
        batches = groups
        loss = partial(prepared.objective.loss, task, group_size=groups.group_size)
        if recipe.micro_batch_size is not None:
            recipe = replace(recipe, micro_batch_size=max(1, recipe.micro_batch_size // groups.group_size))
    else:
        runnable, looked_at = prepared.network, examples
        batches = examples.batches(
            rows,
            batch_size=batch_size,
            augmentation=settings.augmentation,
            mixing=settings.mixing(),
            label_smoothing=settings.label_smoothing,
            seed=seed,
        )
    if prepared.objective is None and (extras := settings.extras(examples.targets[rows], examples.n_classes)):
        batches = BatchExtras(batches, extras)

    held_out = None
    if held_out_rows is not None:
        targets = examples.targets[held_out_rows]

        def evaluate(present: nn.Module) -> dict[str, float]:
            logits = predict_logits(
                present, looked_at, held_out_rows, predict=task.predict, precision=precision, processes=where.processes
            )
            return held_out_figures(logits, targets)

        held_out = settings.held_out(evaluate, n_steps=recipe.n_steps)

    training = train_here(
        runnable,
        batches,
        loss=loss,
        recipe=recipe,
        groups=prepared.groups,
        held_out=held_out,
        identity={"method": method.as_dict(), "recipe": recipe.as_dict(), "n_rows": len(rows), "family": family},
        max_seconds=max_seconds,
        precision=precision,
        where=where,
    )
    if settings.batch_norm == "recalibrate":
        chosen = np.asarray(rows)[:_RECALIBRATION_EXAMPLES]
        with precision.autocast(device):
            recalibrate_batch_norms(
                prepared.network,
                _on(device, examples.plain(chosen, batch_size=max(batch_size, 32))),
                predict=lambda batch: task.predict(prepared.network, batch),
            )
    if prepared.objective is not None and refit is not None:
        seen = predict_logits(
            prepared.network,
            examples,
            rows,
            predict=task.features,  # type: ignore[attr-defined]
            width=weights.shape[1],
            precision=precision,
            processes=where.processes,
        )
        fitted = where.processes.from_main(refit(seen, examples.targets[rows]))
        Head(prepared.network, head).set(*(torch.from_numpy(x).to(device) for x in fitted))
    trained = prepared.finish(prepared.network).to(device="cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return FineTuned(trained.requires_grad_(False), training, rate, n_trainable, frozen_s, prepared.save_adapter)


def _suited_to_pooling(prepared: Prepared, head: str, *, power: int) -> Prepared:
    """Freeze modules that compute without their weights, and give the head behind them a rate of its input's size.

    An input that is 128 times smaller needs weights 128 times larger. Adam's steps do not know that (`power` 1), and
    those of SGD are 128 times smaller instead (`power` 2). What a step takes of the weights as decay stays the same.
    """
    if not (fixed := fixed_modules(prepared.network)):
        return prepared
    for module in fixed.values():
        module.requires_grad_(False)
    moving = {name for name, parameter in prepared.network.named_parameters() if parameter.requires_grad}
    scale = head_input_scale(prepared.network) ** power
    groups = []
    for group in prepared.groups:
        own = tuple(n for n in group.names if n in moving and f".{head}." in f".{n}" and n.endswith("weight"))
        rest = tuple(n for n in group.names if n in moving and n not in own)
        rate, decay = group.rate_factor / scale, group.decay_factor * scale
        groups += [replace(group, names=rest), replace(group, names=own, rate_factor=rate, decay_factor=decay)]
    return replace(prepared, groups=tuple(group for group in groups if group.names))


def _on(device: torch.device, batches: Iterable[Any]) -> Iterable[dict[str, Tensor]]:
    for batch in batches:
        yield {name: tensor.to(device) for name, tensor in batch.items()}
