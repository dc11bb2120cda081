from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForAudioClassification, ViTConfig, ViTForImageClassification

from graft.backbones.audio_layers import RecordingNetwork, keep_layers, offered_layers
from graft.backbones.audio_loading import load_audio_model
from graft.backbones.audio_model import AudioModel
from graft.backbones.frontends import noise
from graft.core.errors import ModelError
from small_sounds import AUDIO, make_audio_checkpoint

LABELS = ("high", "low", "middle")


@pytest.fixture(params=sorted(AUDIO))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str, tmp_path: Path) -> AudioModel:
    return load_audio_model(str(make_audio_checkpoint(tmp_path / "base", name)), label_names=LABELS)


def window(model: AudioModel, n_samples: int = 9000) -> torch.Tensor:
    return torch.from_numpy(model.frontend(noise(n_samples)))[None]


def test_a_pretrained_network_gets_a_head_on_its_mean_hidden_states(model: AudioModel, name: str) -> None:
    assert model.layers == (3, 2, 1)
    assert model.head.n_features == 16
    assert model.head.layer.out_features == 3
    assert model.backbone.modality == "audio"
    assert any("identity" in note for note in model.notes) == (name != "ast")
    network: Any = model.network
    assert network.config.to_dict().get("mask_time_prob", 0.0) == 0.0, "it would draw masks that cannot be repeated"
    seen: list[torch.Tensor] = []
    hook = model.head.layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    states = network(**{model.input_name: window(model)}, output_hidden_states=True)
    hook.remove()
    features = model.feature_network()(window(model)).detach()
    assert features.shape == (1, 48)
    torch.testing.assert_close(features[:, :16], seen[0])
    if name in ("wav2vec2", "hubert", "wavlm"):  # no norm after the layers: the hidden states themselves
        expected = torch.cat([h.mean(dim=1) for h in states.hidden_states[:0:-1]], dim=1)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_the_model_that_ends_after_a_layer_is_a_checkpoint_of_its_own(model: AudioModel, tmp_path: Path) -> None:
    side_by_side = model.feature_network()(window(model)).chunk(3, dim=1)
    for layer, features in zip(model.layers, side_by_side, strict=True):
        chosen = model.ending_after(layer)
        torch.testing.assert_close(chosen.feature_network()(window(model)), features, rtol=1e-4, atol=1e-5)
        assert chosen.layers == ()
        saved: Any = chosen.network
        saved.save_pretrained(tmp_path / f"layer{layer}")
        chosen.save_processor(tmp_path / f"layer{layer}")
        again = AutoModelForAudioClassification.from_pretrained(tmp_path / f"layer{layer}").eval()
        inputs = {model.input_name: window(model)}
        torch.testing.assert_close(again(**inputs).logits, saved(**inputs).logits)
    assert model.ending_after(1).backbone.weights_hash != model.backbone.weights_hash
    assert model.ending_after(1).backbone.n_parameters < model.backbone.n_parameters
    assert len(model.ending_after(3).notes) == len(model.notes)


def test_padding_is_allowed_exactly_where_it_changes_nothing(model: AudioModel, name: str) -> None:
    # data2vec-audio scales by layer too, but its convolutions over positions see the padding
    assert model.can_pad == ("stable" in name)
    if not model.can_pad:
        return
    network = model.feature_network()
    short, long = window(model, 6000)[0], window(model, 9000)[0]
    both = torch.stack([long, torch.nn.functional.pad(short, (0, 3000))])
    mask = torch.ones(2, 9000, dtype=torch.int64)
    mask[1, 6000:] = 0
    torch.testing.assert_close(network(both, mask)[1], network(short[None])[0], rtol=1e-3, atol=1e-4)


def test_training_itself_draws_no_random_numbers(model: AudioModel) -> None:
    network = model.network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for attribute in ("hidden_dropout", "attention_dropout", "activation_dropout", "dropout"):
        for module in network.modules():
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.0)
    first, second = (network(**{model.input_name: window(model)}).logits for _ in range(2))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("name", ["wav2vec2", "whisper", "ast"])
def test_a_fine_tuned_checkpoint_keeps_its_projector(name: str, tmp_path: Path) -> None:
    folder = make_audio_checkpoint(tmp_path, name, has_head=True, n_labels=5)
    trained: Any = AutoModelForAudioClassification.from_pretrained(folder)
    model = load_audio_model(str(folder), label_names=LABELS)
    assert model.head.n_features == (16 if name == "ast" else 6)
    assert any("trained projector" in note for note in model.notes) == (name != "ast")
    if name != "ast":
        kept: Any = model.network
        assert torch.equal(kept.projector.weight, trained.projector.weight)


def test_a_network_that_weighs_its_layers_itself_offers_none_of_them(tmp_path: Path) -> None:
    folder = make_audio_checkpoint(tmp_path / "a", "hubert", has_head=True, use_weighted_layer_sum=True)
    model = load_audio_model(str(folder), label_names=LABELS)
    assert model.layers == ()
    assert model.feature_network()(window(model)).shape == (1, 6)
    without = make_audio_checkpoint(tmp_path / "b", "hubert", use_weighted_layer_sum=True)
    assert load_audio_model(str(without), label_names=LABELS).layers == (3, 2, 1), "weights that were never trained"


def test_layers_are_spread_over_a_deep_network(tmp_path: Path) -> None:
    folder = make_audio_checkpoint(tmp_path, "hubert", num_hidden_layers=12)
    model = load_audio_model(str(folder), label_names=LABELS)
    assert offered_layers(model.network) == model.layers == (12, 10, 8, 6, 4, 2)
    shallow = RecordingNetwork(keep_layers(model.network, 4), model.head, input_name=model.input_name)
    assert shallow(window(model)).shape == (1, 16)


def test_models_that_are_none_of_sound_are_refused_with_the_way_out(tmp_path: Path) -> None:
    tiny = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    ViTForImageClassification(ViTConfig(**tiny, image_size=32, patch_size=8)).save_pretrained(tmp_path / "vit")
    with pytest.raises(ModelError, match="--preprocessing"):
        load_audio_model(str(tmp_path / "vit"), label_names=LABELS)
    with pytest.raises(ModelError, match="cannot be loaded as an audio model"):
        load_audio_model(str(tmp_path / "nothing"), label_names=LABELS, is_offline=True)
    folder = make_audio_checkpoint(tmp_path / "bare", "hubert")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="no feature extractor"):
        load_audio_model(str(folder), label_names=LABELS)


def test_a_checkpoint_that_lacks_layers_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_audio_checkpoint(tmp_path, "hubert")
    tensors = {k: t for k, t in load_file(folder / "model.safetensors").items() if "layers.1.attention" not in k}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks the weights of .*layers\.1\.attention"):
        load_audio_model(str(folder), label_names=LABELS)
