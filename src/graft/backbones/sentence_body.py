"""Sentence encoders as sentence-transformers keeps them: what such a folder says, and the same said of a saved model.

A saved model holds the body that was fine-tuned, and one layer more where the mean is taken (see
`graft.backbones.text_pooling`). A few small files beside its weights let sentence-transformers load the body: they name
the pooling, and the number of layers, without the added one, for ``config_args``. No weight is written twice.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["SentenceBody", "encoder_folder", "read_sentence_body", "write_sentence_body"]

_MODES = {
    "cls": "cls_token",
    "mean": "mean_tokens",
    "max": "max_tokens",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens",
    "lasttoken": "lasttoken",
}  # in the order in which several are laid side by side
_KEPT = "config_sentence_transformers.json"  # prompts, and the similarity that is meant


@dataclass(frozen=True)
class SentenceBody:
    """What a sentence-transformers folder says beside the weights of its encoder.

    Parameters
    ----------
    pooling : ``"mean"``, ``"cls"``, ...; several are laid side by side.
    after : modules behind the pooling, in order: the class's full name, and the files of its folder by name.
    max_tokens : of a text; None: not said.
    settings : of the encoder's own module; of the pooling's.
    kept : the folder's other settings, prompts among them, as text; empty: there are none.
    """

    pooling: tuple[str, ...]
    after: tuple[tuple[str, Mapping[str, Path]], ...] = ()
    max_tokens: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    pooling_settings: Mapping[str, Any] = field(default_factory=dict)
    kept: str = ""

    @property
    def is_normalized(self) -> bool:
        """Whether embeddings are brought to length 1."""
        return any(_name(kind) == "Normalize" for kind, _ in self.after)

    @property
    def first_choice(self) -> str:
        """The pooling that stands for the checkpoint's own: the mean's direction is that of the mean by root length."""
        only = self.pooling[0] if len(self.pooling) == 1 else ""
        return {"mean": "mean", "mean_sqrt_len_tokens": "mean", "cls": "cls"}.get(only, "")

    def notes(self) -> list[str]:
        """Return sentences on what a classifier cannot take over."""
        found = []
        if not self.first_choice:
            found.append(
                f"the checkpoint pools by {' and '.join(self.pooling) or 'nothing'}, which no stock checkpoint can say:"
                " the classifier is offered mean and first token"
            )
        others = [_name(kind) for kind, _ in self.after if _name(kind) not in ("Normalize", "Dropout")]
        if others:
            found.append(
                f"the checkpoint has {' and '.join(others)} behind its pooling, which no stock checkpoint can say:"
                " the classifier reads what is pooled"
            )
        return found


def encoder_folder(folder: Path) -> Path:
    """Return where the encoder lies: the folder itself, or in older ones of sentence-transformers one inside.

    These name it in ``modules.json``, as a rule ``0_Transformer``.
    """
    listed = folder / "modules.json"
    if (folder / "config.json").is_file() or not listed.is_file():
        return folder
    for module in json.loads(listed.read_text(encoding="utf-8")):
        if _name(str(module.get("type", ""))) == "Transformer" and module.get("path"):
            inner = folder / str(module["path"])
            return inner if (inner / "config.json").is_file() else folder
    return folder


def read_sentence_body(find: Callable[[str], Path | None]) -> SentenceBody | None:
    """Return what a checkpoint says to sentence-transformers; None: it is none of theirs.

    Parameters
    ----------
    find : gives the place of one of the checkpoint's files by its name in it; None: there is no such file.
    """
    listed = find("modules.json")
    if listed is None:
        return None
    first: dict[str, Any] = next(iter(json.loads(listed.read_text(encoding="utf-8"))), {})
    inner = f"{first.get('path')}/sentence_bert_config.json" if first.get("path") else ""
    settings = _json(find("sentence_bert_config.json") or (find(inner) if inner else None))
    pooling: tuple[str, ...] = ()
    pooling_settings: dict[str, Any] = {}
    after: list[tuple[str, Mapping[str, Path]]] = []
    is_behind = False
    for module in json.loads(listed.read_text(encoding="utf-8")):
        kind, path = str(module.get("type", "")), str(module.get("path", ""))
        if _name(kind) == "Pooling":
            config = _json(find(f"{path}/config.json"))
            named = config.get("pooling_mode") or [
                word for word, key in _MODES.items() if config.get(f"pooling_mode_{key}") is True
            ]
            pooling = (named,) if isinstance(named, str) else tuple(named)
            pooling_settings = config
            is_behind = True
        elif is_behind:
            names = ("config.json", "model.safetensors", "pytorch_model.bin")
            files = {name: found for name in names if (found := find(f"{path}/{name}")) is not None}
            after.append((kind, files))
    kept = find(_KEPT)
    return SentenceBody(
        pooling,
        tuple(after),
        settings.get("max_seq_length"),
        settings,
        pooling_settings,
        "" if kept is None else kept.read_text(encoding="utf-8"),
    )


def write_sentence_body(
    body: SentenceBody, folder: Path, *, block: str, layers_name: str, width: int, max_tokens: int
) -> None:
    """Write beside a saved model what lets sentence-transformers load its body.

    Parameters
    ----------
    folder : of the saved model, with weights and tokenizer.
    block : what its classifier reads: ``"mean@6"``, ``"cls@6"``; ``"own"``: the body keeps its own pooling.
    layers_name : the configuration's name for the number of layers.
    width : of a token's vector.
    max_tokens : at which texts are cut.

    Notes
    -----
    Modules behind the pooling that have weights of their own expect that pooling, and stay only with it.
    """
    pooling, _, layer = block.partition("@")
    is_own = pooling in ("own", body.first_choice)
    settings = {**body.settings, "max_seq_length": max_tokens}
    settings.pop("config_args", None)
    if pooling == "mean":
        settings["config_args"] = {layers_name: int(layer)}  # the last layer takes the mean: not the body's
    modules = [("sentence_transformers.models.Transformer", ""), ("sentence_transformers.models.Pooling", "1_Pooling")]
    for kind, files in body.after:
        if not is_own and any(name != "config.json" for name in files):
            continue
        modules.append((kind, f"{len(modules)}_{_name(kind)}"))
        (folder / modules[-1][1]).mkdir()
        for name, file in files.items():
            shutil.copyfile(file, folder / modules[-1][1] / name)
    _write(folder / "sentence_bert_config.json", settings)
    (folder / "1_Pooling").mkdir()
    named = {f"pooling_mode_{key}": word == pooling for word, key in _MODES.items()}
    chosen = body.pooling_settings if is_own else {"word_embedding_dimension": width, **named}
    _write(folder / "1_Pooling" / "config.json", chosen)
    _write(
        folder / "modules.json",
        [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (kind, path) in enumerate(modules)],
    )
    if body.kept:
        (folder / _KEPT).write_text(body.kept, encoding="utf-8")


def _name(kind: str) -> str:
    return kind.rpartition(".")[2]


def _json(path: Path | None) -> dict[str, Any]:
    return {} if path is None else dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
