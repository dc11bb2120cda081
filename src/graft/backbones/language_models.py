"""Which architectures write texts: checkpoints of theirs are told apart in messages from those that classify."""

from __future__ import annotations

import re

__all__ = ["language_model_name"]


def language_model_name(architecture: str) -> str | None:
    """Return the name of an architecture that transformers offers as a language model; None: it offers none.

    Parameters
    ----------
    architecture : name of a class of a network or configuration, or a sentence that holds it.

    Examples
    --------
    >>> language_model_name("LlamaForSequenceClassification"), language_model_name("ResNetConfig")
    ('Llama', None)
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    found: list[str] = re.findall(r"(\w+?)(?:For[A-Z]\w+|Config)\b", architecture)
    return next((name for name in found if f"{name}ForCausalLM" in known), None)
