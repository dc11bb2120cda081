"""Pretrained picture models from a hub id, a folder, a torchvision state file or timm, with a new head."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graft.backbones.catalog import Backbone
from graft.backbones.heads import FeatureNetwork, Head, find_head
from graft.backbones.language_models import language_model_name
from graft.backbones.licences import stated_licence
from graft.backbones.picture_source import PictureSource
from graft.backbones.preprocessing import Preprocessing
from graft.backbones.pretrained import PretrainedModel
from graft.core.errors import ModelError
from graft.core.optional import require

__all__ = ["ImageModel", "as_model_error", "hash_weights", "load_image_model", "quiet_transformers", "random_network"]


@dataclass(frozen=True)
class ImageModel:
    """A pretrained picture network with a head for the task's labels, and what belongs to it.

    Parameters
    ----------
    network : a transformers ``...ForImageClassification``, on the CPU, float32, in eval mode, its head not yet fitted.
    head : the network's last linear layer.
    preprocessing : the checkpoint's own.
    backbone : the record that the manifest keeps.
    notes : sentences on what loading had to do.
    """

    network: nn.Module
    head: Head
    preprocessing: Preprocessing
    backbone: Backbone
    notes: tuple[str, ...] = ()

    def feature_network(self) -> FeatureNetwork:
        """Return a copy of the network up to its head, reading preprocessed pixels."""
        return FeatureNetwork(
            self.network,
            self.head,
            scale=torch.from_numpy(self.preprocessing.scale),
            offset=torch.from_numpy(self.preprocessing.offset),
        )

    def source(self) -> PictureSource:
        """Return how pictures pass through the frozen network."""
        return PictureSource(self.preprocessing, self.backbone.weights_hash, self.feature_network)

    @property
    def reads(self) -> str:
        """Channels, height and width."""
        return " x ".join(map(str, self.preprocessing.shape))

    @property
    def saved_facts(self) -> dict[str, Any]:
        """Nothing: the checkpoint says all."""
        return {}

    def choose(self, block: str) -> ImageModel:
        """Return the model as it is: there is one way of pooling."""
        return self

    def with_network(self, network: nn.Module) -> ImageModel:
        """Return the model over a fine-tuned network of the same architecture."""
        head = Head(network, self.head.name)
        backbone = replace(self.backbone, weights_hash=hash_weights(network, without=head.name))
        return replace(self, network=network, head=head, backbone=backbone)

    def save_processor(self, folder: Path) -> None:
        """Write the image processor's files into `folder`."""
        self.preprocessing.processor.save_pretrained(folder)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' load report and bars: a new head is what is wanted here, not a warning."""
    from transformers.utils import logging

    level, had_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bar:
            logging.enable_progress_bar()


def load_image_model(
    model: str,
    *,
    label_names: Sequence[str],
    weights: str | Path | None = None,
    revision: str | None = None,
    is_offline: bool = False,
    trust_remote_code: bool = False,
) -> ImageModel:
    """Return a pretrained picture model whose head has one row a label.

    Parameters
    ----------
    model : hub id, folder of a transformers checkpoint, ``torchvision:<architecture>`` (with `weights`), or
        ``timm/<name>`` where timm is installed.
    label_names : n_classes names; they become the checkpoint's label map.
    weights : a torchvision state file (.pth or .safetensors); only with ``torchvision:``.
    revision : branch, tag or commit of a hub id.
    is_offline : never ask the hub; only what is on disk.
    trust_remote_code : let transformers run code that the checkpoint brings.

    Raises
    ------
    ModelError
        When the model is not there, is none of picture classification, or has no linear head.
    """
    if model.startswith("torchvision:"):
        from graft.backbones.torchvision_weights import convert_torchvision

        network, processor, notes = convert_torchvision(model.partition(":")[2], weights, label_names=label_names)
        found_revision, without_weights = "", list[str]()
    else:
        if weights is not None:
            raise ModelError(
                f"--weights {weights} was given with --model {model}",
                expected="--weights only with --model torchvision:<architecture>",
                fix="name the architecture, for example --model torchvision:resnet50, or leave --weights away",
            )
        network, processor, found_revision, without_weights = _load_transformers(
            model, label_names, revision, is_offline=is_offline, trust_remote_code=trust_remote_code
        )
        notes = ()
    network.float().eval().requires_grad_(False)
    preprocessing = Preprocessing(processor, label=model)
    n_channels = getattr(network.config, "num_channels", None)
    if n_channels is not None and n_channels != preprocessing.shape[0]:
        raise ModelError(
            f"{model} reads {n_channels} channels, its image processor gives {preprocessing.shape[0]}",
            expected="a model of RGB pictures and the image processor that belongs to it",
            fix="choose a picture model, or mend preprocessor_config.json",
        )
    probe = torch.randn(1, *preprocessing.shape, generator=torch.Generator().manual_seed(0))
    head = find_head(network, probe, label=model)
    _refuse_random_weights(model, without_weights, head)
    n_parameters = sum(p.numel() for name, p in network.named_parameters() if not name.startswith(head.name + "."))
    backbone = Backbone(
        id=model,
        revision=found_revision,
        modality="image",
        architecture=type(network).__name__,
        n_features=head.n_features,
        n_parameters=n_parameters,
        weights_hash=hash_weights(network, without=head.name),
        licence=stated_licence(model, revision=found_revision),
    )
    return ImageModel(network, head, preprocessing, backbone, notes)


