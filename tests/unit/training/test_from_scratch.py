from __future__ import annotations

import numpy as np
import torch
from runs import digit_pictures, tiny_network

from graft.training.from_scratch import scratch_steps, train_from_scratch
from graft.training.pictures import predict_pictures


def test_it_learns_digits_and_repeats_itself():
    pictures, targets = digit_pictures()
    trained = [
        train_from_scratch(
            tiny_network(), pictures[:200], targets[:200], mean=[0.5] * 3, std=[0.5] * 3, seed=1, flip=False,
            n_steps=150, learning_rate=0.02,
        )
        for _ in range(2)
    ]  # fmt: skip
    for name, tensor in trained[0].state_dict().items():
        assert torch.equal(tensor, trained[1].state_dict()[name])
    logits = predict_pictures(trained[0], pictures[200:], side=8, mean=[0.5] * 3, std=[0.5] * 3)
    assert np.mean(logits.argmax(axis=1) == targets[200:]) > 0.6  # chance is 0.1


def test_tiny_sets_get_enough_steps():
    assert scratch_steps(20) == scratch_steps(100) >= 500
    assert scratch_steps(50_000) > 40_000
