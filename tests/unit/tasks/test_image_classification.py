from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification

from graft.backbones.loading import load_image_model
from graft.core.errors import DataError
from graft.tasks.image_classification import ImageClassification
from small_things import COLOURS, make_picture


def png(seed: int) -> bytes:
    file = io.BytesIO()
    make_picture(COLOURS["green"], seed=seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def task(checkpoint: Path) -> ImageClassification:
    return ImageClassification(load_image_model(str(checkpoint), label_names=["a", "b"]))


def test_logits_are_those_of_transformers_own_processor_and_network(
    task: ImageClassification, checkpoint: Path
) -> None:
    batch = task.collate([task.encode(png(i), name="") for i in range(3)], [0, 1, 0])
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    network = AutoModelForImageClassification.from_pretrained(checkpoint).eval()
    pictures = [make_picture(COLOURS["green"], seed=i) for i in range(3)]
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(batch["pixel_values"], pixels, rtol=0, atol=1e-5)
    head = task.model.head.layer
    head.load_state_dict(network.classifier[1].state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(task.predict(task.build(), batch), network(pixels).logits, rtol=1e-4, atol=1e-5)


def test_features_times_head_are_the_logits(task: ImageClassification) -> None:
    batch = task.collate([task.encode(png(i), name="") for i in range(2)], [0, 1])
    network = task.build()
    with torch.inference_mode():
        features = task.features(network, batch)
        torch.testing.assert_close(task.model.head.layer(features), task.predict(network, batch))
    assert features.shape == (2, 16)


def test_a_batch_of_one_is_one_row_of_a_larger_one(task: ImageClassification) -> None:
    rows = [task.encode(png(i), name="") for i in range(3)]
    with torch.inference_mode():
        whole, n = task.loss(task.build(), task.collate(rows, [0, 1, 1]))
        parts = [task.loss(task.build(), task.collate([row], [t])) for row, t in zip(rows, [0, 1, 1], strict=True)]
    torch.testing.assert_close(sum(total for total, _ in parts), whole, rtol=1e-4, atol=1e-5)
    assert int(n) == 3


def test_bytes_that_are_no_picture_are_named(task: ImageClassification) -> None:
    with pytest.raises(DataError, match=r"some\.jpg cannot be read"):
        task.encode(b"text", name="some.jpg")
