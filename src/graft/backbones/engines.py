"""How the frozen network is run: eager, compiled, or OpenVINO; chosen by device, what is installed, and the work left.

Every engine is checked on real pictures against the eager float32 network before it is used. One whose features differ
is passed over for the next, and that is said.
"""

from __future__ import annotations

import copy
import importlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.backbones.folding import fold_batch_norms
from graft.backbones.heads import FeatureNetwork
from graft.core.devices import Precision
from graft.core.errors import ModelError, UsageError
from graft.core.memory import is_out_of_memory
from graft.core.optional import is_installed

__all__ = ["ENGINE_NAMES", "Engine", "EngineChoice", "candidates", "least_cosine", "start_engine"]

PARITY_COSINE: Final = 0.9999
PARITY_PICTURES: Final = 8
_COMPILE_PAYS_AFTER = 5_000  # pictures; measured with a ResNet-50, see docs/experiments.md
_OPENVINO_PAYS_AFTER = 64
ENGINE_NAMES = ("auto", "eager", "compile", "openvino")


class Engine(Protocol):
    """Runs the frozen network on batches, as the source of the examples makes them."""

    def __call__(self, batch: Any, /) -> NDArray[np.float32]:
        """Return features (batch_size, n_features) of a batch: of pictures (batch_size, n_channels, height, width)."""
        ...


@dataclass(frozen=True)
class EngineChoice:
    """An engine to try, with the reason why.

    Parameters
    ----------
    name : ``"eager"``, ``"compile"`` or ``"openvino"``.
    precision : the precision it computes in.
    reason : half a sentence, printed as it is.
    """

    name: str
    precision: Precision
    reason: str

    @property
    def label(self) -> str:
        """Short name with precision, for example ``"openvino bf16"``."""
        return f"{self.name} {self.precision.name}"


def candidates(
    wanted: str,
    *,
    device: torch.device,
    precision: Precision,
    n_pictures: int,
    is_strict_precision: bool = False,
    noun: str = "picture",
) -> list[EngineChoice]:
    """Return engines in the order in which they are to be tried; the last, eager fp32, cannot fail the check.

    Parameters
    ----------
    wanted : one of `ENGINE_NAMES`; other than ``"auto"`` it is tried first.
    n_pictures : pictures of the whole pass, cached ones included, so that a resumed run chooses as the first did.
    is_strict_precision : the user named the precision: keep it on every engine but the last.
    noun : what an example is called; spectrograms are run as pictures, but are none to the user.

    Raises
    ------
    UsageError
        When `wanted` is unknown, or not installed.
    """
    if wanted not in ENGINE_NAMES:
        raise UsageError(f"engine '{wanted}'", expected=", ".join(ENGINE_NAMES))
    has_openvino = device.type == "cpu" and is_installed("openvino")
    if wanted == "openvino" and not has_openvino:
        raise UsageError(
            f"engine 'openvino': it {'runs on CPUs only' if device.type != 'cpu' else 'is not installed'}",
            expected="a CPU and the package openvino",
            fix="pip install 'graft-finetune[openvino]', or leave --engine away",
        )  # fmt: skip
    full = Precision("fp32", "the reference precision")
    found: list[EngineChoice] = []
    if wanted in ("openvino", "auto") and has_openvino and (wanted == "openvino" or n_pictures > _OPENVINO_PAYS_AFTER):
        reason = "asked for" if wanted == "openvino" else "installed, and the fastest frozen pass on this CPU"
        found.append(EngineChoice("openvino", precision, reason))
        if precision.name != "fp32" and not is_strict_precision:
            found.append(EngineChoice("openvino", full, "in full precision"))
    can_compile = device.type == "cuda" or shutil.which("g++") is not None or shutil.which("clang++") is not None
    is_compile_worth_it = wanted == "auto" and not has_openvino and can_compile and n_pictures > _COMPILE_PAYS_AFTER
    if wanted == "compile" or is_compile_worth_it:
        reason = "asked for" if wanted == "compile" else f"pays for itself after about {_COMPILE_PAYS_AFTER:,} {noun}s"
        found.append(EngineChoice("compile", precision, reason))
    if wanted == "eager" or not found or precision.name == "fp32" or wanted == "compile":
        reason = "asked for" if wanted == "eager" else "no set-up time"
        found.append(EngineChoice("eager", precision, reason))
    if precision.name != "fp32":
        found.append(EngineChoice("eager", full, "the reference itself"))
    return found


