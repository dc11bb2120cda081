"""Networks that come of others: with another head, with other weights, and the one that is kept."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graft.backbones.heads import Head
from graft.core.devices import choose_device
from graft.evaluation.multi_label_calibration import tempered
from graft.methods.weights import Weights, interpolate
from graft.methods.where import Where, training_precision
from graft.tasks.base import Task
from graft.training.examples import TrainingExamples, predict_logits

__all__ = ["logits_with", "mixed_network", "why_no_adapter", "with_head"]


def with_head(network: nn.Module, head: str, start: tuple[NDArray[np.float32], NDArray[np.float32]]) -> nn.Module:
    """Return a copy of a network on the CPU, with weights (n_classes, n_features) and bias (n_classes,) in its head."""
    own = copy.deepcopy(network).to("cpu")
    Head(own, head).set(torch.from_numpy(start[0]), torch.from_numpy(start[1]))
    return own


def logits_with(
    network: nn.Module,
    weights: Weights,
    rows: NDArray[np.int64],
    *,
    task: Task,
    examples: TrainingExamples,
    where: Where,
) -> NDArray[np.float32]:
    """Return the logits (n_rows, n_classes) of a copy of a network that has other weights; examples are undistorted."""
    device = choose_device(where.device)
    own = copy.deepcopy(network).to("cpu")
    own.load_state_dict(weights)
    own.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    precision = training_precision(own, device, wanted=where.precision)
    return predict_logits(own, examples, rows, predict=task.predict, precision=precision, processes=where.processes)


@torch.no_grad()
def mixed_network(
    probe: nn.Module,
    tuned: Weights,
    *,
    head: str,
    share: float,
    temperature: float,
    centre: NDArray[np.float64] | None = None,
) -> nn.Module:
    """Return the network on the way from the probe to fine-tuned weights, its head divided by the temperature.

    Parameters
    ----------
    head : dotted name of the last linear layer.
    share : of the way.
    centre : (n_classes,), what a temperature moves the logits towards, see `HeadFit`; None: zero.
    """
    own = copy.deepcopy(probe)
    own.load_state_dict(interpolate(probe.state_dict(), tuned, share))
    layer: Any = own.get_submodule(head)
    layer.weight.div_(temperature)
    if centre is None:
        layer.bias.div_(temperature)
    else:
        layer.bias.copy_(torch.from_numpy(tempered(layer.bias.detach().numpy(), temperature, centre=centre)))
    return own.eval()


def why_no_adapter(network: nn.Module, kept: nn.Module, *, n_runs: int) -> str:
    """Return why an update to the weights of the pretrained network does not make it the one that is kept; or nothing.

    Parameters
    ----------
    n_runs : whose weights were averaged.
    """
    if n_runs > 1:
        return f"its weights are an average over {n_runs} runs, of which each has an adapter of its own"
    buffers = dict(network.named_buffers())
    if not all(torch.equal(tensor, buffers[name]) for name, tensor in kept.named_buffers()):
        return "statistics of BatchNorm moved, which an adapter does not hold"
    return ""
