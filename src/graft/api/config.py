"""The options of `fit`: one typed record that is the command line's flags, the TOML file and the Python call."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from graft.core.errors import UsageError, did_you_mean

__all__ = ["STRATEGIES", "FitConfig", "read_config_file", "seconds_of"]

STRATEGIES = ("auto", "head", "lp-ft", "full", "partial", "lora", "gradual", "contrastive")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|)")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Options of `graft.fit` and ``graft fit``.

    Parameters
    ----------
    model
        Pretrained model: hub id, folder, torchvision:ARCH (with weights), or timm/NAME; auto (the first of
        Graft's list by graft rank), or a folder of checkpoints (the first of these).
    out
        Folder of the run, made by it.
    weights
        Torchvision state file (.pth, .safetensors) for model torchvision:ARCH.
    revision
        Branch, tag or commit of a hub model.
    preprocessing
        FILE.py:NAME, a function of your own from waveform to model input, for recordings; the file is run.
    valid
        Validation split, when it is not part of the data.
    test
        Test split, when it is not part of the data.
    task
        Auto (found from the data), image-, text- or audio-classification, automatic-speech-recognition or
        text-generation.
    path_column
        Column of a table that holds the files.
    text_column
        Column of a table that holds the texts.
    text_pair_column
        Column of a table that holds the second text, where two belong together.
    label_column
        Column of a table that holds the labels.
    multi_label
        An example may have any number of labels; |, ; or , stand between them. Lists of labels say so themselves.
    group_column
        Column of a table whose equal values must stay on one side of every split.
    transcripts
        Form of transcripts to be learned: auto, plain (small letters, no punctuation), lower or keep (as written).
    vocabulary
        Letters of a CTC network: auto (the checkpoint's where they suffice), checkpoint or transcripts.
    language
        Language of speech for Whisper's prompt, such as en or german.
    batch_seconds
        Seconds of speech a batch, filled up (default: a sixteenth of the data, 16 to 120 s).
    format
        Form of conversations: auto (by their columns), messages, sharegpt, prompt-completion or alpaca.
    answers
        Which turns of the assistant a language model learns: all or last.
    skip_unusable
        Leave out conversations without an answer to learn from, and count them.
    metric
        What written answers are judged by: exact-match, numeric-match, chrf, chrf++, rouge-l, json-valid,
        regex:PATTERN, FILE.py:FUNCTION, MODULE:FUNCTION, or auto (by the form of the answers).
    general_text
        On what is measured what a language model forgets: files of other text or conversations, with commas between;
        own, texts that it wrote before (default); or none.
    generations
        Questions of the test split that a language model answers, at most.
    shots
        Training examples in the prompt of the base model, as a baseline.
    more_data
        Train a language model on a half, a quarter, an 8th and a 16th as well, to say whether more data would help.
    test_fraction
        Share held out for the test when the data has no test split.
    fix_splits
        Move examples of the test or validation split that have a copy in train over to train.
    corrections
        CSV or JSON file of ids with an action each: drop, relabel (with the new label) or keep; see graft check.
    shift_data
        Other data of the same classes, with labels or without, to say what the model loses there.
    corruptions
        Distort test examples and see what that costs: auto (what a quarter of the run's seconds beyond 4, at
        least 1, do), all (all kinds and severities) or none.
    unlabeled
        Files without labels, of which RUN/label-next.csv then lists the 50 to label next.
    strategy
        What to train: auto (head first, then lp-ft, and contrastive for few texts a class, kept only if better on
        held-out examples), head (frozen network, new last layer), lp-ft (head, then all layers), full (all layers,
        fresh head), partial (last blocks), lora (low-rank updates), gradual (block after block), contrastive (all
        layers by contrast between examples, then the head).
    race
        Short runs before the contest: auto (all, or rate, where a --time-limit leaves time for it), none, rate (which
        learning rate) or all (with strategy auto: which strategy, distortion and rate).
    jobs
        Short runs of a race at once, each in a process of its own.
    ray_address
        Ray cluster that a race runs on: auto, or ray://HOST:10001.
    time_limit
        When the command must end, from its start: 90s, 10m, 1h. Default: none, and auto fine-tunes if 10 minutes do.
    learning_rate
        Highest rate of fine-tuning (default: by architecture and strategy).
    epochs
        Passes over the training examples in fine-tuning.
    fewest_steps
        Optimizer steps of fine-tuning that few examples get at least.
    micro_batch_size
        Examples that one forward pass of fine-tuning takes; a batch is worked off in several.
    optimizer
        Of fine-tuning: adamw or sgd.
    weight_decay
        Of fine-tuning; never on norms and biases.
    schedule
        Of the learning rate after the warm-up: cosine, linear or constant.
    warmup_fraction
        Share of fine-tuning in which the rate rises.
    layer_decay
        Share of the rate that each block keeps of the next one's (default: by strategy).
    last_k_blocks
        Blocks that strategy partial trains.
    cache_boundary
        Let strategy partial compute the frozen blocks once and keep their output on disk.
    lora_rank
        Rank of the updates of strategy lora.
    adapter
        Kind of updates of strategy lora for language models: lora, dora, or qlora (4-bit weights, on a GPU).
    packing
        Several conversations in a row, of which none sees another: auto (where it saves places), on or off.
    gradient_checkpointing
        Compute activations of language models twice instead of keeping them: slower, with less memory.
    ema_decay
        Average of the weights over the steps, for example 0.99 (default: none).
    l2_sp
        Pull of the weights towards the pretrained ones.
    augmentation
        Distortions in fine-tuning: none, light, medium or strong.
    mixup
        Parameter of mixup; 0 is off.
    cutmix
        Parameter of CutMix; 0 is off.
    label_smoothing
        Share of each label spread over all classes in fine-tuning.
    class_weights
        Against unequal classes: none; auto (the decision does more for rare ones, probabilities stay calibrated);
        balanced or logit-adjustment (in fine-tuning; both bend probabilities).
    batch_norm
        Statistics of BatchNorm in fine-tuning: frozen, recalibrate (anew at the end) or train.
    word_embeddings
        Word vectors of a text network in fine-tuning: train, frozen, or auto (frozen with fewer texts than vectors).
    patience
        Looks at held-out examples without gain after which fine-tuning stops.
    wise
        Share of the way from the head-only to the fine-tuned weights: auto (chosen on held-out examples), or 0 to 1.
    soup
        Fine-tuning runs whose weights are averaged.
    soup_kind
        uniform, or greedy (needs a validation split).
    compile
        Run fine-tuning through torch.compile (a minute or more before the first step; did not pay on the CPU measured).
    checkpoint_minutes
        Minutes between two checkpoints of fine-tuning.
    views
        Looks at each training picture: 1 plain, 2 adds the mirror image, more add random crops.
    flip
        Whether mirror images keep their label (not so for letters and digits).
    folds
        Folds of the cross-validation.
    from_scratch
        Also train the same network from random weights, as a baseline.
    engine
        How the frozen network runs: auto, eager, compile or openvino.
    precision
        Auto, bf16 or fp32.
    device
        Auto, cpu, cuda or cuda:N.
    batch_size
        Examples a batch.
    workers
        Processes that decode files; 0 decodes in the main process.
    cache
        Folder of the feature cache (default: GRAFT_CACHE, else ~/.cache/graft).
    max_tokens
        Tokens of a text that are read (default: as the checkpoint says, at most 512).
    skip_unreadable
        Leave out examples that cannot be read, and count them.
    offline
        Never ask the hub.
    trust_remote_code
        Let transformers run code that a checkpoint brings.
    seed
        Of splits, folds, views and bootstrap draws.
    """

    model: str
    out: str
    weights: str | None = None
    revision: str | None = None
    preprocessing: str | None = None
    valid: str | None = None
    test: str | None = None
    task: str = "auto"
    path_column: str | None = None
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None
    multi_label: bool = False
    group_column: str | None = None
    transcripts: str = "auto"
    vocabulary: str = "auto"
    language: str | None = None
    batch_seconds: float | None = None
    format: str = "auto"
    answers: str = "all"
    skip_unusable: bool = False
    metric: str = "auto"
    general_text: str | None = None
    generations: int = 200
    shots: int = 3
    more_data: bool = False
    test_fraction: float = 0.2
    fix_splits: bool = False
    corrections: str | None = None
    shift_data: str | None = None
    corruptions: str = "auto"
    unlabeled: str | None = None
    strategy: str = "auto"
    race: str = "auto"
    jobs: int = 1
    ray_address: str | None = None
    time_limit: str | None = None
    learning_rate: float | None = None
    epochs: float = 6.0
    fewest_steps: int = 100
    micro_batch_size: int | None = None
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup_fraction: float = 0.1
    layer_decay: float | None = None
    last_k_blocks: int = 2
    cache_boundary: bool = True
    lora_rank: int = 16
    adapter: str = "lora"
    packing: str = "auto"
    gradient_checkpointing: bool = False
    ema_decay: float | None = None
    l2_sp: float = 0.0
    augmentation: str = "light"
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0
    class_weights: str = "none"
    batch_norm: str = "frozen"
    word_embeddings: str = "auto"
    patience: int = 3
    wise: str = "auto"
    soup: int = 1
    soup_kind: str = "uniform"
    compile: bool = False
    checkpoint_minutes: float = 2.0
    views: int = 1
    flip: bool = True
    folds: int = 5
    from_scratch: bool = False
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    batch_size: int = 32
    workers: int = 2
    cache: str | None = None
    max_tokens: int | None = None
    skip_unreadable: bool = False
    offline: bool = False
    trust_remote_code: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checks: list[tuple[str, bool, str]] = [
            ("test_fraction", 0.0 < self.test_fraction < 1.0, "a share between 0 and 1"),
            ("strategy", self.strategy in STRATEGIES, ", ".join(STRATEGIES)),
            ("transcripts", self.transcripts in ("auto", "plain", "lower", "keep"), "auto, plain, lower or keep"),
            (
                "vocabulary",
                self.vocabulary in ("auto", "checkpoint", "transcripts"),
                "auto, checkpoint or transcripts",
            ),
            ("answers", self.answers in ("all", "last"), "all or last"),
            ("generations", self.generations >= 1, "1 or more"),
            ("shots", self.shots >= 0, "0 or more"),
            ("adapter", self.adapter in ("lora", "dora", "qlora"), "lora, dora or qlora"),
            ("packing", self.packing in ("auto", "on", "off"), "auto, on or off"),
            ("batch_seconds", self.batch_seconds is None or self.batch_seconds > 0, "above 0"),
            ("corruptions", self.corruptions in ("auto", "all", "none"), "auto, all or none"),
            ("race", self.race in ("auto", "none", "rate", "all"), "auto, none, rate or all"),
            ("jobs", self.jobs >= 1, "1 or more"),
            ("views", self.views >= 1, "1 or more"),
            ("folds", self.folds >= 2, "2 or more"),
            ("engine", self.engine in ("auto", "eager", "compile", "openvino"), "auto, eager, compile or openvino"),
            ("precision", self.precision in ("auto", "bf16", "fp16", "fp32"), "auto, bf16, fp32, or fp16 on a GPU"),
            ("optimizer", self.optimizer in ("adamw", "sgd"), "adamw or sgd"),
            ("schedule", self.schedule in ("cosine", "linear", "constant"), "cosine, linear or constant"),
            (
                "augmentation",
                self.augmentation in ("none", "light", "medium", "strong"),
                "none, light, medium or strong",
            ),
            (
                "class_weights",
                self.class_weights in ("none", "auto", "balanced", "logit-adjustment"),
                "none, auto, balanced or logit-adjustment",
            ),
            ("batch_norm", self.batch_norm in ("frozen", "recalibrate", "train"), "frozen, recalibrate or train"),
            ("word_embeddings", self.word_embeddings in ("auto", "train", "frozen"), "auto, train or frozen"),
            ("soup_kind", self.soup_kind in ("uniform", "greedy"), "uniform or greedy"),
            ("wise", self.wise == "auto" or _is_share(self.wise), "auto, or a share from 0 to 1"),
            ("learning_rate", self.learning_rate is None or self.learning_rate > 0, "a number above 0, such as 2e-4"),
            ("epochs", self.epochs > 0, "above 0"),
            ("fewest_steps", self.fewest_steps >= 1, "1 or more"),
            ("last_k_blocks", self.last_k_blocks >= 1, "1 or more"),
            ("lora_rank", self.lora_rank >= 1, "1 or more"),
            ("soup", self.soup >= 1, "1 or more"),
            ("patience", self.patience >= 1, "1 or more"),
            ("checkpoint_minutes", self.checkpoint_minutes > 0, "above 0"),
            (
                "time_limit",
                self.time_limit is None or seconds_of(self.time_limit) is not None,
                "a time such as 90s, 10m or 1h",
            ),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("max_tokens", self.max_tokens is None or self.max_tokens >= 3, "3 or more"),
            ("workers", self.workers >= 0, "0 or more"),
        ]
        for name, is_right, expected in checks:
            if not is_right:
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{flag} {getattr(self, name)} (Python: {name}=)", expected=expected)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return asdict(self)


def seconds_of(duration: str) -> float | None:
    """Return the seconds of a time such as ``"90s"``, ``"10m"``, ``"1h"`` or ``"90"``; None where it is none.

    Examples
    --------
    >>> seconds_of("10m"), seconds_of("1.5h"), seconds_of("soon")
    (600.0, 5400.0, None)
    """
    found = _DURATION.fullmatch(str(duration).strip().lower())
    if found is None or float(found[1]) <= 0:
        return None
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the options that a TOML file sets; an unknown one is an error.

    Raises
    ------
    UsageError
        When the file is missing, no TOML, or holds an option that `FitConfig` does not have.
    """
    import tomllib

    try:
        with open(path, "rb") as file:
            options = tomllib.load(file)
    except FileNotFoundError as error:
        raise UsageError(f"no config file {path}", expected="a TOML file", fix="check --config") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{path} is no TOML: {error}", expected="lines such as: model = 'microsoft/resnet-50'"
        ) from error
    known = {field.name for field in fields(FitConfig)} | {"data"}
    for name in options:
        if name not in known:
            raise UsageError(
                f"{path} sets '{name}', which is no option.{did_you_mean(name, known)}",
                expected=", ".join(sorted(known)),
            )
    return options
