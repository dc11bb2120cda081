"""Fine-tuning of a recogniser, top to bottom: what moves, the head first, the loop, weights chosen by word errors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graft.backbones.ctc import base_of
from graft.core.devices import Precision, choose_device
from graft.core.errors import UsageError
from graft.evaluation.speech import error_rate
from graft.evaluation.word_errors import character_errors
from graft.methods.head_warm_up import warm_up_head
from graft.methods.lora import LoRA
from graft.methods.rates import LORA_FACTOR, width_factor
from graft.methods.settings import FineTuning
from graft.methods.where import Where, train_here, training_precision
from graft.tasks.speech_recognition import SpeechRecognition
from graft.training.loop import Training
from graft.training.optimizers import ParameterGroup
from graft.training.utterances import SpeechDistortion, UtteranceBatches, UtteranceExamples

__all__ = ["EPOCHS", "Heard", "SpeechTuned", "fine_tune_speech", "hear", "speech_rate"]

_CTC_RATE, _WHISPER_RATE = 1e-4, 1e-5  # of base-size networks: the usual ones of wav2vec 2.0 and Whisper
_HEAD_FACTOR = 5.0
EPOCHS: Final = {"ctc": 30.0, "seq2seq": 6.0}
"""Passes over the utterances by default, by family."""
_WARM_UP_STEPS = 300


@dataclass(frozen=True)
class Heard:
    """What a recogniser makes of some utterances.

    Parameters
    ----------
    texts : as it writes them.
    losses : (n,), of the transcripts, in nats.
    tokens : (n,), to be said of each.
    """

    texts: list[str]
    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def log_loss(self) -> float:
        """Loss by token."""
        is_finite = np.isfinite(self.losses)  # a transcript that CTC cannot spell in its time has none
        return float(self.losses[is_finite].sum() / max(1, int(self.tokens[is_finite].sum())))


@dataclass(frozen=True)
class SpeechTuned:
    """A fine-tuned recogniser.

    Parameters
    ----------
    network : on the CPU, float32, in eval mode.
    training : the loop's account; None: only the head was trained.
    learning_rate : the highest.
    n_trainable : parameters that could move.
    warm_up_loss : of the head's last batch on the frozen encoder, by token; None: it kept the checkpoint's head.
    """

    network: nn.Module
    training: Training | None
    learning_rate: float
    n_trainable: int
    warm_up_loss: float | None = None


def speech_rate(network: nn.Module, family: str) -> float:
    """Return the learning rate where none was given."""
    return _WHISPER_RATE if family == "seq2seq" else _CTC_RATE * width_factor(network)


def hear(
    task: SpeechRecognition,
    network: nn.Module,
    examples: UtteranceExamples,
    rows: NDArray[np.integer[Any]],
    *,
    most: int,
    precision: Precision,
) -> Heard:
    """Return texts and losses of some utterances, in the order of `rows`."""
    device = next(network.parameters()).device
    place = {int(row): number for number, row in enumerate(rows)}
    texts, losses = [""] * len(rows), np.zeros(len(rows))
    was_training = network.training
    network.eval()
    for own, batch in examples.plain(rows, most=most):
        with precision.autocast(device):
            tokens, each = task.judged(network, {k: t.to(device) for k, t in batch.items()})
        for row, found, loss in zip(own.tolist(), tokens.cpu().numpy(), each.tolist(), strict=True):
            texts[place[row]], losses[place[row]] = task.written(found), loss
    network.train(was_training)
    return Heard(texts, losses, np.array([len(examples.targets[int(row)]) for row in rows], np.int64))


def fine_tune_speech(
    task: SpeechRecognition,
    examples: UtteranceExamples,
    rows: NDArray[np.integer[Any]],
    *,
    held_out_rows: NDArray[np.integer[Any]] | None,
    held_out_texts: Sequence[str] = (),
    strategy: str = "full",
    settings: FineTuning | None = None,
    lora_rank: int = 16,
    most: int,
    is_whole: bool = False,
    max_seconds: float | None = None,
    seed: int = 0,
    where: Where | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> SpeechTuned:
    """Return a fine-tuned copy of the task's network.

    Parameters
    ----------
    rows, held_out_rows : of `examples`: trained on; looked at between steps (None: nothing is).
    held_out_texts : what is said in the latter, in the form in which words are compared.
    strategy : ``"full"``; ``"head"`` (CTC's head on the frozen encoder) or ``"lora"``.
    settings : of the loop; None: the defaults.
    most : samples of a batch, filled up.
    is_whole : whether the convolutions move too: of a network that learns from random weights.
    max_seconds : of the loop.

    Raises
    ------
    UsageError
        When the strategy is none of these, or is not one of this family.
    """
    where, family = where or Where(), task.model.family
    settings = settings or FineTuning(epochs=EPOCHS[family])
    if strategy not in ("full", "head", "lora") or (strategy == "head" and family == "seq2seq"):
        raise UsageError(
            f"--strategy {strategy} for speech recognition with a {'CTC' if family == 'ctc' else 'Whisper'} network",
            expected="auto, full or lora" + (", or head" if family == "ctc" else ""),
            fix="--strategy auto (Python: strategy='auto')",
        )
    network: Any = copy.deepcopy(task.model.network)
    device = choose_device(where.device)
    precision = training_precision(network, device, wanted=where.precision)
    network.to(device)
    warm_up_loss = None
    if family == "ctc" and not is_whole and (task.model.is_new_head or strategy == "head"):
        warm_up_loss = warm_up_head(
            task, network, examples, rows, n_steps=_WARM_UP_STEPS, most=most, seed=seed, precision=precision
        )
        say(f"the new head, on the frozen encoder: loss {warm_up_loss:.3f} a letter after {_WARM_UP_STEPS} steps")
    if strategy == "head":
        n_head = sum(p.numel() for p in network.lm_head.parameters())
        return SpeechTuned(network.cpu().eval(), None, 0.0, n_head, warm_up_loss)

    finish: Callable[[nn.Module], nn.Module] = lambda trained: trained  # noqa: E731
    rate = settings.learning_rate or speech_rate(network, family) * (LORA_FACTOR if strategy == "lora" else 1.0)
    if strategy == "lora":
        head = "lm_head" if family == "ctc" else "proj_out"
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            prepared = LoRA(rank=lora_rank, settings=settings).prepare(network, head=head, family=family)
        runnable, groups, finish = prepared.network, prepared.groups, prepared.finish
    else:
        runnable, groups = network, _all_layers(network, family, is_whole=is_whole, is_new=warm_up_loss is not None)
    n_trainable = sum(p.numel() for p in runnable.parameters() if p.requires_grad)

    how = SpeechDistortion.for_strength(settings.augmentation)
    learner = SpeechRecognition(task.model, mask_share=how.mask_share)
    batches = UtteranceBatches(examples, rows, most=most, how=how, seed=seed)
    n_steps = settings.bounded(round(settings.epochs * batches.order.n_batches))
    recipe = settings.recipe(n_steps, learning_rate=rate, seed=seed)
    say(
        f"{n_steps:,} steps of {batches.batch_size} utterances in the mean, {batches.order.padding():.1%} of them"
        f" padding; learning rate {rate:.2g}"
    )
    held_out = None
    if held_out_rows is not None and len(held_out_rows):

        def evaluate(present: nn.Module) -> dict[str, float]:
            heard = hear(task, present, examples, held_out_rows, most=most, precision=precision)
            texts = [_compared(text) for text in heard.texts]
            return {
                "log_loss": heard.log_loss,
                "wer": error_rate(held_out_texts, texts),
                "cer": error_rate(held_out_texts, texts, of=character_errors),
            }

        held_out = settings.held_out(evaluate, n_steps=n_steps, decided_by="wer")
    training = train_here(
        runnable,
        batches,
        loss=learner.loss,
        recipe=recipe,
        groups=groups,
        held_out=held_out,
        identity={"method": strategy, "recipe": recipe.as_dict(), "n_rows": len(rows), "most": most},
        max_seconds=max_seconds,
        precision=precision,
        where=where,
    )
    trained = finish(runnable).to(device="cpu").eval().requires_grad_(False)
    return SpeechTuned(trained, training, rate, n_trainable, warm_up_loss)


def _all_layers(network: Any, family: str, *, is_whole: bool, is_new: bool) -> tuple[ParameterGroup, ...]:
    """Make all layers trainable but CTC's convolutions and Whisper's fixed table of positions."""
    network.requires_grad_(True)
    if family == "ctc" and not is_whole:
        base_of(network).feature_extractor.requires_grad_(False)
    if family == "seq2seq":
        network.model.encoder.embed_positions.requires_grad_(False)
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    head = tuple(name for name in names if name.startswith("lm_head."))
    rest = ParameterGroup(tuple(name for name in names if not name.startswith("lm_head.")))
    factor = 1.0 if is_whole else _HEAD_FACTOR
    return (rest, replace(ParameterGroup(head), rate_factor=factor, is_new=is_new)) if head else (rest,)


def _compared(text: str) -> str:
    from graft.data.transcript_form import COMPARED

    return COMPARED(text)
