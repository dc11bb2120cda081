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
from graft.api.deciding import decision_of_head
from graft.api.embedding import Embedded
from graft.api.judging import held_out_figures, judge_any
from graft.api.label_names import LabelNames, heed_names, read_names, zero_shot
from graft.api.test_reads import count_read
from graft.core.decision import AnyPredictions, Decision
from graft.core.devices import choose_device, choose_precision
from graft.core.files import atomic_path
from graft.core.run_folder import Run
from graft.core.text import counted, percent
from graft.core.types import MultiLabelPredictions, Predictions
from graft.data.kinds import TEXT
from graft.evaluation import frequency_baseline, majority_baseline
from graft.evaluation.conformal import scores_to_keep
from graft.methods.head_only import HeadFit, HeadOnly
from graft.methods.nearest_neighbours import nearest_neighbour_label_sets, nearest_neighbour_predictions
from graft.tasks.base import Task
from graft.tasks.fine_tuned import save_fine_tuned

__all__ = [
    "Judged", "baselines", "fit_head", "head_facts", "head_logits", "judge", "save", "write_predictions",
]  # fmt: skip

_CHECK_EXAMPLES = 4


@dataclass(frozen=True)
class Judged:
    """Predictions by split, and the figures made of them."""

    predictions: Mapping[str, AnyPredictions]
    metrics: dict[str, Any]


def fit_head(
    embedded: Embedded, config: FitConfig, *, say: Callable[[str], None]
) -> tuple[HeadFit, LabelNames | None, LabelNames | None]:
    """Return the head, fitted on train alone; the label names that can be read; those it learned from."""
    train = embedded.splits["train"]
    device = choose_device(config.device)
    matrices = [embedded.features["train"].matrix, *(view.matrix for view in embedded.views)]
    matrix = np.concatenate(matrices) if len(matrices) > 1 else matrices[0]
    method = HeadOnly(n_folds=config.folds, scalings=embedded.model.source().scalings)

    def fit(method: HeadOnly, names: LabelNames | None = None) -> HeadFit:
        return method.fit(
            matrix,
            train.labels,
            n_classes=len(embedded.label_names),
            groups=embedded.groups,
            n_views=len(matrices),
            anchors=None if names is None else names.anchors,
            seed=config.seed,
            device=device,
            is_bf16=choose_precision(device).name == "bf16",
            say=say,
        )

    names = read_names(embedded, config)
    head, heeded = heed_names(names, fit(method), fit, train, method, say=say)
    for note in head.notes:
        say(note)
    best = next(row for row in head.leaderboard if row["is_chosen"])
    say(
        f"head: scaling {head.scaling}, penalty {head.penalty:.3g}, out-of-fold log-loss {best['log_loss']:.4f}"
        f" (standard error {best['standard_error']:.4f}),"
        f" {'right labels' if train.is_multi_label else 'accuracy'} {percent(best['accuracy'])}; temperature"
        f" {head.temperature:.3f}"
    )
    return head, names, heeded


def head_facts(head: HeadFit) -> dict[str, Any]:
    """Return what the manifest keeps of the head."""
    return {"scaling": head.scaling, "penalty": head.penalty, "temperature": head.temperature}


def head_logits(
    embedded: Embedded, head: HeadFit, decision: Decision
) -> tuple[dict[str, NDArray[np.float32]], AnyPredictions]:
    """Return the head's logits of every split but train, and its out-of-fold predictions of train."""
    logits = {name: head.logits(embedded.features[name].matrix) for name in embedded.splits if name != "train"}
    return logits, _said(embedded, "train", head.out_of_fold_logits, decision, split="out_of_fold")


def _said(
    embedded: Embedded, part: str, logits: NDArray[np.float32], decision: Decision, *, split: str = ""
) -> AnyPredictions:
    examples = embedded.splits[part]
    return decision.predictions(
        examples.ids, examples.labels, logits=logits, label_names=embedded.label_names, split=split or part
    )


