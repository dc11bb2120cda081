"""60 penalised regressions, 5 folds x 12 penalties: Graft's batched solver beside scikit-learn's LogisticRegressionCV.

Both get the same matrix, folds and penalties (``Cs=12``: 10^-4 to 10^4). Every run is a process of its own, fresh each
time; only the fit is timed, from the NumPy matrix to the coefficients of every fold and penalty in feature space.
scikit-learn fits once more to all rows at its best penalty, Graft to all rows at each of the 12. The objective of each
of the 60 problems is computed afterwards by one function in float64 for all: mean cross-entropy of the fold's training
rows + 1 / (2 C n) * |W|^2, bias free.

Synthetic features, d = 2,048, 10 classes: Gaussian latent columns whose variance falls as 1/j, class means that spread
by 0.35 (first column) to 0.15 (last) of a column's standard deviation, turned by a random rotation so that every
feature is a mixture, then each feature standardised.
``--real`` adds the MobileNetV2 features of CIFAR-10 (d = 1,280, standardised).

Baseline: LogisticRegressionCV as it comes (lbfgs, max_iter=100, tol=1e-4, n_jobs=None). For information, once each:
the same with pages kept, with one thread a product, with n_jobs=2, converged further (max_iter=1000, tol=1e-6), and a
loop by hand over LogisticRegression in float32 with warm starts, which LogisticRegressionCV (float64 always) does not
offer.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure import BENCH, Bar, environment, finish, interleave, median, options, ratio, run, table
from measure import temporary_folder as temporary
from solver_arms import (
    BASELINE,
    CS,
    N_CLASSES,
    N_FEATURES,
    N_FOLDS,
    N_PENALTIES,
    RIVALS,
    Solutions,
    real,
    solve_ours,
    solve_rival,
    synthetic,
)

FEATURES = "features"
COLUMNS = {
    "median_s": "median s",
    "times_graft": "x graft",
    "worst_excess_of_graft": "worst excess of graft",
    "median_relative_gradient": "gradient, median",
    "worst_relative_gradient": "worst",
    "best_held_out_accuracy": "best held-out",
}


def real_elsewhere(n: int, work: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return what `real` gives, from a process of its own: after an OpenVINO pass, starting one can crash."""
    out = work / "real.npz"
    run([sys.executable, BENCH / "solver.py", "--arm", FEATURES, "--examples", n, "--out", out], env=environment())
    with np.load(out) as found:
        return found["features"], found["labels"]


