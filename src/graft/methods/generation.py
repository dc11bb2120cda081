"""Fine-tuning of a language model, top to bottom: what moves, the batches, the loop, the choice by held-out loss."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.four_bits import FourBits
from graft.backbones.word_rows import rows_to_train
from graft.core.devices import Precision, choose_device
from graft.core.errors import UsageError
from graft.core.text import counted
from graft.methods.lora import LoRA
from graft.methods.prepared import SaveAdapter
from graft.methods.rates import LORA_FACTOR
from graft.methods.settings import FineTuning
from graft.methods.where import Where, train_here, training_precision
from graft.tasks.text_generation import TextGeneration
from graft.training.conversations import ConversationExamples, LengthBatches, PackedBatches
from graft.training.held_out import HeldOut
from graft.training.loop import Training
from graft.training.optimizers import ParameterGroup

__all__ = ["GenerationTuned", "Judged", "fine_tune_generation", "generation_rate", "judge_answers"]

_RATE, _WIDTH = 2e-5, 2048  # all layers of a network of that width: the usual rate of models of a billion weights
_MOST_TOKENS = 8192  # of a forward pass
_SHOWN_WORDS = 8
_WORTH_PACKING = 0.1  # share of places that would only fill up


@dataclass(frozen=True)
class Judged:
    """What a language model's answers would have cost it.

    Parameters
    ----------
    sums : (n,), loss of each conversation's answers, in nats.
    n_tokens : (n,), tokens that carry loss.
    """

    sums: NDArray[np.float64]
    n_tokens: NDArray[np.int64]

    @property
    def log_loss(self) -> float:
        """Loss by token: all losses by all tokens."""
        return float(self.sums.sum() / max(1, int(self.n_tokens.sum())))


@dataclass(frozen=True)
class GenerationTuned:
    """A fine-tuned language model.

    Parameters
    ----------
    network : on the CPU, float32, in eval mode, of the original architecture.
    training : the loop's account.
    learning_rate : the highest.
    n_trainable : parameters that could move.
    is_packed : whether conversations shared rows.
    padding : share of places that only filled up.
    steps_a_pass : steps in which every conversation is seen once.
    save_adapter : writes the update alone; None: all weights moved.
    """

    network: nn.Module
    training: Training
    learning_rate: float
    n_trainable: int
    is_packed: bool
    padding: float
    steps_a_pass: int
    save_adapter: SaveAdapter | None = None


def generation_rate(network: Any) -> float:
    """Return the learning rate of all layers where none was given: the wider the network, the smaller.

    References
    ----------
    Yang et al., Tensor Programs V, 2022, table 3: under Adam the best rate falls with the width.
    """
    config = network.config
    width = getattr(config, "hidden_size", None) or getattr(config, "n_embd", None) or _WIDTH
    return _RATE * min(40.0, max(0.25, _WIDTH / int(width)))


def judge_answers(
    task: TextGeneration,
    network: nn.Module,
    examples: ConversationExamples,
    rows: NDArray[np.integer[Any]],
    *,
    precision: Precision,
) -> Judged:
    """Return the losses of some conversations' answers, in the order of `rows`."""
    device = next(network.parameters()).device
    sums, counts = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    was_training = network.training
    network.eval()
    for places, batch in examples.plain(rows, most_tokens=_MOST_TOKENS):
        with precision.autocast(device):
            totals, n = task.losses(network, {key: tensor.to(device) for key, tensor in batch.items()})
        sums[places], counts[places] = totals.cpu().numpy(), n.cpu().numpy()
    network.train(was_training)
    return Judged(sums, counts)


