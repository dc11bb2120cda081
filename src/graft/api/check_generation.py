"""`check` of conversations: nothing is trained; a language model, where one is named, reads each of them once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.generation_data import load_language_task, read_as_conversations
from graft.core.errors import DataError, ModelError
from graft.core.files import write_json
from graft.core.findings import Finding
from graft.data.conversations import Conversation
from graft.evaluation.conversation_checks import Asked, Read, check_conversations

__all__ = ["check_generation"]


def check_generation(
    data: str, config: FitConfig, *, model: str | None, say: Callable[[str], None], console: Console
) -> list[Finding]:
    """Return what is wrong with conversations, and write it to ``checks.json`` in the folder ``config.out``.

    Parameters
    ----------
    model : a language model, or a run of `fit`; None: nothing is said of tokens and losses.

    Raises
    ------
    DataError, ModelError
        As reading and loading do. Rows that are no conversation are said and left out.
    """
    from graft.report.checks import print_checks

    found = read_as_conversations(data, replace(config, skip_unusable=True))
    for note in found.notes:
        say(note)
    parts = {"train": found.train}
    parts |= {name: part for name, part in (("valid", found.valid), ("test", found.test)) if part is not None}
    items = [(split, item) for split, part in parts.items() for item in part]
    rows = [_asked(split, item) for split, item in items]
    most = 0
    if model is not None:
        reads, most = _read([item for _, item in items], model, config)
        rows = [replace(row, read=read) for row, read in zip(rows, reads, strict=True)]
    findings = check_conversations(rows, most_tokens=most)
    path = Path(config.out) / "checks.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [finding.as_dict() for finding in findings]
    splits = {name: len(part) for name, part in parts.items()}
    write_json(path, {"form": "graft-checks-1", "splits": splits, "n_left_out": found.n_dropped, "findings": told})
    print_checks(told, console=console, is_whole=True)
    say(f"all of it: {path}")
    return findings


def _asked(split: str, item: Conversation) -> Asked:
    before = item.prompt.messages
    prompt = "\n".join(message.content for message in before)
    return Asked(item.place, split, prompt, item.answer, tuple(m.role for m in item.messages), item.group)


def _read(items: list[Conversation], model: str, config: FitConfig) -> tuple[list[Read], int]:
    """Return what a language model reads of each conversation, and how many tokens of one it reads."""
    from graft.core.devices import choose_device
    from graft.methods.generation import judge_answers
    from graft.methods.where import training_precision
    from graft.training.conversations import ConversationExamples

    own = Path(model) / "model"
    task = load_language_task(config, model=str(own if (own / "graft.json").is_file() else model))
    reads, encoded, at = [], [], []
    for number, item in enumerate(items):
        try:
            tokens = task.encode(item)
        except (DataError, ModelError) as error:
            reads.append(Read(0, error=error.got))
            continue
        reads.append(Read(tokens.n_targets, tokens.n_cut_targets))
        if tokens.n_targets:
            encoded.append(tokens)
            at.append(number)
    if encoded:
        network = task.build().to(choose_device(config.device))
        precision = training_precision(network, choose_device(config.device), wanted=config.precision)
        examples = ConversationExamples(encoded, task.collate, task.collate_packed)
        judged = judge_answers(task, network, examples, np.arange(len(encoded)), precision=precision)
        for number, loss in zip(at, (judged.sums / judged.n_tokens).tolist(), strict=True):
            reads[number] = replace(reads[number], loss=float(loss))
    return reads, task.model.encoder.max_tokens
