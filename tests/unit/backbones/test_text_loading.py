"""Text checkpoints: pooling and length as sentence-transformers folders say, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graft.backbones.cache import FeatureCache
from graft.backbones.extraction import Extractor
from graft.backbones.text_loading import load_text_model
from graft.core.devices import Precision, choose_device
from graft.core.errors import DataError, ModelError, UsageError
from graft.data.dataset import LabeledDataset
from graft.data.texts import join_pair
from small_texts import TARGETS, TEXTS, make_text_checkpoint

LABELS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text_checkpoint(tmp_path_factory.mktemp("bert"))


def dataset(texts: list[str]) -> LabeledDataset:
    from datasets import Dataset, Features, Value

    rows = {
        "id": [str(i) for i in range(len(texts))],
        "content": [t.encode() for t in texts],
        "label": [0] * len(texts),
    }
    kinds = Features({"id": Value("string"), "content": Value("binary"), "label": Value("int64")})
    return LabeledDataset(Dataset.from_dict(rows, features=kinds), LABELS, source="texts.csv")


def extractor(folder: Path, cache: Path, **more: object) -> Extractor:
    source = load_text_model(str(folder), label_names=LABELS).source()
    device = choose_device("cpu")
    return Extractor(source, FeatureCache(cache), device=device, precision=Precision("fp32", ""), **more)  # type: ignore[arg-type]


def test_texts_are_cut_where_the_checkpoint_says_and_that_is_counted(folder: Path) -> None:
    tokens = load_text_model(str(folder), label_names=LABELS, max_tokens=6).tokens
    lengths = [len(ids) for ids, _ in tokens.encode_all(["red", "the rose is very very red"])]
    assert lengths == [3, 6]
    assert [is_cut for _, is_cut in tokens.encode_and_cut(["red", "the rose is very very red"])] == [False, True]
    with pytest.raises(ModelError, match="--max-tokens 99 with a checkpoint that reads 32"):
        load_text_model(str(folder), label_names=LABELS, max_tokens=99)


def test_cut_texts_are_counted_though_their_features_are_in_the_cache(folder: Path, tmp_path: Path) -> None:
    data = dataset(["the rose is red " * 4 + "ø", "red", "the rose is red " * 8, "ø", "the rose is red " * 8])
    for _ in range(2):
        source = load_text_model(str(folder), label_names=LABELS, max_tokens=12).source()
        passing = Extractor(
            source, FeatureCache(tmp_path), device=choose_device("cpu"), precision=Precision("fp32", ""), n_workers=0
        )
        assert passing.run(data, n_examples=5).is_readable.all()
        list(passing.stream(data))  # what a check of the engine reads does not count
        assert passing.n_cut(data) == 3
    assert passing.told_cut(3, 5).startswith("3 of 5 texts (60.0%) are cut at 12 tokens")


def test_a_pair_is_two_segments(folder: Path) -> None:
    tokens = load_text_model(str(folder), label_names=LABELS).tokens
    ids, second = tokens.encode(join_pair("the rose", "is red"))
    batch = tokens.collate([(ids, second), tokens.encode("red")])
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1], [0] * 7]
    assert batch["attention_mask"].sum(1).tolist() == [7, 3]


def test_features_do_not_depend_on_the_order_or_on_what_is_beside(folder: Path, tmp_path: Path) -> None:
    first = extractor(folder, tmp_path / "a").run(dataset(list(TEXTS)), n_examples=8)
    second = extractor(folder, tmp_path / "b").run(dataset(list(TEXTS[::-1])), n_examples=8)
    np.testing.assert_allclose(first.matrix, second.matrix[::-1], atol=1e-6)
    assert first.matrix.shape == (8, 4 * 16)
    told: list[str] = []
    again = extractor(folder, tmp_path / "a", say=told.append).run(dataset(list(TEXTS)), n_examples=8)
    assert again.n_computed == 0
    assert told == ["features of 8 texts: all in the cache, nothing to compute"]


def test_an_empty_text_is_an_error_or_left_out(folder: Path, tmp_path: Path) -> None:
    data = dataset(["red", "  ", "blue sky"])
    with pytest.raises(DataError, match=r"1 of texts\.csv is empty"):
        extractor(folder, tmp_path / "a").run(data, n_examples=3)
    found = extractor(folder, tmp_path / "b", skip_unreadable=True).run(data, n_examples=3)
    assert found.is_readable.tolist() == [True, False, True]


def test_engines_of_pictures_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--engine openvino for texts"):
        extractor(folder, tmp_path, engine="openvino").run(dataset(list(TEXTS)), n_examples=8)


def test_a_very_long_text_passes(folder: Path, tmp_path: Path) -> None:
    found = extractor(folder, tmp_path).run(dataset(["red " * 7_500, "blue"]), n_examples=2)
    assert np.isfinite(found.matrix).all()


def test_folders_that_are_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_text_model(str(tmp_path), label_names=LABELS)
    broken = make_text_checkpoint(tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    config["num_hidden_layers"] = 4
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="lacks the weights of 16 layers"):
        load_text_model(str(broken), label_names=LABELS)
    assert TARGETS
