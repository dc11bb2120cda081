"""The frozen network with a new head: a penalised regression on cached features, chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.data.splitting import feasible_folds, stratified_folds
from graft.evaluation.calibration import fit_temperature
from graft.solver.cross_validation import CrossValidation, cross_validate
from graft.solver.links import SoftmaxLink
from graft.solver.path import solve_path
from graft.solver.rotation import rotate
from graft.solver.scaling import fit_scaling

__all__ = ["HeadFit", "HeadOnly", "refit_head"]

_MEASURE_UNIT_NORM_UP_TO = 2_000


@dataclass(frozen=True)
class HeadFit:
    """A fitted head and the evidence for it.

    Parameters
    ----------
    weights : (n_classes, n_features), acting on plain features; scaling and temperature are folded in.
    bias : (n_classes,).
    temperature : what the raw logits were divided by, fitted to the out-of-fold logits.
    scaling : name of the chosen feature scaling.
    penalty : chosen L2 penalty, for scaled features.
    folds : (n_examples,), the fold that held each example out.
    out_of_fold_logits : (n_examples, n_classes), divided by the temperature.
    leaderboard : one row a scaling and penalty: scaling, penalty, log_loss, standard_error, accuracy, is_chosen.
    notes : sentences on the choice.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float
    scaling: str
    penalty: float
    folds: NDArray[np.int64]
    out_of_fold_logits: NDArray[np.float32]
    leaderboard: list[dict[str, Any]]
    notes: tuple[str, ...]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated logits (n_examples, n_classes) of plain features."""
        return np.asarray(features @ self.weights.T + self.bias, dtype=np.float32)


@dataclass(frozen=True)
class HeadOnly:
    """Fit the head alone; the network stays frozen, parameters and buffers.

    Parameters
    ----------
    n_folds : folds of the cross-validation; fewer where a class has fewer examples.
    scalings : feature scalings to choose from.
    n_penalties : length of the penalty path.
    tolerance : relative gradient at which a fit has converged.
    """

    n_folds: int = 5
    scalings: tuple[str, ...] = ("none", "z-score", "unit-norm")
    n_penalties: int = 12
    tolerance: float = 1e-5

    def fit(
        self,
        features: NDArray[np.float32],
        targets: NDArray[np.int64],
        *,
        n_classes: int,
        groups: NDArray[np.int64] | None = None,
        n_views: int = 1,
        seed: int = 0,
        device: torch.device | None = None,
        is_bf16: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> HeadFit:
        """Return the head whose scaling and penalty gave the least out-of-fold log-loss.

        Parameters
        ----------
        features : (n_views * n_examples, n_features), view after view; view 0 is plain.
        targets : (n_examples,), class numbers.
        groups : (n_examples,), examples that must share a fold, such as duplicates; None: no groups.
        device, is_bf16 : where the solver runs, and whether curvature products may be bfloat16.
        say : told what is remarkable.

        Notes
        -----
        A scaling that no linear head can take up (unit norm) is measured with the others up to 2,000 rows and listed,
        but cannot be chosen: the saved checkpoint could not carry it (docs/decisions/004).
        """
        notes: list[str] = []
        fewest = int(np.bincount(targets, minlength=n_classes).min())
        n_folds = feasible_folds(targets, self.n_folds, groups=groups)
        if n_folds < self.n_folds:
            n_groups = len(targets) if groups is None else len(np.unique(groups))
            why = f"there are {n_groups} groups" if n_groups == n_folds else f"the smallest class has {fewest} examples"
            notes.append(f"{n_folds} folds, as {why}")
        if fewest < 3:
            notes.append(f"the smallest class has {fewest} examples: the penalty rests on very few held-out answers")
        folds = stratified_folds(targets, groups=groups, n_folds=n_folds, seed=seed)
        results: dict[str, CrossValidation] = {}
        for name in self._affordable(len(features)):
            results[name] = cross_validate(
                features,
                targets,
                n_classes=n_classes,
                folds=folds,
                scaling=fit_scaling(name, features),
                n_views=n_views,
                n_penalties=self.n_penalties,
                tolerance=self.tolerance,
                device=device,
                is_bf16=is_bf16,
                say=say,
            )
        chosen, note = _choose(results)
        if note:
            notes.append(note)
        found = results[chosen]
        temperature = fit_temperature(found.out_of_fold_logits, targets)
        return HeadFit(
            weights=np.asarray(found.weights / temperature, dtype=np.float32),
            bias=np.asarray(found.bias / temperature, dtype=np.float32),
            temperature=temperature,
            scaling=chosen,
            penalty=found.best.penalty,
            folds=folds,
            out_of_fold_logits=np.asarray(found.out_of_fold_logits / temperature, dtype=np.float32),
            leaderboard=[
                {
                    "scaling": point.scaling,
                    "penalty": point.penalty,
                    "log_loss": point.log_loss,
                    "standard_error": point.standard_error,
                    "accuracy": point.accuracy,
                    "is_chosen": name == chosen and i == result.chosen,
                }
                for name, result in results.items()
                for i, point in enumerate(result.points)
            ],
            notes=tuple(notes),
        )

    def _affordable(self, n_rows: int) -> tuple[str, ...]:
        """Return the scalings to measure: above 2,000 rows those alone that a head can take up."""
        if n_rows <= _MEASURE_UNIT_NORM_UP_TO or self.scalings == ("unit-norm",):
            return self.scalings
        return tuple(name for name in self.scalings if name != "unit-norm")


def refit_head(
    head: HeadFit,
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    *,
    n_classes: int,
    device: torch.device | None = None,
    is_bf16: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of a head with the penalty, scaling and temperature of `head`, fitted to other rows.

    Parameters
    ----------
    features : (n_examples, n_features), plain views.
    targets : (n_examples,), class numbers.
    """
    device = device or torch.device("cpu")
    scaling = fit_scaling(head.scaling, features)
    rotated = rotate(torch.from_numpy(scaling.apply(features)).to(device))
    level = next(
        solve_path(
            rotated,
            SoftmaxLink(torch.from_numpy(targets).to(device), n_classes),
            row_weights=torch.ones(len(targets), 1, device=device),
            penalties=torch.full((1, 1), head.penalty, device=device),
            tolerance=1e-5,
            is_bf16=is_bf16,
        )
    )
    weights, bias = rotated.weights_in_feature_space(level.weights[:, :, 0], level.bias[:, 0])
    plain, plain_bias = scaling.unscale(weights.cpu().numpy(), bias.cpu().numpy())
    return (
        np.asarray(plain / head.temperature, dtype=np.float32),
        np.asarray(plain_bias / head.temperature, dtype=np.float32),
    )


def _choose(results: dict[str, CrossValidation]) -> tuple[str, str]:
    """Return the linear scaling of least out-of-fold log-loss, and a note when unit norm would have won clearly."""
    losses = {name: result.best.log_loss for name, result in results.items()}
    linear = {name: loss for name, loss in losses.items() if name != "unit-norm"}
    chosen = min(linear, key=lambda name: linear[name]) if linear else "unit-norm"
    if "unit-norm" in losses and chosen != "unit-norm":
        difference = results[chosen].losses - results["unit-norm"].losses
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        if difference.mean() > 2 * error:
            return chosen, (
                f"unit-norm features would lower the out-of-fold log-loss by {difference.mean():.4f} nats (standard"
                f" error {error:.4f}), but a plain linear head cannot carry them, so '{chosen}' was taken"
            )
    return chosen, ""
