"""Batches by duration: little padding, every utterance once a pass, and the same tensors whole, in parts and again."""

from __future__ import annotations

import numpy as np
import torch

from graft.training.duration_order import DurationOrder
from graft.training.recordings import Waveforms
from graft.training.utterances import SpeechDistortion, UtteranceBatches, UtteranceExamples


def test_little_padding_and_every_utterance_once() -> None:
    lengths = np.random.default_rng(0).integers(8_000, 160_000, 2_000)
    order = DurationOrder(lengths, most=960_000, seed=3)
    assert order.padding() < 0.05
    seen = np.concatenate([order.rows(step) for step in range(order.n_batches)])
    assert sorted(seen.tolist()) == list(range(2_000))
    sizes = [len(order.rows(s)) * lengths[order.rows(s)].max() for s in range(order.n_batches)]
    assert max(sizes) <= 960_000
    later = order.rows(order.n_batches + 5)
    assert np.array_equal(later, DurationOrder(lengths, most=960_000, seed=3).rows(order.n_batches + 5))


def examples(n: int) -> UtteranceExamples:
    random = np.random.default_rng(1)
    sounds = [random.normal(0, 0.1, size).astype(np.float32) for size in random.integers(400, 1200, n)]
    waveforms = Waveforms(np.concatenate(sounds), np.cumsum([len(s) for s in sounds]))

    def collate(rows: list[np.ndarray], targets: list[list[int]]) -> dict[str, torch.Tensor]:
        values = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
        return {"input_values": values, "labels": torch.tensor(targets)}

    return UtteranceExamples(waveforms, [[i] for i in range(n)], collate, lambda n_samples, target: True)


def test_parts_of_a_batch_are_its_rows() -> None:
    batches = UtteranceBatches(
        examples(40), np.arange(40), most=6_000, how=SpeechDistortion.for_strength("medium"), seed=0
    )
    for step in range(12):
        whole = batches.batch(step)
        size = batches.batch_size
        parts = [batches.batch(step, slice(at, min(at + 2, size))) for at in range(0, size, 2)]
        counted = [part for part in parts if "is_counted" not in part]
        assert torch.equal(torch.cat([part["labels"] for part in counted]), whole["labels"])
        first = counted[0]["input_values"]
        n = min(first.shape[1], whole["input_values"].shape[1])
        assert torch.equal(first[:, :n], whole["input_values"][: len(first), :n])
        assert torch.equal(whole["input_values"], batches.batch(step)["input_values"])


def test_a_share_without_an_utterance_counts_nothing() -> None:
    batches = UtteranceBatches(examples(9), np.arange(9), most=3_000, how=SpeechDistortion(), seed=0)
    batches.batch_size = 20  # as of a batch in which the others are far shorter
    step = 2
    parts = [batches.batch(step, slice(i, i + 1)) for i in range(batches.batch_size)]
    n = sum(len(part["labels"]) * int(part.get("is_counted", torch.ones(1))[0]) for part in parts)
    assert n == len(batches.batch(step)["labels"])
