"""Settings: how many steps they come to, what they add to batches, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graft.core.errors import UsageError
from graft.methods.settings import FineTuning
from graft.tasks.classification import classification_loss_sum


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (32, 100),  # 6 passes over one batch are 6 steps: too few
        (533, 100),  # 99.9
        (534, 100),  # 100.1
        (544, 102),
        (1_000, 188),  # 187.5
        (10_000, 1_875),
        (10_000_000, 100_000),
    ],
)
def test_steps(n: int, expected: int) -> None:
    assert FineTuning().n_steps(n) == expected


def test_steps_follow_batch_and_epochs() -> None:
    assert FineTuning(epochs=0.5, batch_size=10, fewest_steps=1).n_steps(100) == 5
    assert FineTuning(epochs=0.01, batch_size=10, fewest_steps=1).n_steps(100) == 1
    assert FineTuning(epochs=3, batch_size=10, fewest_steps=1, most_steps=7).n_steps(100) == 7


TARGETS = np.array([0] * 6 + [1] * 2 + [2] * 1 + [0] * 3)  # 9, 2, 1


def test_balanced_weights_by_hand() -> None:
    """12 examples, 3 classes: 12 / (3 * 9), 12 / (3 * 2), 12 / (3 * 1)."""
    extras = FineTuning(class_weights="balanced").extras(TARGETS, 3)
    assert list(extras) == ["class_weights"]
    torch.testing.assert_close(extras["class_weights"], torch.tensor([4 / 9, 2, 4]))
    assert float(extras["class_weights"][torch.from_numpy(TARGETS)].sum()) == pytest.approx(12)


def test_a_logit_offset_by_hand() -> None:
    extras = FineTuning(class_weights="logit-adjustment").extras(TARGETS, 3)
    assert list(extras) == ["logit_offset"]
    torch.testing.assert_close(extras["logit_offset"].exp(), torch.tensor([0.75, 1 / 6, 1 / 12]))


def test_nothing_is_added_where_nothing_was_asked_for() -> None:
    assert FineTuning().extras(TARGETS, 3) == {}


@pytest.mark.parametrize("word", ["balanced", "logit-adjustment"])
def test_a_class_without_an_example_is_no_infinity(word: Any) -> None:
    for tensor in FineTuning(class_weights=word).extras(np.array([0, 0, 2]), 3).values():
        assert torch.isfinite(tensor).all()


def test_what_the_loss_makes_of_them() -> None:
    logits, labels = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([0, 2])
    plain = -torch.log_softmax(logits, 1)[[0, 1], [0, 2]]
    weighed, count = classification_loss_sum(
        logits, {"labels": labels, **FineTuning(class_weights="balanced").extras(TARGETS, 3)}
    )
    torch.testing.assert_close(weighed, plain[0] * 4 / 9 + plain[1] * 4)
    assert float(count) == pytest.approx(4 / 9 + 4)
    offset, n = classification_loss_sum(
        logits, {"labels": labels, **FineTuning(class_weights="logit-adjustment").extras(TARGETS, 3)}
    )
    shares = torch.tensor([0.75, 1 / 6, 1 / 12])
    own = logits.exp() * shares
    torch.testing.assert_close(offset, -(own[[0, 1], [0, 2]] / own.sum(1)).log().sum())
    assert int(n) == 2


@pytest.mark.parametrize("name", ["augmentation", "class_weights", "batch_norm"])
def test_a_wrong_word_is_refused_with_the_right_ones(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        FineTuning(**{name: "heavy"})
    assert f"{name} 'heavy'" in str(caught.value)
    assert f"--{name.replace('_', '-')}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("fewest_steps", 0), ("batch_size", 0), ("mixup", -0.1), ("cutmix", -1), ("label_smoothing", 1),
        ("evaluations", 0),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        FineTuning(**{name: value})


def test_the_recipe_has_what_the_settings_say() -> None:
    settings = FineTuning(
        optimizer="sgd", weight_decay=0.2, schedule="linear", warmup_fraction=0.3, clip_norm=None, ema_decay=0.9,
        l2_sp=0.1, micro_batch_size=4,
    )  # fmt: skip
    recipe = settings.recipe(7, learning_rate=0.5, seed=3)
    own = settings.as_dict()
    for name in ("optimizer", "weight_decay", "schedule", "warmup_fraction", "clip_norm", "ema_decay", "l2_sp",
                 "micro_batch_size"):  # fmt: skip
        assert getattr(recipe, name) == own[name]
    assert (recipe.n_steps, recipe.learning_rate, recipe.seed) == (7, 0.5, 3)


@pytest.mark.parametrize(("word", "expected"), [("frozen", "frozen"), ("recalibrate", "frozen"), ("train", "train")])
def test_statistics_move_in_the_loop_only_if_asked_to(word: Any, expected: str) -> None:
    assert FineTuning(batch_norm=word).recipe(1, learning_rate=1e-3, seed=0).batch_norm == expected


def test_mixing() -> None:
    assert FineTuning().mixing() is None
    mixing = FineTuning(cutmix=0.5).mixing()
    assert mixing is not None
    assert (mixing.mixup_alpha, mixing.cutmix_alpha) == (0, 0.5)


def test_class_weights_are_for_one_class_an_example() -> None:
    label_sets = np.array([[1, 0], [1, 1]], np.uint8)
    assert FineTuning().extras(label_sets, 2) == {}
    with pytest.raises(UsageError, match="any number of labels"):
        FineTuning(class_weights="balanced").extras(label_sets, 2)
