"""A network cut in two where its frozen part ends, so that the frozen part runs once and only the rest is trained.

Both parts are copies of the structure alone: the modules are new, the parameters and buffers are the network's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn

from graft.backbones.depth import Block, block_numbers
from graft.core.errors import ModelError, UsageError
from graft.core.memory import is_out_of_memory

__all__ = ["Boundary", "split_network"]

PARITY_RELATIVE: Final = 1e-5


@dataclass(frozen=True)
class Boundary:
    """The two parts of a network.

    Parameters
    ----------
    frozen : called with pixel_values (n, n_channels, height, width), gives what enters the first trainable block,
        (n, *activation_shape). Always in eval mode, without gradients; the later blocks are not run.
    tail : called as ``tail(pixel_values=activation)``, answers as the network does, with ``.logits``. It holds the
        parameters of the trainable blocks alone, under the names that they have in the network.
    activation_shape : of one example.
    """

    frozen: nn.Module
    tail: nn.Module
    activation_shape: tuple[int, ...]


def split_network(network: nn.Module, blocks: Sequence[Block], *, first_trainable: int, sample: Tensor) -> Boundary:
    """Return `network` cut before ``blocks[first_trainable]``; the network itself is not changed.

    Parameters
    ----------
    network : a transformers image classification network in float32, with the head that is to be trained.
    blocks : of `graft.backbones.depth.layer_blocks`.
    first_trainable : 1 (all but the stem is trained) to ``len(blocks) - 1`` (the head alone).
    sample : (n, n_channels, height, width), float32, normalised: a small batch for the check. All later pictures must
        have the same height and width.

    Raises
    ------
    UsageError
        When `first_trainable` is out of range.
    ModelError
        When the parts together don't give the network's logits, to 1e-5 of the largest.

    Notes
    -----
    Both parts come in eval mode, and ``tail.train()`` leaves the modes of `network` as they are. A dropout between the
    last block and the head is not run where the head alone is trained.
    """
    if not 1 <= first_trainable < len(blocks):
        raise UsageError(f"block {first_trainable} as the first trainable", expected=f"1 to {len(blocks) - 1}")
    numbers = block_numbers(network, blocks)
    later = {name for block in blocks[first_trainable:] for name in block.modules}
    frozen = _Frozen(_copy(network, partial(_stop_at, later)))
    with torch.no_grad():
        whole = _copy(network, _as_it_is).eval()(pixel_values=sample)
    try:
        activation, chain = _watch(frozen, sample)
        if first_trainable == len(blocks) - 1:
            tail = _head_alone(network, blocks[-1].modules[-1], answer=type(whole))
        else:
            tail = _tail(network, chain, picture=sample)
        with torch.no_grad():
            logits = tail(pixel_values=activation).logits
        error = float((logits - whole.logits).abs().max() / whole.logits.abs().max().clamp_min(1e-30))
    except Exception as cause:
        if isinstance(cause, ModelError) or is_out_of_memory(cause):
            raise
        raise _no_cut(network, blocks[first_trainable], f"{type(cause).__name__}: {cause}") from cause
    if not error <= PARITY_RELATIVE or len(activation) != len(sample):
        raise _no_cut(network, blocks[first_trainable], f"its parts' logits differ from its own by {error:.1e}")
    expected = {name for name, number in numbers.items() if number >= first_trainable}
    if wrong := expected ^ {name for name, _ in tail.named_parameters()}:
        raise _no_cut(network, blocks[first_trainable], f"{min(wrong)} is needed on the other side")
    return Boundary(frozen, tail, tuple(activation.shape[1:]))


class _Reached(Exception):  # noqa: N818 (nothing went wrong)
    def __init__(self, activation: Tensor) -> None:
        super().__init__()
        self.activation = activation


class _Slot:
    """Where the tail leaves the activation for the stand-ins of the frozen modules."""

    activation: Tensor | None = None


class _Instead(nn.Module):
    """Stands for a module: has its attributes, but none of its parameters, and does something else when called."""

    def __init__(self, original: nn.Module, act: Callable[..., Any]) -> None:
        super().__init__()
        self._original = (original,)  # in a tuple: no child
        self._act = act

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "_original" not in self.__dict__:
                raise
            return getattr(self.__dict__["_original"][0], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._act(*args, **kwargs)


class _Frozen(nn.Module):
    """The network up to its first `_Instead` that stops."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def train(self, mode: bool = True) -> _Frozen:
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, pixel_values: Tensor) -> Tensor:
        try:
            self.network(pixel_values=pixel_values)
        except _Reached as reached:
            return reached.activation
        raise RuntimeError("the first trainable block was not reached")


