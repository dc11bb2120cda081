from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile

from graft.api.checks import count_empty, refuse_for_kind
from graft.api.config import FitConfig
from graft.api.embedding import Embedded
from graft.api.grouping import compare_grouping, judge_by_group
from graft.backbones.extraction import Features
from graft.core.errors import DataError, UsageError
from graft.core.types import Predictions
from graft.data.dataset import LabeledDataset
from graft.data.kinds import PICTURE, RECORDING
from graft.methods.head_only import HeadOnly

CONFIG = FitConfig(model="m", out="o", folds=3)


def dataset(labels: np.ndarray, **groups: Any) -> LabeledDataset:
    from datasets import Dataset

    n = len(labels)
    rows = {"id": [str(i) for i in range(n)], "content": [f"{i}.wav" for i in range(n)], "label": labels.tolist()}
    return LabeledDataset(Dataset.from_dict(rows), ("a", "b"), group_column="speaker", **groups)


def embedded(matrix: np.ndarray, labels: np.ndarray, **groups: Any) -> Any:
    n = len(labels)
    features = Features(
        matrix.astype(np.float32), np.ones((n, 4), np.uint64), tuple(map(str, range(n))), np.ones(n, bool), 0
    )
    return Embedded({"train": dataset(labels, **groups)}, {"train": features}, (), None, ("a", "b"), None, (), "", {})  # type: ignore[arg-type]


@pytest.fixture
def speakers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that tell speakers and their habits apart, but not the classes themselves."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 40)
    labels = (random.random(240) < np.where(groups % 2, 0.9, 0.1)).astype(np.int64)
    matrix = np.eye(6)[groups] * 4 + random.normal(0, 1, (240, 6))
    return matrix, labels, groups


@pytest.mark.parametrize("is_used", [True, False])
def test_it_shows_what_a_split_that_ignores_groups_would_claim(
    is_used: bool, speakers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, labels, groups = speakers
    monkeypatch.setattr(Embedded, "noun", "recording")
    found = embedded(matrix, labels, **{"groups" if is_used else "suspected_groups": groups})
    head = HeadOnly(n_folds=3).fit(matrix.astype(np.float32), labels, n_classes=2)
    said: list[str] = []
    facts = compare_grouping(found, head, CONFIG, say=said.append)
    assert facts is not None
    assert facts["ignoring"]["value"] > 0.8
    assert facts["by_group"]["value"] < 0.65
    assert (facts["is_used"], facts["n_groups"]) == (is_used, 6)
    assert facts["flattery"]["low"] > 0
    by, ignoring = facts["by_group"], facts["ignoring"]
    assert by["high"] - by["low"] > 2 * (ignoring["high"] - ignoring["low"])  # six speakers, not 240 recordings
    assert said == [facts["text"]]
    assert ("--group-column speaker" in facts["text"]) != is_used


def test_it_says_so_where_groups_do_not_matter(speakers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, labels, groups = speakers
    monkeypatch.setattr(Embedded, "noun", "recording")
    matrix = labels[:, None] * 3 + np.random.default_rng(1).normal(size=(240, 4))
    head = HeadOnly(n_folds=3).fit(matrix.astype(np.float32), labels, n_classes=2)
    facts = compare_grouping(embedded(matrix, labels, groups=groups), head, CONFIG, say=lambda text: None)
    assert facts is not None
    assert facts["text"].endswith("no sign that it matters")


def test_without_groups_there_is_nothing_to_compare(speakers: Any) -> None:
    matrix, labels, _ = speakers
    head = HeadOnly(n_folds=3).fit(matrix.astype(np.float32), labels, n_classes=2)
    assert compare_grouping(embedded(matrix, labels), head, CONFIG, say=lambda text: None) is None


def test_examples_with_nothing_in_them_are_counted_by_kind() -> None:
    labels = np.array([0, 1, 0, 1])
    found = embedded(np.ones((4, 2)), labels)
    hashes = np.array([[1] * 4, [0] * 4, [0, 0, 0, 1], [0] * 4], np.uint64)
    features = {
        "train": Features(np.ones((4, 2), np.float32), hashes, ("a",) * 4, np.array([True, True, True, False]), 0)
    }
    notes = count_empty(found.splits, features, kind=RECORDING)
    assert notes == ["1 recording of train is silent, for example 1"]
    assert count_empty(found.splits, features, kind=PICTURE) == []
    features["train"].perceptual[:] = 0
    features["train"].is_readable[:] = True
    with pytest.raises(DataError, match="all 4 recordings of train are silent"):
        count_empty(found.splits, features, kind=RECORDING)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"views": 2}, "--views 2 with recordings"),
        ({"mixup": 0.2}, r"--mixup 0\.2 with recordings"),
        ({"cutmix": 1.0}, "--cutmix 1 with recordings"),
    ],
)
def test_what_is_for_pictures_is_refused_for_others(option: dict[str, Any], told: str) -> None:
    config = FitConfig(model="m", out="o", **option)
    refuse_for_kind(PICTURE, config)
    with pytest.raises(UsageError, match=told):
        refuse_for_kind(RECORDING, config)


