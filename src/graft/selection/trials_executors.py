"""Where trials run: in this process, in several of this machine, or on a Ray cluster; the same trials everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rich.console import Console

from graft.core.devices import choose_device
from graft.core.errors import UsageError
from graft.core.optional import require
from graft.selection.trials import Trial, TrialBed, TrialResult, run_trial

__all__ = ["Executor", "InTurn", "LocalProcesses", "RayCluster", "executor_for"]


class Executor(Protocol):
    """Runs trials that do not depend on each other."""

    def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
        """Give the results as they come, in any order."""
        ...


@dataclass(frozen=True)
class InTurn:
    """One trial after the other, in this process."""

    def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
        """Give the results in order."""
        for trial in trials:
            yield run_trial(bed, trial)


@dataclass(frozen=True)
class LocalProcesses:
    """Several trials at once, each in a process of its own with its share of the cores.

    Parameters
    ----------
    n_jobs : processes.
    """

    n_jobs: int

    def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
        """Give the results as they come.

        Notes
        -----
        joblib's loky starts fresh processes, which a library that has threads already survives, and hands large arrays
        over as maps of one file.
        """
        import joblib

        call = joblib.delayed(_with_one_share)
        lone = _without_console(bed)
        n_threads = max(1, joblib.cpu_count() // self.n_jobs)
        pool = joblib.Parallel(n_jobs=min(self.n_jobs, max(1, len(trials))), return_as="generator_unordered")
        yield from pool(call(lone, trial, n_threads) for trial in trials)


@dataclass(frozen=True)
class RayCluster:
    """As many trials at once as a Ray cluster has room for.

    Parameters
    ----------
    address : as ``ray.init`` takes it: ``"auto"``, ``"local"``, or ``"ray://HOST:10001"``.
    n_cpus, n_gpus : that a trial asks of the cluster.
    """

    address: str
    n_cpus: float = 1
    n_gpus: float = 0

    def run(self, bed: TrialBed, trials: Sequence[Trial]) -> Iterator[TrialResult]:
        """Give the results as they come; the bed is sent to the cluster once.

        Raises
        ------
        UsageError
            When Ray is not installed, or nothing answers at the address.
        """
        ray: Any = require("ray", extra="ray", purpose="--ray-address (Python: ray_address=)")
        if not ray.is_initialized():
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="error")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UsageError(
                    f"no Ray cluster at '{self.address}': {str(error).splitlines()[0]}",
                    expected="the address of a running cluster",
                    fix="start one with: ray start --head; then --ray-address auto (Python: ray_address='auto')",
                ) from error
        remote = ray.remote(num_cpus=self.n_cpus, num_gpus=self.n_gpus)(_with_one_share)
        shared = ray.put(_without_console(bed))
        left = [remote.remote(shared, trial, max(1, int(self.n_cpus))) for trial in trials]
        while left:
            done, left = ray.wait(left, num_returns=1)
            yield ray.get(done[0])


def executor_for(*, n_jobs: int = 1, ray_address: str | None = None, device: str = "auto") -> Executor:
    """Return the executor that the options mean.

    Parameters
    ----------
    device : as `graft.core.devices.choose_device` has it; where it is a GPU here, each trial asks a cluster for one.

    Raises
    ------
    UsageError
        When both are asked for, or no process at all; and when Ray is wanted but not installed, before anything runs.
    """
    if n_jobs < 1:
        raise UsageError(f"--jobs {n_jobs}", expected="1 or more", fix="--jobs 1 (Python: jobs=1)")
    if ray_address is not None:
        if n_jobs > 1:
            raise UsageError(
                f"--jobs {n_jobs} together with --ray-address",
                expected="one of them: a cluster decides itself how many trials run at once",
                fix="leave --jobs away (Python: jobs=1)",
            )
        require("ray", extra="ray", purpose="--ray-address (Python: ray_address=)")
        return RayCluster(ray_address, n_gpus=float(choose_device(device).type == "cuda"))
    return LocalProcesses(n_jobs) if n_jobs > 1 else InTurn()


def _with_one_share(bed: TrialBed, trial: Trial, n_threads: int) -> TrialResult:
    """Run a trial in a process of its own, on its share of the cores."""
    import torch

    torch.set_num_threads(n_threads)
    return run_trial(bed, trial)


def _without_console(bed: TrialBed) -> TrialBed:
    """Return the bed without what cannot be sent to another process."""
    console: Console | None = None
    return replace(bed, where=replace(bed.where, console=console))
