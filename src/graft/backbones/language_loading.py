"""Pretrained causal language models: loaded whole, with a chat template and the tokens that end an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graft.backbones.catalog import Backbone
from graft.backbones.chat_encoding import ChatEncoder
from graft.backbones.chat_template import PLAIN_TEMPLATE, ChatTemplate
from graft.backbones.language_model import LanguageModel
from graft.backbones.licences import stated_licence
from graft.backbones.loading import hash_weights, quiet_transformers
from graft.core.errors import DataError, ModelError

__all__ = ["load_language_model"]

_MOST_TOKENS = 2048  # of a conversation where nobody says more


def load_language_model(
    model: str,
    *,
    max_tokens: int | None = None,
    revision: str | None = None,
    is_offline: bool = False,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Return a pretrained causal language model.

    Parameters
    ----------
    model : hub id, or folder of a transformers checkpoint.
    max_tokens : of a conversation; None: as many as the model has places for, at most 2048.

    Raises
    ------
    ModelError
        When the model is not there, is no causal language model, lacks weights, or has no token that ends a text.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    where: dict[str, Any] = {
        "revision": revision or "main",
        "local_files_only": is_offline or Path(model).exists(),
        "trust_remote_code": trust_remote_code,
    }
    try:
        with quiet_transformers():
            config: Any = AutoConfig.from_pretrained(model, **where)
            if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not trust_remote_code:
                raise _not_language(model, f"it is of the type {config.model_type}")
            if "ForCausalLM" not in " ".join(config.architectures or ["ForCausalLM"]) and "LMHead" not in " ".join(
                config.architectures or []
            ):
                raise _not_language(model, f"it is a {config.architectures[0]}")
            tokenizer: Any = AutoTokenizer.from_pretrained(model, **where)
            network, info = AutoModelForCausalLM.from_pretrained(
                model, config=config, dtype=torch.float32, output_loading_info=True, **where
            )
    except (OSError, ValueError, ImportError, KeyError, EOFError, RuntimeError) as error:
        raise _not_language(model, (str(error).strip().splitlines() or [type(error).__name__])[0][:160]) from error
    if info["missing_keys"]:
        raise ModelError(
            f"{model} lacks the weights of {len(info['missing_keys'])} layers, for example"
            f" {min(info['missing_keys'])}: they would stay random",
            expected="a checkpoint that holds every layer",
            fix="check that config.json belongs to these weights, or choose another checkpoint",
        )
    network = network.float().eval().requires_grad_(False)
    notes: list[str] = []
    if tokenizer.eos_token is None:
        raise ModelError(
            f"the tokenizer of {model} has no token that ends a text: an answer could not end",
            expected="eos_token in tokenizer_config.json",
            fix="set it, and save the tokenizer again",
        )
    source = tokenizer.chat_template
    if isinstance(source, dict):  # several by name
        source = source.get("default") or next(iter(source.values()))
    is_plain = not source
    if is_plain:
        source = PLAIN_TEMPLATE
        notes.append("the checkpoint brings no chat template: a plain one (User:, Assistant:) is saved with the model")
    tokenizer.chat_template = source
    words = {name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    added = [t.content for t in tokenizer.added_tokens_decoder.values() if t.content.strip()]
    template = ChatTemplate(source, words=words, control_tokens=added, label=model)
    places = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if max_tokens is not None and isinstance(places, int) and max_tokens > places:
        notes.append(f"--max-tokens {max_tokens}: the model has {places} places, so {places} are read")
    length = min(max_tokens or _MOST_TOKENS, places if isinstance(places, int) else max_tokens or _MOST_TOKENS)
    encoder = ChatEncoder(tokenizer, template, max_tokens=length)
    stops, told = _stop_tokens(encoder, network, tokenizer)
    return LanguageModel(
        network,
        tokenizer,
        encoder,
        Backbone(
            id=model,
            revision=getattr(network.config, "_commit_hash", None) or "",
            modality="text",
            architecture=type(network).__name__,
            n_features=int(getattr(config, "hidden_size", 0) or getattr(config, "n_embd", 0)),
            n_parameters=sum(p.numel() for p in network.parameters()),
            weights_hash=hash_weights(network),
            licence=stated_licence(model, revision=getattr(network.config, "_commit_hash", None) or ""),
        ),
        stop_tokens=stops,
        is_plain_template=is_plain,
        notes=(*notes, *told),
    )


def _stop_tokens(encoder: ChatEncoder, network: Any, tokenizer: Any) -> tuple[tuple[int, ...], list[str]]:
    """Return the tokens that end an answer: what the template writes behind one, and what the checkpoint stops at."""
    tried = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    found: list[int] = []
    try:
        encoded = encoder.encode(tried)
    except (DataError, ModelError):
        encoded = None  # an odd template: the data will tell
    if encoded is not None and encoded.n_targets:
        last = int(encoded.tokens[encoded.is_target][-1])
        if last in tokenizer.added_tokens_decoder:
            found.append(last)
    notes = []
    if encoded is not None and not found:
        notes.append(
            "the chat template ends no answer with a control token: the model will not learn where to stop"
            f" (write {tokenizer.eos_token} behind answers in its template)"
        )
    own = network.generation_config.eos_token_id
    found += [own] if isinstance(own, int) else list(own or [])
    found.append(int(tokenizer.eos_token_id))
    return tuple(dict.fromkeys(int(token) for token in found)), notes


def _not_language(model: str, why: str) -> ModelError:
    return ModelError(
        f"the model '{model}' cannot be loaded as a language model: {why}",
        expected="a causal language model such as Llama, Qwen or GPT-2: a folder of save_pretrained, or a hub id",
        fix="check the name; offline, download it first elsewhere (`hf download NAME`) and pass the folder",
    )
