"""Pretrained text encoders from a hub id or folder, sentence-transformers' included, with a new head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graft.backbones.catalog import Backbone
from graft.backbones.heads import Head, find_head_on
from graft.backbones.language_models import language_model_name
from graft.backbones.licences import stated_licence
from graft.backbones.loading import as_model_error, hash_weights, quiet_transformers
from graft.backbones.sentence_body import SentenceBody, encoder_folder, read_sentence_body, write_sentence_body
from graft.backbones.text_families import Family, family_of_text
from graft.backbones.text_pooling import graft_pooling, mark_pooling
from graft.backbones.text_source import TextSource
from graft.backbones.tokens import Tokens
from graft.core.errors import ModelError

__all__ = ["TextModel", "load_text_model"]

_LAYERS = 2  # how many of the last layers are offered to the solver


@dataclass(frozen=True)
class TextModel:
    """A pretrained text encoder with a head for the task's labels, and what belongs to it.

    Parameters
    ----------
    network : a transformers ``...ForSequenceClassification``, on the CPU, float32, in eval mode. Where its architecture
        allows, it is as loaded until `choose` has cut and pooled it.
    head : the network's last linear layer.
    tokens : the checkpoint's tokenizer.
    backbone : the record that the manifest keeps.
    blocks : ways of pooling that are offered: ``"mean@6"`` is the mean over the tokens behind the sixth layer,
        ``"cls@6"`` the first token there, ``"own"`` what the architecture's own head reads.
    chosen : the one that `network` computes; empty: none yet.
    body : what the checkpoint says to sentence-transformers; None: it is none of theirs.
    folder : the local folder of the checkpoint; None: it came from the hub.
    notes : sentences on what loading had to do.
    """

    network: nn.Module
    head: Head
    tokens: Tokens
    backbone: Backbone
    blocks: tuple[str, ...]
    chosen: str = ""
    body: SentenceBody | None = None
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    def source(self) -> TextSource:
        """Return how texts pass through the frozen network: all that is offered, or what was chosen."""
        blocks = (self.chosen,) if self.chosen else self.blocks
        return TextSource(self.tokens, self.backbone.weights_hash, blocks, self.network, head=self.head.name)

    @property
    def reads(self) -> str:
        """The most tokens of a text."""
        return f"up to {self.tokens.max_tokens} tokens"

    @property
    def saved_facts(self) -> dict[str, Any]:
        """The way of pooling and the length at which texts are cut."""
        return {"block": self.chosen, "max_tokens": self.tokens.max_tokens}

    def as_saved(self, block: str) -> TextModel:
        """Return the model of a folder that was saved after `choose`: its pooling layer is there already."""
        return replace(self, network=mark_pooling(self.network, block), chosen=block)

    def choose(self, block: str) -> TextModel:
        """Return the model whose network computes one of the ways of pooling."""
        if block == self.chosen or block == "own":
            return replace(self, chosen=block)
        pooling, _, layer = block.partition("@")
        network = graft_pooling(self.network, n_layers=int(layer), pooling=pooling)
        return replace(self, network=network, head=Head(network, self.head.name), chosen=block)

    def with_network(self, network: nn.Module) -> TextModel:
        """Return the model over a fine-tuned network of the same architecture."""
        head = Head(network, self.head.name)
        backbone = replace(self.backbone, weights_hash=hash_weights(network, without=head.name))
        return replace(self, network=network, head=head, backbone=backbone)

    def save_processor(self, folder: Path) -> None:
        """Write the tokenizer's files into `folder`, and what lets sentence-transformers load a body of theirs."""
        self.tokens.tokenizer.save_pretrained(folder)
        if self.body is None or not self.body.pooling:
            return
        family, config = family_of_text(self.network), self.network.config
        write_sentence_body(
            self.body,
            folder,
            block=self.chosen or "own",
            layers_name="num_hidden_layers" if family is None else family.n_layers,
            width=int(config.hidden_size),  # type: ignore[union-attr, arg-type]
            max_tokens=self.tokens.max_tokens,
        )