def judge(
    features: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64], solutions: Solutions
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return objectives, relative gradient norms, and held-out accuracies, each (folds, penalties), in float64."""
    shape = (N_FOLDS, N_PENALTIES)
    objectives, gradients, accuracies = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    wide = features.astype(np.float64)
    for fold in range(N_FOLDS):
        rows = folds != fold
        x, y, held_out, held_out_y = wide[rows], labels[rows], wide[~rows], labels[~rows]
        one_hot = np.eye(N_CLASSES)[y]
        shares = one_hot.mean(axis=0)
        null = np.linalg.norm((np.broadcast_to(shares, one_hot.shape) - one_hot).T @ x / len(y))
        for i, c in enumerate(CS):
            weights, bias = solutions[0][fold, i], solutions[1][fold, i]
            penalty = 1 / (c * len(y))
            z = x @ weights.T + bias
            z -= z.max(axis=1, keepdims=True)
            log_total = np.log(np.exp(z).sum(axis=1, keepdims=True))
            objectives[fold, i] = (log_total[:, 0] - z[np.arange(len(y)), y]).mean() + penalty / 2 * (weights**2).sum()
            residual = (np.exp(z - log_total) - one_hot) / len(y)
            by_weights, by_bias = residual.T @ x + penalty * weights, residual.sum(axis=0)
            gradients[fold, i] = np.sqrt((by_weights**2).sum() + (by_bias**2).sum()) / null
            accuracies[fold, i] = ((held_out @ weights.T + bias).argmax(axis=1) == held_out_y).mean()
    return objectives, gradients, accuracies


def measure_problem(
    name: str, features: NDArray[np.float32], labels: NDArray[np.int64], args: argparse.Namespace, work: Path
) -> dict[str, Any]:
    """Measure all arms on one matrix; print their table; return the figures."""
    n, d = features.shape
    folds = np.zeros(n, np.int64)
    for c in range(N_CLASSES):
        rows = np.flatnonzero(labels == c)
        folds[rows] = np.arange(len(rows)) % N_FOLDS
    problem = work / "problem.npz"
    np.savez(problem, features=features, labels=labels, folds=folds)
    solutions: dict[str, Solutions] = {}
    facts: dict[str, Any] = {}

    def arm(which: str) -> float:
        out = work / "out.npz"
        words = ["--arm", which, "--problem", problem, "--out", out]
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} if "one BLAS thread" in which else {}
        run([sys.executable, BENCH / "solver.py", *words], env=environment(**threads))
        with np.load(out) as found:
            solutions[which] = (found["weights"], found["bias"])
            told = json.loads(str(found["facts"]))
        facts[which] = told["facts"]
        return float(told["seconds"])

    print(f"\n{name}: n = {n:,}, d = {d:,}, {N_CLASSES} classes, {N_FOLDS} folds x {N_PENALTIES} penalties")
    seconds = interleave({"graft": lambda _: arm("graft"), BASELINE: lambda _: arm(BASELINE)}, args.rounds)
    seconds["graft"] += [arm("graft") for _ in range(args.more)]
    for rival in () if args.quick else list(RIVALS)[1:]:
        if rival != "sklearn, tight" or args.tight:
            seconds |= interleave({rival: lambda _, rival=rival: arm(rival)}, 1)  # type: ignore[misc]
    judged = {arm: judge(features, labels, folds, found) for arm, found in solutions.items()}
    ours = judged["graft"][0]
    lines: list[list[Any]] = []
    arms: dict[str, Any] = {}
    for which, values in seconds.items():
        objectives, gradients, accuracies = judged[which]
        excess = float(((ours - objectives) / objectives).max())
        arms[which] = {
            "seconds": values,
            "median_s": median(values),
            "times_graft": median(values) / median(seconds["graft"]),
            "worst_excess_of_graft": None if which == "graft" else excess,
            "median_relative_gradient": float(np.median(gradients)),
            "worst_relative_gradient": float(gradients.max()),
            "best_held_out_accuracy": float(accuracies.mean(axis=0).max()),
            **facts[which],
        }
        lines.append([which, len(values), *(arms[which][key] for key in COLUMNS)])
    table(["arm", "runs", *COLUMNS.values()], lines)
    print(f"  graft: {facts['graft']}; {BASELINE}: {facts[BASELINE]}")
    return {
        "n": n,
        "d": d,
        "arms": arms,
        "speed_up": ratio(seconds[BASELINE], seconds["graft"]),
        "worst_excess": arms[BASELINE]["worst_excess_of_graft"],
        "excess": ((ours - judged[BASELINE][0]) / judged[BASELINE][0]).max(axis=0).tolist(),
    }


def main() -> None:
    parser = options("Graft's batched solver beside scikit-learn's LogisticRegressionCV.")
    parser.add_argument("--n", type=int, nargs="+", default=[500, 5000], help="examples")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved runs of graft and scikit-learn")
    parser.add_argument("--more", type=int, default=2, help="further runs of graft alone")
    parser.add_argument("--real", action="store_true", help="also MobileNetV2 features of CIFAR-10")
    parser.add_argument("--tight", action="store_true", help="also scikit-learn with max_iter=1000, tol=1e-6")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--examples", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--problem", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm == FEATURES:
        features, labels = real(args.examples, args.out.parent)
        np.savez(args.out, features=features, labels=labels)
        return
    if args.arm:
        with np.load(args.problem) as found:
            problem = found["features"], found["labels"], found["folds"]
        solved = solve_ours(*problem) if args.arm == "graft" else solve_rival(*problem, dict(RIVALS[args.arm]))
        seconds, (weights, bias), facts = solved
        np.savez(args.out, weights=weights, bias=bias, facts=json.dumps({"seconds": seconds, "facts": facts}))
        return
    sizes, width = (args.n, N_FEATURES) if not args.quick else ([200], 256)
    if args.quick:
        args.rounds, args.more = 1, 0
    results: dict[str, Any] = {}
    bars = []
    with temporary() as work:
        for n in sizes:
            for kind in ("synthetic", *(["MobileNetV2 on CIFAR-10"] if args.real else [])):
                features, labels = synthetic(n, d=width) if kind == "synthetic" else real_elsewhere(n, work)
                found = measure_problem(kind, features, labels, args, work)
                name = f"{kind}, n = {n:,}"
                results[name] = found
                least = 10 if n <= 500 else 5
                is_bar = kind == "synthetic"
                bars.append(Bar(f"times faster ({name})", found["speed_up"], least if is_bar else None, aim=10))
                most = 1e-4 if is_bar else None
                bars.append(Bar(f"worst excess ({name})", found["worst_excess"], most, is_floor=False))
    finish("solver", args, results, bars)


if __name__ == "__main__":
    main()
