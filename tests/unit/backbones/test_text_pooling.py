"""The pooling layer: what it computes, that a stock checkpoint says the same, and that nothing trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graft.backbones.depth import block_numbers, layer_blocks
from graft.backbones.text_loading import TextModel, load_text_model
from graft.backbones.text_pooling import LARGE, fixed_modules, pooled_features
from small_texts import TEXTS, make_text_checkpoint

LABELS = ("red", "green", "blue")
GRAFTED = ("bert", "roberta", "distilbert", "electra", "deberta-v2")
WITHOUT_MEAN = ("deberta", "mpnet", "albert")


@pytest.fixture(scope="module", params=GRAFTED)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    folder = make_text_checkpoint(tmp_path_factory.mktemp(request.param), request.param)
    return load_text_model(str(folder), label_names=LABELS)


def inputs_of(model: TextModel) -> dict[str, Tensor]:
    return model.tokens.collate(model.tokens.encode_all(TEXTS))


def test_means_and_first_tokens_of_several_layers_are_offered(model: TextModel) -> None:
    own = ("own",) if model.network.config.model_type == "bert" else ()  # the others have no pooler of their own
    assert model.blocks == ("mean@3", "mean@2", "cls@3", *own)


@pytest.mark.parametrize("block", ["mean@3", "mean@2", "cls@3"])
def test_one_pass_over_all_blocks_gives_what_each_network_gives(model: TextModel, block: str) -> None:
    inputs = inputs_of(model)
    together = pooled_features(model.network, inputs, model.blocks, head=model.head.name)
    place = model.blocks.index(block) * 16
    alone = model.choose(block)
    features = pooled_features(alone.network, inputs, (block,), head=alone.head.name)
    torch.testing.assert_close(features, together[:, place : place + 16], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", ["mean@3", "mean@2", "cls@3"])
def test_a_stock_checkpoint_says_the_same(model: TextModel, block: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    chosen = model.choose(block)
    chosen.head.set(100 * torch.randn(3, 16, generator=torch.Generator().manual_seed(1)), torch.zeros(3))
    chosen.network.save_pretrained(tmp_path)
    stock: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert not fixed_modules(stock)
    inputs = inputs_of(model)
    with torch.inference_mode():
        ours, theirs = chosen.network(**inputs).logits, stock(**inputs).logits
    assert float(ours.std()) > 0.1, "a head that tells something"
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-3)


def test_the_mean_is_that_of_the_tokens_that_are_there(model: TextModel) -> None:
    """Against the mean computed by hand, whatever else stands in the batch."""
    chosen = model.choose("mean@3")
    inputs = inputs_of(model)
    states = pooled_states(model, inputs)
    mask = inputs["attention_mask"].unsqueeze(-1)
    mean = (states * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.layer_norm(LARGE * mean + states[:, 0], (16,))
    found = pooled_features(chosen.network, inputs, ("mean@3",), head=chosen.head.name)
    correlation = torch.corrcoef(torch.stack([expected.flatten(), found.flatten()]))[0, 1]
    assert float(correlation) > 0.9999
    alone = model.tokens.collate(model.tokens.encode_all(TEXTS[:1]))
    again = pooled_features(chosen.network, alone, ("mean@3",), head=chosen.head.name)
    torch.testing.assert_close(again, found[:1], rtol=1e-4, atol=1e-5)


def pooled_states(model: TextModel, inputs: dict[str, Tensor]) -> Tensor:
    base: Any = model.network.get_submodule(model.network.base_model_prefix)  # type: ignore[arg-type]
    with torch.inference_mode():
        states: Tensor = base(**inputs).last_hidden_state
    return states


def test_what_is_fixed_is_not_trained_and_the_layers_below_are(model: TextModel) -> None:
    network = model.choose("mean@3").network.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inputs = inputs_of(model)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    network.train()
    network(**inputs).logits.square().sum().backward()
    optimizer.step()
    fixed = tuple(f"{name}." for name in fixed_modules(network))
    assert len(fixed) == 2
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in after if name.startswith(fixed))
    moved = [name for name in after if not torch.equal(before[name], after[name])]
    assert any(".0." in name for name in moved), "the first layer learns through the pooling"


@pytest.mark.parametrize("family", WITHOUT_MEAN)
def test_where_no_layer_can_take_the_mean_the_first_token_is_read_and_that_is_said(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = load_text_model(str(make_text_checkpoint(tmp_path / "checkpoint", family)), label_names=LABELS)
    assert not [block for block in model.blocks if block.startswith("mean")]
    assert "cannot be told to take the mean" in model.notes[0]
    inputs = inputs_of(model)
    together = pooled_features(model.network, inputs, model.blocks, head=model.head.name)
    for place, block in enumerate(model.blocks[: 1 if family == "albert" else 2]):
        chosen = model.choose(block)
        alone = pooled_features(chosen.network, inputs, (block,), head=chosen.head.name)
        torch.testing.assert_close(alone, together[:, place * 16 : place * 16 + 16], rtol=1e-5, atol=1e-7)
        chosen.head.set(100 * torch.randn(3, 16, generator=torch.Generator().manual_seed(1)), torch.zeros(3))
        chosen.network.save_pretrained(tmp_path / block)
        stock: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path / block).eval()
        with torch.inference_mode():
            torch.testing.assert_close(stock(**inputs).logits, chosen.network(**inputs).logits, rtol=1e-4, atol=1e-4)


def test_modernbert_takes_the_mean_by_its_own_setting(tmp_path: Path) -> None:
    model = load_text_model(str(make_text_checkpoint(tmp_path, "modernbert")), label_names=LABELS)
    assert model.network.config.classifier_pooling == "mean"
    assert model.blocks == ("own",)
    assert "new" in model.notes[0]


@pytest.mark.parametrize("block", ["mean@3", "mean@2", "cls@3"])
def test_the_pooling_is_no_block_and_the_layers_stay_blocks(model: TextModel, block: str) -> None:
    """A pooled network has as many blocks as layers that are left: the last ones can be trained alone."""
    chosen = model.choose(block)
    blocks = layer_blocks(chosen.network, head=chosen.head.name)
    n_layers = int(block[-1])
    assert [one.name for one in blocks] == ["stem", *(f"block {i + 1}" for i in range(n_layers)), "head"]
    block_numbers(chosen.network, blocks)
