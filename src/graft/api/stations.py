"""The later stations of `fit`: head, saving, baselines, judgement; what goes between is `Embedded` and predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.core.devices import choose_device, choose_precision
from graft.core.errors import UsageError
from graft.core.files import atomic_path
from graft.core.run_folder import Run
from graft.core.text import counted
from graft.core.types import Predictions, Preview
from graft.evaluation import accuracy, log_loss, majority_baseline
from graft.evaluation import evaluate as judge_predictions
from graft.methods.head_only import HeadFit, HeadOnly
from graft.methods.nearest_neighbours import nearest_neighbour_predictions
from graft.tasks.base import Task
from graft.tasks.fine_tuned import save_fine_tuned

__all__ = [
    "Judged", "baselines", "fit_head", "head_facts", "head_logits", "how_it_loads", "judge", "previews", "save",
    "write_predictions",
]  # fmt: skip

_CHECK_EXAMPLES = 4
_MOST_PREVIEWS = 400


@dataclass(frozen=True)
class Judged:
    """Predictions by split, and the figures made of them."""

    predictions: Mapping[str, Predictions]
    metrics: dict[str, Any]


def fit_head(embedded: Embedded, config: FitConfig, *, say: Callable[[str], None]) -> HeadFit:
    """Return the head, fitted on train alone."""
    train = embedded.splits["train"]
    device = choose_device(config.device)
    matrices = [embedded.features["train"].matrix, *(view.matrix for view in embedded.views)]
    head = HeadOnly(n_folds=config.folds, scalings=embedded.model.source().scalings).fit(
        np.concatenate(matrices) if len(matrices) > 1 else matrices[0],
        train.labels,
        n_classes=len(embedded.label_names),
        groups=embedded.groups,
        n_views=len(matrices),
        seed=config.seed,
        device=device,
        is_bf16=choose_precision(device).name == "bf16",
        say=say,
    )
    for note in head.notes:
        say(note)
    best = next(row for row in head.leaderboard if row["is_chosen"])
    say(
        f"head: scaling {head.scaling}, penalty {head.penalty:.3g}, out-of-fold log-loss {best['log_loss']:.4f}"
        f" (standard error {best['standard_error']:.4f}), accuracy {best['accuracy']:.1%}; temperature"
        f" {head.temperature:.3f}"
    )
    return head


def head_facts(head: HeadFit) -> dict[str, Any]:
    """Return what the manifest keeps of the head."""
    return {"scaling": head.scaling, "penalty": head.penalty, "temperature": head.temperature}


def head_logits(embedded: Embedded, head: HeadFit) -> tuple[dict[str, NDArray[np.float32]], Predictions]:
    """Return the head's logits of every split but train, and its out-of-fold predictions of train."""
    train = embedded.splits["train"]
    logits = {name: head.logits(embedded.features[name].matrix) for name in embedded.splits if name != "train"}
    return logits, Predictions(train.ids, train.labels, head.out_of_fold_logits, embedded.label_names, "out_of_fold")