def start_engine(
    network: FeatureNetwork,
    choices: list[EngineChoice],
    *,
    sample: NDArray[Any],
    batch_size: int,
    device: torch.device,
    say: Callable[[str], None],
    noun: str = "picture",
) -> tuple[Engine, EngineChoice, float]:
    """Return the first engine whose features agree with eager fp32 on `sample`, its choice, and the least cosine.

    Parameters
    ----------
    network : the frozen network up to its head, on the CPU in float32. It is not changed.
    sample : (n_sample, n_channels, height, width), the first pictures of the pass.
    batch_size : pictures in every later call.
    noun : what an example is called, as in `candidates`.

    Raises
    ------
    ModelError
        When even the reference gives features that are not finite.
    """
    sample = sample[: min(PARITY_PICTURES, batch_size)]
    reference = _reference_features(network, sample, device)
    if not np.isfinite(reference).all():
        raise ModelError(
            f"the network gives infinite or undefined features for the first {noun}s",
            expected="finite features",
            fix="check that the weights belong to this config and preprocessing; try --precision fp32",
        )
    padded = _pad(sample, batch_size)
    for position, choice in enumerate(choices):
        following = choices[position + 1].label if position + 1 < len(choices) else "nothing"
        try:
            engine = _BUILDERS[choice.name](network, choice.precision, padded, device)
            got = engine(padded)[: len(sample)]
        except Exception as error:
            if is_out_of_memory(error) or position + 1 == len(choices):
                raise
            first = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            say(f"engine {choice.label} did not start ({first}); falling back to {following}")
            continue
        cosine = least_cosine(got, reference)
        if cosine >= PARITY_COSINE or position + 1 == len(choices):
            return engine, choice, cosine
        say(
            f"engine {choice.label} differs from eager fp32 on these {noun}s (cosine {cosine:.5f} < {PARITY_COSINE});"
            f" falling back to {following}"
        )
    raise AssertionError("candidates() always ends with eager fp32")


@torch.inference_mode()
def _reference_features(network: FeatureNetwork, sample: NDArray[Any], device: torch.device) -> NDArray[np.float32]:
    moved = copy.deepcopy(network).to(device) if device.type != "cpu" else network
    return moved(torch.from_numpy(sample).to(device)).float().cpu().numpy()


def _pad(sample: NDArray[Any], batch_size: int) -> NDArray[Any]:
    return np.resize(sample, (batch_size, *sample.shape[1:]))


def least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the least cosine between rows of two matrices (n, n_features)."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    cosines = np.where(norms > 0, (a64 * b64).sum(1) / np.maximum(norms, 1e-30), (a64 == b64).all(1))
    return float(np.nan_to_num(cosines, nan=-1.0).min())


class _TorchEngine:
    """Eager or compiled torch, channels last, BatchNorms folded where that keeps the outputs."""

    def __init__(
        self,
        network: FeatureNetwork,
        precision: Precision,
        padded: NDArray[Any],
        device: torch.device,
        *,
        compiled: bool,
    ) -> None:
        self._device, self._precision = device, precision
        folded = copy.deepcopy(network)
        module: torch.nn.Module = folded
        if fold_batch_norms(folded):
            pixels = torch.from_numpy(padded[:2])
            with torch.inference_mode():
                is_same = torch.allclose(folded(pixels), network(pixels), rtol=1e-3, atol=1e-4)
            if not is_same:
                module = copy.deepcopy(network)
        module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._run: Callable[[Tensor], Tensor] = torch.compile(module) if compiled else module

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        batch = (
            torch.from_numpy(pixels).to(self._device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        )
        with self._precision.autocast(self._device):
            features = self._run(batch)
        return features.float().cpu().numpy()


_COMPILED_MODELS: Final[list[Any]] = []


class _OpenVinoEngine:
    """OpenVINO on the CPU, converted from the torch network, with a fixed batch size."""

    def __init__(
        self, network: FeatureNetwork, precision: Precision, padded: NDArray[Any], device: torch.device
    ) -> None:
        openvino = _import_openvino()
        converted = _converted_for_openvino(network, padded)
        hint = {"bf16": "bf16", "fp32": "f32"}[precision.name]
        compiled = openvino.Core().compile_model(
            converted, "CPU", {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        )
        # Kept for good: after the last compiled model is freed, the next fork or subprocess of the main thread crashes
        # (seen with OpenVINO 2026.4 on a processor with AMX).
        _COMPILED_MODELS.append(compiled)
        self._request = compiled.create_infer_request()

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        return np.array(self._request.infer([pixels])[0], dtype=np.float32)


def _import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would open a connection at every conversion."""
    # A None entry makes `import openvino_telemetry` fail, and OpenVINO then takes its own silent stand-in.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def _converted_for_openvino(network: FeatureNetwork, padded: NDArray[Any]) -> Any:
    """Return the OpenVINO model of `network`; kept on it, since a second precision needs the same conversion."""
    kept: tuple[tuple[int, ...], Any] | None = network.__dict__.get("_openvino_model")
    if kept is not None and kept[0] == padded.shape:
        return kept[1]
    openvino = _import_openvino()
    with _quiet_tracing():
        converted = openvino.convert_model(
            network, example_input=torch.from_numpy(padded[:2]), input=[openvino.PartialShape(list(padded.shape))]
        )
    network.__dict__["_openvino_model"] = (padded.shape, converted)
    return converted


def _quiet_tracing() -> Any:
    """Silence what torch.jit and transformers say while the network is traced."""
    import warnings
    from contextlib import ExitStack

    from graft.backbones.loading import quiet_transformers

    stack = ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    stack.enter_context(quiet_transformers())
    return stack


def _eager(network: FeatureNetwork, precision: Precision, padded: NDArray[Any], device: torch.device) -> Engine:
    return _TorchEngine(network, precision, padded, device, compiled=False)


def _compiled(network: FeatureNetwork, precision: Precision, padded: NDArray[Any], device: torch.device) -> Engine:
    return _TorchEngine(network, precision, padded, device, compiled=True)


_BUILDERS: Final[dict[str, Callable[[FeatureNetwork, Precision, NDArray[Any], torch.device], Engine]]] = {
    "eager": _eager,
    "compile": _compiled,
    "openvino": _OpenVinoEngine,
}
