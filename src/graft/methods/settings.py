"""How a network is fine-tuned, whatever part of it: one frozen value that every method holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.core.errors import UsageError
from graft.training.held_out import HeldOut
from graft.training.mixing import Mixing
from graft.training.recipe import Recipe
from graft.training.schedules import Schedule

__all__ = ["FineTuning"]


@dataclass(frozen=True)
class FineTuning:
    """Settings of fine-tuning that do not depend on which weights move.

    Parameters
    ----------
    learning_rate : the highest rate; None: the prior of the architecture's family and the method.
    epochs : passes over the training examples.
    fewest_steps, most_steps : bounds of the optimizer steps that the passes come to: a handful of examples needs more
        steps than a few passes give (Zhang et al., Revisiting Few-sample BERT Fine-tuning, 2020).
    batch_size : examples a step.
    micro_batch_size : examples that one forward pass takes; None: all of a batch.
    optimizer, weight_decay, schedule, warmup_fraction, clip_norm, ema_decay, l2_sp : see `Recipe`.
    augmentation : ``"none"``, ``"light"``, ``"medium"`` or ``"strong"``.
    mixup, cutmix : parameter of the Beta distribution that shares are drawn from; 0: off.
    label_smoothing : share of the target spread over all classes.
    class_weights : ``"none"``, ``"balanced"`` (n / (n_classes n_class), which bends probabilities) or
        ``"logit-adjustment"`` (which does not bend rankings, and is undone by the prior).
    batch_norm : ``"frozen"`` keeps statistics bit-identical, ``"recalibrate"`` sets them anew after training from the
        training examples, ``"train"`` lets them move at a momentum of at most 0.1.
    word_embeddings : ``"train"`` or ``"frozen"``: the table of word vectors of a text network; ``"auto"``: frozen where
        there are fewer texts than it has rows. Of language models with low-rank updates: which rows of words learn, all
        that occur, none, or those that the checkpoint never trained.
    evaluations : looks at held-out examples in a run, the last step's included.
    patience : looks without a better log-loss after which a run stops; None: never.
    is_compiled : run the network through ``torch.compile``.
    """

    learning_rate: float | None = None
    epochs: float = 6.0
    fewest_steps: int = 100
    most_steps: int = 100_000
    batch_size: int = 32
    micro_batch_size: int | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.01
    schedule: Schedule = "cosine"
    warmup_fraction: float = 0.1
    clip_norm: float | None = 1.0
    ema_decay: float | None = None
    l2_sp: float = 0.0
    augmentation: Literal["none", "light", "medium", "strong"] = "light"
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced", "logit-adjustment"] = "none"
    batch_norm: Literal["frozen", "recalibrate", "train"] = "frozen"
    word_embeddings: Literal["auto", "train", "frozen"] = "auto"
    evaluations: int = 6
    patience: int | None = 3
    is_compiled: bool = False

    def __post_init__(self) -> None:
        words: dict[str, tuple[str, tuple[str, ...]]] = {
            "augmentation": (self.augmentation, ("none", "light", "medium", "strong")),
            "class_weights": (self.class_weights, ("none", "balanced", "logit-adjustment")),
            "batch_norm": (self.batch_norm, ("frozen", "recalibrate", "train")),
            "word_embeddings": (self.word_embeddings, ("auto", "train", "frozen")),
        }
        for name, (word, known) in words.items():
            if word not in known:
                raise UsageError(
                    f"{name} '{word}'",
                    expected=", ".join(known),
                    fix=f"--{name.replace('_', '-')} {known[0]} (Python: {name}='{known[0]}')",
                )
        numbers = {
            "epochs": self.epochs > 0,
            "fewest_steps": self.fewest_steps >= 1,
            "batch_size": self.batch_size >= 1,
            "mixup": self.mixup >= 0,
            "cutmix": self.cutmix >= 0,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "evaluations": self.evaluations >= 1,
        }
        for name, is_right in numbers.items():
            if not is_right:
                raise UsageError(f"{name} {getattr(self, name)}", expected="a number above 0, or 0 where it turns off")

    def n_steps(self, n_examples: int) -> int:
        """Return the optimizer steps for a number of training examples."""
        return self.bounded(round(self.epochs * n_examples / self.batch_size))

    def bounded(self, n_steps: int) -> int:
        """Return a number of steps within the bounds."""
        return min(max(n_steps, self.fewest_steps), self.most_steps)

    def recipe(self, n_steps: int, *, learning_rate: float, seed: int) -> Recipe:
        """Return the loop's settings."""
        return Recipe(
            n_steps=n_steps,
            optimizer=self.optimizer,
            learning_rate=learning_rate,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            warmup_fraction=self.warmup_fraction,
            clip_norm=self.clip_norm,
            ema_decay=self.ema_decay,
            l2_sp=self.l2_sp,
            micro_batch_size=self.micro_batch_size,
            batch_norm="train" if self.batch_norm == "train" else "frozen",
            is_compiled=self.is_compiled,
            seed=seed,
        )

    def held_out(
        self, evaluate: Callable[[nn.Module], Mapping[str, float]], *, n_steps: int, decided_by: str = "log_loss"
    ) -> HeldOut:
        """Return what is looked at in a run of so many steps, and how often; see `HeldOut`."""
        every = max(1, -(-n_steps // self.evaluations))
        return HeldOut(evaluate, every_steps=every, patience=self.patience, decided_by=decided_by)

    def mixing(self) -> Mixing | None:
        """Return how pictures are mixed; None: not at all."""
        if not (self.mixup or self.cutmix):
            return None
        return Mixing(mixup_alpha=self.mixup, cutmix_alpha=self.cutmix)

    def extras(self, targets: NDArray[np.integer[Any]], n_classes: int) -> dict[str, Tensor]:
        """Return what `class_weights` adds to each batch, from the training targets.

        Raises
        ------
        UsageError
            When weights are asked for and an example may have several labels.
        """
        if targets.ndim == 2:
            if self.class_weights == "none":
                return {}
            raise UsageError(
                f"class_weights '{self.class_weights}' with any number of labels an example",
                expected="none: each label has a threshold of its own, chosen on held-out examples",
                fix="--class-weights none (Python: class_weights='none')",
            )
        counts = np.maximum(np.bincount(targets, minlength=n_classes), 1).astype(np.float64)
        if self.class_weights == "balanced":
            return {"class_weights": torch.tensor(len(targets) / (n_classes * counts), dtype=torch.float32)}
        if self.class_weights == "logit-adjustment":
            return {"logit_offset": torch.tensor(np.log(counts / counts.sum()), dtype=torch.float32)}
        return {}

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)
