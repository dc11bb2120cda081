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
from collections.abc import Callable
from typing import Any

from text_job_rows import Facts, numbers, probe

LENGTH = 128


def keep_pages() -> None:
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-3, 1 << 30)
    libc.mallopt(-1, 1 << 30)
    libc.mallopt(-8, 1)  # one arena: those of single threads would not keep theirs


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


ARMS: dict[str, Callable[[Facts], Facts]] = {
    "plain": plain,
    "trainer": lambda told: trainer(told, is_padded=True),
    "trainer-fast": lambda told: trainer(told, is_padded=False),
    "setfit": setfit,
    "encode-regress": encode_and_regress,
    "encode": lambda told: encode(told, is_sorted_bf16=False),
    "encode-bf16": lambda told: encode(told, is_sorted_bf16=True),
}


def arm(name: str) -> Callable[[Facts], Facts]:
    if name.startswith("graft-"):  # where Graft is installed
        from text_job_graft import GRAFT_ARMS

        return GRAFT_ARMS[name]
    return ARMS[name]


def main() -> None:
    told = json.loads(sys.argv[1])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if told["keep_pages"]:
        keep_pages()
    import torch

    torch.set_num_threads(told["threads"])
    print("\n" + json.dumps(arm(told["arm"])(told)))


if __name__ == "__main__":
    main()
