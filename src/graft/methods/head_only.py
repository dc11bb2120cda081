"""The frozen network with a new head: a penalised regression on cached features, chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from graft.data.splitting import feasible_folds, stratified_folds
from graft.evaluation.calibration import fit_temperature
from graft.evaluation.multi_label_calibration import (
    choose_thresholds,
    fit_prior_temperature,
    prior_log_odds,
    tempered,
)
from graft.solver.cross_validation import CrossValidation, cross_validate
from graft.solver.links import SigmoidLink, SoftmaxLink
from graft.solver.path import Level, solve_path
from graft.solver.rotation import rotate
from graft.solver.scaling import fit_scaling

__all__ = ["HeadFit", "HeadOnly", "refit_head"]

_MEASURE_UNIT_NORM_UP_TO = 2_000
_PATH_TOLERANCE = 1e-3


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
        With several labels an example, losses are means over the labels, and accuracy is the share of right ones.
    notes : sentences on the choice.
    centre : (n_classes,), log-odds that a temperature moves the logits towards, where an example may have several
        labels; None: one class an example.
    thresholds : (n_classes,), probabilities from which on a label is given, chosen out of fold; None as `centre`.
    losses_of_all, is_right_of_all : (n_examples, n_candidates), out of fold, of every scaling and penalty that could
        have been chosen; None: not kept.
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
    centre: NDArray[np.float64] | None = None
    thresholds: NDArray[np.float64] | None = None
    losses_of_all: NDArray[np.float32] | None = None
    is_right_of_all: NDArray[np.float32] | None = None

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
    tolerance, path_tolerance : relative gradient at which the final fit has converged, and those it is chosen from.
    """

    n_folds: int = 5
    scalings: tuple[str, ...] = ("none", "z-score", "unit-norm")
    n_penalties: int = 12
    tolerance: float = 1e-5
    path_tolerance: float = 1e-3

    def fit(
        self,
        features: NDArray[np.float32],
        targets: NDArray[np.integer[Any]],
        *,
        n_classes: int,
        groups: NDArray[np.int64] | None = None,
        n_views: int = 1,
        anchors: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        seed: int = 0,
        device: torch.device | None = None,
        is_bf16: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> HeadFit:
        """Return the head whose scaling and penalty gave the least out-of-fold log-loss.

        Parameters
        ----------
        features : (n_views * n_examples, n_features), view after view; view 0 is plain.
        targets : (n_examples,), class numbers; or (n_examples, n_classes) of 0 and 1, for any number of labels an
            example. Each label is then a logistic regression, all with the same scaling and penalty.
        groups : (n_examples,), examples that must share a fold, such as duplicates; None: no groups.
        anchors : features and class numbers that every fit sees and no fold holds out, such as those of the labels'
            own names; None: there are none.
        device, is_bf16 : where the solver runs, and whether curvature products may be bfloat16.
        say : told what is remarkable.

        Notes
        -----
        A scaling that no linear head can take up (unit norm) is measured with the others up to 2,000 rows and listed,
        but cannot be chosen: the saved checkpoint could not carry it (docs/decisions/004).
        """
        n_folds, notes = self._folds(targets, n_classes, groups)
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
                anchors=anchors,
                tolerance=self.tolerance,
                path_tolerance=self.path_tolerance,
                device=device,
                is_bf16=is_bf16,
                say=say,
            )
        chosen, note = _choose(results)
        if note:
            notes.append(note)
        found = results[chosen]
        centre = thresholds = None
        if targets.ndim == 2:
            centre = prior_log_odds(targets)
            temperature = fit_prior_temperature(found.out_of_fold_logits, targets, centre=centre)
        else:
            temperature = fit_temperature(found.out_of_fold_logits, targets)
        out_of_fold = tempered(found.out_of_fold_logits, temperature, centre=centre)
        if centre is not None:
            thresholds = choose_thresholds(special.expit(out_of_fold.astype(np.float64)), targets)
        n_losses = n_classes if targets.ndim == 2 else 1
        chooseable = [result for name, result in results.items() if name != "unit-norm"] or [found]
        return HeadFit(
            weights=np.asarray(found.weights / temperature, dtype=np.float32),
            bias=tempered(found.bias, temperature, centre=centre),
            temperature=temperature,
            scaling=chosen,
            penalty=found.best.penalty,
            folds=folds,
            out_of_fold_logits=out_of_fold,
            leaderboard=[
                {
                    "scaling": point.scaling,
                    "penalty": point.penalty,
                    "log_loss": point.log_loss / n_losses,
                    "standard_error": point.standard_error / n_losses,
                    "accuracy": point.accuracy,
                    "is_chosen": name == chosen and i == result.chosen,
                }
                for name, result in results.items()
                for i, point in enumerate(result.points)
            ],
            notes=tuple(notes),
            centre=centre,
            thresholds=thresholds,
            losses_of_all=np.concatenate([result.losses_of_all for result in chooseable], axis=1),
            is_right_of_all=np.concatenate([result.is_right_of_all for result in chooseable], axis=1),
        )

    def _folds(
        self, targets: NDArray[np.integer[Any]], n_classes: int, groups: NDArray[np.int64] | None
    ) -> tuple[int, list[str]]:
        """Return the number of folds, and sentences where there are fewer than wanted, or few examples in them."""
        n_folds = feasible_folds(targets, self.n_folds, groups=groups)
        if targets.ndim == 2:
            counts = targets.sum(axis=0, dtype=np.int64)
            few = int((counts < n_folds).sum())
            notes = [f"{few} of {n_classes} labels have fewer than {n_folds} examples: some folds hold none out"]
            return n_folds, notes if few else []
        fewest = int(np.bincount(targets, minlength=n_classes).min())
        notes = []
        if n_folds < self.n_folds:
            n_groups = len(targets) if groups is None else len(np.unique(groups))
            why = f"there are {n_groups} groups" if n_groups == n_folds else f"the smallest class has {fewest} examples"
            notes.append(f"{n_folds} folds, as {why}")
        if fewest < 3:
            notes.append(f"the smallest class has {fewest} examples: the penalty rests on very few held-out answers")
        return n_folds, notes

    def _affordable(self, n_rows: int) -> tuple[str, ...]:
        """Return the scalings to measure: above 2,000 rows those alone that a head can take up."""
        if n_rows <= _MEASURE_UNIT_NORM_UP_TO or self.scalings == ("unit-norm",):
            return self.scalings
        return tuple(name for name in self.scalings if name != "unit-norm")