def test_label_sets_are_right_where_all_labels_are(speakers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, labels, groups = speakers
    monkeypatch.setattr(Embedded, "noun", "recording")
    sets = np.stack([labels, 1 - labels], axis=1)
    found = embedded(matrix, labels, groups=groups)
    train = found.splits["train"]
    object.__setattr__(train, "_labels", sets.astype(np.uint8))
    head = HeadOnly(n_folds=3).fit(matrix.astype(np.float32), sets, n_classes=2)
    facts = compare_grouping(found, head, CONFIG, say=lambda text: None)
    assert facts is not None
    assert facts["ignoring"]["value"] > 0.75
    assert facts["by_group"]["value"] < 0.65
    assert "share of exactly right label sets" in facts["text"]


@pytest.mark.parametrize("n_test_groups", [2, 5])
def test_the_test_split_is_judged_by_its_groups(
    n_test_groups: int, speakers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, labels, groups = speakers
    monkeypatch.setattr(Embedded, "noun", "recording")
    found = embedded(matrix, labels, groups=groups)
    test_groups = np.repeat(10 + np.arange(n_test_groups), 20)
    targets = np.zeros(len(test_groups), np.int64)
    part = dataset(targets, groups=test_groups)
    found = Embedded({**found.splits, "test": part}, *list(vars(found).values())[1:])
    rights = np.where(np.arange(len(targets)) % 20 < np.repeat(np.linspace(8, 18, n_test_groups), 20), 1.0, -1.0)
    targets[0] = -1  # not known, so not judged
    test = Predictions(part.ids, targets, np.stack([rights, -rights], axis=1), ("a", "b"), "test")
    facts = judge_by_group(found, test, {"text": "before"})
    assert facts is not None
    assert facts["text"] == "before"
    told = facts["test"]
    assert told["n_groups"] == n_test_groups
    assert told["shares"][0] == pytest.approx(7 / 19)
    assert told["shares"][-1] == pytest.approx(18 / 20)
    is_too_few = n_test_groups == 2
    assert (told["over_groups"]["low"] is None) is is_too_few
    assert ("too few for an interval" in told["text"]) is is_too_few
    assert "from 36.8\u202f% to 90.0\u202f% right" in told["text"]


def test_a_test_split_with_groups_of_train_is_not_judged_by_them(speakers: Any) -> None:
    matrix, labels, groups = speakers
    found = embedded(matrix, labels, groups=groups)
    part = dataset(labels, groups=groups)
    found = Embedded({**found.splits, "test": part}, *list(vars(found).values())[1:])
    test = Predictions(part.ids, labels, np.eye(2)[labels], ("a", "b"), "test")
    assert judge_by_group(found, test, {"text": "before"}) == {"text": "before"}
    assert judge_by_group(found, test, None) is None


def test_channels_that_cancel_are_silent_once_mixed() -> None:
    from datasets import Dataset, Value
    from datasets import Features as Kinds

    def stereo(sign: int) -> bytes:
        file, wave = io.BytesIO(), np.sin(np.arange(4000) / 5)
        soundfile.write(file, np.stack([wave, sign * wave], axis=1) * (sign != 0), 8000, format="WAV")
        return file.getvalue()

    rows = {"id": list("abcd"), "content": [stereo(s) for s in (-1, 0, 1, 1)], "label": [0, 1, 0, 1]}
    kinds = Kinds({"id": Value("string"), "content": Value("binary"), "label": Value("int64")})
    splits = {"train": LabeledDataset(Dataset.from_dict(rows, features=kinds), ("a", "b"))}
    hashes = np.array([[0] * 4, [1] * 4, [1] * 4, [1] * 4], np.uint64)

    def notes() -> list[str]:
        features = Features(np.ones((4, 2), np.float32), hashes, ("a",) * 4, np.ones(4, bool), 0)
        return count_empty(splits, {"train": features}, kind=RECORDING)

    assert notes() == ["1 recording of train is silent once mixed to mono, for the channels cancel, for example a"]
    hashes[1] = 0
    assert notes() == ["2 recordings of train are silent, for example a; 1 only once mixed to mono"]
