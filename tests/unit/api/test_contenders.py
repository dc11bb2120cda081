"""Who competes."""

from __future__ import annotations

import pytest

from graft.api.config import FitConfig
from graft.api.config_values import STRATEGIES
from graft.api.contenders import contenders, method_of
from graft.data.kinds import PICTURE, RECORDING, TEXT, ExampleKind
from small_texts import dataset_of


def names(strategy: str, kind: ExampleKind, counts: list[int]) -> list[str]:
    config = FitConfig(model="m", out="o", strategy=strategy)
    return [method.name for method in contenders(config, kind=kind, train=dataset_of(counts))]


def test_contrast_competes_for_few_texts_a_class_alone() -> None:
    assert names("auto", TEXT, [8, 8, 8]) == ["lp-ft", "contrastive"]
    assert names("auto", TEXT, [8, 8, 900]) == ["lp-ft", "contrastive"]
    assert names("auto", TEXT, [50, 50, 8]) == ["lp-ft"]
    assert names("auto", PICTURE, [8, 8, 8]) == ["lp-ft"]
    assert names("auto", RECORDING, [8, 8, 8]) == ["lp-ft"]
    assert names("full", TEXT, [8, 8, 8]) == ["full"]


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("auto", "head")])
def test_every_strategy_is_a_method_of_its_name(strategy: str) -> None:
    assert method_of(FitConfig(model="m", out="o"), strategy).name == strategy
