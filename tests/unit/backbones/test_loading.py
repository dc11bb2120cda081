"""What a name or folder becomes: a network with a head for the labels, or an error that says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graft.backbones.loading import hash_weights, load_image_model, random_network
from graft.core.errors import ModelError, UsageError
from graft.core.optional import is_installed

LABELS = ("ant", "bee", "cat")


def copy(checkpoint: Path, folder: Path) -> Path:
    return Path(shutil.copytree(checkpoint, folder / "copy"))


def test_a_folder(checkpoint: Path) -> None:
    model = load_image_model(str(checkpoint), label_names=LABELS, is_offline=True)
    assert model.head.layer.out_features == 3
    assert model.network.config.id2label == dict(enumerate(LABELS))
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())
    backbone = model.backbone
    assert (backbone.id, backbone.architecture, backbone.n_features) == (
        str(checkpoint),
        "ResNetForImageClassification",
        16,
    )
    head = sum(p.numel() for p in model.head.layer.parameters())
    assert backbone.n_parameters == sum(p.numel() for p in model.network.parameters()) - head
    assert json.loads(json.dumps(backbone.as_dict()))["weights_hash"] == backbone.weights_hash


def test_the_hash_follows_the_weights_and_not_the_head(checkpoint: Path, tmp_path: Path) -> None:
    one = load_image_model(str(checkpoint), label_names=LABELS)
    assert one.backbone.weights_hash == load_image_model(str(checkpoint), label_names=["x"] * 9).backbone.weights_hash
    folder = copy(checkpoint, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("running_mean"))
    tensors[name][0] += 1e-3
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_image_model(str(folder), label_names=LABELS).backbone.weights_hash != one.backbone.weights_hash
    before = hash_weights(one.network)
    one.head.set(torch.ones(3, 16), torch.ones(3))
    assert hash_weights(one.network) != before
    assert hash_weights(one.network, without=one.head.name) == one.backbone.weights_hash


def test_the_network_the_feature_network_copies_is_not_changed(checkpoint: Path) -> None:
    model = load_image_model(str(checkpoint), label_names=LABELS)
    before = hash_weights(model.network)
    pixels = torch.randint(0, 256, (3, *model.preprocessing.shape), dtype=torch.uint8)
    features = model.feature_network()
    with torch.inference_mode():
        logits = model.head.layer(features(pixels))
        scale, offset = features.scale, features.offset
        torch.testing.assert_close(logits, model.network(pixel_values=pixels * scale + offset).logits)
    assert hash_weights(model.network) == before


def test_a_random_network_of_the_same_kind(checkpoint: Path) -> None:
    model = load_image_model(str(checkpoint), label_names=LABELS)
    state = torch.get_rng_state()
    one, same, other = (random_network(model, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert hash_weights(one) == hash_weights(same) != hash_weights(other)
    assert one.training
    assert all(p.requires_grad for p in one.parameters())
    assert one.state_dict().keys() == model.network.state_dict().keys()


def test_a_checkpoint_that_lacks_layers_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(checkpoint, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "encoder" in name and name.endswith("convolution.weight"))
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks the weights of 1 layers") as caught:
        load_image_model(str(folder), label_names=LABELS)
    assert name in str(caught.value)


def test_weights_of_another_shape_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(checkpoint, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_sizes": [8, 24]}))
    with pytest.raises(ModelError, match="lacks the weights"):
        load_image_model(str(folder), label_names=LABELS)


def refusal(model: str | Path, **options: object) -> str:
    with pytest.raises(ModelError) as caught:
        load_image_model(str(model), label_names=LABELS, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "Expected: " in text
    assert "To fix: " in text
    return text


def test_folders_that_are_no_model(checkpoint: Path, tmp_path: Path) -> None:
    assert "holds no config.json" in refusal(tmp_path)
    folder = copy(checkpoint, tmp_path)
    (folder / "preprocessor_config.json").unlink()
    assert "cannot be loaded as a picture model" in refusal(folder)
    folder = copy(checkpoint, tmp_path / "b")
    (folder / "model.safetensors").unlink()
    assert "cannot be loaded as a picture model" in refusal(folder)
    folder = copy(checkpoint, tmp_path / "c")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "cannot be loaded as a picture model" in refusal(folder)
    folder = copy(checkpoint, tmp_path / "d")
    (folder / "config.json").write_text("{")
    assert "cannot be loaded as a picture model" in refusal(folder)


def test_a_model_of_text_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path / "bert")
    assert "is not a model of picture classification" in refusal(tmp_path / "bert")


def test_a_language_model_is_named_in_one_short_sentence(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path / "llama")
    text = refusal(tmp_path / "llama")
    assert "is a language model (Llama), which does not classify pictures" in text
    assert "Unrecognized" not in text


def test_a_hub_id_without_a_network_says_so() -> None:
    text = refusal("nobody/no-such-model", is_offline=True)
    assert "'nobody/no-such-model' is not on this disk and could not be fetched" in text
    assert "pass the folder" in text


def test_channels_that_do_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    folder = copy(checkpoint, tmp_path)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_channels=1)
    ResNetForImageClassification(config).save_pretrained(folder)
    assert "reads 1 channels, its image processor gives 3" in refusal(folder)


@pytest.mark.skipif(is_installed("timm"), reason="timm is installed here")
def test_timm_models_name_the_extra() -> None:
    with pytest.raises(UsageError, match="needs the package 'timm'"):
        load_image_model("timm/resnet18.a1_in1k", label_names=LABELS)
