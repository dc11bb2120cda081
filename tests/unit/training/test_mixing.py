from __future__ import annotations

import numpy as np
import pytest
import torch

from graft.core.errors import UsageError
from graft.training.mixing import Box, Mix, Mixing, draw_mix, mix_pictures, soft_targets


def draws(how: Mixing, n: int = 300, side: int = 20) -> list[Mix | None]:
    source = np.random.default_rng(0)
    return [draw_mix(how, 6, side=side, generator=source) for _ in range(n)]


def test_mixup_blends_pixels_and_targets_by_the_same_share():
    mix = draw_mix(Mixing(mixup_alpha=0.4), 6, side=4, generator=np.random.default_rng(1))
    assert mix is not None
    assert mix.box is None
    assert sorted(mix.partners.tolist()) == list(range(6))
    pictures = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 4, 4)
    mixed = mix_pictures(pictures, pictures[torch.from_numpy(mix.partners)], mix=mix)
    labels = torch.arange(6)
    targets = soft_targets(labels, 6, partners=labels[torch.from_numpy(mix.partners)], share=mix.share)
    torch.testing.assert_close(mixed[:, 0, 0, 0], targets @ torch.arange(6.0))


def test_cutmix_share_is_the_area_that_is_left():
    mixes = draws(Mixing(cutmix_alpha=1.0))
    for mix in mixes:
        assert mix is not None
        mixed = mix_pictures(torch.ones(1, 3, 20, 20), torch.zeros(1, 3, 20, 20), mix=mix)
        assert float(mixed.double().mean()) == pytest.approx(mix.share, abs=1e-12)
        assert 0 <= mix.share <= 1
    boxes = {(m.box.top, m.box.bottom, m.box.left, m.box.right) for m in mixes if m is not None and m.box is not None}
    assert len(boxes) > 200
    assert 0.5 < np.mean([m.share for m in mixes if m is not None]) < 0.75  # clipping leaves more than half


def test_mixing_leaves_what_it_is_given():
    pictures = torch.ones(2, 3, 4, 4)
    mix_pictures(pictures, torch.zeros(2, 3, 4, 4), mix=Mix(np.array([1, 0]), 0.75, Box(0, 2, 0, 2)))
    assert float(pictures.min()) == 1


def test_both_take_turns_and_probability_is_kept():
    mixes = draws(Mixing(mixup_alpha=0.2, cutmix_alpha=1.0, probability=0.6), n=1000)
    mixed = [mix for mix in mixes if mix is not None]
    assert 540 < len(mixed) < 660
    assert 0.43 < np.mean([mix.box is None for mix in mixed]) < 0.57
    assert draws(Mixing()) == [None] * 300
    assert not Mixing(mixup_alpha=1.0, probability=0.0).is_on


def test_soft_targets():
    labels, partners = torch.tensor([0, 1]), torch.tensor([1, 1])
    smooth = soft_targets(labels, 4, smoothing=0.2, partners=partners, share=0.25)
    torch.testing.assert_close(smooth, torch.tensor([[0.25, 0.65, 0.05, 0.05], [0.05, 0.85, 0.05, 0.05]]))
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        torch.nn.functional.cross_entropy(logits, soft_targets(labels, 4, smoothing=0.1)),
        torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1),
    )


def test_soft_label_sets_need_not_sum_to_one():
    labels, partners = torch.tensor([[1, 1, 0], [0, 0, 0]]), torch.tensor([[0, 1, 1], [1, 0, 0]])
    mixed = soft_targets(labels, 3, partners=partners, share=0.75)
    torch.testing.assert_close(mixed, torch.tensor([[0.75, 1.0, 0.25], [0.25, 0.0, 0.0]]))
    torch.testing.assert_close(soft_targets(labels, 3, smoothing=0.2)[0], torch.tensor([0.9, 0.9, 0.1]))


@pytest.mark.parametrize("wrong", [{"mixup_alpha": -0.1}, {"cutmix_alpha": float("nan")}, {"probability": 1.5}])
def test_bounds(wrong):
    with pytest.raises(UsageError):
        Mixing(**wrong)
