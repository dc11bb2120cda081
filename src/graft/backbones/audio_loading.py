"""Pretrained audio models: transformers' own, or any of its networks behind a user's preprocessing, with a new head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graft.backbones.audio_layers import RecordingNetwork, keep_layers, offered_layers
from graft.backbones.audio_model import AudioModel, count_parameters
from graft.backbones.catalog import Backbone
from graft.backbones.frontends import CheckpointFrontend, Frontend, noise
from graft.backbones.heads import Head, find_head_on
from graft.backbones.licences import stated_licence
from graft.backbones.loading import hash_weights, quiet_transformers
from graft.backbones.plugins import PluginFrontend
from graft.core.errors import ModelError

__all__ = ["load_audio_model"]

# Newly made by transformers where a checkpoint lacks them, and no loss: see `_settle`.
_REPLACEABLE = ("projector.", "layer_weights", "masked_spec_embed", "classifier.layernorm.")


def load_audio_model(
    model: str,
    *,
    label_names: Sequence[str],
    preprocessing: str | None = None,
    revision: str | None = None,
    is_offline: bool = False,
    trust_remote_code: bool = False,
) -> AudioModel:
    """Return a pretrained audio model whose head has one row a label.

    Parameters
    ----------
    model : hub id, or folder of a transformers checkpoint.
    label_names : n_classes names; they become the checkpoint's label map.
    preprocessing : ``FILE.py:NAME``, the user's own; then the network may be of any kind. None: the checkpoint's.
    revision : branch, tag or commit of a hub id.
    is_offline : never ask the hub; only what is on disk.
    trust_remote_code : let transformers run code that the checkpoint brings.

    Raises
    ------
    ModelError
        When the model is not there, is none of sound and no preprocessing was named, or has no linear head.
    UsageError
        When the preprocessing cannot be used.

    Notes
    -----
    wav2vec2 and its like, and Whisper, read their features through a projector that only a fine-tuned checkpoint has;
    elsewhere it is set to the identity, so that the head reads the mean of the hidden states. What these networks
    distort by themselves in training (masked spans, skipped layers) is switched off: Graft has its own, which can be
    repeated.
    """
    own = None if preprocessing is None else PluginFrontend(preprocessing)
    where: dict[str, Any] = {
        "revision": revision or "main",
        "local_files_only": is_offline or Path(model).exists(),
        "trust_remote_code": trust_remote_code,
    }
    network, notes = _load(model, label_names, where, has_own=own is not None)
    network.float().eval().requires_grad_(False)
    frontend: Frontend = own if own is not None else _extractor(model, network, where)
    input_name = frontend.input_name if isinstance(frontend, CheckpointFrontend) else str(network.main_input_name)
    probe = torch.from_numpy(frontend(noise(frontend.window // 2)))[None]
    head = _head(network, probe, input_name=input_name, label=model, frontend=frontend)
    found = AudioModel(
        network,
        head,
        frontend,
        Backbone(
            id=model,
            revision=getattr(network.config, "_commit_hash", None) or "",
            modality="audio",
            architecture=type(network).__name__,
            n_features=head.n_features,
            n_parameters=count_parameters(network, head),
            weights_hash=hash_weights(network, without=head.name),
            licence=stated_licence(model, revision=getattr(network.config, "_commit_hash", None) or ""),
        ),
        input_name,
        notes=notes,
    )
    layers = offered_layers(network)
    if layers and not _agree(found, layers, probe):
        found = replace(found, notes=(*notes, "its layers could not be told apart: the last one's features are used"))
        layers = ()
    return replace(found, layers=layers, can_pad=frontend.shape is None and _pads_exactly(found))


def _load(
    model: str, label_names: Sequence[str], where: dict[str, Any], *, has_own: bool
) -> tuple[Any, tuple[str, ...]]:
    """Return the network and notes on what its checkpoint lacked."""
    from transformers import AutoConfig, AutoModelForAudioClassification, AutoModelForImageClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING

    try:
        with quiet_transformers():
            config: Any = AutoConfig.from_pretrained(model, **where)
            is_audio = type(config) in MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING or not has_own
            loader: Any = AutoModelForAudioClassification if is_audio else AutoModelForImageClassification
            config.id2label = dict(enumerate(label_names))
            config.label2id = {name: i for i, name in enumerate(label_names)}
            for name in ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop"):
                if hasattr(config, name):
                    setattr(config, name, 0.0)
            proj_size, has_projector = getattr(config, "classifier_proj_size", None), False
            if proj_size is not None:
                config.classifier_proj_size = config.hidden_size
            options = {"ignore_mismatched_sizes": True, "dtype": torch.float32, "output_loading_info": True, **where}
            network, info = loader.from_pretrained(model, config=config, **options)
            mismatched = {key[0] if isinstance(key, tuple) else key for key in info["mismatched_keys"]}
            if any(name.startswith("projector.") for name in mismatched):
                config.classifier_proj_size = proj_size
                network, info = loader.from_pretrained(model, config=config, **options)
                mismatched = {key[0] if isinstance(key, tuple) else key for key in info["mismatched_keys"]}
    except (OSError, ValueError, ImportError, KeyError, EOFError, RuntimeError) as error:
        raise _as_model_error(model, error) from error
    missing = {*info["missing_keys"], *mismatched}
    _refuse_random(model, network, missing)
    has_projector = proj_size is not None and "projector.weight" not in missing
    return network, _settle(network, missing, has_projector=has_projector)


@torch.no_grad()
def _settle(network: Any, missing: set[str], *, has_projector: bool) -> tuple[str, ...]:
    """Give a meaning to what the checkpoint lacks; return notes."""
    notes = []
    if "projector.weight" in missing:
        nn.init.eye_(network.projector.weight)
        nn.init.zeros_(network.projector.bias)
        notes.append("its projector, which the checkpoint lacks, is set to the identity")
    elif has_projector:
        notes.append("its trained projector is kept")
    if "layer_weights" in missing:
        network.config.use_weighted_layer_sum = False
        del network.layer_weights
    return tuple(notes)


def _refuse_random(model: str, network: Any, missing: set[str]) -> None:
    """Raise if layers hold random values that nothing replaces; the head's own are expected to."""
    heads = tuple(
        f"{name}." for name in ("classifier", "classifier.dense", "fc") if hasattr(network, name.split(".")[0])
    )
    random = [
        name
        for name in sorted(missing)
        if not name.startswith(heads)
        and not any(part in name for part in _REPLACEABLE)
        and not name.endswith("num_batches_tracked")
    ]
    if random:
        raise ModelError(
            f"{model} lacks the weights of {len(random)} layers, for example {random[0]}: they would stay random",
            expected="a checkpoint that holds every layer but the head",
            fix="check that config.json belongs to these weights, or choose another checkpoint",
        )


