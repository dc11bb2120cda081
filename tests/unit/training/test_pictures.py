from __future__ import annotations

import io
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from runs import digit_batches, digit_pictures, tiny_network

from graft.core.errors import DataError, UsageError
from graft.training.augmentation import Augmentation, augment
from graft.training.batches import ShuffledOrder
from graft.training.mixing import Mixing
from graft.training.pictures import PictureBatches, normalise, predict_pictures, square, store_pictures


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_distortion_gives_the_picture_back():
    pictures = torch.from_numpy(digit_pictures()[0][:20])
    same = augment(pictures, Augmentation(8), generator=seeded(0))
    torch.testing.assert_close(same, pictures.float(), atol=1e-3, rtol=0)


def test_flip_mirrors_about_half_and_nothing_else():
    pictures = torch.from_numpy(digit_pictures()[0])
    flipped = augment(pictures, Augmentation(8, flip=True), generator=seeded(0)).round()
    kept = (flipped == pictures.float()).all(dim=(1, 2, 3))
    mirrored = (flipped == pictures.float().flip(-1)).all(dim=(1, 2, 3))
    assert bool((kept | mirrored).all())
    assert 0.35 < float(mirrored.float().mean()) < 0.65


def test_a_crop_has_the_area_that_was_asked_for():
    # A horizontal ramp over 0 to 255: the spread of the outcome is the width of the cut.
    ramp = torch.arange(256, dtype=torch.uint8).expand(50, 3, 256, 256)
    cut = augment(ramp, Augmentation(64, crop_area=(0.25, 0.25)), generator=seeded(0))
    width = cut[:, 0, 0, -1] - cut[:, 0, 0, 0]
    assert cut.shape == (50, 3, 64, 64)
    assert float(width.min()) > 120
    assert float(width.max()) < 130
    assert float(cut[:, 0, 0, 0].std()) > 10  # not always the same place


def test_rotation_keeps_shapes_on_average():
    line = torch.zeros(200, 3, 33, 33, dtype=torch.uint8)
    line[:, :, 16] = 240
    turned = augment(line, Augmentation(33, rotation_degrees=45), generator=seeded(0))
    middle = turned[:, 0, 16, 16]
    assert float(middle.min()) > 150  # the centre stays
    assert float(turned[:, 0, 16, 2].mean()) < 120  # the ends move


def picture_batches(**options) -> PictureBatches:
    pictures, targets = digit_pictures()
    given = {"batch_size": 13, "augmentation": Augmentation.for_strength(8, "strong", flip=True), "seed": 5}
    return PictureBatches(pictures, targets, mean=[0.5] * 3, std=[0.5] * 3, **{**given, **options})


def test_batches_are_a_function_of_the_step():
    first, again = digit_batches(), digit_batches()
    again.batch(3)
    for name, tensor in first.batch(40).items():
        assert torch.equal(tensor, again.batch(40)[name])
    assert not torch.equal(first.batch(40)["pixel_values"], first.batch(41)["pixel_values"])
    assert first.batch(0)["pixel_values"].shape == (16, 3, 8, 8)


def test_labels_stay_with_their_pictures():
    pictures = np.zeros((10, 3, 4, 4), dtype=np.uint8)
    pictures += np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    batches = PictureBatches(
        pictures, np.arange(10), batch_size=7, augmentation=Augmentation(4), mean=[0.0] * 3, std=[1.0] * 3, seed=0
    )
    for step in range(5):
        batch = batches.batch(step)
        torch.testing.assert_close(batch["pixel_values"][:, 0, 0, 0] * 255 / 20, batch["labels"].float())


def test_order_covers_all_examples_evenly_over_passes():
    order = ShuffledOrder(7, batch_size=5, seed=1)
    drawn = np.concatenate([order.indices(step) for step in range(14)])
    assert np.bincount(drawn).tolist() == [10] * 7
    assert order.indices(3).tolist() == ShuffledOrder(7, batch_size=5, seed=1).indices(3).tolist()
    assert ShuffledOrder(2, batch_size=5, seed=1).indices(0).shape == (5,)
    with pytest.raises(DataError):
        ShuffledOrder(0, batch_size=5, seed=1)
    with pytest.raises(UsageError):
        ShuffledOrder(5, batch_size=0, seed=1)


def test_pictures_are_decoded_once_into_a_file(tmp_path):
    asked: list[int] = []

    def decode(index: int) -> Image.Image:
        asked.append(index)
        return Image.new("RGB", (30, 20), (index, 2 * index, 3 * index))

    stored = store_pictures(tmp_path / "p.npy", 4, decode=decode, side=16)
    again = store_pictures(tmp_path / "p.npy", 4, decode=decode, side=16)
    assert asked == [0, 1, 2, 3]
    assert isinstance(again, np.memmap)
    assert stored.shape == (4, 3, 16, 16)
    assert stored[3, :, 5, 5].tolist() == [3, 6, 9]


