"""A saved model: a standard checkpoint that says the same, and that notices when it was tampered with."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from graft.core.decision import Decision
from graft.core.errors import ModelError, ResourceError
from graft.core.files import read_json, write_json
from graft.tasks.fine_tuned import load_fine_tuned, save_fine_tuned
from graft.tasks.image_classification import ImageClassification
from small_things import COLOURS, make_picture

LABELS = ("red", "green", "an odd, long name")
PICTURES = [make_picture(colour, seed=i) for i, colour in enumerate(COLOURS.values())]


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


CONTENTS = [png(picture) for picture in PICTURES]


@pytest.fixture
def task(checkpoint: Path) -> ImageClassification:
    task = ImageClassification.load(str(checkpoint), label_names=LABELS)
    generator = torch.Generator().manual_seed(3)
    task.model.head.set(torch.randn(3, 16, generator=generator), torch.randn(3, generator=generator))
    return task


@pytest.fixture
def saved(task: ImageClassification, tmp_path: Path) -> Path:
    check = save_fine_tuned(task, tmp_path / "model", label_names=LABELS, contents=CONTENTS)
    assert check.n_examples == 3
    assert check.largest_difference <= 1e-5
    return tmp_path / "model"


def test_what_is_saved_is_what_was_trained(task: ImageClassification, saved: Path) -> None:
    loaded = load_fine_tuned(saved)
    assert loaded.label_names == LABELS
    assert loaded.task.model.head.name == task.model.head.name
    mine, theirs = task.model.network.state_dict(), loaded.task.model.network.state_dict()
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name


def test_a_pipeline_loads_it_unmodified_with_equal_scores(task: ImageClassification, saved: Path) -> None:
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(saved), top_k=None)
    for picture in PICTURES:
        scores = {row["label"]: row["score"] for row in classify(picture)}
        batch = task.collate([task.encode(png(picture), name="")], [0])
        expected = task.predict(task.model.network.requires_grad_(False), batch)[0].softmax(-1).numpy()
        np.testing.assert_allclose([scores[label] for label in LABELS], expected, atol=1e-5)


def test_a_model_of_several_labels_keeps_its_thresholds_and_gives_logistic_scores(
    task: ImageClassification, tmp_path: Path
) -> None:
    from transformers import pipeline

    decision = Decision(thresholds=np.array([0.3, 0.5, 0.71]))
    check = save_fine_tuned(task, tmp_path / "m", label_names=LABELS, contents=CONTENTS, decision=decision)
    assert check.largest_difference <= 1e-5
    assert load_fine_tuned(tmp_path / "m").decision.as_dict() == decision.as_dict()
    assert read_json(tmp_path / "m" / "config.json")["problem_type"] == "multi_label_classification"
    classify = pipeline("image-classification", model=str(tmp_path / "m"), top_k=None)
    for picture in PICTURES:
        scores = {row["label"]: row["score"] for row in classify(picture)}
        batch = task.collate([task.encode(png(picture), name="")], [0])
        expected = task.predict(task.model.network.requires_grad_(False), batch)[0].sigmoid().numpy()
        np.testing.assert_allclose([scores[label] for label in LABELS], expected, atol=1e-5)


def test_one_class_an_example_is_said_even_of_a_base_that_had_several(
    task: ImageClassification, tmp_path: Path
) -> None:
    network: Any = task.model.network
    network.config.problem_type = "multi_label_classification"
    save_fine_tuned(task, tmp_path / "m", label_names=LABELS, contents=CONTENTS)
    assert read_json(tmp_path / "m" / "config.json")["problem_type"] == "single_label_classification"
    assert not load_fine_tuned(tmp_path / "m").decision.is_multi_label


def test_it_is_a_standard_folder_without_pickles(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [
        "config.json", "graft.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    config = read_json(saved / "config.json")
    assert config["id2label"] == {str(i): name for i, name in enumerate(LABELS)}
    assert config["architectures"] == ["ResNetForImageClassification"]


def test_saving_again_replaces_the_old_model(task: ImageClassification, saved: Path) -> None:
    (saved / "left behind").write_text("")
    task.model.head.set(torch.zeros(3, 16), torch.zeros(3))
    save_fine_tuned(task, saved, label_names=LABELS, contents=CONTENTS[:1])
    assert not (saved / "left behind").exists()
    assert float(load_fine_tuned(saved).task.model.head.layer.weight.detach().abs().max()) == 0
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_permuted_label_map_is_caught(saved: Path) -> None:
    config = read_json(saved / "config.json")
    config["id2label"] = {"0": "green", "1": "red", "2": LABELS[2]}
    write_json(saved / "config.json", config)
    with pytest.raises(ModelError, match="maps the outputs to green, red") as caught:
        load_fine_tuned(saved)
    assert "they were trained as red, green" in str(caught.value)


@pytest.mark.parametrize("change", [{"3": "blue"}, {"2": "else"}])
def test_other_labels_are_caught(saved: Path, change: dict[str, str]) -> None:
    config = read_json(saved / "config.json")
    config["id2label"] |= change
    write_json(saved / "config.json", config)
    with pytest.raises(ModelError, match="maps the outputs"):
        load_fine_tuned(saved)


def test_changed_weights_are_caught(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    name = next(name for name in tensors if name.endswith("running_var"))
    tensors[name][0] *= 1.0001
    save_file(tensors, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="are not those that Graft saved"):
        load_fine_tuned(saved)


def test_another_folder_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    for folder in (tmp_path, checkpoint, tmp_path / "none"):
        with pytest.raises(ModelError, match="holds no model of Graft"):
            load_fine_tuned(folder)


def test_a_model_that_reloads_differently_is_not_kept(
    task: ImageClassification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that save_pretrained leaves out comes back other than it was."""
    network: Any = task.model.network
    network.hidden = torch.nn.Parameter(torch.tensor(0.5))
    forward = network.forward

    def shifted(*arguments: object, **more: object) -> object:
        output = forward(*arguments, **more)
        output.logits = output.logits * network.hidden
        return output

    monkeypatch.setattr(network, "forward", shifted)
    with pytest.raises(ModelError, match="gives other probabilities"):
        save_fine_tuned(task, tmp_path / "model", label_names=LABELS, contents=CONTENTS)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(task: ImageClassification, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        save_fine_tuned(task, tmp_path / "file" / "model", label_names=LABELS, contents=CONTENTS)


def test_the_record_names_its_form(saved: Path) -> None:
    record = json.loads((saved / "graft.json").read_text())
    assert record["form"] == "graft-model-1"
    assert record["label_names"] == list(LABELS)
