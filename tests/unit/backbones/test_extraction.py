"""The pass through the cache: what is computed, what is read, and what happens when a picture or memory fails."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from numpy.typing import NDArray
from PIL import Image

from graft.backbones import engines
from graft.backbones.cache import FeatureCache
from graft.backbones.extraction import Extractor
from graft.backbones.loading import ImageModel, load_image_model
from graft.backbones.views import View
from graft.core.devices import Precision
from graft.core.errors import DataError, ResourceError
from graft.data.dataset import LabeledDataset
from small_things import COLOURS, make_picture

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> ImageModel:
    return load_image_model(str(checkpoint), label_names=["a", "b"])


def png(seed: int) -> bytes:
    file = io.BytesIO()
    make_picture(COLOURS["red"], seed=seed).save(file, "PNG")
    return file.getvalue()


def dataset(contents: Sequence[bytes]) -> LabeledDataset:
    rows = {
        "id": [f"{i}.png" for i in range(len(contents))],
        "content": [{"bytes": content, "path": None} for content in contents],
        "label": [0] * len(contents),
    }
    return LabeledDataset(Dataset.from_dict(rows), ("a", "b"), source="tested")


def extractor(
    model: ImageModel, folder: Path, say: Callable[[str], None] = lambda text: None, **options: Any
) -> Extractor:
    arguments = {"batch_size": 4, "n_workers": 0, "engine": "eager", "precision": Precision("fp32", "")} | options
    return Extractor(model.source(), FeatureCache(folder), device=CPU, say=say, **arguments)


def expected(model: ImageModel, contents: Sequence[bytes]) -> NDArray[np.float32]:
    network = model.feature_network()
    rows = []
    with torch.inference_mode():
        for content in contents:
            picture = Image.open(io.BytesIO(content)).convert("RGB")
            rows.append(network(torch.from_numpy(model.preprocessing(picture))[None])[0].numpy())
    return np.stack(rows)


def test_features_are_computed_once(model: ImageModel, tmp_path: Path) -> None:
    data = dataset([png(i) for i in range(10)])
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    first = extractor(model, tmp_path).run(data, n_examples=10)
    np.testing.assert_allclose(first.matrix, expected(model, [png(i) for i in range(10)]), rtol=1e-4, atol=1e-5)
    assert first.n_computed == 10
    assert first.is_readable.all()
    told: list[str] = []
    second = extractor(model, tmp_path, told.append).run(data, n_examples=10)
    assert second.n_computed == 0
    assert told == ["features of 10 pictures: all in the cache, nothing to compute"]
    np.testing.assert_array_equal(second.matrix, first.matrix)
    np.testing.assert_array_equal(second.perceptual, first.perceptual)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_changed_picture_recomputes_only_itself(model: ImageModel, tmp_path: Path) -> None:
    contents = [png(i) for i in range(9)]
    first = extractor(model, tmp_path).run(dataset(contents), n_examples=9)
    contents[4] = png(99)
    told: list[str] = []
    second = extractor(model, tmp_path, told.append).run(dataset(contents[::-1]), n_examples=9)
    assert second.n_computed == 1
    assert any("8 pictures are in the cache, 1 to compute" in text for text in told)
    same = [i for i in range(9) if i != 4]
    np.testing.assert_array_equal(second.matrix[::-1][same], first.matrix[same])
    np.testing.assert_allclose(second.matrix[4], expected(model, [png(99)])[0], rtol=1e-4, atol=1e-5)


def test_copies_inside_one_call_are_computed_once(model: ImageModel, tmp_path: Path) -> None:
    found = extractor(model, tmp_path).run(dataset([png(0), png(1), png(0), png(0)]), n_examples=4)
    assert found.n_computed == 2
    np.testing.assert_array_equal(found.matrix[[2, 3]], found.matrix[[0, 0]])


def test_views_have_features_of_their_own(model: ImageModel, tmp_path: Path) -> None:
    data = dataset([png(i) for i in range(3)])
    runner = extractor(model, tmp_path)
    plain = runner.run(data, n_examples=6)
    mirror = runner.run(data, n_examples=6, view=View(1))
    assert mirror.n_computed == 3
    assert not np.allclose(plain.matrix, mirror.matrix)
    flipped = []
    for i in range(3):
        file = io.BytesIO()
        Image.open(io.BytesIO(png(i))).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file, "PNG")
        flipped.append(file.getvalue())
    np.testing.assert_allclose(mirror.matrix, expected(model, flipped), rtol=1e-4, atol=1e-5)


def test_workers_and_batch_size_change_nothing(model: ImageModel, tmp_path: Path) -> None:
    data = dataset([png(i) for i in range(17)])
    alone = extractor(model, tmp_path / "a").run(data, n_examples=17)
    workers = extractor(model, tmp_path / "b", n_workers=2, batch_size=2).run(data, n_examples=17)
    np.testing.assert_allclose(workers.matrix, alone.matrix, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(workers.perceptual, alone.perceptual)


def test_an_unreadable_picture_is_named_and_what_was_computed_is_kept(model: ImageModel, tmp_path: Path) -> None:
    contents = [png(i) for i in range(10)]
    contents[6] = contents[6][:60]
    with pytest.raises(DataError) as caught:
        extractor(model, tmp_path).run(dataset(contents), n_examples=10)
    assert "6.png of tested cannot be read as a picture" in str(caught.value)
    assert "--skip-unreadable" in caught.value.fix
    contents[6] = png(6)
    assert extractor(model, tmp_path).run(dataset(contents), n_examples=10).n_computed == 6


def test_unreadable_pictures_are_left_out_when_asked(model: ImageModel, tmp_path: Path) -> None:
    contents = [png(0), b"none", png(2), b""]
    for _ in range(2):
        found = extractor(model, tmp_path, skip_unreadable=True).run(dataset(contents), n_examples=4)
        assert found.is_readable.tolist() == [True, False, True, False]
        assert found.matrix.shape[0] == 4
        np.testing.assert_allclose(found.matrix[[0, 2]], expected(model, [png(0), png(2)]), rtol=1e-4, atol=1e-5)
    assert found.n_computed == 0


def test_a_killed_pass_goes_on_where_it_was(model: ImageModel, tmp_path: Path) -> None:
    data = dataset([png(i) for i in range(20)])

    class Stopped(BaseException):
        pass

    runner = extractor(model, tmp_path)
    forward, n_calls = runner._forward, 0

    def stop_later(pixels: NDArray[Any]) -> NDArray[np.float32]:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:
            raise Stopped
        return forward(pixels)

    runner._forward = stop_later  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        runner.run(data, n_examples=20)
    resumed = extractor(model, tmp_path).run(data, n_examples=20)
    assert resumed.n_computed == 20 - 3 * 4
    whole = extractor(model, tmp_path / "whole").run(data, n_examples=20)
    np.testing.assert_array_equal(resumed.matrix, whole.matrix)


def test_memory_that_runs_out_halves_the_batch(
    model: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    build = engines._BUILDERS["eager"]

    def small(*arguments: Any) -> Any:
        engine = build(*arguments)

        def call(pixels: NDArray[Any]) -> NDArray[np.float32]:
            sizes.append(len(pixels))
            if len(pixels) > 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return engine(pixels)

        return call

    monkeypatch.setitem(engines._BUILDERS, "eager", small)
    told: list[str] = []
    contents = [png(i) for i in range(11)]
    found = extractor(model, tmp_path, told.append, batch_size=8).run(dataset(contents), n_examples=11)
    assert [text for text in told if "out of memory" in text] == [
        "out of memory: going on with batches of 4",
        "out of memory: going on with batches of 2",
    ]
    np.testing.assert_allclose(found.matrix, expected(model, contents), rtol=1e-4, atol=1e-5)
    assert max(sizes[3:]) <= 2


def test_memory_that_runs_out_later_halves_the_batch_too(
    model: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, n_calls = engines._BUILDERS["eager"], 0

    def fails_later(*arguments: Any) -> Any:
        engine = build(*arguments)

        def call(pixels: NDArray[Any]) -> NDArray[np.float32]:
            nonlocal n_calls
            n_calls += 1
            if n_calls == 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return engine(pixels)

        return call

    monkeypatch.setitem(engines._BUILDERS, "eager", fails_later)
    told: list[str] = []
    contents = [png(i) for i in range(10)]
    found = extractor(model, tmp_path, told.append).run(dataset(contents), n_examples=10)
    assert "out of memory: going on with batches of 2" in told
    np.testing.assert_allclose(found.matrix, expected(model, contents), rtol=1e-4, atol=1e-5)
    assert found.n_computed == 10


def test_a_single_picture_that_does_not_fit_is_an_error(
    model: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setitem(engines._BUILDERS, "eager", never)
    with pytest.raises(ResourceError, match="with a single picture"):
        extractor(model, tmp_path).run(dataset([png(0)]), n_examples=1)


def test_a_full_disk_is_said_and_shards_before_it_stay(
    model: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from graft.backbones import cache

    monkeypatch.setattr(cache, "_SHARD_ROWS", 4)
    save, n_saves = np.save, 0

    def fill(*arguments: Any, **more: Any) -> None:
        nonlocal n_saves
        n_saves += 1
        if n_saves > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*arguments, **more)

    monkeypatch.setattr(np, "save", fill)
    data = dataset([png(i) for i in range(16)])
    with pytest.raises(ResourceError, match="the disk is full"):
        extractor(model, tmp_path).run(data, n_examples=16)
    monkeypatch.setattr(np, "save", save)
    assert extractor(model, tmp_path).run(data, n_examples=16).n_computed == 8
    assert not list(tmp_path.rglob("*.partial"))


def test_an_engine_that_was_refused_is_not_looked_up_again(
    model: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PARITY_COSINE", 1.1)
    told: list[str] = []
    runner = extractor(model, tmp_path, told.append, precision=Precision("bf16", ""))
    runner.run(dataset([png(0), png(1)]), n_examples=4)
    assert runner.engine_label == "eager fp32"
    runner.run(dataset([png(2), png(3)]), n_examples=4)
    assert sum("falling back" in text for text in told) == 1


def test_streaming_goes_past_the_cache(model: ImageModel, tmp_path: Path) -> None:
    contents = [png(i) for i in range(6)]
    contents[3] = b"none"
    batches = list(extractor(model, tmp_path / "cache").stream(dataset(contents)))
    assert [first for first, _, _ in batches] == [0, 4]
    errors = [error for _, _, texts in batches for error in texts]
    assert [bool(error) for error in errors] == [False, False, False, True, False, False]
    features = np.concatenate([rows for _, rows, _ in batches])
    good = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(features[good], expected(model, [contents[i] for i in good]), rtol=1e-4, atol=1e-5)
    assert not (tmp_path / "cache").exists()