def refit_head(
    head: HeadFit,
    features: NDArray[np.float32],
    targets: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    device: torch.device | None = None,
    is_bf16: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of a head with the penalty, scaling and temperature of `head`, fitted to other rows.

    Parameters
    ----------
    features : (n_examples, n_features), plain views.
    targets : (n_examples,), class numbers; or (n_examples, n_classes) of 0 and 1, as `head` was fitted to.
    """
    device = device or torch.device("cpu")
    scaling = fit_scaling(head.scaling, features)
    rotated = rotate(torch.from_numpy(scaling.apply(features)).to(device))
    wanted = torch.from_numpy(targets).to(device)
    link = SigmoidLink(wanted) if targets.ndim == 2 else SoftmaxLink(wanted, n_classes)
    row_weights = torch.ones(len(targets), 1, device=device)

    def levels(penalties: list[float], tolerance: float, start_at: tuple[Tensor, Tensor] | None = None) -> list[Level]:
        column = torch.tensor(penalties, device=device)[:, None]
        return list(
            solve_path(
                rotated, link, row_weights=row_weights, penalties=column, tolerance=tolerance, is_bf16=is_bf16,
                start_at=start_at,
            )
        )  # fmt: skip

    # From strong to weak, as in the cross-validation: from zero straight to a weak penalty Newton's steps can overshoot
    # to where all probabilities are 0 or 1, and hardly come back.
    stronger = sorted({row["penalty"] for row in head.leaderboard if row["penalty"] > head.penalty}, reverse=True)
    last = levels([*stronger[:: max(1, len(stronger) // 6)], head.penalty], _PATH_TOLERANCE)[-1]
    level = levels([head.penalty], 1e-5, start_at=(last.weights, last.bias))[-1]
    weights, bias = rotated.weights_in_feature_space(level.weights[:, :, 0], level.bias[:, 0])
    plain, plain_bias = scaling.unscale(weights.cpu().numpy(), bias.cpu().numpy())
    return (
        np.asarray(plain / head.temperature, dtype=np.float32),
        tempered(plain_bias, head.temperature, centre=head.centre),
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
