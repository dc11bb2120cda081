"""``--config FILE``: the file's options as if they had been typed, flags given by hand winning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graft.api.config_parts import FOR_CHECK, FOR_FIND_RATE, FOR_RANK
from graft.api.gathering import read_config_file
from graft.core.errors import UsageError

__all__ = ["with_config_file"]

_READ = {"check": FOR_CHECK, "find-lr": FOR_FIND_RATE, "rank": FOR_RANK}


def with_config_file(arguments: Sequence[str]) -> list[str]:
    """Return the words of a command line, those of its ``--config`` file put in.

    Raises
    ------
    UsageError
        When the file is not named, missing, or holds an unknown option.
    """
    words = list(arguments)
    place = next((i for i, word in enumerate(words) if word == "--config" or word.startswith("--config=")), None)
    if place is None:
        return words
    if words[place] == "--config":
        if place + 1 >= len(words):
            raise UsageError("--config without a file", expected="--config FILE.toml")
        path = words[place + 1]
        del words[place : place + 2]
    else:
        path = words.pop(place).partition("=")[2]
    typed = {word.split("=")[0].removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")}
    options = read_config_file(Path(path))
    if words and words[0] in _READ:  # a file of a fit holds more than these read
        options = {name: value for name, value in options.items() if name in ("data", *_READ[words[0]])}
    data = options.pop("data", None)
    if data is not None and (len(words) < 2 or words[1].startswith("--")):
        words.insert(1, str(data))
    for name, value in options.items():
        flag = name.replace("_", "-")
        if flag in typed:
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words
