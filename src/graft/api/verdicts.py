"""The verdict of a run: what the claims need beyond the test predictions is gathered here, mostly from the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.cluster import vq

from graft.api.config import FitConfig
from graft.api.embedding import Embedded, extractor_for
from graft.api.labels_curve import LabelsCurve
from graft.api.stations import Judged
from graft.core.decision import AnyPredictions, Decision
from graft.core.seeds import derive_seed, generator
from graft.core.types import MultiLabelPredictions, Predictions
from graft.data.traits import trait_columns
from graft.evaluation.claims import Claim, not_judged
from graft.evaluation.conformal import fit_conformal
from graft.evaluation.evaluate import evaluate
from graft.evaluation.judge import Candidates, judge
from graft.evaluation.learning_curve import LearningCurve
from graft.evaluation.similarity import FeatureChange, compare_features
from graft.evaluation.slices import find_slices, truth_columns
from graft.methods.head_only import HeadFit
from graft.tasks.base import Task

__all__ = ["feature_clusters", "verdict_figures"]

_MOST_EXAMPLES = 200  # passed once more through a fine-tuned network, of train and of test each
_A_CLUSTER = 30
_MOST_CLUSTERS = 12
_COVERAGE = 0.9
_SLICED = {
    "brightness": "the brightness",
    "width_px": "the width in pixels",
    "height_px": "the height in pixels",
    "words": "the number of words",
    "duration_s": "the length in seconds",
    "loudness_db": "the loudness in dB",
}


def verdict_figures(
    embedded: Embedded,
    head: HeadFit,
    judged: Judged,
    baselines: dict[str, Any],
    config: FitConfig,
    *,
    decision: Decision,
    curve: LabelsCurve,
    tuned: Task | None = None,
    candidates: Candidates | None = None,
    history: list[dict[str, Any]] | None = None,
    say: Callable[[str], None],
    console: Console | None = None,
) -> dict[str, Any]:
    """Return what ``metrics.json`` holds of the verdict: claims, learning_curve, slices and conformal.

    Parameters
    ----------
    head : the probe.
    judged : predictions of the kept model; the test labels in them were read, and counted, when it was made.
    baselines : predictions of the test split.
    curve : of the probe over training sizes.
    tuned : over the fine-tuned network, where that is the kept model; None: the probe is.
    candidates : all that a fine-tuned model was chosen from; of the probe's the head knows.
    history : looks at held-out examples while training.
    """
    test = judged.predictions["test"]
    change = None
    if tuned is None:
        train = _said(embedded, "train", head.logits(embedded.features["train"].matrix), decision)
    else:
        train, change = _passed_again(embedded, tuned, config, decision, say=say, console=console)
    if isinstance(test, MultiLabelPredictions):
        return _of_label_sets(embedded, test, baselines, config, train=train, curve=curve, say=say)
    held_out = judged.predictions.get("out_of_fold", judged.predictions.get("valid"))
    valid = held_out if isinstance(held_out, Predictions) else None
    more_labels = curve.get(say=say)
    columns = _columns(embedded, test, seed=config.seed)
    if tuned is None and head.losses_of_all is not None and head.is_right_of_all is not None:
        candidates = Candidates(head.is_right_of_all > 0.5, head.losses_of_all)
    ones = {name: b for name, b in baselines.items() if isinstance(b, Predictions)}
    counts = embedded.splits["train"].class_counts
    claims = judge(
        test,
        evaluation=evaluate(test, baselines=ones, class_counts=counts, seed=config.seed),
        train=train,
        valid=valid,
        baselines=baselines,
        candidates=candidates,
        curve=more_labels,
        features=change,
        is_frozen=tuned is None,
        slices=columns,
        history=history or (),
        seed=config.seed,
    )
    found = _of_more_labels(more_labels, claims, why_none=curve.why_none, n=len(test))
    keep = np.flatnonzero(test.targets >= 0)
    known = {name: [values[int(i)] for i in keep] for name, values in columns.items()}
    found["slices"] = [part.as_dict() for part in find_slices(test.is_correct[keep], known)[:20]]
    if valid is not None and len(valid):
        sets = fit_conformal(valid, coverage=_COVERAGE)
        share = sets.measured(test)
        found["conformal"] = sets.as_dict() | share | {"coverage_measured": share["coverage"].as_dict()}
        found["conformal"]["coverage"] = sets.coverage
    return found


def _of_label_sets(
    embedded: Embedded,
    test: MultiLabelPredictions,
    baselines: dict[str, Any],
    config: FitConfig,
    *,
    train: AnyPredictions,
    curve: LabelsCurve,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return claims and slices where an example may have any number of labels: right is an exact set of labels."""
    columns = _columns(embedded, test, seed=config.seed)
    more_labels = curve.get(say=say)
    claims = judge(test, train=train, baselines=baselines, curve=more_labels, slices=columns, seed=config.seed)
    found = _of_more_labels(more_labels, claims, why_none=curve.why_none, n=len(test))
    keep = np.flatnonzero(test.is_known)
    known = {name: [values[int(i)] for i in keep] for name, values in columns.items()}
    slices = find_slices(test.is_correct[keep], known)
    return found | {"slices": [part.as_dict() for part in slices[:20]]}


