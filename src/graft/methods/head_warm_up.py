"""A new CTC head before anything else moves: trained on the frozen encoder's states of each frame, computed once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.core.devices import Precision
from graft.core.seeds import derive_seed
from graft.tasks.speech_recognition import SpeechRecognition
from graft.training.duration_order import DurationOrder
from graft.training.loop import train
from graft.training.recipe import Recipe
from graft.training.utterances import UtteranceExamples

__all__ = ["FrameStates", "cache_frame_states", "warm_up_head"]

_RATE = 3e-3
_BATCH_FRAMES = 4000


@dataclass(frozen=True)
class FrameStates:
    """What the encoder makes of each frame, of all utterances one after the other.

    Parameters
    ----------
    states : (n_frames of all, width) float16, a map of a file.
    ends : (n_utterances,), where each ends.
    """

    states: NDArray[np.float16]
    ends: NDArray[np.int64]

    def __getitem__(self, index: int) -> NDArray[np.float16]:
        first = int(self.ends[index - 1]) if index else 0
        return self.states[first : int(self.ends[index])]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n_utterances,), frames of each."""
        return np.diff(self.ends, prepend=0)


@torch.inference_mode()
def cache_frame_states(
    task: SpeechRecognition,
    network: nn.Module,
    examples: UtteranceExamples,
    rows: NDArray[np.integer[Any]],
    *,
    most: int,
    folder: Path,
    precision: Precision,
) -> FrameStates:
    """Return the states of some utterances, in the order of `rows`; they lie in a file of `folder`."""
    device = next(network.parameters()).device
    place = {int(row): number for number, row in enumerate(rows)}
    lengths, parts = np.zeros(len(rows), np.int64), []
    with open(folder / "states.f16", "wb") as file, precision.autocast(device):
        for own, batch in examples.plain(rows, most=most):
            states, frames = task.states(network, {k: t.to(device) for k, t in batch.items()})
            for row, state, n in zip(own.tolist(), states, frames.tolist(), strict=True):
                file.write(state[:n].half().cpu().numpy().tobytes())
                lengths[place[row]] = n
                parts.append(place[row])
    width = int(states.shape[-1])
    written = np.memmap(folder / "states.f16", np.float16, mode="r", shape=(int(lengths.sum()), width))
    starts = np.zeros(len(rows), np.int64)
    starts[parts] = np.cumsum(lengths[parts]) - lengths[parts]
    ordered = np.lib.format.open_memmap(folder / "states.npy", mode="w+", dtype=np.float16, shape=written.shape)
    ends = np.cumsum(lengths)
    for number in range(len(rows)):
        ordered[ends[number] - lengths[number] : ends[number]] = written[
            starts[number] : starts[number] + lengths[number]
        ]
    (folder / "states.f16").unlink()
    return FrameStates(ordered, ends)


class _FrameBatches:
    """Batches of cached states with the tokens to be spelled."""

    def __init__(self, states: FrameStates, targets: list[list[int]], *, seed: int) -> None:
        self._states, self._targets = states, targets
        self._order = DurationOrder(states.lengths, most=_BATCH_FRAMES, seed=seed)
        self.batch_size = max(1, round(len(targets) / self._order.n_batches))

    def batch(self, step: int, part: slice = slice(None)) -> Mapping[str, Tensor]:
        rows = self._order.rows(step).tolist()
        states = [torch.from_numpy(np.array(self._states[row])).float() for row in rows]
        labels = [torch.tensor(self._targets[row], dtype=torch.int64) for row in rows]
        return {
            "states": nn.utils.rnn.pad_sequence(states, batch_first=True),
            "frames": torch.tensor([len(state) for state in states]),
            "labels": nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100),
        }


def warm_up_head(
    task: SpeechRecognition,
    network: Any,
    examples: UtteranceExamples,
    rows: NDArray[np.integer[Any]],
    *,
    n_steps: int,
    most: int,
    seed: int,
    precision: Precision,
) -> float:
    """Train ``network.lm_head`` in place on the frozen encoder; return the loss of the last batch, by token.

    Parameters
    ----------
    examples, rows : what it is trained on.
    most : samples of a batch in the one pass through the encoder.

    Notes
    -----
    With the head random, the first gradients would tear at an encoder that is good as it is (LP-FT's argument: Kumar et
    al., 2022, https://arxiv.org/abs/2202.10054). A step on cached states costs a thousandth of one through the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        network.eval()
        states = cache_frame_states(task, network, examples, rows, most=most, folder=Path(folder), precision=precision)
        targets = [list(examples.targets[int(row)]) for row in rows]
        batches = _FrameBatches(states, targets, seed=derive_seed(seed, "warm-up"))
        head: nn.Module = network.lm_head
        device = next(head.parameters()).device
        for parameter in head.parameters():
            parameter.requires_grad_(True)

        def loss(layer: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            losses = task.ctc_losses(layer(batch["states"]), batch["frames"], batch["labels"])
            return losses.sum(), (batch["labels"] != -100).sum()

        recipe = Recipe(n_steps, learning_rate=_RATE, weight_decay=0.0, seed=derive_seed(seed, "warm-up", "steps"))
        found = train(head, batches, loss=loss, recipe=recipe, precision="fp32", device=_named(device))
        head.to(device)
        for parameter in head.parameters():
            parameter.requires_grad_(False)
    return found.loss


def _named(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else "auto"
