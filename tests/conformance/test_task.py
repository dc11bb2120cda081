"""What every registered task with pooled features must be able to do; a new one needs a row in `EXAMPLES`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from graft.backbones.loading import load_image_model
from graft.tasks.base import FeatureTask, Task
from graft.tasks.fine_tuned import load_fine_tuned, save_fine_tuned
from graft.tasks.registry import TASKS, task_class
from small_sounds import make_audio_checkpoint, recording_bytes
from small_texts import TARGETS, TEXTS, make_text_checkpoint
from small_things import COLOURS, make_picture

LABELS = tuple(COLOURS)


class Example(NamedTuple):
    """How a task's instance is made, eight of its examples with targets, and how its model is saved and loaded."""

    make: Callable[[Path], Any]
    contents: list[bytes]
    targets: list[int]
    save_and_load: Callable[[Any, Path], Any]


def picture_bytes(number: int) -> bytes:
    file = io.BytesIO()
    make_picture(list(COLOURS.values())[number % 3], seed=number).save(file, "PNG")
    return file.getvalue()


def images() -> Example:
    task_type = task_class("image-classification")

    def save_and_load(task: Any, folder: Path) -> Any:
        save_fine_tuned(task, folder, label_names=LABELS, contents=[picture_bytes(0)])
        return load_fine_tuned(folder).task

    return Example(
        lambda checkpoint: task_type(load_image_model(str(checkpoint), label_names=LABELS)),
        [picture_bytes(i) for i in range(8)],
        [i % 3 for i in range(8)],
        save_and_load,
    )


def texts() -> Example:
    task_type = task_class("text-classification")

    def make(checkpoint: Path) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            loaded = task_type.load(str(make_text_checkpoint(Path(folder))), label_names=LABELS)
        return task_type(loaded.model.choose("mean@3"))

    def save_and_load(task: Any, folder: Path) -> Any:
        save_fine_tuned(task, folder, label_names=LABELS, contents=[TEXTS[0].encode()])
        return load_fine_tuned(folder).task

    return Example(make, [text.encode() for text in TEXTS], list(TARGETS), save_and_load)


def recordings() -> Example:
    task_type = task_class("audio-classification")

    def make(checkpoint: Path) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            loaded = task_type.load(str(make_audio_checkpoint(Path(folder))), label_names=LABELS)
        return task_type(loaded.model.choose("layer 2"))

    def save_and_load(task: Any, folder: Path) -> Any:
        save_fine_tuned(task, folder, label_names=LABELS, contents=[recording_bytes(0)])
        return load_fine_tuned(folder).task

    return Example(make, [recording_bytes(i) for i in range(8)], [i % 3 for i in range(8)], save_and_load)


EXAMPLES: dict[str, Callable[[], Example]] = {
    "audio-classification": recordings,
    "image-classification": images,
    "text-classification": texts,
}


WITHOUT_FEATURES = {"automatic-speech-recognition", "text-generation"}  # test_speech_task.py, test_generation_task.py


def test_every_task_has_its_examples() -> None:
    assert set(EXAMPLES) | WITHOUT_FEATURES == set(TASKS)


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]()


@pytest.fixture
def task(example: Example, checkpoint: Path) -> Any:
    return example.make(checkpoint)


def batch_of(task: Any, example: Example, rows: slice = slice(None)) -> Any:
    encoded = [task.encode(content, name="tested") for content in example.contents[rows]]
    return task.collate(encoded, example.targets[rows])


def test_it_fulfils_the_protocols(task: Any) -> None:
    assert isinstance(task, Task)
    assert isinstance(task, FeatureTask)
    assert task.name in TASKS
    assert type(task).__bases__ == (object,), "a task inherits from nothing"


def test_losses_are_sums_with_counts(task: Any, example: Example) -> None:
    network = task.build().eval()
    whole, n = task.loss(network, batch_of(task, example))
    parts = [task.loss(network, batch_of(task, example, rows)) for rows in (slice(0, 3), slice(3, 8))]
    torch.testing.assert_close(sum(total for total, _ in parts), whole, rtol=1e-4, atol=1e-4)
    assert sum(int(count) for _, count in parts) == int(n) == 8


def test_predictions_have_a_row_an_example_and_a_column_a_label(task: Any, example: Example) -> None:
    with torch.inference_mode():
        assert task.predict(task.build(), batch_of(task, example)).shape == (8, len(LABELS))
        assert task.features(task.build(), batch_of(task, example)).shape == (8, task.model.head.n_features)


def test_it_overfits_eight_examples_by_its_head_alone_and_frozen_means_frozen(task: Any, example: Example) -> None:
    network, batch = task.build(), batch_of(task, example)
    head = task.model.head.layer
    frozen = {name: t.clone() for name, t in network.state_dict().items() if not name.startswith(task.model.head.name)}
    with torch.no_grad():
        features = task.features(network, batch)
    weight = torch.zeros_like(head.weight).requires_grad_()
    bias = torch.zeros_like(head.bias).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], lr=1.0, max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, batch["labels"], reduction="sum")
        loss.backward()
        return loss

    optimizer.step(closure)
    task.model.head.set(weight.detach(), bias.detach())
    with torch.inference_mode():
        total, n = task.loss(network, batch)
        assert (task.predict(network, batch).argmax(1) == batch["labels"]).all()
    assert float(total / n) < 0.1
    for name, tensor in frozen.items():
        assert torch.equal(network.state_dict()[name], tensor), f"{name} was frozen and changed"


def test_a_saved_model_says_the_same(task: Any, example: Example, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    task.model.head.set(torch.randn(task.model.head.layer.weight.shape, generator=generator), torch.zeros(len(LABELS)))
    batch = batch_of(task, example)
    again = example.save_and_load(task, tmp_path / "model")
    assert again.model.network.config.id2label == dict(enumerate(LABELS))
    with torch.inference_mode():
        expected = task.predict(task.build().eval(), batch)
        got = again.predict(again.build().eval(), batch_of(again, example))
    assert torch.equal(got, expected)