def _of_more_labels(curve: LearningCurve | None, claims: list[Claim], *, why_none: str, n: int) -> dict[str, Any]:
    """Return the claims, with why there is no curve where there is none, and the curve."""
    if curve is None:
        claims.append(not_judged("more_labels", "Would more labels help?", why=why_none, n=n))
    found: dict[str, Any] = {"claims": [claim.as_dict() for claim in claims]}
    if curve is not None:
        found["learning_curve"] = {"model": "frozen network with a new head", **curve.as_dict()}
    return found


def feature_clusters(features: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.int64]:
    """Return the cluster of each example by k-means on unit features, about one for 30 examples, at most 12.

    Parameters
    ----------
    features : (n_examples, n_features).

    Examples
    --------
    >>> x = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
    >>> len(set(feature_clusters(x)[:40])), len(set(feature_clusters(x)))
    (1, 2)
    """
    x = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    k = int(np.clip(len(x) // _A_CLUSTER, 1, _MOST_CLUSTERS))
    rng = np.random.default_rng(derive_seed(seed, "clusters"))
    _, cluster = vq.kmeans2(x.astype(np.float64), k, minit="++", seed=rng, iter=20, missing="warn")
    return np.asarray(cluster, dtype=np.int64)


def _columns(embedded: Embedded, test: AnyPredictions, *, seed: int) -> dict[str, list[Any]]:
    """Return what slices are made of: the true class or each label, clusters of features, and plain traits."""
    columns: dict[str, list[Any]] = dict(truth_columns(test))
    names = columns.get("class", [])
    matrix = embedded.features["test"].matrix
    if len(matrix) >= 2 * _A_CLUSTER:
        cluster = feature_clusters(matrix, seed=seed)
        called = {}
        for c in np.unique(cluster) if names else ():
            inside = [name for i in np.flatnonzero(cluster == c) if (name := names[int(i)]) is not None]
            most = max(sorted(set(inside)), key=inside.count) if inside else "?"
            called[int(c)] = f"{int(c) + 1}, mostly {most}"
        columns["the cluster of alike examples"] = [called.get(int(c), str(int(c) + 1)) for c in cluster]
    return columns | _trait_columns(embedded)


def _trait_columns(embedded: Embedded) -> dict[str, list[Any]]:
    """Return by name what is known of each test example without a network: length, size, brightness."""
    traits = embedded.traits.get("test")
    if traits is None:
        return {}
    names = trait_columns(embedded.task.kind)
    return {_SLICED[name]: traits.values[:, i].tolist() for i, name in enumerate(names) if name in _SLICED}


def _passed_again(
    embedded: Embedded,
    tuned: Task,
    config: FitConfig,
    decision: Decision,
    *,
    say: Callable[[str], None],
    console: Console | None,
) -> tuple[AnyPredictions, FeatureChange | None]:
    """Return the fine-tuned network's predictions of some training examples, and what it did to features of test."""
    extractor = extractor_for(tuned.model, config, say=lambda text: None, console=console)
    layer = tuned.model.head.layer
    weights, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    rng = generator(config.seed, "passed again")

    def some(part: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        examples = embedded.splits[part]
        rows = np.sort(rng.permutation(len(examples))[:_MOST_EXAMPLES])
        found = [features for _, features, _ in extractor.stream(examples.select(rows))]
        return rows, np.concatenate(found).astype(np.float32)

    rows, features = some("train")
    train = _said(embedded, "train", features @ weights.T + bias, decision, rows=rows)
    rows, after = some("test")
    before = embedded.features["test"].matrix[rows]
    labels = embedded.splits["test"].labels[rows]
    change = compare_features(before, after, labels) if len(rows) > _A_CLUSTER and labels.ndim == 1 else None
    return train, change


def _said(
    embedded: Embedded,
    part: str,
    logits: NDArray[np.float32],
    decision: Decision,
    *,
    rows: NDArray[np.int64] | None = None,
) -> AnyPredictions:
    examples = embedded.splits[part]
    rows = np.arange(len(examples)) if rows is None else rows
    return decision.predictions(
        [examples.ids[int(i)] for i in rows],
        examples.labels[rows],
        logits=logits,
        label_names=embedded.label_names,
        split=part,
    )