def random_network(model: PretrainedModel, *, seed: int) -> nn.Module:
    """Return a network of the same architecture and labels with random weights, all trainable."""
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(seed)
        network: nn.Module = type(model.network)(copy.deepcopy(model.network.config))
    return network.float().train().requires_grad_(True)


def hash_weights(network: nn.Module, *, without: str = "") -> str:
    """Return the 128-bit BLAKE2b digest of names, shapes and values of all parameters and buffers.

    Parameters
    ----------
    without : dotted name of a module to leave out, for example the head.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in network.state_dict().items():
        if without and name.startswith(without + "."):
            continue
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(array.shape)} {array.dtype}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _load_transformers(
    model: str, label_names: Sequence[str], revision: str | None, *, is_offline: bool, trust_remote_code: bool
) -> tuple[nn.Module, Any, str, list[str]]:
    """Return network, image processor, commit, and names of weights that the checkpoint lacked."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

    if model.startswith("timm/"):
        require("timm", extra="timm", purpose=f"--model {model}")
    folder = Path(model)
    if folder.exists() and not (folder / "config.json").is_file():
        raise ModelError(
            f"{model} holds no config.json",
            expected="a folder written by save_pretrained: config.json, model.safetensors, preprocessor_config.json",
            fix="for a torchvision state file use --model torchvision:<architecture> --weights FILE",
        )
    where: dict[str, Any] = {
        "revision": revision or "main",
        "local_files_only": is_offline or folder.exists(),
        "trust_remote_code": trust_remote_code,
    }
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(model, **where)
            config.id2label = dict(enumerate(label_names))
            config.label2id = {name: i for i, name in enumerate(label_names)}
            network, info = AutoModelForImageClassification.from_pretrained(
                model,
                config=config,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
                output_loading_info=True,
                **where,
            )
            processor = AutoImageProcessor.from_pretrained(model, **where)
    except (
        OSError, ValueError, ImportError, KeyError, EOFError, RuntimeError, SafetensorError, UnpicklingError,
    ) as error:  # fmt: skip
        raise as_model_error(model, error, is_local=folder.exists(), kind="picture") from error
    without_weights = [
        *info["missing_keys"],
        *(key[0] if isinstance(key, tuple) else key for key in info["mismatched_keys"]),
    ]
    return network, processor, getattr(network.config, "_commit_hash", None) or "", without_weights


def _refuse_random_weights(model: str, without_weights: Sequence[str], head: Head) -> None:
    """Raise if layers other than the head were not in the checkpoint and so hold random values."""
    random = [
        name
        for name in without_weights
        if not name.startswith(head.name + ".") and not name.endswith("num_batches_tracked")
    ]
    if random:
        raise ModelError(
            f"{model} lacks the weights of {len(random)} layers, for example {random[0]}: they would stay random",
            expected="a checkpoint that holds every layer but the head",
            fix="check that config.json belongs to these weights, or choose another checkpoint",
        )


_EXAMPLES = {
    "picture": ("microsoft/resnet-50 or google/vit-base-patch16-224", "preprocessor_config.json"),
    "text": ("sentence-transformers/all-MiniLM-L6-v2 or FacebookAI/roberta-base", "tokenizer.json"),
    "recording": ("facebook/wav2vec2-base or MIT/ast-finetuned-audioset-10-10-0.4593", "preprocessor_config.json"),
}


def as_model_error(model: str, error: Exception, *, is_local: bool, kind: str) -> ModelError:
    """Return what went wrong in loading a checkpoint, and what to do.

    Parameters
    ----------
    kind : what the model is to classify: ``"picture"``, ``"text"`` or ``"recording"``.
    """
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    models, processor = _EXAMPLES[kind]
    if "Unrecognized configuration class" in str(error):
        language = language_model_name(first)
        what = f"a language model ({language})" if language else f"not a model of {kind} classification"
        own = re.search(r"(\w+)Config'>", first)
        more = f", which does not classify {kind}s" if language else f" ({own[1]})" if own else ""
        return ModelError(
            f"{model} is {what}{more}",
            expected="a checkpoint whose architecture transformers offers for it as ...For...Classification",
            fix=f"choose a model of {kind}s, for example {models}",
        )
    if is_local:
        return ModelError(
            f"the folder {model} cannot be loaded as a {kind} model: {first}",
            expected=f"config.json, model.safetensors and {processor} as save_pretrained writes them",
            fix="write the folder again with save_pretrained(DIR) of the model and of its processor or tokenizer",
        )
    return ModelError(
        f"the model '{model}' is not on this disk and could not be fetched: {first}",
        expected="a folder, or a hub id that is in the local cache or can be downloaded",
        fix="check the name and the network; offline, download it first elsewhere (`hf download "
        f"{model}`) and pass the folder",
    )
