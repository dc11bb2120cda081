"""The options of `fit`: one typed record that is the command line's flags, the TOML file and the Python call."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from graft.core.errors import UsageError, did_you_mean

__all__ = ["FitConfig", "read_config_file"]

STRATEGIES = ("head",)


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Options of `graft.fit` and ``graft fit``.

    Parameters
    ----------
    model
        Pretrained model: hub id, folder, torchvision:ARCH (with weights), or timm/NAME.
    out
        Folder of the run, made by it.
    weights
        Torchvision state file (.pth, .safetensors) for model torchvision:ARCH.
    revision
        Branch, tag or commit of a hub model.
    valid
        Validation split, when it is not part of the data.
    test
        Test split, when it is not part of the data.
    path_column
        Column of a table that holds the files.
    label_column
        Column of a table that holds the labels.
    group_column
        Column of a table whose equal values must stay on one side of every split.
    test_fraction
        Share held out for the test when the data has no test split.
    strategy
        What to train: head (frozen network, new last layer).
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
        Pictures a batch.
    workers
        Processes that decode pictures; 0 decodes in the main process.
    cache
        Folder of the feature cache (default: GRAFT_CACHE, else ~/.cache/graft).
    skip_unreadable
        Leave out pictures that cannot be read, and count them.
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
    valid: str | None = None
    test: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    test_fraction: float = 0.2
    strategy: str = "head"
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
    skip_unreadable: bool = False
    offline: bool = False
    trust_remote_code: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checks: list[tuple[str, bool, str]] = [
            ("test_fraction", 0.0 < self.test_fraction < 1.0, "a share between 0 and 1"),
            ("strategy", self.strategy in STRATEGIES, ", ".join(STRATEGIES)),
            ("views", self.views >= 1, "1 or more"),
            ("folds", self.folds >= 2, "2 or more"),
            ("engine", self.engine in ("auto", "eager", "compile", "openvino"), "auto, eager, compile or openvino"),
            ("precision", self.precision in ("auto", "bf16", "fp32"), "auto, bf16 or fp32"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("workers", self.workers >= 0, "0 or more"),
        ]
        for name, is_right, expected in checks:
            if not is_right:
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{flag} {getattr(self, name)} (Python: {name}=)", expected=expected)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return asdict(self)


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
