"""Predictions of files as a stream, beside the network itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graft.backbones.cache import FeatureCache
from graft.backbones.extraction import Extractor
from graft.backbones.loading import load_image_model
from graft.core.decision import Decision
from graft.core.devices import Precision
from graft.core.errors import DataError
from graft.deploy import prediction
from graft.deploy.inputs import Input
from graft.deploy.prediction import predict_examples
from graft.tasks.fine_tuned import FineTunedModel
from graft.tasks.image_classification import ImageClassification

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def fine_tuned(checkpoint: Path) -> FineTunedModel:
    model = load_image_model(str(checkpoint), label_names=LABELS)
    model.head.set(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(3))
    return FineTunedModel(ImageClassification(model), LABELS, "")


def extractor(fine_tuned: FineTunedModel, folder: Path, **more: Any) -> Extractor:
    arguments = {"device": torch.device("cpu"), "precision": Precision("fp32", ""), "engine": "eager", "n_workers": 0}
    return Extractor(fine_tuned.task.model.source(), FeatureCache(folder), batch_size=4, **arguments | more)


def files(pictures: Path) -> list[Input]:
    return [Input(path.name, path) for path in sorted(pictures.glob("*/*.png"))]


def test_probabilities_are_the_networks(fine_tuned: FineTunedModel, pictures: Path, tmp_path: Path) -> None:
    wanted = files(pictures)[:11]
    found = list(predict_examples(fine_tuned, wanted, extractor=extractor(fine_tuned, tmp_path / "cache")))
    assert [p.id for p in found] == [wish.id for wish in wanted]
    processor, network = fine_tuned.task.model.preprocessing.processor, fine_tuned.task.model.network
    for p, wish in zip(found, wanted, strict=True):
        pixels = processor(images=Image.open(wish.path).convert("RGB"), return_tensors="pt")["pixel_values"]
        expected = network(pixel_values=pixels).logits.softmax(-1)[0].numpy()
        np.testing.assert_allclose(p.probabilities, expected, atol=1e-5)
        assert p.label == LABELS[int(expected.argmax())]
        assert p.probability == max(p.probabilities)
    assert not (tmp_path / "cache").exists()


def test_labels_above_their_thresholds_most_probable_first(
    fine_tuned: FineTunedModel, pictures: Path, tmp_path: Path
) -> None:
    thresholds = np.array([0.5, 0.2, 0.9])
    several = replace(fine_tuned, decision=Decision(thresholds=thresholds))
    for p in predict_examples(several, files(pictures)[:9], extractor=extractor(several, tmp_path / "cache")):
        above = [k for k in np.argsort([-v for v in p.probabilities]) if p.probabilities[k] >= thresholds[k]]
        assert p.labels == tuple(LABELS[k] for k in above)
        assert p.label_probabilities == tuple(p.probabilities[k] for k in above)
        assert p.label == (p.labels[0] if p.labels else "")


def test_an_offset_moves_the_label_and_its_probability_is_its_own(
    fine_tuned: FineTunedModel, pictures: Path, tmp_path: Path
) -> None:
    moved = replace(fine_tuned, decision=Decision(offset=np.array([-50.0, 0.0, 50.0])))
    plain = list(predict_examples(fine_tuned, files(pictures)[:5], extractor=extractor(fine_tuned, tmp_path / "a")))
    for p, q in zip(
        predict_examples(moved, files(pictures)[:5], extractor=extractor(moved, tmp_path / "a")), plain, strict=True
    ):
        assert p.label == "c"
        assert p.probability == p.probabilities[2]
        assert p.probabilities == q.probabilities
        assert p.labels is None


def test_files_are_taken_lazily(
    fine_tuned: FineTunedModel, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "_CHUNK", 5)
    n_taken = 0

    def endless() -> Iterator[Input]:
        nonlocal n_taken
        while True:
            for wish in files(pictures):
                n_taken += 1
                yield wish

    stream = predict_examples(fine_tuned, endless(), extractor=extractor(fine_tuned, tmp_path))
    assert [next(stream).id for _ in range(12)] == [wish.id for wish in files(pictures)[:12]]
    assert n_taken <= 15


def test_an_unreadable_file_is_an_error_or_a_row(fine_tuned: FineTunedModel, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    wanted = [
        files(pictures)[0],
        Input("bad.png", tmp_path / "bad.png"),
        Input("gone.png", tmp_path / "gone.png"),
        files(pictures)[1],
    ]
    with pytest.raises(DataError, match=r"bad\.png cannot be read as a picture"):
        list(predict_examples(fine_tuned, wanted, extractor=extractor(fine_tuned, tmp_path)))
    told: list[str] = []
    found = list(
        predict_examples(
            fine_tuned, wanted, extractor=extractor(fine_tuned, tmp_path), skip_unreadable=True, say=told.append
        )
    )
    assert [bool(p.error) for p in found] == [False, True, True, False]
    assert (found[1].label, found[1].probabilities) == ("", ())
    assert "gone.png" in found[2].error
    assert len(told) == 2


def test_the_first_file_may_be_the_bad_one(fine_tuned: FineTunedModel, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    wanted = [Input("bad.png", tmp_path / "bad.png"), *files(pictures)[:2]]
    runner = extractor(fine_tuned, tmp_path)
    found = list(predict_examples(fine_tuned, wanted, extractor=runner, skip_unreadable=True))
    assert [bool(p.error) for p in found] == [True, False, False]


def test_no_files_give_no_predictions(fine_tuned: FineTunedModel, tmp_path: Path) -> None:
    assert list(predict_examples(fine_tuned, [], extractor=extractor(fine_tuned, tmp_path))) == []
