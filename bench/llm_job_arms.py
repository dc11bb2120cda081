"""One arm of `llm_job.py`, on its own: it reads a request (JSON on the command line) and prints a JSON line.

Run by the interpreter of whichever environment has the packages; only the arms of Graft import Graft. Seconds are those
of the steps, not of imports and loading. Real tokens are counted, not what fills up.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
RATE = 1e-4
CAPACITY = 512


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def with_graft(told: Facts) -> Facts:
    import numpy as np
    import torch

    from graft.backbones.chat_encoding import Encoded
    from graft.core.process import prepare_process
    from graft.tasks.text_generation import TextGeneration
    from graft.training.conversations import ConversationExamples, LengthBatches, PackedBatches
    from graft.training.loop import train
    from graft.training.recipe import Recipe

    prepare_process()
    torch.set_num_threads(told["threads"])
    rows = json.loads(Path(told["rows"]).read_text(encoding="utf-8"))
    task = TextGeneration.load(told["model"])
    encoded = [
        Encoded(np.array(tokens, np.int32), np.array(targets, bool))
        for tokens, targets in zip(rows["tokens"], rows["is_target"], strict=True)
    ]
    examples = ConversationExamples(encoded, task.collate, task.collate_packed)
    own, size = np.arange(len(encoded)), told["batch_size"]
    batches: Any = LengthBatches(examples, own, batch_size=size, seed=0)
    if told["arm"] == "graft-packed":
        batches = PackedBatches(examples, own, capacity=CAPACITY, batch_size=size, seed=0)
    network: Any = task.build().requires_grad_(True)
    if told["is_compared"]:
        network.train()
        losses = []
        for step in range(told["steps"]):
            total, n = task.loss(network, batches.batch(step))
            losses.append(float(total.detach()) / int(n))
            if step == 0:
                (total / n).backward()
                np.savez(told["gradients"], **{k: p.grad.numpy() for k, p in network.named_parameters()})
        return {"losses": losses, "seconds": 1.0, "cpu_seconds": 1.0, "n_tokens": 0, "training_mib": 0.0}
    n_tokens = 0

    def loss(net: Any, batch: Any) -> Any:
        nonlocal n_tokens
        if "attention_mask" in batch:
            n_tokens += int(batch["attention_mask"].sum())
        else:  # what fills up is one sequence more at the end of a row, of the pad token alone
            n_tokens += int(batch["n_tokens"]) if "n_tokens" in batch else real_tokens(batch, task)
        return task.loss(net, batch)

    before, started, began = peak_mib(), time.perf_counter(), time.process_time()
    recipe = Recipe(told["steps"], learning_rate=RATE, weight_decay=0.0, schedule="linear", warmup_fraction=0.0)
    done = train(network, batches, loss=loss, recipe=recipe, precision="fp32", device="cpu")
    seconds, of_cpu = time.perf_counter() - started, time.process_time() - began
    return {
        "losses": [done.loss],
        "seconds": seconds,
        "cpu_seconds": of_cpu,
        "n_tokens": n_tokens,
        "training_mib": peak_mib() - before,
    }


def real_tokens(batch: Any, task: Any) -> int:
    """Return the tokens of a packed batch that are not there to fill up a row."""
    is_pad = batch["input_ids"] == task.model.pad_token
    return int((~(is_pad.flip(1).cumprod(dim=1).flip(1).bool())).sum())


def with_trl(told: Facts) -> Facts:
    import numpy as np
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from transformers.utils import logging
    from trl import SFTConfig, SFTTrainer

    logging.set_verbosity_error()
    torch.set_num_threads(told["threads"])
    rows = json.loads(Path(told["rows"]).read_text(encoding="utf-8"))
    network = AutoModelForCausalLM.from_pretrained(told["model"], dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(told["model"])
    numbers = list(range(len(rows["tokens"])))
    if told["arm"] == "trl-sorted":
        numbers = [number for step in rows["order"] for number in step]
    labels = [
        [token if is_target else -100 for token, is_target in zip(*row, strict=True)]
        for row in zip(rows["tokens"], rows["is_target"], strict=True)
    ]
    data = Dataset.from_dict(
        {"input_ids": [rows["tokens"][i] for i in numbers], "labels": [labels[i] for i in numbers]}
    )
    is_packed = told["arm"] == "trl-packed"
    lengths = [len(row) for row in rows["tokens"]]
    per_step = told["batch_size"] if not is_packed else max(1, round(told["batch_size"] * np.mean(lengths) / CAPACITY))
    more: Facts = {"train_sampling_strategy": "sequential"} if told["arm"] == "trl-sorted" else {}
    config = SFTConfig(
        output_dir=told["folder"], per_device_train_batch_size=per_step, max_steps=told["steps"],
        learning_rate=0.0 if told["is_compared"] else RATE, weight_decay=0.0, lr_scheduler_type="linear",
        warmup_steps=0,
        packing=is_packed, max_length=CAPACITY, bf16=False, gradient_checkpointing=False, use_cpu=True, seed=0,
        save_strategy="no", report_to="none", disable_tqdm=True, logging_steps=1 if told["is_compared"] else 10, **more,
    )  # fmt: skip
    losses: list[float] = []

    class Watch(TrainerCallback):
        n_tokens, started, began = 0, 0.0, 0.0

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            Watch.started, Watch.began = time.perf_counter(), time.process_time()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if told["is_compared"] and state.global_step == 0:
                gradients = {k: p.grad.numpy().copy() for k, p in model.named_parameters() if p.grad is not None}
                np.savez(told["gradients"], **gradients)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            Watch.n_tokens = int(logs.get("num_tokens", Watch.n_tokens))

    class Told(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            found = super().compute_loss(*args, **kwargs)
            if told["is_compared"]:  # the log rounds
                losses.append(float((found[0] if isinstance(found, tuple) else found).detach()))
            return found

    config.max_grad_norm = 0.0 if told["is_compared"] else 1.0
    trainer = Told(model=network, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Watch()])
    before = peak_mib()
    started = time.perf_counter()
    trainer.train()
    seconds, of_cpu = time.perf_counter() - max(started, Watch.started), time.process_time() - Watch.began
    n_tokens = int(trainer._total_train_tokens) if hasattr(trainer, "_total_train_tokens") else Watch.n_tokens
    return {
        "losses": losses,
        "seconds": seconds,
        "cpu_seconds": of_cpu,
        "n_tokens": n_tokens,
        "training_mib": peak_mib() - before,
    }


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(with_graft(request) if request["arm"].startswith("graft") else with_trl(request)))
