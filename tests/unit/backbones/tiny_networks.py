"""Every architecture of the table of depths, tiny and with random weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers

_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
_STAGES = {"hidden_sizes": [8, 16], "depths": [2, 2], "num_stages": 2}
_RESNET = {"hidden_sizes": [8, 16], "depths": [2, 2], "embedding_size": 8}
_TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 60,
    "max_position_embeddings": 40,
}

PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("ResNet", {**_RESNET, "layer_type": "basic"}),
    "resnet bottleneck": ("ResNet", {**_RESNET, "layer_type": "bottleneck"}),
    "regnet": ("RegNet", {**_RESNET, "groups_width": 8}),
    # transformers' default dropout here is 0.999, TensorFlow's share that is kept
    "mobilenet_v1": (
        "MobileNetV1",
        {"depth_multiplier": 0.1, "min_depth": 8, "image_size": 32, "classifier_dropout_prob": 0.0},
    ),
    "mobilenet_v2": ("MobileNetV2", {"depth_multiplier": 0.1, "image_size": 32}),
    "efficientnet": (
        "EfficientNet",
        {"width_coefficient": 0.1, "depth_coefficient": 0.1, "image_size": 32, "hidden_dim": 128},
    ),
    "convnext": ("ConvNext", _STAGES),
    "convnextv2": ("ConvNextV2", _STAGES),
    "swin": (
        "Swin",
        {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 2},
    ),
    "vit": ("ViT", _VIT),
    "deit": ("DeiT", _VIT),
    "beit": ("Beit", {**_VIT, "use_relative_position_bias": True}),
    "dinov2": ("Dinov2", _VIT),
}
TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _TEXT),
    "roberta": ("Roberta", _TEXT),
    "xlm-roberta": ("XLMRoberta", _TEXT),
    "mpnet": ("MPNet", _TEXT),
    "electra": ("Electra", {**_TEXT, "embedding_size": 8}),
    "albert": ("Albert", {**_TEXT, "embedding_size": 8, "num_hidden_groups": 3}),
    "camembert": ("Camembert", _TEXT),
    "deberta": ("Deberta", {**_TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "distilbert": (
        "DistilBert",
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24, "vocab_size": 60, "max_position_embeddings": 40},
    ),
    "deberta-v2": (
        "DebertaV2",
        {
            **_TEXT,
            "relative_attention": True,
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "pos_att_type": ["p2c", "c2p"],
            "conv_kernel_size": 3,
        },
    ),
    "modernbert": (
        "ModernBert",
        {**_TEXT, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    ),
}
PIXELS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
WORDS = torch.randint(3, 60, (2, 12), generator=torch.Generator().manual_seed(0))


def build(name: str, **changes: Any) -> Any:
    """Return the network, its weights and BatchNorms disturbed so that no block is without effect."""
    family, options = (PICTURES | TEXTS)[name]
    kind = "Image" if name in PICTURES else "Sequence"
    config = getattr(transformers, f"{family}Config")(num_labels=3, **{**options, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(transformers, f"{family}For{kind}Classification")(config).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
    return network


def head_of(network: Any) -> str:
    """Return the name of the last linear layer with three outputs."""
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == 3
    ][-1]