def fine_tune_generation(
    task: TextGeneration,
    examples: ConversationExamples,
    rows: NDArray[np.integer[Any]],
    *,
    held_out_rows: NDArray[np.integer[Any]] | None,
    strategy: str = "lora",
    adapter: str = "lora",
    four_bits: FourBits | None = None,
    settings: FineTuning | None = None,
    lora_rank: int = 16,
    packing: str = "auto",
    is_checkpointed: bool = False,
    max_seconds: float | None = None,
    seed: int = 0,
    where: Where | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> GenerationTuned:
    """Return a fine-tuned copy of the task's network.

    Parameters
    ----------
    rows, held_out_rows : of `examples`: trained on; looked at between steps (None: nothing is).
    strategy : ``"lora"`` or ``"full"``.
    adapter : of ``"lora"``: ``"lora"``, ``"dora"`` or ``"qlora"``.
    four_bits : of ``"qlora"``: gives the network in 4 bits. Returned is the task's own network with the updates merged.
    packing : ``"on"``, ``"off"``, or ``"auto"``: where batches of like length would have a tenth or more of padding.
    is_checkpointed : compute activations anew in the backward pass.
    max_seconds : of the loop.

    Raises
    ------
    UsageError
        When the strategy is none of these.
    """
    where, settings = where or Where(), settings or FineTuning()
    if strategy not in ("lora", "full"):
        raise UsageError(
            f"--strategy {strategy} for a language model",
            expected="auto, lora or full",
            fix="--strategy lora (Python: strategy='lora')",
        )
    if (adapter == "qlora") != (four_bits is not None) or (adapter == "qlora" and strategy != "lora"):
        raise UsageError(
            f"--strategy {strategy} with --adapter {adapter}",
            expected="qlora with low-rank updates, and what gives the network in 4 bits",
            fix="--strategy lora (Python: strategy='lora', four_bits=four_bit_loader(model))",
        )
    device = choose_device(where.device)
    precision = training_precision(task.model.network, device, wanted=where.precision)
    network: Any = four_bits(device, precision) if four_bits else copy.deepcopy(task.model.network).to(device)
    finish: Callable[[nn.Module], nn.Module] = lambda trained: trained  # noqa: E731
    save_adapter = None
    runnable: nn.Module = network
    rate = settings.learning_rate or generation_rate(network) * (LORA_FACTOR if strategy == "lora" else 1.0)
    if strategy == "lora":
        head = _name_of_head(network)
        words = rows_to_train(
            network,
            inputs=examples.words(rows),
            targets=examples.words(rows, are_targets=True),
            which=settings.word_embeddings,
        )
        if words:
            say(_told_rows(words, task, settings.word_embeddings))
        method = LoRA(rank=lora_rank, alpha=2.0 * lora_rank, settings=settings, is_dora=adapter == "dora",
                      trains_head=False, rows=words)  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            family = str(network.config.model_type)
            if four_bits:
                prepared = method.prepare_quantised(network, task.model.network, head=head, family=family)
            else:
                prepared = method.prepare(network, head=head, family=family)
        runnable, groups, finish = prepared.network, prepared.groups, prepared.finish
        save_adapter = prepared.save_adapter
    else:
        network.requires_grad_(True)
        if settings.word_embeddings == "frozen":
            network.get_input_embeddings().requires_grad_(False)
        groups = (ParameterGroup(tuple(name for name, p in network.named_parameters() if p.requires_grad)),)
    if is_checkpointed:
        _recompute(network, is_wanted=True)
    n_trainable = sum(p.numel() for p in runnable.parameters() if p.requires_grad)

    batches = _batches(examples, rows, packing, task, settings.batch_size, seed, n_processes=where.processes.n)
    n_steps = settings.bounded(round(settings.epochs * batches.steps_a_pass))
    longest = int(examples.lengths(rows).max())
    micro = settings.micro_batch_size or max(1, _MOST_TOKENS // longest)
    recipe = replace(settings, micro_batch_size=micro).recipe(n_steps, learning_rate=rate, seed=seed)
    is_packed, padding = isinstance(batches, PackedBatches), batches.padding()
    rows_are = (
        f"{batches.batch_size} rows of packed conversations" if is_packed else f"{batches.batch_size} conversations"
    )
    say(
        f"{strategy if strategy == 'full' else adapter}: {n_trainable:,} weights learn; {n_steps:,} steps of"
        f" {rows_are}, {padding:.1%} of places only fill up; learning rate {rate:.2g}"
    )

    def loss(present: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        return task.loss(_inner(present), batch)

    held_out = None
    if held_out_rows is not None and len(held_out_rows):

        def evaluate(present: nn.Module) -> dict[str, float]:
            judged = judge_answers(task, _inner(present), examples, held_out_rows, precision=precision)
            return {"log_loss": judged.log_loss, "perplexity": float(np.exp(min(judged.log_loss, 50.0)))}

        every = max(1, -(-n_steps // settings.evaluations))
        held_out = HeldOut(evaluate, every_steps=every, patience=settings.patience)
    training = train_here(
        runnable,
        batches,
        loss=loss,
        recipe=recipe,
        groups=groups,
        held_out=held_out,
        identity={"method": strategy, "adapter": adapter, "recipe": recipe.as_dict(), "n_rows": len(rows),
                  "is_packed": is_packed},
        max_seconds=max_seconds,
        precision=precision,
        where=where,
    )  # fmt: skip
    if is_checkpointed:
        _recompute(network, is_wanted=False)
    trained = finish(runnable).to(device="cpu").eval().requires_grad_(False)
    return GenerationTuned(trained, training, rate, n_trainable, is_packed, padding, batches.steps_a_pass, save_adapter)


def _told_rows(rows: Mapping[str, tuple[int, ...]], task: TextGeneration, which: str) -> str:
    """Return the sentence on words whose rows of the tables learn beside the updates."""
    words = sorted({row for own in rows.values() for row in own})
    shown = ", ".join(map(repr, task.model.tokenizer.convert_ids_to_tokens(words[:_SHOWN_WORDS])))
    more = " and others" if len(words) > _SHOWN_WORDS else ""
    if which == "train":
        return f"the rows of all {counted(len(words), 'word')} that occur learn too ({shown}{more})"
    return (
        f"the checkpoint never trained {counted(len(words), 'word')} that occur here ({shown}{more}): their rows of the"
        " word tables learn too, as low-rank updates cannot tell them apart (--word-embeddings frozen leaves them)"
    )


def _batches(
    examples: ConversationExamples,
    rows: NDArray[np.integer[Any]],
    packing: str,
    task: TextGeneration,
    batch_size: int,
    seed: int,
    *,
    n_processes: int = 1,
) -> LengthBatches | PackedBatches:
    by_length = LengthBatches(examples, rows, batch_size=batch_size, seed=seed)
    if packing == "off" or (packing == "auto" and by_length.padding() < _WORTH_PACKING):
        return by_length
    lengths = examples.lengths(rows)
    capacity = max(int(lengths.max()), min(task.model.encoder.max_tokens, round(4 * float(lengths.mean()))))
    packed = PackedBatches(examples, rows, capacity=capacity, batch_size=batch_size, seed=seed)
    return by_length if packing == "auto" and packed.batch_size < n_processes else packed


def _recompute(network: Any, *, is_wanted: bool) -> None:
    """Let activations be computed anew in the backward pass, or no longer."""
    with warnings.catch_warnings():  # transformers 5.23 has a new name for it, which 5.0 does not know
        warnings.simplefilter("ignore", FutureWarning)
        if is_wanted:
            network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        else:
            network.gradient_checkpointing_disable()


def _inner(network: Any) -> Any:
    """Return the language model itself, whose layers hold the updates where there are any."""
    return network.get_base_model() if hasattr(network, "get_base_model") else network


def _name_of_head(network: Any) -> str:
    layer = network.get_output_embeddings()
    return next((name for name, module in network.named_modules() if module is layer), "lm_head")