def load_text_model(
    model: str,
    *,
    label_names: Sequence[str],
    revision: str | None = None,
    is_offline: bool = False,
    trust_remote_code: bool = False,
    max_tokens: int | None = None,
) -> TextModel:
    """Return a pretrained text encoder whose head has one row a label.

    Parameters
    ----------
    model : hub id, or folder of a transformers or sentence-transformers checkpoint.
    label_names : n_classes names; they become the checkpoint's label map.
    max_tokens : tokens of a text that are read; None: as the checkpoint says, 512 at most.

    Raises
    ------
    ModelError
        When the model is not there, is none of texts, or has no linear head.
    """
    folder = Path(model)
    encoder = encoder_folder(folder) if folder.is_dir() else folder
    if folder.exists() and not (encoder / "config.json").is_file():
        raise ModelError(
            f"{model} holds no config.json",
            expected="a folder written by save_pretrained: config.json, model.safetensors and a tokenizer",
            fix="name the folder that holds config.json",
        )
    where: dict[str, Any] = {
        "revision": revision or "main",
        "local_files_only": is_offline or folder.exists(),
    }
    source = str(encoder) if folder.exists() else model
    network, lacking, tokenizer = _loaded(source, label_names, **where, trust_remote_code=trust_remote_code)
    body = read_sentence_body(_finder(model, **where))
    own_length = None if body is None else body.max_tokens
    tokens = Tokens(tokenizer, label=model, max_tokens=_length(max_tokens, own_length, tokenizer, network.config))
    sample = tokens.collate([tokens.encode("one"), tokens.encode("and two more")])
    head = _head(network, sample, label=model)
    family = family_of_text(network)
    random = _random_layers(model, lacking, head=head.name, family=family)
    n_parameters = sum(p.numel() for name, p in network.named_parameters() if not name.startswith(head.name + "."))
    backbone = Backbone(
        id=model,
        revision=getattr(network.config, "_commit_hash", None) or "",
        modality="text",
        architecture=type(network).__name__,
        n_features=head.n_features,
        n_parameters=n_parameters,
        weights_hash=hash_weights(network, without=head.name),
        licence=stated_licence(model, revision=getattr(network.config, "_commit_hash", None) or ""),
    )
    return TextModel(
        network, head, tokens, backbone, _blocks(network, family, body, is_own_random=bool(random)),
        body=body, folder=folder if folder.is_dir() else None,
        notes=tuple(_notes(network, family, body, random=random)),
    )  # fmt: skip


def _head(network: Any, sample: Any, *, label: str) -> Head:
    """Return the head; of a language model it is told what it is, not what it lacks."""
    try:
        return find_head_on(network, sample, label=label)
    except ModelError as error:
        if (language := language_model_name(type(network).__name__)) is None:
            raise
        raise ModelError(
            f"{label} is a language model ({language}), which writes texts and does not classify them",
            expected="a text encoder",
            fix="choose one, for example sentence-transformers/all-MiniLM-L6-v2; or fine-tune this one on answers, with"
            " --task text-generation (Python: task='text-generation')",
        ) from error