Replace = Callable[[str, nn.Module], nn.Module | None]


def _copy(module: nn.Module, replace: Replace, name: str = "") -> nn.Module:
    """Return a copy of the structure that shares parameters and buffers, with some modules replaced."""
    if (other := replace(name, module)) is not None:
        return other
    copied = object.__new__(type(module))
    copied.__dict__.update(module.__dict__)
    copied.__dict__.update({key: hooks.copy() for key, hooks in vars(module).items() if "_hooks" in key and hooks})
    copied.__dict__["_modules"] = {
        key: None if child is None else _copy(child, replace, f"{name}.{key}" if name else key)
        for key, child in module._modules.items()
    }
    return copied


def _as_it_is(name: str, module: nn.Module) -> None:
    return None


def _stop_at(names: Collection[str], name: str, module: nn.Module) -> nn.Module | None:
    is_later = any(f"{name}.".startswith(f"{later}.") for later in names)
    return _Instead(module, _stop) if is_later and not isinstance(module, nn.ModuleList) else None


def _stop(*args: Any, **kwargs: Any) -> None:
    raise _Reached(_first(args, kwargs))


def _first(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else next(iter(kwargs.values()), None)


def _watch(frozen: _Frozen, sample: Tensor) -> tuple[Tensor, dict[str, tuple[Any, ...] | None]]:
    """Return the activation, and the modules that were done before it, each with how it answers.

    Only those count that map an activation to a tensor, or to a tuple that begins with one; of a tuple the rest is
    kept, without its tensors (Swin's embeddings answer with the size of the grid too).
    """
    chain: dict[str, tuple[Any, ...] | None] = {}
    handles = []
    for name, module in frozen.network.named_modules():

        def remember(_: nn.Module, args: Any, kwargs: Any, output: Any, *, name: str = name) -> None:
            given = _first(args, kwargs)
            if not isinstance(given, Tensor) or not given.is_floating_point():
                return
            if isinstance(output, Tensor):
                chain[name] = None
            elif isinstance(output, tuple) and output and isinstance(output[0], Tensor):
                chain[name] = tuple(None if isinstance(entry, Tensor) else entry for entry in output[1:])

        handles.append(module.register_forward_hook(remember, with_kwargs=True))
    try:
        return frozen(sample), chain
    finally:
        for handle in handles:
            handle.remove()


def _give(slot: _Slot, rest: tuple[Any, ...] | None, *_: Any, **__: Any) -> Any:
    return slot.activation if rest is None else (slot.activation, *rest)


def _tail(network: nn.Module, chain: dict[str, tuple[Any, ...] | None], *, picture: Tensor) -> nn.Module:
    """Return a copy in which each frozen module answers with the activation, in the form in which it answered."""
    slot, shape, dtype = _Slot(), picture.shape[1:], picture.dtype

    def replace(name: str, module: nn.Module) -> nn.Module | None:
        return _Instead(module, partial(_give, slot, chain[name])) if name in chain else None

    def forward(self: nn.Module, pixel_values: Tensor) -> Any:
        slot = self.__dict__["_slot"]  # not that of the closure: the tail may have been deep-copied
        slot.activation = pixel_values
        # Some networks read height and width off the pixels, so they are given pixels, of no memory.
        blank = torch.zeros(1, dtype=dtype, device=pixel_values.device).expand(len(pixel_values), *shape)
        try:
            return type(self).forward(self, pixel_values=blank)
        finally:
            slot.activation = None

    tail = _copy(network, replace).eval()
    tail.__dict__.update(_slot=slot, forward=MethodType(forward, tail))
    return tail


def _head_alone(network: nn.Module, head: str, *, answer: Callable[..., Any]) -> nn.Module:
    """Return a copy that holds the head alone and answers with its output."""

    def replace(name: str, module: nn.Module) -> nn.Module | None:
        return None if f"{head}.".startswith(f"{name}." if name else "") else _Instead(module, _stop)

    def forward(self: nn.Module, pixel_values: Tensor) -> Any:
        return answer(logits=self.get_submodule(head)(pixel_values))

    tail = _copy(network, replace).eval()
    tail.__dict__["forward"] = MethodType(forward, tail)
    return tail


def _no_cut(network: nn.Module, block: Block, reason: str) -> ModelError:
    return ModelError(
        f"{type(network).__name__} can't be cut before its {block.name}: {reason}",
        expected="a network whose blocks are computed one after the other",
        fix="train it whole, without stored activations, or its head alone: --strategy head (Python: strategy='head')",
    )
