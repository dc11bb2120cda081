"""A user's own preprocessing: a function in a Python file that the user names, for networks without a processor.

The file is code, so it is run only when it is named: `fit` is told FILE.py:NAME, copies the file into the model's
folder and records its hash; whoever loads that model names the file again.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.backbones.frontends import noise
from graft.core.errors import DataError, UsageError, did_you_mean
from graft.core.files import atomic_path, hash_bytes, hash_json

__all__ = ["PluginFrontend", "named_again"]

_LONGEST_WINDOW_S: Final = 30.0
_CONTRACT: Final = (
    "a Python file with SAMPLING_RATE_HZ = 16000 (what the function is given) and"
    " def NAME(waveform, sampling_rate_hz): return array; WINDOW_S and HOP_S where it takes no more than a piece"
)


class PluginFrontend:
    """Calls a function of the user's for every window.

    Parameters
    ----------
    named : ``FILE.py:NAME``.

    Raises
    ------
    UsageError
        When file or name are missing, the file fails to run, or the function does not keep to the contract.

    Notes
    -----
    The file sets ``SAMPLING_RATE_HZ``, and may set ``WINDOW_S``, the seconds that the function takes at once (30), and
    ``HOP_S``, the distance of two windows (half a window). The function gets ``waveform``, (n_samples,) float32 of one
    channel, at most a window long, and ``sampling_rate_hz``; it returns one input of the network as an array of
    finite numbers, always of the same shape, without a batch dimension.
    """

    def __init__(self, named: str) -> None:
        file, _, self.name = named.rpartition(":")
        self.path = Path(file)
        if not file or not self.name.isidentifier() or not self.path.is_file():
            raise UsageError(
                f"--preprocessing {named}: {f'there is no file {file}' if file else 'no file and function'}",
                expected=_CONTRACT,
                fix="--preprocessing FILE.py:NAME (Python: preprocessing='FILE.py:NAME')",
            )
        self.code = self.path.read_bytes()
        self.hash = hash_bytes(self.code)
        module, self._function = self._load()
        rate = getattr(module, "SAMPLING_RATE_HZ", None)
        window_s = getattr(module, "WINDOW_S", _LONGEST_WINDOW_S)
        hop_s = getattr(module, "HOP_S", window_s / 2 if isinstance(window_s, (int, float)) else None)
        for what, value in (("SAMPLING_RATE_HZ", rate), ("WINDOW_S", window_s), ("HOP_S", hop_s)):
            if not isinstance(value, (int, float)) or not value > 0:
                raise UsageError(f"{self.path} sets {what} to {value!r}", expected=_CONTRACT)
        assert rate is not None
        assert hop_s is not None
        self.sampling_rate_hz = int(rate)
        self.window, self.hop = (max(1, round(seconds * rate)) for seconds in (window_s, hop_s))
        self.shape: tuple[int, ...] | None = None
        self.shape = self._try_out()

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the user's array for a window.

        Raises
        ------
        DataError
            When the function fails, or returns what it should not.
        """
        try:
            output = np.asarray(self._function(waveform.copy(), self.sampling_rate_hz), dtype=np.float32)
        except Exception as error:
            raise DataError(
                f"{self.path}:{self.name} failed on {len(waveform)} samples: {type(error).__name__}: {error}",
                fix="correct the function; it must take any number of samples from 1 up",
            ) from error
        if not np.isfinite(output).all() or (self.shape is not None and output.shape != self.shape):
            what = f"the shape {output.shape}" if np.isfinite(output).all() else "numbers that are not finite"
            raise DataError(
                f"{self.path}:{self.name} returned {what} for {len(waveform)} samples",
                expected=f"finite numbers of the shape {self.shape}, as for other windows",
                fix="fill up or cut the waveform to a fixed length in the function",
            )
        return output

    @property
    def fingerprint(self) -> str:
        """Hash of the file and the function's name."""
        return hash_json({"kind": "user's own", "file": self.hash, "name": self.name})

    @property
    def record(self) -> dict[str, str]:
        """What the manifest and the saved model keep."""
        return {"file": self.path.name, "name": self.name, "hash": self.hash}

    def save(self, folder: Path) -> None:
        """Copy the file, as it was when it was loaded, into a model's folder."""
        with atomic_path(folder / self.path.name) as temporary:
            temporary.write_bytes(self.code)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._function = self._load()[1]

    def _load(self) -> tuple[ModuleType, Callable[..., Any]]:
        spec = importlib.util.spec_from_loader(f"graft_preprocessing_{self.hash}", loader=None, origin=str(self.path))
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        module.__file__ = str(self.path)
        sys.modules[spec.name] = module
        try:
            exec(compile(self.code, str(self.path), "exec"), module.__dict__)  # the very bytes that were hashed
        except Exception as error:
            raise UsageError(
                f"{self.path} cannot be run: {type(error).__name__}: {error}",
                expected=_CONTRACT,
                fix="correct the file",
            ) from error
        function = getattr(module, self.name, None)
        if not callable(function):
            raise UsageError(
                f"{self.path} has no function {self.name}.{did_you_mean(self.name, vars(module))}", expected=_CONTRACT
            )
        return module, function

    def _try_out(self) -> tuple[int, ...]:
        """Return the shape of what the function returns for long, short and silent windows alike."""
        shapes = set()
        for waveform in (
            noise(self.window),
            noise(max(1, self.window // 7)),
            np.zeros(self.window // 3 + 1, np.float32),
        ):
            try:
                shapes.add(self(waveform).shape)
            except DataError as error:
                raise UsageError(error.got, expected=error.expected or _CONTRACT, fix=error.fix) from error
        if len(shapes) > 1:
            raise UsageError(
                f"{self.path}:{self.name} returns arrays of different shapes: {sorted(shapes)}",
                expected="one shape, whatever the length of the waveform",
                fix="fill up or cut the waveform to a fixed length in the function",
            )
        return shapes.pop()


def named_again(folder: Path, record: Mapping[str, str], *, given: str | None) -> str:
    """Return ``FILE.py:NAME`` for a saved model, if it is the preprocessing that the model was fitted with.

    Parameters
    ----------
    folder : of the model.
    record : `PluginFrontend.record` as the model keeps it.
    given : what the user named now; None: nothing.

    Raises
    ------
    UsageError
        When nothing was named, or another file: a model's folder does not run code that nobody asked for.
    """
    own = f"{folder / record['file']}:{record['name']}"
    if given is None:
        raise UsageError(
            f"{folder} reads its input through a preprocessing of its own, {record['file']}, which is code",
            expected="that you look at the file and name it",
            fix=f"--preprocessing {own} (Python: preprocessing='{own}')",
        )
    frontend = PluginFrontend(given)
    if frontend.record["hash"] != record["hash"] or frontend.name != record["name"]:
        raise UsageError(
            f"--preprocessing {given} is not what {folder} was fitted with",
            expected=f"the function {record['name']} of a file with the hash {record['hash']}",
            fix=f"--preprocessing {own} (Python: preprocessing='{own}')",
        )
    return given
