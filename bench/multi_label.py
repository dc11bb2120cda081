"""Thresholds of labels and their temperature: what each way of choosing them is worth on examples that nobody has seen.

Six problems, drawn anew many times: three where a logistic model is right (made), the digits of scikit-learn with nine
sets of them as labels, the same through six random projections (little signal), and an even function of heavy-tailed
features (a linear model is wrong). All ways get the same out-of-fold logits of the same cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.datasets import load_digits

from graft.data.splitting import stratified_folds
from graft.evaluation.multi_label_calibration import choose_thresholds, fit_prior_temperature, prior_log_odds, tempered
from graft.solver.cross_validation import cross_validate
from graft.solver.scaling import fit_scaling
from measure import Bar, finish, options, table

Array = NDArray[np.float64]
Sets = NDArray[np.uint8]
Drawn = tuple[NDArray[np.float32], Sets]
N_FRESH = 5_000
TRUST = (0.0, 5.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e12)


def made(n: int, n_labels: int, d: int, *, signal: float, rarest: float) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        weights = 3 * signal * rng.normal(size=(d, n_labels)) / np.sqrt(d)
        x = rng.normal(size=(n + N_FRESH, d))
        score = x @ weights + rng.logistic(size=(len(x), n_labels))
        return x.astype(np.float32), _above(score, np.exp(rng.uniform(np.log(rarest), np.log(0.4), n_labels)))

    return draw


def digits(*, through: int | None) -> Callable[[np.random.Generator], Drawn]:
    pixels, digit = load_digits(return_X_y=True)
    members = ([0, 2, 4, 6, 8], [2, 3, 5, 7], [7, 8, 9], [0, 6, 8, 9], [0, 3, 6, 9], [1, 7], [8], [3], [9])

    def draw(rng: np.random.Generator) -> Drawn:
        order = rng.permutation(len(digit))
        y = np.stack([np.isin(digit[order], m) for m in members], axis=1)
        x = pixels[order] / 16
        if through is not None:
            return (x @ rng.normal(size=(64, through))).astype(np.float32), y.astype(np.uint8)
        return x.astype(np.float32), (y ^ (rng.random(y.shape) < 0.03)).astype(np.uint8)

    return draw


def even_function(n: int) -> Callable[[np.random.Generator], Drawn]:
    def draw(rng: np.random.Generator) -> Drawn:
        x = rng.standard_t(4, size=(n + N_FRESH, 30))
        score = np.abs(x @ rng.normal(size=(30, 60)) / np.sqrt(30)) @ rng.normal(size=(60, 20))
        score = 3 * score / score.std(axis=0) + rng.logistic(size=score.shape)
        both = np.concatenate([x, np.abs(x)], axis=1).astype(np.float32)
        return both, _above(score, np.exp(rng.uniform(np.log(0.02), np.log(0.4), 20)))

    return draw


def _above(score: Array, share: Array) -> Sets:
    return np.stack([s > np.quantile(s, 1 - q) for s, q in zip(score.T, share, strict=True)], axis=1).astype(np.uint8)


PROBLEMS = {
    "made, n 100": (100, made(100, 10, 20, signal=1, rarest=0.05)),
    "made, n 300": (300, made(300, 20, 40, signal=1, rarest=0.02)),
    "made, n 1000": (1000, made(1000, 20, 40, signal=0.7, rarest=0.01)),
    "digits, n 80": (80, digits(through=None)),
    "digits, n 400": (400, digits(through=None)),
    "digits / 6, n 100": (100, digits(through=6)),
    "digits / 6, n 800": (800, digits(through=6)),
    "even, n 150": (150, even_function(150)),
    "even, n 1000": (1000, even_function(1000)),
}


def f1(p: Array, y: Sets, thresholds: Array | float) -> float:
    said = p >= thresholds
    return float(np.mean(2 * (said & (y == 1)).sum(0) / np.maximum(said.sum(0) + y.sum(0), 1)))


def loss(z: Array, y: Sets) -> float:
    return float(np.logaddexp(0, np.where(y == 1, -z, z)).mean())


def one(n: int, drawn: Drawn) -> dict[str, float]:
    """Return log-losses and macro-F1 of all ways on one draw."""
    (x, y), fresh_x = drawn, drawn[0][n:]
    kept = (y[:n].sum(0) >= 2) & (y[n:].sum(0) >= 10)
    x, fresh_y, y = x[:n], y[n:, kept], y[:n, kept]
    folds = stratified_folds(y, n_folds=5, seed=0)
    found = cross_validate(x, y, n_classes=y.shape[1], folds=folds, scaling=fit_scaling("none", x))
    z, fresh_z = found.out_of_fold_logits.astype(float), (fresh_x @ found.weights.T + found.bias).astype(float)
    centre = prior_log_odds(y)
    t = fit_prior_temperature(z, y, centre=centre)
    plain = float(np.exp(minimize_scalar(lambda v: loss(z / np.exp(v), y), bounds=(-3, 3), method="bounded").x))
    p = expit(tempered(z, t, centre=centre).astype(float))
    fresh = tempered(fresh_z, t, centre=centre).astype(float)
    said = expit(fresh)
    grid = np.quantile(p, np.linspace(0, 1, 400))
    common = grid[int(np.argmax([f1(p, y, c) for c in grid]))]
    result = {
        "loss as it is": loss(fresh_z, fresh_y),
        "loss, T to one half": loss(fresh_z / plain, fresh_y),
        "loss, T to the shares": loss(fresh, fresh_y),
        "F1 at 0.5": f1(said, fresh_y, 0.5),
        "F1 common": f1(said, fresh_y, common),
    }
    own, w = choose_thresholds(p, y, n_trusted=0), y.sum(0) / (y.sum(0) + 20)
    mixed = expit(w * logit(np.clip(own, 1e-9, 1 - 1e-9)) + (1 - w) * logit(common))
    result["F1 shrunk to common"] = f1(said, fresh_y, mixed)
    for trust in TRUST:
        result[f"F1 trust {trust:g}"] = f1(said, fresh_y, choose_thresholds(p, y, n_trusted=trust))
    result["F1 oracle"] = f1(said, fresh_y, choose_thresholds(said, fresh_y, n_trusted=0))
    return result


def main() -> None:
    arguments = options(str(__doc__).splitlines()[0]).parse_args()
    n_draws = 2 if arguments.quick else 20
    figures: dict[str, dict[str, float]] = {}
    for name, (n, draw) in PROBLEMS.items():
        rows = [one(n, draw(np.random.default_rng(seed))) for seed in range(n_draws)]
        figures[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    keys = list(next(iter(figures.values())))
    lines = [[key, *(f"{figures[name][key]:.4f}" for name in figures)] for key in keys]
    table(["", *figures], lines)
    regret = {k: np.mean([f["F1 oracle"] - f[k] for f in figures.values()]) for k in keys if k.startswith("F1")}
    for key, value in sorted(regret.items(), key=lambda item: item[1]):
        print(f"mean regret of {key}: {100 * value:.2f} points")
    rival = min(v for k, v in regret.items() if k in ("F1 at 0.5", "F1 common", "F1 trust 0", "F1 shrunk to common"))
    bar = Bar(
        "regret of Graft's thresholds over the best usual way's", regret["F1 trust 100"] / rival, 0.9, is_floor=False
    )
    finish("multi_label", arguments, {"problems": figures, "n_draws": n_draws}, [bar])


if __name__ == "__main__":
    main()
