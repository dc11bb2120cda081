"""Low-rank updates of every linear layer and every convolution that is not grouped; the one file that knows peft.

Hu et al., LoRA, 2022: https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from graft.backbones.text_pooling import fixed_modules
from graft.core.errors import ModelError
from graft.methods.prepared import Prepared
from graft.methods.rates import LORA_FACTOR, prior_rate
from graft.methods.settings import FineTuning
from graft.training.optimizers import ParameterGroup

__all__ = ["LoRA", "adapted"]

_ROWS = "trainable_tokens_delta"  # peft's name of rows that learn


@dataclass(frozen=True)
class LoRA:
    """Fine-tune low-rank updates and the head, from the probe's head.

    Parameters
    ----------
    rank : of each update.
    alpha : the update is scaled by ``alpha / rank``.
    dropout : share of an adapted layer's inputs that is dropped on the update's side.
    settings : of fine-tuning; its learning rate is that of the updates, by default 10 times the family's prior.
    is_dora : learn the length of each row apart from its direction (Liu et al., DoRA, 2024, equation 5).
    trains_head : whether the last layer learns as a whole; a language model's stays as it is.
    rows : of word tables, by the table's dotted name: rows that learn as they are, beside the updates.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    settings: FineTuning = field(default_factory=FineTuning)
    is_dora: bool = False
    trains_head: bool = True
    rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    name: str = field(default="lora", init=False)
    start: Literal["probe", "fresh"] = field(default="probe", init=False)

    def prepare(self, network: nn.Module, *, head: str, family: str) -> Prepared:
        """Wrap the network in adapters; its own weights are frozen, but for the head."""
        from peft import LoraConfig, get_peft_model

        fixed = tuple(f"{name}." for name in fixed_modules(network))
        targets = [
            name
            for name, module in network.named_modules()
            if name != head and _is_adaptable(module) and not f"{name}.".startswith(fixed)
        ]
        if not targets:
            raise ModelError(
                f"no layer of this {family} can take a low-rank update",
                expected="linear layers or convolutions that are not grouped",
                fix="--strategy lp-ft (Python: strategy='lp-ft')",
            )
        # A head that is the word table itself (Whisper's) stays: trained apart from it, it could not be saved.
        is_tied = head == "proj_out" and bool(getattr(network.config, "tie_word_embeddings", False))
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets,
            use_dora=self.is_dora,
            modules_to_save=None if is_tied or not self.trains_head else [head],
            trainable_token_indices={name: list(rows) for name, rows in self.rows.items()} or None,
        )
        with warnings.catch_warnings():  # peft asks transformers for a property that is about to be renamed
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message="fan_in_fan_out")  # it is set right for GPT-2's layers
            wrapped: Any = get_peft_model(network, config)
        _lend_attributes(wrapped)
        names = [name for name, parameter in wrapped.named_parameters() if parameter.requires_grad]
        updates = tuple(name for name in names if ".lora_" in name)
        rows = tuple(name for name in names if _ROWS in name)
        rest = tuple(name for name in names if name not in {*updates, *rows})
        # The head and rows of words are no products of two: they get a full layer's rate.
        groups: tuple[ParameterGroup, ...] = (ParameterGroup(updates),)
        if rows:  # peft holds the rows themselves, not how far they moved: decay would shorten them
            groups = (*groups, ParameterGroup(rows, rate_factor=1 / LORA_FACTOR, decay_factor=0.0))
        if rest:
            groups = (*groups, ParameterGroup(rest, rate_factor=1 / LORA_FACTOR, is_new=True))

        def merged(trained: nn.Module) -> nn.Module:
            own: Any = copy.deepcopy(trained)  # merging takes the adapters away, and they are still to be saved
            found: nn.Module = own.merge_and_unload()
            return found

        @torch.no_grad()
        def save(folder: Path, *, kept: nn.Module, share: float) -> None:
            if share == 1 and config.modules_to_save is None:
                wrapped.save_pretrained(folder)
                return
            own: Any = copy.deepcopy(wrapped).cpu()
            for name, parameter in own.named_parameters():
                if ".lora_B." in name:
                    parameter.mul_(share)
                elif _ROWS in name:
                    table = own.get_submodule(name.partition(f".{_ROWS}")[0])
                    parameter.copy_(table.trainable_tokens_original["default"].lerp(parameter, share))
            if config.modules_to_save is not None:
                layer = own.base_model.model.get_submodule(head).modules_to_save["default"]
                layer.load_state_dict(kept.get_submodule(head).state_dict())
            own.save_pretrained(folder)

        return Prepared(wrapped, groups, finish=merged, save_adapter=save)

    def prepare_quantised(self, network: nn.Module, whole: nn.Module, *, head: str, family: str) -> Prepared:
        """Wrap a network whose weights are in 4 bits (QLoRA); what is handed back is `whole` with the updates merged.

        Parameters
        ----------
        whole : the same network in full precision. Weights in 4 bits could take an update only by being rounded anew.
        """
        from peft import prepare_model_for_kbit_training

        with warnings.catch_warnings():  # as in `prepare`
            warnings.simplefilter("ignore", FutureWarning)
            ready = prepare_model_for_kbit_training(network, use_gradient_checkpointing=False)
        prepared = self.prepare(ready, head=head, family=family)

        def merged(trained: nn.Module) -> nn.Module:
            with tempfile.TemporaryDirectory() as folder:
                own: Any = trained
                own.save_pretrained(folder)
                return adapted(whole, Path(folder))

        return replace(prepared, finish=merged)

    def learning_rate(self, family: str) -> float:
        """Return the rate of the updates."""
        return self.settings.learning_rate or LORA_FACTOR * prior_rate(family)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def adapted(network: nn.Module, folder: Path) -> nn.Module:
    """Return a copy of a network with the updates that `Prepared.save_adapter` wrote, merged into its weights."""
    from peft import PeftModel

    with warnings.catch_warnings():  # as in `LoRA.prepare`
        warnings.simplefilter("ignore", FutureWarning)
        loaded: Any = PeftModel.from_pretrained(copy.deepcopy(network), str(folder))
        merged: nn.Module = loaded.merge_and_unload()
    return merged.eval()


def _is_adaptable(module: nn.Module) -> bool:
    if type(module).__name__ == "Conv1D":  # GPT-2's linear layers, of transformers' own kind
        return True
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def _lend_attributes(wrapped: nn.Module) -> None:
    """Let adapted convolutions show their base layer's geometry: MobileNets read it to pad as TensorFlow does."""
    for module in wrapped.modules():
        base = getattr(module, "base_layer", None)
        if isinstance(base, nn.Conv2d):
            for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
                if not hasattr(module, name):
                    setattr(module, name, getattr(base, name))
