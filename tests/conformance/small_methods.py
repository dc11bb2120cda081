"""All methods on small networks of every task, as the conformance tests and their two programs run them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.backbones.heads import Head
from graft.backbones.loading import load_image_model
from graft.backbones.text_loading import load_text_model
from graft.core.devices import Precision
from graft.data.images import decode_image
from graft.methods.contrastive import Contrastive, GroupContrast
from graft.methods.fine_tuning import FineTuned, fine_tune
from graft.methods.full import Full
from graft.methods.gradual import GradualUnfreeze
from graft.methods.lora import LoRA
from graft.methods.lp_ft import LPFT
from graft.methods.partial import Partial
from graft.methods.prepared import FineTuningMethod
from graft.methods.settings import FineTuning
from graft.methods.where import Where
from graft.tasks.base import Task
from graft.tasks.fine_tuned import load_fine_tuned, save_fine_tuned
from graft.tasks.image_classification import ImageClassification
from graft.tasks.text_classification import TextClassification
from graft.training.examples import PictureExamples, TrainingExamples, predict_logits
from graft.training.recordings import RecordingExamples, open_waveforms, store_waveforms
from graft.training.texts import TextExamples
from small_sounds import RATE, make_audio_checkpoint, tone
from small_texts import make_text_checkpoint
from small_things import COLOURS, make_checkpoint, make_picture

LABELS = ("blue", "red")

# Of the tasks with a network that Graft can fine-tune past its head.
METHODS: dict[str, Callable[[FineTuning], FineTuningMethod]] = {
    "lp-ft": LPFT,
    "lp-ft with layer decay": partial(LPFT, layer_decay=0.5),
    "full": Full,
    "partial, cached": partial(Partial, 1),
    "partial": partial(Partial, 1, is_cached=False),
    "gradual": GradualUnfreeze,
    "contrastive": lambda settings: Contrastive(settings, GroupContrast(2, 2, 0.1)),
    "lora": lambda settings: LoRA(rank=4, alpha=8, settings=settings),
}
ARCHITECTURES = ("resnet", "vit", "mobilenet_v2")


@dataclass(frozen=True)
class Small:
    """A task with its examples: half of them of one class, half of the other.

    Parameters
    ----------
    head : dotted name of the network's last layer.
    probe : weights and bias that a run may start from.
    save_and_load : writes a network of the task into a folder as a run does, and gives what is read from there.
    """

    task: Task
    head: str
    examples: TrainingExamples
    probe: tuple[NDArray[np.float32], NDArray[np.float32]]
    save_and_load: Callable[[nn.Module, Path], nn.Module]

    @property
    def network(self) -> nn.Module:
        return self.task.build()

    def logits(self, network: nn.Module) -> NDArray[np.float32]:
        """Return what a network says of all examples, undistorted."""
        rows = np.arange(len(self.examples))
        return predict_logits(
            network, self.examples, rows, predict=self.task.predict, precision=Precision("fp32", "tested")
        )

    @torch.inference_mode()
    def features(self, n: int) -> NDArray[np.float32]:
        """Return what the head of the untrained network reads of the first `n` examples, undistorted."""
        task: Any = self.task
        batches = self.examples.plain(np.arange(n), batch_size=n)
        return np.concatenate([task.features(self.network, batch).numpy() for batch in batches])

    def tune(
        self,
        method: FineTuningMethod,
        *,
        folder: Path,
        n: int = 12,
        n_steps: int = 6,
        has_looks: bool = True,
        seed: int = 0,
        where: Where | None = None,
        task: Task | None = None,
    ) -> FineTuned:
        """Return what `n_steps` on the first `n` of 16 examples come to; the last four may be looked at."""
        where = where or Where()
        return fine_tune(
            method,
            self.network,
            head=self.head,
            start=self.probe,
            task=task or self.task,
            examples=self.examples,
            rows=np.arange(n),
            held_out_rows=np.arange(12, 16) if has_looks else None,
            n_steps=n_steps,
            refit=by_class_means,
            seed=seed,
            where=replace(where, device="cpu", precision="fp32", folder=folder),
        )


def by_class_means(
    features: NDArray[np.float32], targets: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a head that points from the mean of all features to those of the classes."""
    means = np.stack([features[targets == c].mean(axis=0) for c in range(len(LABELS))])
    weights = means - means.mean(axis=0)
    weights *= 20 / np.square(means[1] - means[0]).sum()  # so that a class mean has a margin of 10
    return weights, (-0.5 * (weights * (means + means.mean(axis=0))).sum(axis=1)).astype(np.float32)


def load_adapter(small: Small, folder: Path) -> nn.Module:
    """Return the base network with the adapter, as peft reads it.

    MobileNets ask each convolution for its stride, which peft's convolutions don't know: there the adapter is merged.
    """
    from peft import PeftModel

    loaded = PeftModel.from_pretrained(deepcopy(small.network), folder)
    return loaded.merge_and_unload() if is_mobilenet(small) else loaded


def is_mobilenet(small: Small) -> bool:
    return bool(small.network.config.model_type == "mobilenet_v2")  # type: ignore[union-attr]