def save(
    task: Task,
    head: HeadFit | None,
    embedded: Embedded,
    run: Run,
    *,
    decision: Decision,
    held_out: AnyPredictions | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write ``RUN/model`` and check it by reloading; return what the manifest keeps of the check.

    Parameters
    ----------
    task : the network of its model is saved; with `head` it gets that head first.
    head : fitted on cached features; None: the network was fine-tuned and has its own.
    decision : kept beside the weights.
    held_out : predictions of examples that the model was not fitted to, for conformal sets; None: there are none.
    """
    if head is not None:
        task.model.head.set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    train = embedded.splits["train"]
    step = max(1, len(train) // _CHECK_EXAMPLES)
    rows = list(range(0, len(train), step))[:_CHECK_EXAMPLES]
    contents = [train.read(i) for i in rows]
    check = save_fine_tuned(
        task,
        run.folder / "model",
        label_names=embedded.label_names,
        contents=contents,
        decision=decision,
        held_out=scores_to_keep(held_out) if isinstance(held_out, Predictions) and len(held_out) else None,
        text_columns=train.text_columns if task.kind is TEXT else None,
    )
    told = (
        f"saved model reloaded: probabilities of {counted(check.n_examples, embedded.noun)} differ by at most"
        f" {check.largest_difference:.1e}"
    )
    facts: dict[str, Any] = {"n_examples": check.n_examples, "largest_difference": check.largest_difference}
    if head is not None:
        cached = decision.probabilities(head.logits(embedded.features["train"].matrix[rows]))
        gap = float(np.abs(cached - decision.probabilities(_network_logits(task, contents))).max())
        facts["largest_difference_to_cached_features"] = gap
        told += f"; from those of the cached {embedded.engine} features by {gap:.1e}"
    say(told)
    return {"weights_hash": check.weights_hash, "saved_model_check": facts, "decision": decision.as_dict()}


def baselines(
    embedded: Embedded,
    config: FitConfig,
    *,
    probe: HeadFit | None = None,
    label_texts: LabelNames | None = None,
    console: Console,
    say: Callable[[str], None],
) -> dict[str, AnyPredictions]:
    """Return the baselines' predictions of the test split.

    Parameters
    ----------
    probe : the head on frozen features, where the kept model is another.
    label_texts : label names as texts, where they can be read.
    """
    train, test = embedded.splits["train"], embedded.splits["test"]
    names = embedded.label_names
    nearest = nearest_neighbour_label_sets if train.is_multi_label else nearest_neighbour_predictions
    found: dict[str, AnyPredictions] = {}
    if train.is_multi_label:
        found["prior"] = frequency_baseline(train.labels, test.ids, test.labels, label_names=names)
    else:
        found["majority"] = majority_baseline(train.labels, test.ids, test.labels, label_names=names, split="test")
    found["knn"] = nearest(
        embedded.features["train"].matrix,
        train.labels,
        embedded.features["test"].matrix,
        ids=test.ids,
        targets=test.labels,
        label_names=names,
        split="test",
    )
    if label_texts is not None and getattr(embedded.model, "body", None) is not None:  # else no cosines were trained
        found["zero-shot"] = zero_shot(
            label_texts, embedded.features["test"].matrix, ids=test.ids, targets=test.labels, label_names=names
        )
    if probe is not None:
        logits = probe.logits(embedded.features["test"].matrix)
        found["probe"] = _said(embedded, "test", logits, decision_of_head(embedded, probe, config))
    if config.from_scratch:
        from graft.api.scratch import scratch_baseline

        say("training the same network from random weights, as a baseline")
        found["from_scratch"] = scratch_baseline(train, test, embedded.task, config, label_names=names, console=console)
    return found


def judge(
    embedded: Embedded,
    logits: Mapping[str, NDArray[np.float32]],
    out_of_fold: AnyPredictions | None,
    baselines: Mapping[str, AnyPredictions],
    config: FitConfig,
    run: Run,
    *,
    decision: Decision,
    say: Callable[[str], None],
) -> Judged:
    """Return predictions and figures; this is the one place that reads the test labels, and it counts it.

    Parameters
    ----------
    logits : of the kept model, by split, for every split but train.
    out_of_fold : the kept model's predictions of training examples that it had not seen; None: there are none.
    decision : of the kept model.
    say : told where other runs have read the same test split.
    """
    predictions = {name: _said(embedded, name, z, decision) for name, z in logits.items()}
    reads = count_read(run, embedded.splits["test"].fingerprint, cache=config.cache, say=say)
    counts = embedded.splits["train"].class_counts
    metrics = judge_any(predictions["test"], baselines=baselines, class_counts=counts, seed=config.seed)
    held_out = {} if out_of_fold is None else {"out_of_fold": out_of_fold}
    held_out |= {"valid": predictions["valid"]} if "valid" in predictions else {}
    metrics["held_out"] = {name: held_out_figures(p, seed=config.seed) for name, p in held_out.items()}
    return Judged(held_out | predictions, metrics | reads)


def write_predictions(path: Path, predictions: Mapping[str, AnyPredictions]) -> None:
    """Write one row an example: id, split, target, prediction, and ``p_<label>`` for each label.

    Where an example may have several labels, target and prediction are lists.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    tables = []
    for split, p in predictions.items():
        kind = pa.list_(pa.string()) if isinstance(p, MultiLabelPredictions) else pa.string()
        targets, said = _named(p)
        columns: dict[str, Any] = {
            "id": pa.array(list(p.ids), pa.string()),
            "split": pa.array([split] * len(p), pa.string()),
            "target": pa.array(targets, kind),
            "prediction": pa.array(said, kind),
        }
        probabilities = p.probabilities.astype(np.float32)
        for i, name in enumerate(p.label_names):
            columns[f"p_{name}"] = pa.array(probabilities[:, i])
        tables.append(pa.table(columns))
    with atomic_path(path) as temporary:
        parquet.write_table(pa.concat_tables(tables), temporary)


def _named(p: AnyPredictions) -> tuple[list[Any], list[Any]]:
    """Return the names of the targets and of what was said; None where a target is not known."""
    names = np.asarray(p.label_names, dtype=object)
    if isinstance(p, MultiLabelPredictions):
        said = [names[row == 1].tolist() for row in p.predicted]
        known = zip(p.targets, p.is_known, strict=True)
        return [names[row == 1].tolist() if is_known else None for row, is_known in known], said
    return [None if t < 0 else names[t] for t in p.targets], names[p.predicted].tolist()


@torch.inference_mode()
def _network_logits(task: Task, contents: list[bytes]) -> NDArray[np.float32]:
    batches = [task.collate([task.encode(content, name="an example")], [0]) for content in contents]
    return np.concatenate([task.predict(task.model.network, batch).float().numpy() for batch in batches])
