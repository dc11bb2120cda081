"""The options of `fit`: one typed record that is the command line's flags, the TOML file and the Python call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from graft.api.config_values import refuse_wrong_values

__all__ = ["FitConfig"]


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
    decoding
        Of a CTC recogniser: greedy, beam, or auto (a beam where a language model is named, whose weights are chosen on
        held-out speech).
    language_model
        Of words, for the beam: train (learned from the training transcripts), a text with a sentence a line, or an
        .arpa file.
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
        Train a language model or a recogniser of speech on a half, a quarter, an 8th and a 16th as well, to say
        whether more data would help.
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
        layers by contrast between examples, then the head). Of conversations: lora (auto) or full; of
        transcribed speech: full (auto), lora or head.
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
        Passes over the training examples in fine-tuning (default: 6; for speech to letters 30).
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
        Kind of updates of strategy lora for language models: lora, dora, or qlora (weights in 4 bits; extra gpu).
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
        Word vectors of a text network in fine-tuning: train, frozen, or auto (frozen with fewer texts than vectors; of
        language models with low-rank updates those learn that the checkpoint never trained).
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
        Auto, bf16, fp32, or fp16 on a GPU.
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
    decoding: str = "auto"
    language_model: str | None = None
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
    epochs: float | None = None
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
        refuse_wrong_values(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return asdict(self)
