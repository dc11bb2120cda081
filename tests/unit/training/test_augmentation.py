from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_image

from graft.core.errors import UsageError
from graft.training.augmentation import Augmentation, augment, draw_distortions
from graft.training.operations import (
    OPERATIONS,
    apply_operation,
    apply_operations,
    draw_operations,
    geometric_map,
)

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(side: int = 40) -> torch.Tensor:
    """Return cuts of two photographs, and pictures of one colour, of two, and of a narrow range."""
    cuts = [
        np.asarray(Image.fromarray(load_sample_image(name)).crop((at, at, at + 160, at + 160)).resize((side, side)))
        for name in ("china.jpg", "flower.jpg")
        for at in (0, 150, 230)
    ]
    one, two, narrow = (np.full((side, side, 3), 77, dtype=np.uint8) for _ in range(3))
    two[3:, :, 1] = 255
    narrow[:, :, 2] += np.arange(side, dtype=np.uint8)
    return torch.from_numpy(np.stack([*cuts, one, two, narrow]).transpose(0, 3, 1, 2).copy())


def pillow(name: str, picture: torch.Tensor, amount: float) -> np.ndarray:
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    done = {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(1 + amount),
        "colour": lambda: ImageEnhance.Color(image).enhance(1 + amount),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(1 + amount),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(1 + amount),
        "posterize": lambda: ImageOps.posterize(image, 8 - round(amount)),
        "solarize": lambda: ImageOps.solarize(image, 256 * (1 - amount)),
    }[name]()
    return np.asarray(done).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("name", "amounts"),
    [
        ("autocontrast", [0.0]),
        ("equalize", [0.0]),
        ("posterize", [0.0, 1.0, 2.6, 4.0, 6.0]),
        ("solarize", [0.0, 0.25, 0.5, 0.77, 1.0]),
        *((name, [-0.984375, -0.5, 0.0, 0.28125, 0.875]) for name in ("brightness", "colour", "contrast", "sharpness")),
    ],
)
def test_operations_are_pillows(name, amounts):
    pictures = photographs()
    before = pictures.clone()
    for amount in amounts:
        ours = apply_operation(pictures, name, amounts=torch.full((len(pictures),), amount))
        theirs = np.stack([pillow(name, picture, amount) for picture in pictures])
        assert ours.dtype == torch.uint8
        np.testing.assert_array_equal(ours.numpy(), theirs)
    assert torch.equal(pictures, before)


def test_each_picture_gets_its_own_operations_and_amounts():
    pictures = photographs()[:4]
    names = [("brightness", "solarize"), ("identity", "equalize"), ("rotate", "brightness"), ("posterize", "shear_x")]
    amounts = torch.tensor([[-0.5, 0.5], [0.0, 0.0], [30.0, 0.4], [4.0, 0.3]])
    codes = torch.tensor([[OPERATIONS.index(name) for name in pair] for pair in names])
    done = apply_operations(pictures, codes, amounts=amounts)
    for row, pair in enumerate(names):
        expected = pictures[row]
        for place, name in enumerate(pair):
            if name != "identity" and name not in GEOMETRIC:
                expected = torch.from_numpy(pillow(name, expected, float(amounts[row, place])).copy())
        assert (done[row].int() - expected.int()).abs().max() <= 1


def test_operations_stand_tiny_pictures():
    tiny = torch.tensor([3, 200], dtype=torch.uint8).expand(2, 3, 2).unsqueeze(2).contiguous()  # 1 by 2 pixels
    for name in OPERATIONS:
        if name != "identity" and name not in GEOMETRIC:
            assert apply_operation(tiny, name, amounts=torch.full((2,), 0.5)).shape == tiny.shape


def test_draws_cover_all_operations_evenly_within_their_ranges():
    codes, amounts = draw_operations("trivial", 14_000, magnitude=9, generator=seeded(0))
    assert codes.shape == (14_000, 1)
    assert int(torch.bincount(codes[:, 0], minlength=14).min()) > 850
    turned = amounts[codes == OPERATIONS.index("rotate")]
    assert float(turned.max()) == 135
    assert float(turned.min()) == -135
    assert abs(float(turned.mean())) < 10
    taken = amounts[codes == OPERATIONS.index("posterize")].round()
    assert sorted(set(taken.tolist())) == [0, 1, 2, 3, 4, 5, 6]

    codes, amounts = draw_operations("rand", 1000, magnitude=9, generator=seeded(0))
    assert codes.shape == amounts.shape == (1000, 2)
    assert sorted(set(amounts[codes == OPERATIONS.index("rotate")].tolist())) == pytest.approx([-9, 9])
    assert sorted(set(amounts[codes == OPERATIONS.index("solarize")].tolist())) == pytest.approx([0.3])
    assert draw_operations("none", 5, magnitude=9, generator=seeded(0))[0].shape == (5, 0)


