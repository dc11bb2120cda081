"""Options of a call gathered: those of a TOML file, overruled by the call's own."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from graft.api.config import FitConfig
from graft.core.errors import ModelError, UsageError, did_you_mean

__all__ = ["gather_options", "options_of_run", "read_config_file"]


def gather_options(
    *, model: str | None, out: str | Path | None, config: str | Path | None, options: dict[str, Any]
) -> FitConfig:
    """Return the options of a call: the file's, overruled by the call's own.

    Raises
    ------
    UsageError
        When one is unknown or cannot be meant so, or model or out is missing.
    """
    merged = read_config_file(Path(config)) if config is not None else {}
    merged.pop("data", None)
    merged |= {name: value for name, value in options.items() if value is not None}
    if model is not None:
        merged["model"] = str(model)
    if out is not None:
        merged["out"] = str(out)
    known = {field.name for field in fields(FitConfig)}
    for name in merged:
        if name not in known:
            raise UsageError(f"no option '{name}'.{did_you_mean(name, known)}", expected=", ".join(sorted(known)))
    for name in ("model", "out"):
        if name not in merged:
            raise UsageError(
                f"no {name} was named",
                expected={"model": "a hub id or folder", "out": "a folder for the run"}[name],
                fix=f"--{name} ... (Python: {name}='...')",
            )
    for name in ("weights", "valid", "test", "cache", "corrections", "shift_data", "unlabeled"):
        if merged.get(name) is not None:
            merged[name] = str(merged[name])
    return FitConfig(**merged)


def options_of_run(folder: Path, **changes: Any) -> FitConfig:
    """Return the options that a finished run was made with, some of them changed.

    Raises
    ------
    ModelError
        When the run is not finished.
    """
    import tomllib

    if not (folder / "metrics.json").is_file():
        raise ModelError(
            f"the run in {folder} is not finished: it has no metrics.json",
            expected="a finished run",
            fix="repeat the command that began it with --resume",
        )
    with open(folder / "config.toml", "rb") as file:
        kept = tomllib.load(file)
    known = {field.name for field in fields(FitConfig)}
    return FitConfig(**{name: value for name, value in kept.items() if name in known} | changes)


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
