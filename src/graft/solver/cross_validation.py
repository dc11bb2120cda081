"""Cross-validation of the penalty and the feature scaling, and the final fit, in one walk along the penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graft.solver.links import Link, SigmoidLink, SoftmaxLink
from graft.solver.path import solve_path
from graft.solver.rotation import rotate
from graft.solver.scaling import Scaling

__all__ = ["CrossValidation", "PathPoint", "cross_validate"]

_STEPS_PER_DECADE: Final = 2
_MOST_EXTRA_LEVELS: Final = 6
_RISES_TO_STOP: Final = 2


@dataclass(frozen=True)
class PathPoint:
    """One penalty of one scaling: how its models did on rows they had not seen.

    Parameters
    ----------
    scaling : name of the feature scaling.
    penalty : L2 penalty, for mean losses on scaled features.
    log_loss : mean out-of-fold loss over examples, nats.
    standard_error : of `log_loss`, over examples.
    accuracy : out-of-fold share of right classes (of right labels when there are several an example).
    n_not_converged : fits, folds and final together, whose gradient stayed above the tolerance.
    """

    scaling: str
    penalty: float
    log_loss: float
    standard_error: float
    accuracy: float
    n_not_converged: int


@dataclass(frozen=True)
class CrossValidation:
    """The path of one scaling, and the fit that its best penalty gives.

    Parameters
    ----------
    points : one for each penalty, strong to weak.
    chosen : index into `points`, by the paired one-standard-error rule.
    out_of_fold_logits : (n_examples, n_classes), float32, of the chosen penalty; each row from the other folds' model.
    losses : (n_examples,), out-of-fold loss of each example at the chosen penalty.
    weights : (n_classes, n_features), of the fit to all rows at the chosen penalty, acting on *unscaled* features
        where the scaling is linear, on scaled ones where it is not.
    bias : (n_classes,).
    losses_of_all : (n_examples, n_points), float32, out-of-fold losses of every penalty; `is_right_of_all` beside them.
    """

    points: tuple[PathPoint, ...]
    chosen: int
    out_of_fold_logits: NDArray[np.float32]
    losses: NDArray[np.float64]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    losses_of_all: NDArray[np.float32]
    is_right_of_all: NDArray[np.float32]

    @property
    def best(self) -> PathPoint:
        """The chosen point."""
        return self.points[self.chosen]


def cross_validate(
    features: NDArray[np.float32],
    targets: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    folds: NDArray[np.int64],
    scaling: Scaling,
    n_views: int = 1,
    n_penalties: int = 12,
    strongest: float = 0.1,
    row_weights: NDArray[np.float64] | None = None,
    anchors: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
    tolerance: float = 1e-5,
    path_tolerance: float = 1e-3,
    device: torch.device | None = None,
    is_bf16: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> CrossValidation:
    """Return out-of-fold results along the penalties and the final fit at the chosen one.

    All folds and the fit to all rows advance together, penalty by penalty: six series share each product.

    Parameters
    ----------
    features : (n_views * n_examples, n_features), view after view; view 0 is the plain one.
    targets : (n_examples,) class numbers, or (n_examples, n_classes) of 0 and 1 for several labels an example.
    folds : (n_examples,), number of the fold that holds each example out; all its views go with it.
    scaling : applied to the features first.
    n_penalties : length of the grid: half-decades down from `strongest` times the features' total variance. It is
        lengthened, by up to three decades, while the weakest penalty is the best, and left once two penalties in a row
        did worse than a stronger one: the weak end is the dearest.
    row_weights : (n_examples,), not negative; None: all equal.
    anchors : features (n_anchors, n_features) and class numbers of rows that every fit sees and none holds out, each
        with weight 1; of one class an example only. None: there are none.
    tolerance : relative gradient at which the final fit has converged.
    path_tolerance : the same for the fits that are only compared. At 1e-3 their mean losses stay within 3 % of a
        standard error of those at 1e-5, for half the work (docs/experiments.md).
    is_bf16 : compute curvature products in bfloat16.
    say : told when fits did not converge.

    Notes
    -----
    The rule: of the penalties whose mean loss exceeds the least by no more than the standard error of the paired
    difference, the strongest. Out-of-fold predictions are of the plain view alone.

    The scaling's statistics come from all rows given here, not fold by fold. They see no label, and since the bias is
    free they act only through the metric of the penalty; docs/experiments.md gives the measured difference.
    """
    device = device or torch.device("cpu")
    n = len(targets)
    seen = np.tile(targets, (n_views,) + (1,) * (targets.ndim - 1))
    scaled = scaling.apply(features)
    if anchors is not None:
        scaled = np.concatenate([scaled, scaling.apply(anchors[0])])
        seen = np.concatenate([seen, anchors[1]])
    rotated = rotate(torch.from_numpy(scaled).to(device))
    link = _link(seen, n_classes, device)
    weights = np.ones(n) if row_weights is None else row_weights
    n_folds = int(folds.max()) + 1
    series = np.stack([*(weights * (folds != k) for k in range(n_folds)), weights], axis=1)
    row_series = torch.from_numpy(np.tile(series, (n_views, 1)).astype(np.float32) / n_views).to(device)
    if anchors is not None:
        row_series = torch.cat([row_series, torch.ones(len(anchors[1]), n_folds + 1, device=device)])
    total_variance = float(rotated.eigenvalues.sum())
    grid = total_variance * strongest * 10.0 ** (-np.arange(n_penalties + _MOST_EXTRA_LEVELS) / _STEPS_PER_DECADE)
    penalties = torch.from_numpy(np.repeat(grid[:, None], n_folds + 1, axis=1).astype(np.float32)).to(device)

    own_fold = torch.from_numpy(folds).to(device)[:, None, None].expand(-1, n_classes, 1)
    points: list[PathPoint] = []
    logits_of: list[NDArray[np.float32]] = []
    losses_of: list[NDArray[np.float64]] = []
    right_of: list[NDArray[np.float64]] = []
    finals: list[tuple[Tensor, Tensor]] = []
    for level in solve_path(
        rotated, link, row_weights=row_series, penalties=penalties, tolerance=path_tolerance, is_bf16=is_bf16
    ):
        held_out = level.logits[:n].gather(2, own_fold)[:, :, 0].cpu().numpy()
        losses, is_right = _losses(held_out, targets)
        points.append(
            PathPoint(
                scaling=scaling.name,
                penalty=float(level.penalties[0]),
                log_loss=float(np.average(losses, weights=weights)),
                standard_error=float(losses.std(ddof=1) / np.sqrt(n)),
                accuracy=float(np.average(is_right, weights=weights)),
                n_not_converged=int((~level.is_converged).sum()),
            )
        )
        logits_of.append(held_out)
        losses_of.append(losses)
        right_of.append(is_right)
        finals.append((level.weights[:, :, -1], level.bias[:, -1]))
        best = int(np.argmin([point.log_loss for point in points]))
        if best <= len(points) - 1 - _RISES_TO_STOP or (len(points) >= n_penalties and best < len(points) - 1):
            break
    chosen = _one_standard_error(losses_of, best)
    if n_open := sum(point.n_not_converged for point in points):
        worst = max(points, key=lambda point: point.n_not_converged)
        say(
            f"{n_open} of {len(points) * (n_folds + 1)} fits ({scaling.name}) stopped above a relative gradient of"
            f" {path_tolerance:g}, most at penalty {worst.penalty:.2g}"
        )
    weights_start, bias_start = finals[chosen]
    polished = next(
        solve_path(
            rotated,
            link,
            row_weights=row_series[:, -1:],
            penalties=penalties[chosen : chosen + 1, -1:],
            tolerance=tolerance,
            is_bf16=is_bf16,
            start_at=(weights_start[:, :, None], bias_start[:, None]),
        )
    )
    if not bool(polished.is_converged.all()):
        say(
            f"the final fit ({scaling.name}) stopped at a relative gradient of"
            f" {float(polished.relative_gradient[0]):.1e}, above {tolerance:g}"
        )
    final, final_bias = rotated.weights_in_feature_space(polished.weights[:, :, 0], polished.bias[:, 0])
    unscaled, unscaled_bias = scaling.unscale(final.cpu().numpy(), final_bias.cpu().numpy())
    return CrossValidation(
        points=tuple(points),
        chosen=chosen,
        out_of_fold_logits=logits_of[chosen],
        losses=losses_of[chosen],
        weights=unscaled,
        bias=unscaled_bias,
        losses_of_all=np.stack(losses_of, axis=1).astype(np.float32),
        is_right_of_all=np.stack(right_of, axis=1).astype(np.float32),
    )


def _link(targets: NDArray[np.integer[Any]], n_classes: int, device: torch.device) -> Link:
    if targets.ndim == 2:
        return SigmoidLink(torch.from_numpy(targets).to(device))
    return SoftmaxLink(torch.from_numpy(targets).to(device), n_classes)


def _losses(
    logits: NDArray[np.float32], targets: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each example's loss and whether it is right: (n_examples,) both."""
    z = logits.astype(np.float64)
    if targets.ndim == 2:
        losses = np.logaddexp(0, np.where(targets == 1, -z, z)).sum(1)
        return losses, ((z > 0) == (targets == 1)).mean(1)
    top = z.max(axis=1, keepdims=True)
    log_total = (top + np.log(np.exp(z - top).sum(axis=1, keepdims=True)))[:, 0]
    return log_total - z[np.arange(len(z)), targets], (z.argmax(1) == targets).astype(np.float64)


def _one_standard_error(losses: Sequence[NDArray[np.float64]], best: int) -> int:
    """Return the strongest penalty whose paired loss difference to the best is within one standard error."""
    for i in range(best):
        difference = losses[i] - losses[best]
        if difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference)):
            return i
    return best