def _extractor(model: str, network: Any, where: dict[str, Any]) -> CheckpointFrontend:
    from transformers import AutoFeatureExtractor

    try:
        with quiet_transformers():
            extractor = AutoFeatureExtractor.from_pretrained(model, **where)
    except (OSError, ValueError, ImportError, KeyError) as error:
        first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{model} has no feature extractor: {first}",
            expected="preprocessor_config.json beside the weights",
            fix="save it there, or bring your own preprocessing: --preprocessing FILE.py:NAME (Python: preprocessing=)",
        ) from error
    kernels, strides = getattr(network.config, "conv_kernel", ()), getattr(network.config, "conv_stride", ())
    shortest = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        shortest = (shortest - 1) * stride + kernel
    return CheckpointFrontend(extractor, shortest=max(400, shortest), label=model)


def _head(network: Any, probe: Tensor, *, input_name: str, label: str, frontend: Frontend) -> Head:
    try:
        return find_head_on(network, {input_name: probe}, label=label)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{label} cannot read an input of shape {tuple(probe.shape[1:])}: {str(error).splitlines()[0]}",
            expected=f"what {type(network).__name__} reads as {input_name}",
            fix="correct the preprocessing" if isinstance(frontend, PluginFrontend) else "choose another checkpoint",
        ) from error


@torch.inference_mode()
def _agree(model: AudioModel, layers: tuple[int, ...], probe: Tensor) -> bool:
    """Return whether each layer's features are those of the network that ends after it."""
    side_by_side = RecordingNetwork(model.network, model.head, input_name=model.input_name, layers=layers)(probe)
    for layer, features in zip(layers, side_by_side.chunk(len(layers), dim=1), strict=True):
        shallow = RecordingNetwork(keep_layers(model.network, layer), model.head, input_name=model.input_name)
        if not torch.allclose(shallow(probe), features, rtol=1e-4, atol=1e-5):
            return False
    return True


@torch.inference_mode()
def _pads_exactly(model: AudioModel) -> bool:
    """Return whether a window beside a longer one, filled up and masked, has the features that it has alone."""
    if not hasattr(model.network, "_get_feature_vector_attention_mask"):
        return False
    rate = model.frontend.sampling_rate_hz
    long, short = (torch.from_numpy(model.frontend(noise(n, seed=n))) for n in (rate, rate * 2 // 3))
    both = torch.stack([long, nn.functional.pad(short, (0, len(long) - len(short)))])
    mask = (torch.arange(len(long)) < torch.tensor([[len(long)], [len(short)]])).long()
    network = model.feature_network()
    alone, beside = network(short[None])[0], network(both, mask)[1]
    return torch.allclose(alone, beside, rtol=1e-3, atol=1e-4 * float(alone.abs().max()))


def _as_model_error(model: str, error: Exception) -> ModelError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "Unrecognized configuration class" in str(error):
        return ModelError(
            f"{model} is not a model of audio classification: {first[:160]}",
            expected="a wav2vec2, HuBERT, WavLM, AST or Whisper checkpoint, or another network with a preprocessing of"
            " your own",
            fix="choose an audio model, or name your preprocessing: --preprocessing FILE.py:NAME"
            " (Python: preprocessing=)",
        )
    return ModelError(
        f"the model '{model}' cannot be loaded as an audio model: {first}",
        expected="a folder that save_pretrained wrote, or a hub id that is in the local cache or can be downloaded",
        fix=f"check the name and the network; offline, download it first elsewhere (`hf download {model}`) and pass the"
        " folder",
    )