def test_geometric_operations_move_points_as_they_say():
    def moved(*steps: tuple[str, float]) -> list[float]:
        codes = torch.tensor([[OPERATIONS.index(name) for name, _ in steps]])
        whole = geometric_map(codes, torch.tensor([[amount for _, amount in steps]]))[0]
        return (whole @ torch.tensor([0.5, 0.0, 1.0]))[:2].tolist()

    assert moved(("rotate", 90.0)) == pytest.approx([0, 0.5], abs=1e-6)
    assert moved(("translate_y", 0.25)) == pytest.approx([0.5, 0.5])  # a quarter of a side of 2
    assert moved(("shear_y", 0.5)) == pytest.approx([0.5, 0.25])
    assert moved(("equalize", 0.0), ("posterize", 4.0)) == pytest.approx([0.5, 0])
    assert moved(("rotate", 90.0), ("translate_x", 0.25)) == pytest.approx([0, 1], abs=1e-6)  # the last one first


HOWS = {
    "medium small": Augmentation.for_side(24, flip=True),
    "medium large": Augmentation.for_side(100, flip=True),
    "trivial": Augmentation.for_strength(24, "strong", flip=True),
    "rand": Augmentation(24, crop_area=(0.3, 1.0), policy="rand", policy_magnitude=15, brightness=0.2),
}


@pytest.mark.parametrize("name", HOWS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_part_equals_its_rows_of_the_whole(name, threads):
    pictures = photographs().repeat(3, 1, 1, 1)
    whole = augment(pictures, HOWS[name], generator=seeded(7))
    assert whole.dtype == torch.float32
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 255
    n, before = len(pictures), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for part in (slice(0, 1), slice(1, 9), slice(9, None), slice(-1, None), slice(0, n, 4), slice(3, 3)):
            generator = seeded(7)
            rows = augment(pictures[part], HOWS[name], generator=generator, part=part, n_whole=n)
            assert torch.equal(rows, whole[part])
        after = seeded(7)
        draw_distortions(HOWS[name], n, generator=after)
        assert torch.equal(generator.get_state(), after.get_state())
    finally:
        torch.set_num_threads(before)


def test_a_part_must_have_its_pictures():
    with pytest.raises(UsageError, match="2 pictures"):
        augment(photographs()[:3], Augmentation(8), generator=seeded(0), part=slice(0, 2), n_whole=9)


def test_the_policy_leaves_other_draws_as_they_are():
    plain, strong = (draw_distortions(HOWS[name], 50, generator=seeded(1)) for name in ("medium small", "trivial"))
    assert torch.equal(plain.brightness, strong.brightness)
    still = torch.tensor([OPERATIONS[int(code)] not in GEOMETRIC for code in strong.operations[:, 0]])
    torch.testing.assert_close(plain.maps[still], strong.maps[still])
    assert not torch.equal(plain.maps, strong.maps)


@pytest.mark.parametrize("side", [32, 224])
def test_strengths(side):
    assert Augmentation.for_strength(side, "none", flip=True) == Augmentation(side)
    light = Augmentation.for_strength(side, "light", flip=True)
    assert light.flip
    assert (light.shift, light.crop_area) == ((0.0625, (1.0, 1.0)) if side == 32 else (0.0, (0.6, 1.0)))
    assert Augmentation.for_strength(side, "medium", flip=False) == Augmentation.for_side(side, flip=False)
    assert Augmentation.for_strength(side, "strong", flip=True).policy == "trivial"


def test_errors_say_what_was_expected():
    with pytest.raises(UsageError, match="Did you mean 'strong'"):
        Augmentation.for_strength(32, "stong", flip=True)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one of none, trivial, rand"):
        Augmentation(32, policy="auto")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 to 30"):
        Augmentation(32, policy="rand", policy_magnitude=31)
