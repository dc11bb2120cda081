"""The stations of `fit`, each a function: what goes from one to the next is `Embedded`, a head, and predictions."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.backbones.cache import FeatureCache, default_cache_folder
from graft.backbones.extraction import Extractor, Features
from graft.backbones.loading import ImageModel, load_image_model
from graft.backbones.views import training_views
from graft.core.devices import choose_device, choose_precision
from graft.core.errors import DataError
from graft.core.files import atomic_path, hash_json
from graft.core.run_folder import Run
from graft.core.text import counted
from graft.core.types import Predictions
from graft.data.dataset import LabeledDataset, Splits
from graft.data.duplicates import cross_split_duplicates, duplicate_groups
from graft.data.images import decode_image
from graft.data.splitting import stratified_split
from graft.evaluation import accuracy, log_loss, majority_baseline
from graft.evaluation import evaluate as judge_predictions
from graft.methods.head_only import HeadFit, HeadOnly
from graft.methods.nearest_neighbours import nearest_neighbour_predictions
from graft.tasks.fine_tuned import save_fine_tuned

__all__ = [
    "Embedded", "Judged", "baselines", "describe_model", "divide", "embed", "extractor_for", "fit_head", "head_facts",
    "judge", "load_model", "save", "thumbnails", "write_predictions",
]  # fmt: skip

_CHECK_PICTURES = 4
_MOST_THUMBNAILS = 400
_THUMBNAIL_SIDE = 96


@dataclass(frozen=True)
class Embedded:
    """All splits with their features.

    Parameters
    ----------
    splits : name to examples; ``"train"`` always, ``"valid"`` and ``"test"`` where there are any.
    features : name to features of the plain view, in the same order.
    views : features of further views of train, without the plain one.
    groups : group of each training example that a fold must not tear: copies, and the user's groups.
    label_names : the one label map.
    notes : sentences for the report.
    engine : what computed the features.
    """

    splits: Mapping[str, LabeledDataset]
    features: Mapping[str, Features]
    views: tuple[Features, ...]
    groups: NDArray[np.int64] | None
    label_names: tuple[str, ...]
    model: ImageModel
    notes: tuple[str, ...]
    engine: str
    seconds: Mapping[str, float]

    def facts(self) -> dict[str, Any]:
        """Return what the manifest keeps of data and model."""
        return {
            "backbone": self.model.backbone.as_dict(),
            "preprocessing": self.model.preprocessing.fingerprint,
            "engine": self.engine,
            "labels": list(self.label_names),
            "splits": {
                name: {"n": len(part), "fingerprint": part.fingerprint, "ids": hash_json(part.ids)}
                for name, part in self.splits.items()
            },
        }


@dataclass(frozen=True)
class Judged:
    """Predictions by split, and the figures made of them."""

    predictions: Mapping[str, Predictions]
    metrics: dict[str, Any]


def load_model(config: FitConfig, label_names: tuple[str, ...]) -> ImageModel:
    """Return the pretrained model that the options name."""
    return load_image_model(
        config.model,
        label_names=label_names,
        weights=config.weights,
        revision=config.revision,
        is_offline=config.offline,
        trust_remote_code=config.trust_remote_code,
    )


def describe_model(model: ImageModel) -> str:
    """Return one sentence on the model."""
    backbone = model.backbone
    notes = "".join(f"; {note}" for note in model.notes)
    return (
        f"model {backbone.id}: {backbone.architecture}, {backbone.n_parameters / 1e6:.1f} M parameters, all frozen;"
        f" {backbone.n_features} features a picture of {' x '.join(map(str, model.preprocessing.shape))}{notes}"
    )


def extractor_for(
    model: ImageModel, config: FitConfig, *, say: Callable[[str], None], console: Console | None
) -> Extractor:
    """Return the extractor that the options ask for."""
    device = choose_device(config.device)
    return Extractor(
        model,
        FeatureCache(Path(config.cache) if config.cache else default_cache_folder()),
        device=device,
        precision=choose_precision(device, wanted=config.precision),
        engine=config.engine,
        is_strict_precision=config.precision != "auto",
        batch_size=config.batch_size,
        n_workers=config.workers,
        skip_unreadable=config.skip_unreadable,
        say=say,
        console=console,
    )


def embed(
    splits: Splits, model: ImageModel, config: FitConfig, run: Run, *, say: Callable[[str], None], console: Console
) -> Embedded:
    """Return the features of every split: one pass over all pictures, through the cache."""
    views = training_views(config.views, has_flip=config.flip, seed=config.seed)
    parts = splits.present()
    n_pictures = sum(map(len, parts.values())) + (len(views) - 1) * len(splits.train)
    extractor = extractor_for(model, config, say=say, console=console)
    with run.phase("features"):
        features = {name: extractor.run(part, n_pictures=n_pictures) for name, part in parts.items()}
        more = tuple(extractor.run(splits.train, n_pictures=n_pictures, view=view) for view in views[1:])
    if extractor.seconds_engine:
        run.seconds["features"] -= extractor.seconds_engine
        run.seconds["engine set-up"] = extractor.seconds_engine
    n_computed = sum(f.n_computed for f in (*features.values(), *more))
    if n_computed:
        seconds = run.seconds["features"]
        say(f"{n_computed:,} pictures computed in {seconds:.1f} s ({n_computed / seconds:,.0f}/s)")
    embedded = Embedded(
        splits=parts,
        features=features,
        views=more,
        groups=None,
        label_names=splits.train.label_names,
        model=model,
        notes=splits.notes,
        engine=extractor.engine_label,
        seconds={"engine": extractor.seconds_engine, "forward": extractor.seconds_forward},
    )
    return _without_unreadable(embedded, say=say)


def divide(embedded: Embedded, config: FitConfig, *, say: Callable[[str], None]) -> Embedded:
    """Hold out a test split where the data brings none; count the copies between splits; set the fold groups."""
    train, features = embedded.splits["train"], embedded.features["train"]
    copies = duplicate_groups(features.keys, perceptual=features.perceptual, features=features.matrix)
    groups = copies if train.groups is None else _joined(copies, train.groups)
    notes = []
    n_copies = len(copies) - len(np.unique(copies))
    if n_copies:
        verb = "is a copy or near copy" if n_copies == 1 else "are copies or near copies"
        notes.append(f"{counted(n_copies, 'picture')} of train {verb} of another; copies share a fold")
    if "test" in embedded.splits:
        for name in ("test", "valid"):
            if name in embedded.splits:
                other = embedded.features[name]
                overlap = cross_split_duplicates(
                    features.keys,
                    other.keys,
                    first_perceptual=features.perceptual,
                    second_perceptual=other.perceptual,
                    first_features=features.matrix,
                    second_features=other.matrix,
                )
                if overlap.count:
                    first, second = overlap.pairs[0]
                    verb = "has" if overlap.count == 1 else "have"
                    notes.append(
                        f"{counted(overlap.count, 'picture')} of {name} {verb} a copy or near copy in train:"
                        f" {embedded.splits[name].ids[second]} of {train.ids[first]}; figures on {name} flatter a bit"
                    )
        result = replace(embedded, groups=groups)
    else:
        fractions = {"train": 1 - config.test_fraction, "test": config.test_fraction}
        parts = stratified_split(train.labels, groups=groups, fractions=fractions, seed=config.seed)
        empty = [name for name, rows in parts.items() if not len(rows)]
        if empty:
            raise DataError(
                f"{len(train)} examples leave nothing for {' and '.join(empty)}",
                expected="enough examples to hold some out",
                fix="add examples, or name a test split with --test (Python: test=)",
            )
        notes.append(
            f"no test split given: {len(parts['test']):,} of {len(train):,} pictures held out, stratified by class,"
            f" copies kept together, seed {config.seed}"
        )
        result = replace(
            embedded,
            splits={**embedded.splits, **{name: train.select(rows) for name, rows in parts.items()}},
            features={**embedded.features, **{name: _rows(features, rows) for name, rows in parts.items()}},
            views=tuple(_rows(view, parts["train"]) for view in embedded.views),
            groups=groups[parts["train"]],
        )
    if "valid" not in result.splits:
        notes.append(f"no validation split needed: choices are made by {config.folds}-fold cross-validation on train")
    for note in notes:
        say(note)
    return replace(result, notes=(*embedded.notes, *notes))


def fit_head(embedded: Embedded, config: FitConfig, *, say: Callable[[str], None]) -> HeadFit:
    """Return the head, fitted on train alone."""
    train = embedded.splits["train"]
    device = choose_device(config.device)
    matrices = [embedded.features["train"].matrix, *(view.matrix for view in embedded.views)]
    head = HeadOnly(n_folds=config.folds).fit(
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


def save(
    model: ImageModel, head: HeadFit, embedded: Embedded, run: Run, *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write ``RUN/model`` and check it by reloading; return what the manifest keeps of the check."""
    model.head.set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    train = embedded.splits["train"]
    step = max(1, len(train) // _CHECK_PICTURES)
    rows = list(range(0, len(train), step))[:_CHECK_PICTURES]
    pictures = [decode_image(train.read(i), name=train.place(i)) for i in rows]
    check = save_fine_tuned(model, run.folder / "model", label_names=embedded.label_names, pictures=pictures)
    cached = _softmax(head.logits(embedded.features["train"].matrix[rows]))
    direct = _network_probabilities(model, pictures)
    gap = float(np.abs(cached - direct).max())
    say(
        f"saved model reloaded: probabilities of {check.n_pictures} pictures differ by at most"
        f" {check.largest_difference:.1e}; from those of the cached {embedded.engine} features by {gap:.1e}"
    )
    return {
        "weights_hash": check.weights_hash,
        "saved_model_check": {
            "n_pictures": check.n_pictures,
            "largest_difference": check.largest_difference,
            "largest_difference_to_cached_features": gap,
        },
    }


def baselines(
    embedded: Embedded,
    model: ImageModel,
    config: FitConfig,
    *,
    console: Console,
    say: Callable[[str], None],
) -> dict[str, Predictions]:
    """Return the baselines' predictions of the test split."""
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
    if config.from_scratch:
        from graft.api.scratch import scratch_predictions

        say("training the same network from random weights, as a baseline")
        found["from_scratch"] = scratch_predictions(
            train, test, model, label_names=names, seed=config.seed, has_flip=config.flip, console=console
        )
    return found


def judge(
    embedded: Embedded, head: HeadFit, baselines: Mapping[str, Predictions], config: FitConfig, run: Run
) -> Judged:
    """Return predictions and figures; this is the one place that reads the test labels, and it counts it."""
    predictions = {
        name: Predictions(
            part.ids, part.labels, head.logits(embedded.features[name].matrix), embedded.label_names, name
        )
        for name, part in embedded.splits.items()
        if name != "train"
    }
    train = embedded.splits["train"]
    out_of_fold = Predictions(train.ids, train.labels, head.out_of_fold_logits, embedded.label_names, "out_of_fold")
    n_reads = run.count_test_read()
    metrics = judge_predictions(predictions["test"], baselines=baselines, seed=config.seed).as_dict()
    held_out = {"out_of_fold": out_of_fold, **({"valid": predictions["valid"]} if "valid" in predictions else {})}
    metrics["held_out"] = {
        name: {"accuracy": accuracy(p).as_dict(), "log_loss": log_loss(p, seed=config.seed).as_dict()}
        for name, p in held_out.items()
    }
    metrics["test_reads"] = n_reads
    return Judged({"out_of_fold": out_of_fold, **predictions}, metrics)


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


def thumbnails(embedded: Embedded, predictions: Predictions) -> dict[str, bytes]:
    """Return small JPEGs of the mistakes, the most confident first, by id."""
    wrong = np.flatnonzero(~predictions.is_correct & (predictions.targets >= 0))
    confidence = predictions.probabilities[wrong].max(axis=1)
    part = embedded.splits[predictions.split]
    found = {}
    for row in wrong[np.argsort(-confidence)][:_MOST_THUMBNAILS]:
        picture = decode_image(part.read(int(row)), name=part.place(int(row)))
        picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=80)
        found[part.ids[row]] = file.getvalue()
    return found


