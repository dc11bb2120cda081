"""Accuracy over training sizes, of the head on cached features: all subsets are row weights of one batched solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.core.errors import DataError
from graft.core.seeds import generator
from graft.data.splitting import stratified_folds
from graft.methods.head_only import HeadFit
from graft.solver.links import SigmoidLink, SoftmaxLink
from graft.solver.path import solve_path
from graft.solver.rotation import rotate
from graft.solver.scaling import fit_scaling

__all__ = ["ResampledAccuracy", "accuracy_over_sizes", "curve_sizes"]

_FEWEST_A_CLASS = 2
_TIMES_OF_PENALTY = 10.0 ** np.arange(2.0, -1.01, -0.5)  # of the full fit's, scaled to the subset's size
_PATH_TOLERANCE = 3e-3
_MOST_ROWS = 4_000
_MOST_CELLS = 60_000_000  # of the logits of all series that are held at once


@dataclass(frozen=True)
class ResampledAccuracy:
    """What heads fitted on subsets say of examples that were held out.

    Parameters
    ----------
    sizes : (n_sizes,), training examples of the subsets.
    accuracy, log_loss : (n_sizes, n_draws), on the held-out examples of the draw; at each size of the penalty that had
        the least log-loss in the mean over the draws. Of sets of labels the share that was given exactly its own, at
        probabilities of one half, and the sum over labels.
    penalties : (n_sizes,), the chosen ones.
    n_rows : examples that the curve was made of.
    is_shared : whether all draws have the same held-out examples.
    """

    sizes: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    log_loss: NDArray[np.float64]
    penalties: NDArray[np.float64]
    n_rows: int
    is_shared: bool


def curve_sizes(n: int, n_classes: int, *, n_sizes: int = 6) -> NDArray[np.int64]:
    """Return training sizes up to `n` in equal ratios, from about two examples a class or a tenth of `n`.

    Raises
    ------
    DataError
        When `n` is too small for five different sizes.

    Examples
    --------
    >>> curve_sizes(800, 5)
    array([ 80, 127, 201, 318, 505, 800])
    """
    smallest = max(_FEWEST_A_CLASS * n_classes, n // 10, 8)
    sizes = np.unique(np.round(np.geomspace(smallest, n, n_sizes)).astype(np.int64)) if smallest < n else np.array([n])
    if len(sizes) < 5 or n < 2 * smallest:
        raise DataError(
            f"{n} examples of {n_classes} classes for a learning curve",
            expected=f"at least {2 * smallest + n_sizes}, so that subsets hold {_FEWEST_A_CLASS} a class",
        )
    return sizes


def accuracy_over_sizes(
    features: NDArray[np.float32],
    targets: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    head: HeadFit,
    groups: NDArray[np.int64] | None = None,
    held_out: tuple[NDArray[np.float32], NDArray[np.integer[Any]]] | None = None,
    n_draws: int = 10,
    seed: int = 0,
    device: torch.device | None = None,
    is_bf16: bool = False,
) -> ResampledAccuracy:
    """Return accuracy and log-loss by training size and draw.

    Parameters
    ----------
    features : (n_examples, n_features), plain views of the training examples.
    targets : (n_examples,), their classes, or (n_examples, n_labels), 1 where the example has the label.
    head : the fit to all of them; its scaling and penalty are taken over.
    groups : (n_examples,), examples that must share a fold; None: no groups. Where they are fewer than the draws, there
        are as many draws as groups.
    held_out : features and targets of other examples to judge by; None: each draw holds a part of the training
        examples out, with ten draws a tenth, all of them once, and its subsets come from the rest.
    n_draws : draws; without `held_out` as many folds.
    seed : of folds and subsets.

    Raises
    ------
    DataError
        When there are too few examples for five sizes.

    Notes
    -----
    Subsets of one draw are nested, so that sizes differ by size alone, and hold the classes in proportion (sets of
    labels are drawn at random). With mean losses a penalty of the same meaning grows as the examples get fewer, by n
    over the subset's size; half-decades from a hundred times to a tenth of that are walked for all subsets at once.
    Above 4,000 examples a part of them is used.
    """
    device = device or torch.device("cpu")
    rng = generator(seed, "learning curve", len(targets))
    if len(targets) > _MOST_ROWS:
        kept = np.sort(rng.permutation(len(targets))[:_MOST_ROWS])
        features, targets, groups = features[kept], targets[kept], None if groups is None else groups[kept]
    n = len(targets)
    if held_out is None:
        if groups is not None:
            n_draws = max(2, min(n_draws, len(np.unique(groups))))
        curve_sizes(n - -(-n // n_draws), n_classes)
        folds = stratified_folds(targets, groups=groups, n_folds=n_draws, seed=seed)
        pools = [np.flatnonzero(folds != k) for k in range(int(folds.max()) + 1)]
        judged = [np.flatnonzero(folds == k) for k in range(len(pools))]
        rows, labels = features, targets
    else:
        pools = [np.arange(n)] * n_draws
        rows, labels = np.concatenate([features, held_out[0]]), np.concatenate([targets, held_out[1]])
        judged = [np.arange(n, len(labels))] * n_draws
    sizes = curve_sizes(min(map(len, pools)), n_classes)
    scaling = fit_scaling(head.scaling, features)
    rotated = rotate(torch.from_numpy(scaling.apply(rows)).to(device))
    wanted = torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)
    link = SigmoidLink(wanted) if labels.ndim == 2 else SoftmaxLink(wanted, n_classes)
    orders = [_in_proportion(targets, pool, rng) for pool in pools]
    scale = head.penalty * n / sizes
    right = np.empty((len(_TIMES_OF_PENALTY), len(sizes), len(pools)))
    loss = np.empty_like(right)
    at_once = max(1, _MOST_CELLS // (len(labels) * n_classes * len(sizes)))
    for first in range(0, len(pools), at_once):
        draws = range(first, min(first + at_once, len(pools)))
        weight = np.zeros((len(labels), len(sizes), len(draws)), np.float32)
        for j, draw in enumerate(draws):
            for i, size in enumerate(sizes):
                weight[orders[draw][:size], i, j] = 1.0
        penalties = np.repeat((_TIMES_OF_PENALTY[:, None] * scale)[:, :, None], len(draws), axis=2)
        levels = solve_path(
            rotated,
            link,
            row_weights=torch.from_numpy(weight.reshape(len(labels), -1)).to(device),
            penalties=torch.from_numpy(penalties.reshape(len(penalties), -1).astype(np.float32)).to(device),
            tolerance=_PATH_TOLERANCE,
            is_bf16=is_bf16,
        )
        for k, level in enumerate(levels):
            for j, draw in enumerate(draws):
                own = level.logits.view(len(labels), n_classes, len(sizes), len(draws))[judged[draw], :, :, j]
                right[k, :, draw], loss[k, :, draw] = _figures(own, labels[judged[draw]])
    best = loss.mean(axis=2).argmin(axis=0)
    places = np.arange(len(sizes))
    return ResampledAccuracy(
        sizes=sizes,
        accuracy=right[best, places],
        log_loss=loss[best, places],
        penalties=_TIMES_OF_PENALTY[best] * scale,
        n_rows=n,
        is_shared=held_out is not None,
    )


def _in_proportion(
    targets: NDArray[np.integer[Any]], pool: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return `pool` in a random order in which every beginning holds the classes in proportion; sets as they come."""
    shuffled = pool[rng.permutation(len(pool))]
    if targets.ndim == 2:
        return np.asarray(shuffled)
    classes = targets[shuffled]
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=int(classes.max()) + 1)
    position = np.concatenate([(np.arange(c) + rng.random()) / c for c in counts if c])
    return np.asarray(shuffled[order][np.argsort(position, kind="stable")])


def _figures(
    logits: torch.Tensor, targets: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return accuracy and log-loss of logits (n_held_out, n_classes, n_sizes), by size."""
    wanted = torch.from_numpy(np.array(targets, dtype=np.int64)).to(logits.device)
    if wanted.ndim == 2:
        has = wanted[:, :, None]
        loss = torch.nn.functional.softplus(logits.double() * (1 - 2 * has)).sum(dim=1).mean(dim=0)
        exact = ((logits > 0) == (has == 1)).all(dim=1).double().mean(dim=0)
        return exact.cpu().numpy(), loss.cpu().numpy()
    log_p = torch.log_softmax(logits.double(), dim=1)
    own = wanted[:, None, None].expand(-1, 1, logits.shape[2])
    right = (logits.argmax(dim=1) == wanted[:, None]).double().mean(dim=0)
    return right.cpu().numpy(), (-log_p.gather(1, own)[:, 0].mean(dim=0)).cpu().numpy()
