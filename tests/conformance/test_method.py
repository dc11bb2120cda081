"""What every method must keep: the frozen stays bit-identical, few examples are learned, outputs survive saving."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from graft.backbones.cache import FeatureCache
from graft.backbones.extraction import Extractor
from graft.backbones.loading import ImageModel, load_image_model
from graft.core.devices import Precision
from graft.data.dataset import LabeledDataset
from graft.methods.head_only import HeadOnly
from graft.tasks.fine_tuned import load_fine_tuned, save_fine_tuned
from small_things import COLOURS, make_picture

LABELS = ("blue", "red")
METHODS = {"head": HeadOnly(n_folds=2)}


def eight_examples() -> LabeledDataset:
    contents = []
    for i in range(8):
        file = io.BytesIO()
        make_picture(COLOURS[LABELS[i % 2]], seed=i, noise=60).save(file, "PNG")
        contents.append({"bytes": file.getvalue(), "path": None})
    rows = {"id": [str(i) for i in range(8)], "content": contents, "label": [i % 2 for i in range(8)]}
    return LabeledDataset(Dataset.from_dict(rows), LABELS)


@pytest.fixture(params=METHODS)
def fitted(request: pytest.FixtureRequest, checkpoint: Path, tmp_path: Path) -> Any:
    """Return the model, its features, its state before fitting, and the fitted head."""
    model = load_image_model(str(checkpoint), label_names=LABELS)
    before = {name: t.clone() for name, t in model.network.state_dict().items()}
    extractor = Extractor(
        model,
        FeatureCache(tmp_path / "cache"),
        device=torch.device("cpu"),
        precision=Precision("fp32", "tested"),
        engine="eager",
        n_workers=0,
    )
    data = eight_examples()
    features = extractor.run(data, n_pictures=8).matrix
    head = METHODS[request.param].fit(features, data.labels, n_classes=2)
    model.head.set(torch.from_numpy(head.weights), torch.from_numpy(head.bias))
    return model, features, before, head


def test_the_frozen_stays_bit_identical(fitted: Any) -> None:
    model, _, before, _ = fitted
    for name, tensor in model.network.state_dict().items():
        if not name.startswith(model.head.name + "."):
            assert torch.equal(tensor, before[name]), name


def test_eight_examples_are_learned(fitted: Any) -> None:
    _, features, _, head = fitted
    assert (head.logits(features).argmax(1) == eight_examples().labels).all()


def test_the_network_with_the_head_says_what_the_head_says_of_features(fitted: Any) -> None:
    model, features, _, head = fitted
    np.testing.assert_allclose(network_logits(model), head.logits(features), rtol=1e-3, atol=1e-3)


def test_a_saved_model_gives_equal_outputs(fitted: Any, tmp_path: Path) -> None:
    model, _, _, _ = fitted
    pictures = [make_picture(COLOURS["red"], seed=1)]
    save_fine_tuned(model, tmp_path / "model", label_names=LABELS, pictures=pictures)
    loaded = load_fine_tuned(tmp_path / "model").model
    np.testing.assert_array_equal(network_logits(loaded), network_logits(model))


@torch.inference_mode()
def network_logits(model: ImageModel) -> Any:
    from graft.data.images import decode_image

    data, pre = eight_examples(), model.preprocessing
    pixels = np.stack([pre(decode_image(data.read(i), name=str(i))) for i in range(8)])
    values = torch.from_numpy(pixels).float() * torch.from_numpy(pre.scale).view(1, -1, 1, 1)
    return model.network(pixel_values=values + torch.from_numpy(pre.offset).view(1, -1, 1, 1)).logits.numpy()
