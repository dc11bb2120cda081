"""Where text architectures keep what pooling needs, and which of them can be told to take the mean of all tokens.

Not all can. MPNet adds a bias by position to every attention, so that none of its layers attends to all tokens alike;
ALBERT shares one layer's weights among all; DeBERTa's first version keeps queries, keys and values in one matrix. These
offer their first token, with the random layer before the head out of the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

__all__ = ["Family", "family_of_text"]


@dataclass(frozen=True)
class Family:
    """Where an architecture keeps what pooling needs; dotted names.

    Parameters
    ----------
    dense : the layer between the first token and the head, from the root.
    activation : what follows it: ``"tanh"``, ``"relu"`` or ``"gelu"``.
    layers : the list of layers, from the root of the classification network; empty: layers share weights, none is cut.
    attention, output, middle, last : of a layer: the self-attention with its three projections, the attention's output
        projection, the first and the last projection of the feed-forward part; empty: it can take no mean.
    projections : names of query, key and value below `attention`.
    norms : the two LayerNorms of a layer.
    n_layers : name of the number of layers in the configuration.
    is_tuple : a layer returns a tuple whose first is its output.
    """

    dense: str
    activation: str
    layers: str = ""
    attention: str = ""
    output: str = ""
    middle: str = ""
    last: str = ""
    norms: tuple[str, str] = ("", "")
    projections: tuple[str, str, str] = ("query", "key", "value")
    n_layers: str = "num_hidden_layers"
    is_tuple: bool = False

    @property
    def can_mean(self) -> bool:
        """Whether a layer can be added that takes the mean of the tokens."""
        return bool(self.attention)


def _bert(base: str, *, dense: str, activation: str = "tanh", **more: Any) -> Family:
    return Family(
        layers=f"{base}.encoder.layer",
        attention="attention.self",
        output="attention.output.dense",
        middle="intermediate.dense",
        last="output.dense",
        norms=("attention.output.LayerNorm", "output.LayerNorm"),
        dense=dense,
        activation=activation,
        **more,
    )


_FAMILIES: Mapping[str, Family] = {
    "bert": _bert("bert", dense="bert.pooler.dense"),
    "roberta": _bert("roberta", dense="classifier.dense"),
    "xlm-roberta": _bert("roberta", dense="classifier.dense"),
    "camembert": _bert("roberta", dense="classifier.dense"),
    "electra": _bert("electra", dense="classifier.dense", activation="gelu"),
    "deberta-v2": _bert(
        "deberta",
        dense="pooler.dense",
        activation="gelu",
        projections=("query_proj", "key_proj", "value_proj"),
        is_tuple=True,
    ),
    "distilbert": Family(
        layers="distilbert.transformer.layer",
        attention="attention",
        projections=("q_lin", "k_lin", "v_lin"),
        output="attention.out_lin",
        middle="ffn.lin1",
        last="ffn.lin2",
        norms=("sa_layer_norm", "output_layer_norm"),
        dense="pre_classifier",
        activation="relu",
        n_layers="n_layers",
    ),
    "deberta": Family(dense="pooler.dense", activation="gelu", layers="deberta.encoder.layer"),
    "mpnet": Family(dense="classifier.dense", activation="tanh", layers="mpnet.encoder.layer"),
    "albert": Family(dense="albert.pooler", activation="tanh"),
}


def family_of_text(network: nn.Module) -> Family | None:
    """Return where the network keeps what pooling needs; None: it is left with what its own head reads."""
    config: Any = network.config
    family = _FAMILIES.get(config.model_type)
    if family is not None and str(config.model_type).startswith("deberta"):
        is_usual = getattr(config, "pooler_hidden_act", "gelu") == "gelu"
        return family if is_usual else None
    return family