def _without_unreadable(embedded: Embedded, *, say: Callable[[str], None]) -> Embedded:
    """Drop examples whose picture could not be read, and say how many."""
    splits, features, views, notes = (
        dict(embedded.splits),
        dict(embedded.features),
        embedded.views,
        list(embedded.notes),
    )
    for name, part in embedded.splits.items():
        is_readable = features[name].is_readable
        if is_readable.all():
            continue
        rows = np.flatnonzero(is_readable)
        example = part.ids[int(np.argmin(is_readable))]
        note = f"{counted(len(part) - len(rows), 'unreadable picture')} of {name} skipped, for example {example}"
        say(note)
        notes.append(note)
        splits[name], features[name] = part.select(rows), _rows(features[name], rows)
        if name == "train":
            views = tuple(_rows(view, rows) for view in views)
        fewest = int(np.bincount(splits[name].labels, minlength=len(embedded.label_names)).min())
        if name == "train" and fewest < 2:
            raise DataError(
                f"after skipping unreadable pictures a class has {fewest} examples left in train",
                expected="at least 2 a class",
                fix="replace the unreadable files",
            )
    return replace(embedded, splits=splits, features=features, views=views, notes=tuple(notes))


def _rows(features: Features, rows: NDArray[np.int64]) -> Features:
    return Features(
        features.matrix[rows],
        features.perceptual[rows],
        tuple(features.keys[i] for i in rows),
        features.is_readable[rows],
        0,
    )


def _joined(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups that join whatever either grouping joins."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(first)
    rows = np.arange(n)
    first_ids = np.unique(first, return_inverse=True)[1] + n
    second_ids = np.unique(second, return_inverse=True)[1] + n + first_ids.max() + 1 - n
    size = int(second_ids.max()) + 1
    edges = coo_array((np.ones(2 * n), (np.tile(rows, 2), np.concatenate([first_ids, second_ids]))), shape=(size, size))
    return np.asarray(connected_components(edges, directed=False)[1][:n], dtype=np.int64)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))


@torch.inference_mode()
def _network_probabilities(model: ImageModel, pictures: list[Any]) -> NDArray[np.float64]:
    preprocessing = model.preprocessing
    scale, offset = (torch.from_numpy(x).view(1, -1, 1, 1) for x in (preprocessing.scale, preprocessing.offset))
    pixels = torch.from_numpy(np.stack([preprocessing(picture) for picture in pictures])).float() * scale + offset
    network: Any = model.network
    return network(pixel_values=pixels).logits.softmax(-1).numpy().astype(np.float64)