def settings(**changes: Any) -> FineTuning:
    """Return settings in which small networks move fast."""
    plain: dict[str, Any] = {
        "learning_rate": 5e-3, "batch_size": 8, "evaluations": 3, "patience": None, "warmup_fraction": 0.0,
        "schedule": "constant", "word_embeddings": "train",
    }  # fmt: skip
    return FineTuning(**{**plain, **changes})


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all parameters and buffers."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}


def make_architecture(architecture: str, folder: Path) -> Path:
    """Save a small random network of a kind; where it has BatchNorm, its statistics are not the initial ones."""
    if architecture == "resnet":
        return make_checkpoint(folder)
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, ViTConfig, ViTForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: Any
        if architecture == "vit":
            sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
            network = ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=8, initializer_range=0.2))
        else:
            network = MobileNetV2ForImageClassification(
                MobileNetV2Config(depth_multiplier=0.25, depth_divisible_by=4, min_depth=4, image_size=32)
            )
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    network.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def small_images(checkpoint: Path, *, n: int = 16, noise: float = 60.0) -> Small:
    """Return image classification with `n` pictures."""
    model = load_image_model(str(checkpoint), label_names=LABELS)
    pre = model.preprocessing
    pictures = []
    for i in range(n):
        file = io.BytesIO()
        make_picture(COLOURS[LABELS[i % 2]], seed=i, noise=noise).save(file, "PNG")
        pictures.append(pre(decode_image(file.getvalue(), name=str(i))))
    std = 1 / (255 * pre.scale)
    examples = PictureExamples(
        np.stack(pictures), np.arange(n) % 2, 2, mean=(-pre.offset * std).tolist(), std=std.tolist()
    )
    random = np.random.default_rng(0)
    probe = random.normal(0, 0.3, (2, model.head.n_features)).astype(np.float32), np.zeros(2, np.float32)

    def save_and_load(network: nn.Module, folder: Path) -> nn.Module:
        own = replace(model, network=network, head=Head(network, model.head.name))
        file = io.BytesIO()
        make_picture(COLOURS["red"], seed=1).save(file, "PNG")
        save_fine_tuned(ImageClassification(own), folder, label_names=LABELS, contents=[file.getvalue()])
        return load_fine_tuned(folder).task.model.network

    return Small(ImageClassification(model), model.head.name, examples, probe, save_and_load)


def small_texts(checkpoint: Path) -> Small:
    """Return text classification with 16 texts of 3 to 8 words, over a network with a pooling layer."""
    encoder = checkpoint.parent / "text encoder"
    if not encoder.exists():
        make_text_checkpoint(encoder)
    loaded = load_text_model(str(encoder), label_names=LABELS)
    without_dropout(loaded.network)
    model = loaded.choose("mean@3")
    said = ("the sky is{} blue", "the rose is{} red")
    texts = [said[i % 2].format(" very" * (i // 2 % 4) + " like the" * (i // 8)) for i in range(16)]
    tokens = model.tokens
    examples = TextExamples(tokens.encode_all(texts), np.arange(16) % 2, 2, collate=tokens.collate)
    random = np.random.default_rng(0)
    # Features are a 128th of layer-normalised ones.
    probe = random.normal(0, 30, (2, model.head.n_features)).astype(np.float32), np.zeros(2, np.float32)

    def save_and_load(network: nn.Module, folder: Path) -> nn.Module:
        save_fine_tuned(
            TextClassification(model.with_network(network)), folder, label_names=LABELS, contents=[texts[0].encode()]
        )
        return load_fine_tuned(folder).task.model.network

    return Small(TextClassification(model), model.head.name, examples, probe, save_and_load)


def small_recordings(checkpoint: Path) -> Small:
    """Return audio classification with 16 tones, over a small spectrogram transformer."""
    from graft.tasks.audio_classification import AudioClassification

    encoder = checkpoint.parent / "audio encoder"
    if not encoder.exists():
        encoder.mkdir()
        make_audio_checkpoint(encoder, "ast")
    loaded: Any = AudioClassification.load(str(encoder), label_names=LABELS).model
    without_dropout(loaded.network)
    model = loaded.choose(loaded.source().blocks[0])
    waves = [tone((220.0, 1760.0)[i % 2], seed=i) for i in range(16)]
    folder = Path(tempfile.mkdtemp())
    store_waveforms(folder / "waves.npy", iter(waves))
    examples = RecordingExamples(
        open_waveforms(folder / "waves.npy"), np.arange(16) % 2, 2, model.frontend, model.input_name, model.can_pad
    )
    random = np.random.default_rng(0)
    probe = random.normal(0, 0.3, (2, model.head.n_features)).astype(np.float32), np.zeros(2, np.float32)

    def save_and_load(network: nn.Module, folder: Path) -> nn.Module:
        file = io.BytesIO()
        soundfile.write(file, waves[0], RATE, format="WAV")
        save_fine_tuned(
            AudioClassification(model.with_network(network)), folder, label_names=LABELS, contents=[file.getvalue()]
        )
        return load_fine_tuned(folder).task.model.network

    return Small(AudioClassification(model), model.head.name, examples, probe, save_and_load)


def without_dropout(network: nn.Module) -> None:
    """Let nothing be dropped: what is drawn for a whole batch cannot be drawn again for its parts."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    config: Any = network.config
    config.attention_probs_dropout_prob = 0.0


SMALL: dict[str, Callable[[Path], Small]] = {
    "image-classification": small_images,
    "text-classification": small_texts,
    "audio-classification": small_recordings,
}
