"""The order of a network's blocks, from input to head: known for each architecture, never guessed from names.

Layer-wise learning rates and training the last blocks alone need to know what comes after what. The table below says
it by module names as transformers has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from graft.backbones.text_pooling import fixed_modules
from graft.core.errors import ModelError

__all__ = ["DEPTHS", "Block", "block_numbers", "layer_blocks"]


@dataclass(frozen=True)
class Block:
    """A piece of a network that is trained, or frozen, as a whole.

    Parameters
    ----------
    name : ``"stem"``, ``"block 3"``, ``"stage 2 block 1"`` (counted from 1) or ``"head"``.
    modules : dotted names, each a prefix of the names of the block's parameters.
    """

    name: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class _Depth:
    """One row: dotted names below `base`, those of the head from the root. Names that a network lacks are passed over.

    `blocks` has a ``*`` for each list of modules: that of the stages, if there are any, and that of the blocks.
    """

    base: str
    blocks: str
    stem: Sequence[str] = ("embeddings",)
    end: Sequence[str] = ()  # what stands between the last block and the head
    head: Sequence[str] = ()  # what comes new with the head, before its last layer
    norm: str = ""  # stands with the stem, or at the end where the configuration says do_stable_layer_norm
    modules_a_block: int = 1
    stage_start: str = ""  # part of the stage's first block, named below the stage
    stage_end: str = ""  # part of the stage's last block
    extra: Mapping[int, Sequence[str]] = field(default_factory=dict)  # more modules of a block, counted from 0


def _vision_transformer(base: str, *, blocks: str = "layers.*", shared: str = "") -> _Depth:
    return _Depth(base, blocks, stem=("embeddings", shared) if shared else ("embeddings",), end=("layernorm", "pooler"))


def _convnext(base: str) -> _Depth:
    return _Depth(base, "encoder.stages.*.layers.*", end=("layernorm",), stage_start="downsampling_layer")


def _roberta(base: str, *, shared: str = "") -> _Depth:
    stem = ("embeddings", shared) if shared else ("embeddings",)
    return _Depth(base, "encoder.layer.*", stem=stem, end=("pooler",), head=("classifier.dense",))


def _wav2vec2(base: str) -> _Depth:
    # a parameter of the model itself, for what it masks in training; some have it even where they mask nothing
    stem = ("feature_extractor", "feature_projection", "masked_spec_embed", "encoder.pos_conv_embed")
    return _Depth(base, "encoder.layers.*", stem=stem, norm="encoder.layer_norm", head=("projector",))


DEPTHS: Mapping[str, _Depth] = {
    "resnet": _Depth("resnet", "encoder.stages.*.layers.*", stem=("embedder",)),
    "regnet": _Depth("regnet", "encoder.stages.*.layers.*", stem=("embedder",)),
    # A depthwise and a pointwise convolution, each with its BatchNorm, are one block.
    "mobilenet_v1": _Depth("mobilenet_v1", "layer.*", stem=("conv_stem",), modules_a_block=2),
    "mobilenet_v2": _Depth("mobilenet_v2", "layer.*", stem=("conv_stem",), end=("conv_1x1",)),
    "efficientnet": _Depth("efficientnet", "encoder.blocks.*", end=("encoder.top_conv", "encoder.top_bn")),
    "convnext": _convnext("convnext"),
    "convnextv2": _convnext("convnextv2"),
    # transformers runs the merging of patches at the end of the stage before.
    "swin": _Depth("swin", "encoder.layers.*.blocks.*", end=("layernorm",), stage_end="downsample"),
    "vit": _vision_transformer("vit"),
    "deit": _vision_transformer("deit"),
    "beit": _vision_transformer("beit", shared="shared_position_bias"),
    "dinov2": _vision_transformer("dinov2", blocks="encoder.layer.*"),
    "wav2vec2": _wav2vec2("wav2vec2"),
    "hubert": _wav2vec2("hubert"),
    "wavlm": _wav2vec2("wavlm"),
    "unispeech": _wav2vec2("unispeech"),
    "unispeech-sat": _wav2vec2("unispeech_sat"),
    "data2vec-audio": _wav2vec2("data2vec_audio"),
    "whisper": _Depth(
        "encoder", "layers.*", stem=("conv1", "conv2", "embed_positions"), end=("layer_norm",), head=("projector",)
    ),
    "audio-spectrogram-transformer": _Depth(
        "audio_spectrogram_transformer", "layers.*", end=("layernorm",), head=("classifier.layernorm",)
    ),
    "bert": _Depth("bert", "encoder.layer.*", end=("pooler",)),
    "roberta": _roberta("roberta"),
    "xlm-roberta": _roberta("roberta"),
    "mpnet": _roberta("mpnet", shared="encoder.relative_attention_bias"),
    "electra": _Depth(
        "electra", "encoder.layer.*", stem=("embeddings", "embeddings_project"), head=("classifier.dense",)
    ),
    "distilbert": _Depth("distilbert", "transformer.layer.*", head=("pre_classifier",)),
    # All layers of a group are one layer's weights; most checkpoints have one group.
    "albert": _Depth(
        "albert",
        "encoder.albert_layer_groups.*",
        stem=("embeddings", "encoder.embedding_hidden_mapping_in"),
        end=("pooler",),
    ),
    "camembert": _roberta("roberta"),
    "deberta": _Depth("deberta", "encoder.layer.*", stem=("embeddings", "encoder.rel_embeddings"), head=("pooler",)),
    "deberta-v2": _Depth(
        "deberta",
        "encoder.layer.*",
        stem=("embeddings", "encoder.rel_embeddings", "encoder.LayerNorm"),
        head=("pooler",),  # not in the pretrained weights
        extra={0: ("encoder.conv",)},  # runs after the first layer
    ),
    "modernbert": _Depth("model", "layers.*", end=("final_norm",), head=("head",)),
}


def layer_blocks(network: nn.Module, *, head: str) -> tuple[Block, ...]:
    """Return the blocks of a transformers classification network in the order in which they are computed.

    Parameters
    ----------
    network : its ``config.model_type`` is looked up in `DEPTHS`.
    head : dotted name of the layer that gives the logits (see `graft.backbones.heads.find_head`).

    Returns
    -------
    tuple of Block
        First ``"stem"``, then a block for each residual, inverted residual or transformer block, last ``"head"``. What
        stands between the last block and the head belongs to that block; what is new with the head belongs to the head.

    Raises
    ------
    ModelError
        When the architecture is not in the table, or the network is not built as the table says.
    """
    architecture = str(getattr(getattr(network, "config", None), "model_type", type(network).__name__))
    if architecture not in DEPTHS:
        raise ModelError(
            f"the order of the blocks of '{architecture}' is not known",
            expected=f"one of {', '.join(sorted(DEPTHS))}",
            fix="use a strategy without layer-wise decay and without partial training,"
            " or --strategy head (Python: strategy='head')",
        )
    depth = DEPTHS[architecture]
    present = {name for name, _ in network.named_modules()} | {name for name, _ in network.named_parameters()}
    start, *middle = [[name for name in names if name in present] for names in _named(network, depth)]
    fixed = set(fixed_modules(network))
    if len(middle) > 1 and middle[-1] and middle[-1][0] in fixed:  # a pooling layer is no block of its own
        last = middle.pop()
        middle[-1] += last
    before_head = [name for name in depth.head if name in present]
    if not start or not middle or head not in present:
        missing = "stem" if not start else "blocks" if not middle else f"head '{head}'"
        raise ModelError(
            f"a network of type '{architecture}' without its {missing}",
            expected=f"{depth.base}.{depth.blocks} and a head, as in transformers' ...Classification classes",
            fix="choose a checkpoint whose transformers class ends in ForImageClassification"
            " or ForSequenceClassification",
        )
    return (
        Block("stem", tuple(start)),
        *(Block(name, tuple(names)) for name, names in zip(_titles(network, depth), middle, strict=False)),
        Block("head", (*before_head, head)),
    )


def block_numbers(network: nn.Module, blocks: Sequence[Block]) -> dict[str, int]:
    """Return for each parameter's name the position of its block in `blocks`.

    Raises
    ------
    ModelError
        When a parameter belongs to no block, or to two.
    """
    numbers = {}
    for name, _ in network.named_parameters():
        found = [i for i, block in enumerate(blocks) if any(f"{name}.".startswith(f"{m}.") for m in block.modules)]
        if len(found) != 1:
            raise ModelError(
                f"the parameter {name} belongs to {' and '.join(blocks[i].name for i in found) or 'no known block'}",
                expected="each parameter in one block",
                fix="use a strategy without layer-wise decay and without partial training,"
                " or --strategy head (Python: strategy='head')",
            )
        numbers[name] = found[0]
    return numbers


def _stages(network: nn.Module, depth: _Depth) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield each stage's name with the names of the modules of each of its blocks; without stages, one named ''."""
    *stage_list, block_list = f"{depth.base}.{depth.blocks}".removesuffix(".*").split(".*.")
    stages = _children(network, stage_list[0]) if stage_list else [""]
    for stage in stages:
        modules = _children(network, f"{stage}.{block_list}" if stage else block_list)
        size = depth.modules_a_block
        yield stage, [modules[i : i + size] for i in range(0, len(modules), size)]