def save(
    task: Task, head: HeadFit | None, embedded: Embedded, run: Run, *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write ``RUN/model`` and check it by reloading; return what the manifest keeps of the check.

    Parameters
    ----------
    task : the network of its model is saved; with `head` it gets that head first.
    head : fitted on cached features; None: the network was fine-tuned and has its own.
    """
    if head is not None:
        task.model.head.set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    train = embedded.splits["train"]
    step = max(1, len(train) // _CHECK_EXAMPLES)
    rows = list(range(0, len(train), step))[:_CHECK_EXAMPLES]
    contents = [train.read(i) for i in rows]
    check = save_fine_tuned(task, run.folder / "model", label_names=embedded.label_names, contents=contents)
    told = (
        f"saved model reloaded: probabilities of {counted(check.n_examples, embedded.noun)} differ by at most"
        f" {check.largest_difference:.1e}"
    )
    facts: dict[str, Any] = {"n_examples": check.n_examples, "largest_difference": check.largest_difference}
    if head is not None:
        cached = _softmax(head.logits(embedded.features["train"].matrix[rows]))
        gap = float(np.abs(cached - _network_probabilities(task, contents)).max())
        facts["largest_difference_to_cached_features"] = gap
        told += f"; from those of the cached {embedded.engine} features by {gap:.1e}"
    say(told)
    return {"weights_hash": check.weights_hash, "saved_model_check": facts}


def baselines(
    embedded: Embedded,
    config: FitConfig,
    *,
    probe: HeadFit | None = None,
    console: Console,
    say: Callable[[str], None],
) -> dict[str, Predictions]:
    """Return the baselines' predictions of the test split.

    Parameters
    ----------
    probe : the head on frozen features, where the kept model is another.
    """
    train, test = embedded.splits["train"], embedded.splits["test"]
    names = embedded.label_names
    found = {
        "majority": majority_baseline(train.labels, test.ids, test.labels, label_names=names, split="test"),
        "knn": nearest_neighbour_predictions(
            embedded.features["train"].matrix,
            train.labels,
            embedded.features["test"].matrix,
            ids=test.ids,
            targets=test.labels,
            label_names=names,
            split="test",
        ),
    }
    if probe is not None:
        logits = probe.logits(embedded.features["test"].matrix)
        found["probe"] = Predictions(test.ids, test.labels, logits, names, "test")
    if config.from_scratch:
        from graft.api.scratch import scratch_predictions
        from graft.backbones.loading import ImageModel

        if not isinstance(embedded.model, ImageModel):
            raise UsageError(
                f"--from-scratch with {embedded.noun}s",
                expected="pictures: a language is not learned from a few labelled texts",
                fix="leave --from-scratch away (Python: from_scratch=False)",
            )

        say("training the same network from random weights, as a baseline")
        found["from_scratch"] = scratch_predictions(
            train, test, embedded.model, label_names=names, seed=config.seed, has_flip=config.flip, console=console
        )
    return found


def judge(
    embedded: Embedded,
    logits: Mapping[str, NDArray[np.float32]],
    out_of_fold: Predictions | None,
    baselines: Mapping[str, Predictions],
    config: FitConfig,
    run: Run,
) -> Judged:
    """Return predictions and figures; this is the one place that reads the test labels, and it counts it.

    Parameters
    ----------
    logits : of the kept model, by split, for every split but train.
    out_of_fold : the kept model's predictions of training examples that it had not seen; None: there are none.
    """
    predictions = {
        name: Predictions(embedded.splits[name].ids, embedded.splits[name].labels, z, embedded.label_names, name)
        for name, z in logits.items()
    }
    n_reads = run.count_test_read()
    metrics = judge_predictions(predictions["test"], baselines=baselines, seed=config.seed).as_dict()
    held_out = {} if out_of_fold is None else {"out_of_fold": out_of_fold}
    held_out |= {"valid": predictions["valid"]} if "valid" in predictions else {}
    metrics["held_out"] = {
        name: {"accuracy": accuracy(p).as_dict(), "log_loss": log_loss(p, seed=config.seed).as_dict()}
        for name, p in held_out.items()
    }
    metrics["test_reads"] = n_reads
    return Judged(held_out | predictions, metrics)


def write_predictions(path: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write one row an example: id, split, target, prediction, and ``p_<label>`` for each label."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    tables = []
    for split, p in predictions.items():
        names = np.asarray(p.label_names, dtype=object)
        targets = [None if t < 0 else names[t] for t in p.targets]
        columns: dict[str, Any] = {
            "id": pa.array(list(p.ids), pa.string()),
            "split": pa.array([split] * len(p), pa.string()),
            "target": pa.array(targets, pa.string()),
            "prediction": pa.array(names[p.predicted].tolist(), pa.string()),
        }
        probabilities = p.probabilities.astype(np.float32)
        for i, name in enumerate(p.label_names):
            columns[f"p_{name}"] = pa.array(probabilities[:, i])
        tables.append(pa.table(columns))
    with atomic_path(path) as temporary:
        parquet.write_table(pa.concat_tables(tables), temporary)


def previews(embedded: Embedded, predictions: Predictions) -> dict[str, Preview]:
    """Return what the report shows of the mistakes, the most confident first, by id."""
    wrong = np.flatnonzero(~predictions.is_correct & (predictions.targets >= 0))
    confidence = predictions.probabilities[wrong].max(axis=1)
    part = embedded.splits[predictions.split]
    rows = [int(row) for row in wrong[np.argsort(-confidence)][:_MOST_PREVIEWS]]
    return {part.ids[row]: embedded.task.preview(part.read(row), name=part.place(row)) for row in rows}


def how_it_loads(task: Task) -> str:
    """Return how the saved model is used outside of Graft."""
    own = task.model.saved_facts.get("preprocessing")
    if own is None:
        return f"loads in transformers.pipeline('{task.name}', ...)"
    return (
        f"transformers.pipeline cannot load it: its input comes from {own['file']}:{own['name']}, which lies beside it;"
        " the network itself is a standard checkpoint"
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))


@torch.inference_mode()
def _network_probabilities(task: Task, contents: list[bytes]) -> NDArray[np.float64]:
    batches = [task.collate([task.encode(content, name="an example")], [0]) for content in contents]
    rows = [task.predict(task.model.network, batch).softmax(-1).numpy() for batch in batches]
    return np.concatenate(rows).astype(np.float64)
