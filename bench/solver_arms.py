"""The problems and the arms of solver.py: Graft's batched solver, and scikit-learn in several settings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure import shared

N_FOLDS, N_PENALTIES, N_CLASSES, N_FEATURES = 5, 12, 10, 2048
CS = np.logspace(-4, 4, N_PENALTIES)
BASELINE = "sklearn"
RIVALS = {
    BASELINE: {"max_iter": 100, "tol": 1e-4},
    "sklearn, pages kept": {"max_iter": 100, "tol": 1e-4, "keep_pages": True},
    "sklearn, one BLAS thread": {"max_iter": 100, "tol": 1e-4},
    "sklearn, n_jobs=2": {"max_iter": 100, "tol": 1e-4, "n_jobs": 2},
    "sklearn, float32 by hand": {"max_iter": 100, "tol": 1e-4, "by_hand": True},
    "sklearn, tight": {"max_iter": 1000, "tol": 1e-6},
}
Solutions = tuple[NDArray[np.float64], NDArray[np.float64]]  # (folds, penalties, classes, features), (..., classes)


def synthetic(n: int, *, d: int = N_FEATURES, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return standardised features (n, d) and classes (n,), as the module's docstring says."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    rng.shuffle(labels)
    means = rng.normal(size=(N_CLASSES, d)) * np.linspace(0.35, 0.15, d)
    latent = (rng.normal(size=(n, d)) + means[labels]) / np.sqrt(np.arange(1, d + 1))
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return _standardised(latent @ rotation), labels


def real(n: int, work: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return standardised MobileNetV2 features (n, 1280) of CIFAR-10 pictures and their classes (n,)."""
    from graft.backbones.cache import FeatureCache
    from graft.backbones.extraction import Extractor
    from graft.backbones.loading import load_image_model
    from graft.core.devices import choose_device, choose_precision
    from graft.data.readers import read_splits

    train = read_splits(shared() / "data" / "cifar10").train
    order = np.random.default_rng(0).permutation(len(train))
    by_class = [order[train.labels[order] == c][: n // N_CLASSES] for c in range(N_CLASSES)]
    part = train.select(np.sort(np.concatenate(by_class)))
    model = load_image_model(str(shared() / "models" / "mobilenet_v2_1.0_224"), label_names=train.label_names)
    device = choose_device()
    cache = FeatureCache(work / "cache")
    extractor = Extractor(model.source(), cache, device=device, precision=choose_precision(device))
    return _standardised(extractor.run(part, n_examples=n).matrix), np.array(part.labels)


def _standardised(features: NDArray[Any]) -> NDArray[np.float32]:
    deviation = features.std(axis=0)
    return np.asarray((features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1), dtype=np.float32)


def solve_ours(
    features: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[float, Solutions, dict[str, Any]]:
    """Return seconds, solutions and facts of Graft's solver, set as `graft fit` sets it."""
    from graft.core.process import prepare_process

    prepare_process()
    import torch

    from graft.core.devices import choose_device, choose_precision
    from graft.solver.links import SoftmaxLink
    from graft.solver.path import solve_path
    from graft.solver.rotation import rotate

    device = torch.device("cpu")
    is_bf16 = choose_precision(choose_device("cpu")).name == "bf16"
    torch.set_flush_denormal(True)
    rng = np.random.default_rng(0)

    def solve(x: NDArray[np.float32], y: NDArray[np.int64], fold: NDArray[np.int64]) -> tuple[Any, Any, dict[str, Any]]:
        rotated = rotate(torch.from_numpy(x).to(device))
        link = SoftmaxLink(torch.from_numpy(y), N_CLASSES)
        series = np.stack([*((fold != k).astype(np.float32) for k in range(N_FOLDS)), np.ones(len(y), np.float32)], 1)
        penalties = (1 / (CS[:, None] * series.sum(axis=0)[None])).astype(np.float32)
        levels = solve_path(
            rotated, link, row_weights=torch.from_numpy(series), penalties=torch.from_numpy(penalties), is_bf16=is_bf16
        )
        found, biases, n_open, n_products = [], [], 0, 0
        for level in levels:
            weights, bias = rotated.weights_in_feature_space(level.weights.permute(2, 0, 1), level.bias.T)
            found.append(weights.numpy())
            biases.append(bias.numpy())
            n_open += int((~level.is_converged).sum())
            n_products += level.n_products
        facts = {"n_not_converged": n_open, "n_products": n_products, "precision": "bf16" if is_bf16 else "fp32"}
        return np.stack(found, 1), np.stack(biases, 1), facts

    # what is loaded and set up at the first call of any size is not the solver's
    solve(rng.normal(size=(60, 80)).astype(np.float32), np.arange(60) % N_CLASSES, np.arange(60) // 12)
    started = time.perf_counter()
    weights, bias, facts = solve(features, labels, folds)
    return time.perf_counter() - started, (weights[:N_FOLDS].astype(float), bias[:N_FOLDS].astype(float)), facts


def solve_rival(
    features: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64], settings: dict[str, Any]
) -> tuple[float, Solutions, dict[str, Any]]:
    """Return seconds, solutions and facts of scikit-learn."""
    import warnings

    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    if settings.pop("keep_pages", False):
        from graft.core.memory import keep_freed_pages

        keep_freed_pages()
    warnings.simplefilter("ignore")  # that lbfgs did not converge shows in the gradients
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(N_FOLDS)]
    if settings.pop("by_hand", False):

        def by_hand(x: NDArray[np.float32], y: NDArray[np.int64]) -> list[Any]:
            found = []
            for train, held_out in splits:
                model = LogisticRegression(warm_start=True, **settings)
                part, held_out_part = x[train], x[held_out]
                for c in CS:
                    model.set_params(C=c).fit(part, y[train])
                    model.score(held_out_part, y[held_out])
                    found.append(np.column_stack([model.coef_, model.intercept_]))
            LogisticRegression(C=CS[N_PENALTIES // 2], **settings).fit(x, y)
            return found

        LogisticRegression().fit(features[:100, :50], labels[:100])
        started = time.perf_counter()
        path = np.stack(by_hand(features, labels)).reshape(N_FOLDS, N_PENALTIES, N_CLASSES, -1).astype(float)
        return time.perf_counter() - started, (path[..., :-1], path[..., -1]), {}
    wide = features.astype(np.float64)  # what it computes in: the conversion is not counted against it
    LogisticRegression().fit(wide[:100, :50], labels[:100])
    fixed = {"Cs": N_PENALTIES, "cv": splits, "scoring": "neg_log_loss", "use_legacy_attributes": False}
    model = LogisticRegressionCV(**fixed, **settings)
    started = time.perf_counter()
    model.fit(wide, labels)
    seconds = time.perf_counter() - started
    path = np.asarray(model.coefs_paths_).reshape(N_FOLDS, N_PENALTIES, N_CLASSES, -1)
    n_at_limit = int((np.asarray(model.n_iter_) >= settings["max_iter"]).sum())
    return seconds, (path[..., :-1], path[..., -1]), {"n_at_max_iter": n_at_limit}