def test_a_failed_decoding_leaves_no_file(tmp_path):
    def decode(index: int) -> Image.Image:
        if index == 2:
            raise DataError("picture 2 is damaged")
        return Image.new("RGB", (16, 16))

    with pytest.raises(DataError):
        store_pictures(tmp_path / "p.npy", 4, decode=decode, side=16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(8, 8), (40, 33), (33, 40), (64, 32)])
def test_square_sees_what_the_image_processor_sees(size):
    from graft.backbones.architectures import build_architecture

    _, processor = build_architecture("resnet_nano", label_names=["a", "b"], image_size=32)
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    image = Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    theirs = processor(Image.open(file), return_tensors="pt")["pixel_values"]
    ours = normalise(torch.from_numpy(square(image, side=32))[None], mean=[0.5] * 3, std=[0.5] * 3)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.1, "n_classes": 10},
        {"mixing": Mixing(mixup_alpha=0.4), "n_classes": 10},
        {"mixing": Mixing(cutmix_alpha=1.0), "n_classes": 12, "label_smoothing": 0.1},
        {"mixing": Mixing(mixup_alpha=0.4, cutmix_alpha=1.0, probability=0.7), "n_classes": 10},
        {"rows": np.arange(3, 10), "mixing": Mixing(cutmix_alpha=1.0), "n_classes": 10},  # fewer than a batch
    ],
)
def test_parts_of_a_batch_make_up_the_whole(options):
    whole, again = picture_batches(**options), picture_batches(**options)
    for step in (0, 1, 30):
        expected = whole.batch(step)
        assert ("soft_labels" in expected) == bool(options)
        for cuts in ([0, 13], [0, 1, 5, 12, 13], [0, 0, 13]):
            parts = [again.batch(step, slice(a, b)) for a, b in pairwise(cuts)]
            for name, tensor in expected.items():
                assert torch.equal(torch.cat([part[name] for part in parts]), tensor)
        assert torch.equal(again.batch(step, slice(1, None, 3))["pixel_values"], expected["pixel_values"][1::3])


def test_a_part_reads_its_own_pictures_and_their_partners_alone():
    class Watched(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, np.ndarray):
                read.append(len(key))
            return super().__getitem__(key)

    for mixing, most in ((None, 4), (Mixing(mixup_alpha=1.0), 8)):
        pictures, targets = digit_pictures()
        batches = PictureBatches(
            pictures.view(Watched), targets, batch_size=64, augmentation=Augmentation(8), mean=[0.5] * 3,
            std=[0.5] * 3, seed=0, mixing=mixing, n_classes=10,
        )  # fmt: skip
        read: list[int] = []
        batches.batch(0, slice(0, 4))
        assert len(read) == 1
        assert 4 <= read[0] <= most


def test_soft_labels_are_those_of_the_pixels():
    # Pictures of one colour: what is in the pixels is what must be in the labels.
    pictures = np.zeros((10, 3, 16, 16), dtype=np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    for mixing in (Mixing(mixup_alpha=1.0), Mixing(cutmix_alpha=1.0)):
        batches = PictureBatches(
            pictures, np.arange(10), batch_size=7, augmentation=Augmentation(16), mean=[0.0] * 3, std=[1.0] * 3,
            seed=0, mixing=mixing, n_classes=10,
        )  # fmt: skip
        for step in range(5):
            batch = batches.batch(step)
            seen = batch["pixel_values"].mean(dim=(1, 2, 3)) * 255 / 20
            torch.testing.assert_close(seen, batch["soft_labels"] @ torch.arange(10.0))
            assert batch["soft_labels"].dtype == torch.float32
            assert batch["labels"].dtype == torch.int64


def test_only_the_rows_are_trained_on():
    rows = np.array([4, 7, 9, 200])
    _, targets = digit_pictures()
    batches = picture_batches(rows=rows, batch_size=8)
    assert batches.batch_size == 8
    for step in range(3):  # eight of four: each twice
        assert sorted(batches.batch(step)["labels"].tolist()) == sorted(targets[rows].tolist() * 2)


def test_batches_that_cannot_be_meant():
    with pytest.raises(UsageError, match="n_classes"):
        picture_batches(label_smoothing=0.1)
    with pytest.raises(DataError, match="a target 9"):
        picture_batches(label_smoothing=0.1, n_classes=9)
    with pytest.raises(DataError, match="0 to 299"):
        picture_batches(rows=np.array([0, 300]))
    with pytest.raises(UsageError, match="label_smoothing"):
        picture_batches(label_smoothing=-0.1)
    with pytest.raises(DataError, match="no example"):
        picture_batches(rows=np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="3 targets"):
        PictureBatches(
            digit_pictures()[0], np.arange(3), batch_size=2, augmentation=Augmentation(8), mean=[0.0], std=[1.0], seed=0
        )


def test_predicting_from_a_map_warns_of_nothing(tmp_path):
    np.save(tmp_path / "p.npy", digit_pictures()[0][:5])
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logits = predict_pictures(tiny_network(), mapped, side=8, mean=[0.5] * 3, std=[0.5] * 3, batch_size=2)
    assert logits.shape == (5, 10)
