"""The arms of text_job.py that are Graft's: fine-tuning with and without a probe first, and embedding."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from text_job_rows import Facts, numbers, probe

__all__ = ["GRAFT_ARMS"]


def graft_task(told: Facts, names: list[str]) -> Any:
    from graft.tasks.text_classification import TextClassification

    return TextClassification.load(told["model"], label_names=names, is_offline=True)


def graft_fine_tuning(told: Facts, *, is_probe_first: bool) -> Facts:
    """Train all layers by Graft's method, its loop and its batches of texts of like length, at its own rates."""
    import numpy as np
    import torch

    from graft.core.devices import choose_device, choose_precision
    from graft.methods.fine_tuning import fine_tune
    from graft.methods.full import Full
    from graft.methods.head_only import HeadOnly
    from graft.methods.lp_ft import LPFT
    from graft.methods.settings import FineTuning
    from graft.methods.where import Where, training_precision
    from graft.tasks.text_classification import TextClassification
    from graft.training.examples import predict_logits
    from graft.training.texts import TextExamples

    texts, targets, test_texts, test_targets, names = numbers(told)
    task = graft_task(told, names)
    model = task.model
    settings = FineTuning(epochs=told["epochs"], fewest_steps=1, batch_size=told["batch_size"])
    chosen = model.choose(model.blocks[0])  # the mean over the last layer, as the checkpoint pools
    started = time.perf_counter()
    tokens = chosen.tokens
    examples = TextExamples(tokens.encode_all(texts), np.array(targets), len(names), collate=tokens.collate)
    rows = np.arange(len(texts))
    width = chosen.head.layer.weight.shape[1]
    start = np.zeros((len(names), width), np.float32), np.zeros(len(names), np.float32)
    method: Any = Full(settings)
    if is_probe_first:
        features = _features(chosen, texts)
        device = choose_device()
        head = HeadOnly(n_folds=5, scalings=chosen.source().scalings).fit(
            features, np.array(targets), n_classes=len(names), groups=None, n_views=1, seed=told["seed"],
            device=device, is_bf16=choose_precision(device).name == "bf16",
        )  # fmt: skip
        start, method = (head.weights, head.bias), LPFT(settings)
    done = fine_tune(
        method, chosen.network, head=chosen.head.name, start=start, task=TextClassification(chosen), examples=examples,
        rows=rows, seed=told["seed"], where=Where(),
    )  # fmt: skip
    seconds = time.perf_counter() - started
    test = TextExamples(tokens.encode_all(test_texts), np.array(test_targets), len(names), collate=tokens.collate)
    with torch.inference_mode():
        logits = predict_logits(
            done.network, test, np.arange(len(test_texts)), predict=task.predict,
            precision=training_precision(done.network, torch.device("cpu"), wanted="fp32"),
        )  # fmt: skip
    is_right = logits.argmax(1) == np.array(test_targets)
    return {"seconds": seconds, "n_steps": done.training.n_steps, "right": is_right.astype(int).tolist(),
            "precision": done.training.precision, "n_trainable": done.n_trainable}  # fmt: skip


def _features(model: Any, texts: list[str]) -> Any:
    """Return features of texts by Graft's own way: through an extractor and an empty cache on disk."""
    from datasets import Dataset, Features, Value

    from graft.backbones.cache import FeatureCache
    from graft.backbones.extraction import Extractor
    from graft.core.devices import choose_device, choose_precision
    from graft.data.dataset import LabeledDataset

    with tempfile.TemporaryDirectory() as folder:
        device = choose_device()
        rows = {
            "id": list(map(str, range(len(texts)))),
            "content": [t.encode() for t in texts],
            "label": [0] * len(texts),
        }
        kinds = Features({"id": Value("string"), "content": Value("binary"), "label": Value("int64")})
        data = LabeledDataset(Dataset.from_dict(rows, features=kinds), ("any",))
        extractor = Extractor(
            model.source(), FeatureCache(Path(folder)), device=device, precision=choose_precision(device)
        )
        return extractor.run(data, n_examples=len(texts)).matrix


def graft_embedding(told: Facts) -> Facts:
    """Embed by Graft: the checkpoint's pooling (`all_blocks`: all that `graft fit` offers to the solver)."""
    import numpy as np

    texts, targets, test_texts, test_targets, names = numbers(told)
    model = graft_task(told, names).model
    if not told["all_blocks"]:
        model = model.choose(model.blocks[0])
    _features(model, texts[:256])  # first calls
    started = time.perf_counter()
    features = _features(model, texts)
    seconds = time.perf_counter() - started
    width = 384 if told["all_blocks"] else features.shape[1]
    accuracy = probe(features[:, :width], targets, _features(model, test_texts)[:, :width], test_targets)
    return {"seconds": seconds, "accuracy": accuracy, "n": len(texts), "n_features": int(np.shape(features)[1])}


GRAFT_ARMS: dict[str, Callable[[Facts], Facts]] = {
    "graft-full": lambda told: graft_fine_tuning(told, is_probe_first=False),
    "graft-lp-ft": lambda told: graft_fine_tuning(told, is_probe_first=True),
    "graft-embed": graft_embedding,
}