def _named(network: nn.Module, depth: _Depth) -> list[list[str]]:
    """Return the names of the stem's modules, then those of each block's; some may not exist."""
    named = []
    for stage, blocks in _stages(network, depth):
        if blocks and depth.stage_start:
            blocks[0].insert(0, f"{stage}.{depth.stage_start}")
        if blocks and depth.stage_end:
            blocks[-1].append(f"{stage}.{depth.stage_end}")
        named += blocks
    for i, names in depth.extra.items():
        if i < len(named):
            named[i] += [f"{depth.base}.{name}" for name in names]
    config: Any = network.config
    is_norm_last = bool(getattr(config, "do_stable_layer_norm", False))
    if named:
        named[-1] += [f"{depth.base}.{name}" for name in (*depth.end, *([depth.norm] if is_norm_last else []))]
    return [[f"{depth.base}.{name}" for name in (*depth.stem, *([] if is_norm_last else [depth.norm]))], *named]


def _titles(network: nn.Module, depth: _Depth) -> list[str]:
    sizes = [(stage, len(blocks)) for stage, blocks in _stages(network, depth)]
    if not sizes[0][0]:
        return [f"block {i + 1}" for i in range(sizes[0][1])]
    return [f"stage {s + 1} block {i + 1}" for s, (_, size) in enumerate(sizes) for i in range(size)]


def _children(network: nn.Module, name: str) -> list[str]:
    """Return the names of the modules in the list `name`, in the list's own order; none where there is no such list."""
    try:
        return [f"{name}.{child}" for child, _ in network.get_submodule(name).named_children()]
    except AttributeError:
        return []