def _loaded(model: str, label_names: Sequence[str], **where: Any) -> tuple[Any, list[str], Any]:
    """Return the network, the names of the weights that the checkpoint lacks, and the tokenizer."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # what a checkpoint lacks is the same at every load
            config = AutoConfig.from_pretrained(model, **where)
            config.id2label = dict(enumerate(label_names))
            config.label2id = {name: i for i, name in enumerate(label_names)}
            if config.model_type == "modernbert":  # its own class can take the mean
                config.classifier_pooling = "mean"
            network, info = AutoModelForSequenceClassification.from_pretrained(
                model,
                config=config,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
                output_loading_info=True,
                **where,
            )
            tokenizer = AutoTokenizer.from_pretrained(model, **where)
    except (
        OSError, ValueError, ImportError, KeyError, EOFError, RuntimeError, SafetensorError, UnpicklingError,
    ) as error:  # fmt: skip
        raise as_model_error(model, error, is_local=Path(model).exists(), kind="text") from error
    network.float().eval().requires_grad_(False)
    lacking = [*info["missing_keys"], *(k[0] if isinstance(k, tuple) else k for k in info["mismatched_keys"])]
    return network, lacking, tokenizer


def _random_layers(model: str, lacking: Sequence[str], *, head: str, family: Family | None) -> list[str]:
    """Return the layers between the encoder and the head that stay random.

    Raises
    ------
    ModelError
        When a layer of the encoder itself would.
    """
    random = [name for name in lacking if not name.startswith(f"{head}.")]
    if family is None:
        is_allowed = [".pooler." in n or n.startswith(("pooler", "head", "classifier")) for n in random]
    else:
        is_allowed = [n.startswith(f"{family.dense}.") for n in random]
    if not all(is_allowed):
        missing = [name for name, is_known in zip(random, is_allowed, strict=True) if not is_known]
        raise ModelError(
            f"{model} lacks the weights of {len(missing)} layers, for example {missing[0]}: they would stay random",
            expected="a checkpoint that holds every layer but the head",
            fix="check that config.json belongs to these weights, or choose another checkpoint",
        )
    return random


def _blocks(
    network: nn.Module, family: Family | None, body: SentenceBody | None, *, is_own_random: bool
) -> tuple[str, ...]:
    """Return the ways of pooling that are offered, the checkpoint's own first."""
    if family is None:
        return ("own",)
    n_layers = int(getattr(network.config, family.n_layers))
    layers = [f"{i}" for i in range(n_layers, max(0, n_layers - _LAYERS), -1)]
    first = [f"cls@{i}" for i in (layers[:1] if family.can_mean or not family.layers else layers)]
    means = [f"mean@{i}" for i in layers] if family.can_mean else []
    both = [*first, *means] if body is not None and body.first_choice == "cls" else [*means, *first]
    return (*both, *(() if is_own_random else ("own",)))


def _notes(network: nn.Module, family: Family | None, body: SentenceBody | None, *, random: Sequence[str]) -> list[str]:
    notes = [] if body is None else body.notes()
    if random and family is None:
        notes.append(f"{random[0]} and what belongs to it are new: its features are those of random weights; fine-tune")
    if family is not None and not family.can_mean:
        notes.append(
            f"a stock {type(network).__name__} cannot be told to take the mean of all tokens: the classifier reads the"
            " first token"
        )
    return notes


def _finder(model: str, *, revision: str, local_files_only: bool) -> Callable[[str], Path | None]:
    """Return what finds a checkpoint's further files by name, in its folder or on the hub."""

    def find(name: str) -> Path | None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        if Path(model).is_dir():
            path = Path(model) / name
            return path if path.is_file() else None
        try:
            return Path(hf_hub_download(model, name, revision=revision, local_files_only=local_files_only))
        except (EntryNotFoundError, OSError):  # not there, or not in the cache and no network
            return None

    return find


def _length(wanted: int | None, own: int | None, tokenizer: Any, config: Any) -> int:
    limits = [
        limit
        for limit in (wanted, own, tokenizer.model_max_length, getattr(config, "max_position_embeddings", None), 512)
        if isinstance(limit, int) and limit > 0
    ]
    room = getattr(config, "max_position_embeddings", None)
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") and isinstance(room, int):
        limits.append(room - 2)  # positions start behind the padding's
    if wanted is not None and wanted > min(limits):
        raise ModelError(
            f"--max-tokens {wanted} with a checkpoint that reads {min(limits)}",
            expected=f"at most {min(limits)}",
            fix="a smaller number, or a model of longer texts",
        )
    return min(limits)
