"""What a race keeps on disk: an optuna study in one file that is only ever added to, and a small array file a trial.

Akiba et al., Optuna, 2019: https://arxiv.org/abs/1907.10902
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from graft.core.errors import UsageError
from graft.core.files import atomic_path
from graft.selection.trials import Key, TrialResult

__all__ = ["Journal"]

_STUDY: Final = "race"


class Journal:
    """The trials of a race, so that a killed one goes on where it was.

    A contestant is a trial of the study; its mean held-out log-loss after each rung stands in it as an intermediate
    value. ``optuna-dashboard FOLDER/journal.log`` shows them once the race is done.

    Parameters
    ----------
    folder : made where it is missing.
    identity : what the results depend on: data, model, settings. A journal of another identity is refused.

    Raises
    ------
    UsageError
        When the folder holds the trials of another race.
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, Any]) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
        self._study = optuna.create_study(storage=storage, study_name=_STUDY, load_if_exists=True)
        own = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]
        kept = self._study.user_attrs.get("identity")
        if kept is None:
            self._study.set_user_attr("identity", own)
        elif kept != own:
            raise UsageError(
                f"{folder} holds the trials of a race with other data, model or options",
                expected="the same race, to go on with, or an empty folder",
                fix=f"another --out (Python: out=), or remove {folder}",
            )

    def results(self) -> dict[Key, TrialResult]:
        """Return what earlier processes finished, by the trials' keys."""
        found = {}
        for path in sorted(self._folder.glob("trial-*.npz")):
            with np.load(path) as stored:
                key = (str(stored["name"]), int(stored["n_steps"]), int(stored["repeat"]))
                found[key] = TrialResult(
                    key,
                    stored["rows"],
                    stored["losses"],
                    stored["is_right"],
                    float(stored["learning_rate"]),
                    float(stored["seconds"]),
                    bool(stored["has_diverged"]),
                )
        return found

    def keep(self, result: TrialResult) -> None:
        """Write a result; a file is whole or absent."""
        name, n_steps, repeat = result.key
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        with (
            atomic_path(self._folder / f"trial-{digest}-{n_steps}-{repeat}.npz") as temporary,
            open(temporary, "wb") as file,
        ):
            np.savez(
                file,
                name=name,
                n_steps=n_steps,
                repeat=repeat,
                rows=result.rows,
                losses=result.losses,
                is_right=result.is_right,
                learning_rate=result.learning_rate,
                seconds=result.seconds,
                has_diverged=result.has_diverged,
            )

    def close(self, standings: Sequence[Any]) -> None:
        """Write the standings into the study: the leader complete, who left earlier pruned."""
        states = self._optuna.trial.TrialState
        done = {trial.user_attrs.get("name") for trial in self._study.get_trials(deepcopy=False)}
        last = max(standing.rung for standing in standings)
        for standing in standings:
            if standing.name in done:
                continue
            is_whole = standing.rung == last
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    state=states.COMPLETE if is_whole else states.PRUNED,
                    value=standing.log_loss if is_whole else None,
                    params={"learning_rate": standing.learning_rate},
                    distributions={"learning_rate": self._optuna.distributions.FloatDistribution(1e-12, 1e3, log=True)},
                    intermediate_values=dict(enumerate(standing.log_losses)),
                    user_attrs={"name": standing.name, "n_steps": standing.n_steps, "accuracy": standing.accuracy},
                )
            )
