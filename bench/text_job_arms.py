"""One arm of `text_job.py`, on its own: it reads a request (JSON on the command line) and prints a JSON line.

Run by the interpreter of whichever environment has the packages; only the arms of Graft import Graft. Seconds are
those of the work: tokens, training, and where a probe comes first the frozen pass and the probe; not of imports, of
loading the weights or of predictions of the test. All arms keep freed memory or none does (`keep_pages`), and have
the same number of threads.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
LENGTH = 128


def keep_pages() -> None:
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-3, 1 << 30)
    libc.mallopt(-1, 1 << 30)
    libc.mallopt(-8, 1)  # one arena: those of single threads would not keep theirs


def rows_of(folder: str, name: str) -> tuple[list[str], list[str]]:
    lines = [json.loads(line) for line in (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["text"] for line in lines], [line["label"] for line in lines]


def numbers(told: Facts) -> tuple[list[str], list[int], list[str], list[int], list[str]]:
    texts, labels = rows_of(told["data"], "train")
    test_texts, test_labels = rows_of(told["data"], "test")
    names = sorted(set(labels))
    place = {name: i for i, name in enumerate(names)}
    return texts, [place[x] for x in labels], test_texts, [place[x] for x in test_labels], names


def sequence_model(told: Facts, n_classes: int) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(told["seed"])
    network = AutoModelForSequenceClassification.from_pretrained(told["model"], num_labels=n_classes)
    return network, AutoTokenizer.from_pretrained(told["model"])


def right(network: Any, tokenizer: Any, texts: list[str], targets: list[int]) -> list[int]:
    """Return 1 for each right answer, in float32, in order."""
    import torch

    network.eval()
    found = []
    with torch.inference_mode():
        for first in range(0, len(texts), 64):
            batch = tokenizer(texts[first : first + 64], padding=True, truncation=True, return_tensors="pt")
            found += network(**batch).logits.argmax(1).tolist()
    return [int(a == b) for a, b in zip(found, targets, strict=True)]


def plain(told: Facts) -> Facts:
    """Train by a loop as tutorials have it: everything padded to 128, AdamW, float32."""
    import torch

    texts, targets, test_texts, test_targets, names = numbers(told)
    network, tokenizer = sequence_model(told, len(names))
    started = time.perf_counter()
    inputs = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    data = torch.utils.data.TensorDataset(*inputs.values(), torch.tensor(targets))
    loader = torch.utils.data.DataLoader(data, batch_size=told["batch_size"], shuffle=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-5)
    network.train()
    n_steps = 0
    for _ in range(told["epochs"]):
        for *tensors, labels in loader:
            loss = network(**dict(zip(inputs, tensors, strict=True)), labels=labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            n_steps += 1
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "n_steps": n_steps, "right": right(network, tokenizer, test_texts, test_targets)}


def trainer(told: Facts, *, is_padded: bool) -> Facts:
    """Train by transformers' `Trainer` at its defaults but the batch size; or grouped by length and in bfloat16."""
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    texts, targets, test_texts, test_targets, names = numbers(told)
    network, tokenizer = sequence_model(told, len(names))
    with tempfile.TemporaryDirectory() as folder:
        options: Facts = {} if is_padded else {"train_sampling_strategy": "group_by_length", "bf16": True}
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=told["batch_size"], num_train_epochs=told["epochs"],
            report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
            seed=told["seed"], **options,
        )  # fmt: skip
        started = time.perf_counter()
        padding: Facts = {"padding": "max_length", "max_length": LENGTH} if is_padded else {}
        data = Dataset.from_dict({**tokenizer(texts, truncation=True, **padding), "labels": targets})
        own = Trainer(network, arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer))
        own.remove_callback(PrinterCallback)
        n_steps = own.train().global_step
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "n_steps": n_steps, "right": right(network, tokenizer, test_texts, test_targets)}


def setfit(told: Facts) -> Facts:
    """Train by SetFit: contrastive pairs, then a logistic regression."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    texts, targets, test_texts, test_targets, _ = numbers(told)
    with tempfile.TemporaryDirectory() as folder:
        model = SetFitModel.from_pretrained(told["model"], device="cpu")
        arguments = TrainingArguments(
            output_dir=folder, batch_size=told["batch_size"], num_epochs=1, num_iterations=told["iterations"],
            seed=told["seed"], report_to="none", save_strategy="no", show_progress_bar=False,
        )  # fmt: skip
        started = time.perf_counter()
        own = Trainer(model, arguments, train_dataset=Dataset.from_dict({"text": texts, "label": targets}))
        own.train()
        seconds = time.perf_counter() - started
        said = [int(x) for x in model.predict(test_texts)]
    return {"seconds": seconds, "right": [int(a == b) for a, b in zip(said, test_targets, strict=True)]}


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


def encode(told: Facts, *, is_sorted_bf16: bool) -> Facts:
    """Embed by sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer

    texts, targets, test_texts, test_targets, _ = numbers(told)
    loaded: Facts = {"model_kwargs": {"dtype": torch.bfloat16}} if is_sorted_bf16 else {}
    model = SentenceTransformer(told["model"], device="cpu", **loaded)
    options: Facts = {"batch_size": 128} if is_sorted_bf16 else {}
    if is_sorted_bf16:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        texts, targets = [texts[i] for i in order], [targets[i] for i in order]
    model.encode(texts[:256], **options)
    started = time.perf_counter()
    features = model.encode(texts, show_progress_bar=False, **options)
    seconds = time.perf_counter() - started
    accuracy = probe(features, targets, model.encode(test_texts, show_progress_bar=False, **options), test_targets)
    return {"seconds": seconds, "accuracy": accuracy, "n": len(texts), "n_features": int(features.shape[1])}


def probe(features: Any, targets: Any, test: Any, test_targets: Any) -> float:
    """Return the test accuracy of scikit-learn's logistic regression on features of unit length."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    def unit(x: Any) -> Any:
        x = np.asarray(x, dtype=np.float64)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    head = LogisticRegression(C=10, max_iter=200, tol=1e-3).fit(unit(features), targets)
    return float(head.score(unit(test), test_targets))


def encode_and_regress(told: Facts) -> Facts:
    """Embed the short texts by sentence-transformers, and fit a logistic regression."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    texts, targets, test_texts, test_targets, _ = numbers(told)
    model = SentenceTransformer(told["model"], device="cpu")
    model.encode(texts[:64])
    started = time.perf_counter()
    head = LogisticRegression(C=10, max_iter=200).fit(model.encode(texts), targets)
    seconds = time.perf_counter() - started
    said = head.predict(model.encode(test_texts))
    return {"seconds": seconds, "right": (np.asarray(said) == np.array(test_targets)).astype(int).tolist()}


ARMS = {
    "plain": plain,
    "trainer": lambda told: trainer(told, is_padded=True),
    "trainer-fast": lambda told: trainer(told, is_padded=False),
    "setfit": setfit,
    "encode-regress": encode_and_regress,
    "graft-full": lambda told: graft_fine_tuning(told, is_probe_first=False),
    "graft-lp-ft": lambda told: graft_fine_tuning(told, is_probe_first=True),
    "graft-embed": graft_embedding,
    "encode": lambda told: encode(told, is_sorted_bf16=False),
    "encode-bf16": lambda told: encode(told, is_sorted_bf16=True),
}


def main() -> None:
    told = json.loads(sys.argv[1])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if told["keep_pages"]:
        keep_pages()
    import torch

    torch.set_num_threads(told["threads"])
    print("\n" + json.dumps(ARMS[told["arm"]](told)))


if __name__ == "__main__":
    main()
