"""The choice of the penalty, the out-of-fold logits behind it, and the fit that it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from problems import Problem, log_probabilities, make_problem, relative_gradient, scikit_learn_fit, solve

from graft.data.splitting import stratified_folds
from graft.solver.cross_validation import CrossValidation, cross_validate
from graft.solver.scaling import fit_scaling


def run(problem: Problem, *, scaling: str = "none", n_folds: int = 4, **options: Any) -> CrossValidation:
    folds = stratified_folds(problem.targets, n_folds=n_folds, seed=0)
    return cross_validate(
        problem.features,
        problem.targets,
        n_classes=problem.n_classes,
        folds=folds,
        scaling=fit_scaling(scaling, problem.features),
        **options,
    )


def log_losses(logits: NDArray[Any], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    return -log_probabilities(logits.astype(np.float64))[np.arange(len(targets)), targets]


def test_out_of_fold_logits_are_those_of_scikit_learn_without_the_fold() -> None:
    problem = make_problem(80, 10, 3)
    folds = stratified_folds(problem.targets, n_folds=4, seed=0)
    found = run(problem, path_tolerance=1e-5)
    expected = np.empty((80, 3))
    for k in range(4):
        rest = Problem(problem.features[folds != k], problem.targets[folds != k], 3)
        weights, bias = scikit_learn_fit(rest, np.ones(len(rest.targets)), found.best.penalty)
        expected[folds == k] = problem.features[folds == k].astype(np.float64) @ weights.T + bias
    np.testing.assert_allclose(
        log_probabilities(found.out_of_fold_logits.astype(np.float64)), log_probabilities(expected), atol=5e-3
    )
    losses = log_losses(found.out_of_fold_logits, problem.targets)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5, atol=1e-7)
    assert found.best.log_loss == pytest.approx(losses.mean(), rel=1e-6)
    assert found.best.standard_error == pytest.approx(losses.std(ddof=1) / np.sqrt(80), rel=1e-6)
    assert found.best.accuracy == (found.out_of_fold_logits.argmax(1) == problem.targets).mean()


@pytest.mark.parametrize("scaling", ["none", "z-score"])
def test_the_final_weights_act_on_plain_features(scaling: str) -> None:
    problem = make_problem(90, 12, 3)
    found = run(problem, scaling=scaling)
    fitted = fit_scaling(scaling, problem.features)
    scaled = Problem(fitted.apply(problem.features), problem.targets, 3)
    weights = found.weights.astype(np.float64) * fitted.divisor
    assert relative_gradient(scaled, np.ones(90), found.best.penalty, weights, found.bias.astype(np.float64)) <= 2e-5
    plain = problem.features @ found.weights.T + found.bias
    np.testing.assert_allclose(plain, scaled.features @ weights.T.astype(np.float32) + found.bias, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_the_strongest_penalty_within_one_paired_standard_error_is_chosen(seed: int) -> None:
    problem = make_problem(60, 15, 3, noise=6, seed=seed)
    folds = stratified_folds(problem.targets, n_folds=4, seed=0)
    found = run(problem)
    # the same fits by the solver alone, which test_path.py holds against scikit-learn
    series = np.stack([folds != k for k in range(4)], axis=1).astype(float)
    penalties = np.array([[point.penalty] * 4 for point in found.points])
    losses = []
    for point, level in zip(found.points, solve(problem, series, penalties)[1], strict=True):
        losses.append(log_losses(level.logits.numpy()[np.arange(60), :, folds], problem.targets))
        assert losses[-1].mean() == pytest.approx(point.log_loss, rel=2e-3)
    best = int(np.argmin([x.mean() for x in losses]))

    def is_within(i: int) -> bool:
        difference = losses[i] - losses[best]
        return bool(difference.mean() <= difference.std(ddof=1) / np.sqrt(60))

    assert found.chosen == next(i for i in range(best + 1) if i == best or is_within(i))
    assert found.chosen < best or not any(is_within(i) for i in range(best))


def test_penalties_fall_by_half_decades_and_follow_the_scale_of_the_features() -> None:
    problem = make_problem(60, 8, 3, noise=6)
    found = run(problem)
    penalties = np.array([point.penalty for point in found.points])
    np.testing.assert_allclose(penalties[:-1] / penalties[1:], np.sqrt(10), rtol=1e-4)
    tenfold = run(problem._replace(features=problem.features * 10))
    np.testing.assert_allclose([p.penalty for p in tenfold.points], penalties * 100, rtol=1e-3)
    np.testing.assert_allclose([p.log_loss for p in tenfold.points], [p.log_loss for p in found.points], rtol=1e-4)


def test_the_grid_grows_while_the_weakest_penalty_is_the_best() -> None:
    easy = run(make_problem(60, 10, 3, noise=0.1), n_penalties=3)
    assert 3 < len(easy.points) <= 9
    losses = [point.log_loss for point in easy.points]
    assert all(np.diff(losses[:-1]) < 0), "it grew though it had already found the least"
    noisy = run(make_problem(60, 10, 3, noise=100), n_penalties=3)
    assert len(noisy.points) == 3


def test_views_of_an_example_share_its_fold() -> None:
    """With exact copies as views nothing may change: a copy in another fold would give its example away."""
    problem = make_problem(60, 80, 3, noise=100)
    folds = stratified_folds(problem.targets, n_folds=4, seed=0)

    def cross(features: NDArray[np.float32], n_views: int) -> CrossValidation:
        scaling = fit_scaling("none", problem.features)
        return cross_validate(
            features, problem.targets, n_classes=3, folds=folds, scaling=scaling, n_views=n_views, n_penalties=5
        )

    one, two = cross(problem.features, 1), cross(np.tile(problem.features, (2, 1)), 2)
    assert two.out_of_fold_logits.shape == (60, 3)
    np.testing.assert_allclose([p.penalty for p in two.points], [p.penalty for p in one.points], rtol=1e-4)
    np.testing.assert_allclose([p.log_loss for p in two.points], [p.log_loss for p in one.points], rtol=1e-3)
    assert two.points[-1].accuracy < 0.7


def test_row_weights_weigh_fits_and_figures() -> None:
    problem = make_problem(60, 8, 3, noise=6)
    weights = np.where(problem.targets == 0, 3.0, 1.0)
    found = run(problem, row_weights=weights)
    assert found.best.log_loss == pytest.approx(np.average(found.losses, weights=weights), rel=1e-6)
    again = Problem(problem.features, problem.targets, 3)
    gradient = relative_gradient(
        again, weights, found.best.penalty, found.weights.astype(np.float64), found.bias.astype(np.float64)
    )
    assert gradient <= 2e-5


def test_several_labels_an_example() -> None:
    problem = make_problem(90, 10, 3)
    labels = np.stack([problem.targets == 0, problem.targets != 2, np.arange(90) % 2 == 0], axis=1).astype(np.int64)
    folds = stratified_folds(problem.targets, n_folds=3, seed=0)
    found = cross_validate(
        problem.features, labels, n_classes=3, folds=folds, scaling=fit_scaling("none", problem.features)
    )
    right = (found.out_of_fold_logits > 0) == (labels == 1)
    assert found.best.accuracy == pytest.approx(right.mean())
    assert right[:, 0].mean() > 2 / 3  # the share of the absent label
    z = found.out_of_fold_logits.astype(np.float64)
    np.testing.assert_allclose(found.losses, np.logaddexp(0, np.where(labels == 1, -z, z)).sum(1), rtol=1e-5)


def test_fits_that_did_not_converge_are_counted_and_said() -> None:
    problem = make_problem(60, 10, 3, noise=0.2)
    told: list[str] = []
    found = run(problem, tolerance=1e-13, path_tolerance=1e-13, say=told.append, n_penalties=3)
    assert sum(point.n_not_converged for point in found.points) > 0
    compared, final = told
    assert "stopped above a relative gradient of 1e-13" in compared
    assert "the final fit (none) stopped at a relative gradient of" in final
    quiet: list[str] = []
    assert sum(point.n_not_converged for point in run(problem, say=quiet.append).points) == 0
    assert not quiet


def test_real_digits_beside_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    problem = Problem(pixels[:300].astype(np.float32), targets[:300].astype(np.int64), 10)
    found = run(problem, scaling="z-score")
    assert found.best.accuracy > 0.9
    assert sum(point.n_not_converged for point in found.points) == 0


def test_features_of_a_real_network(shared: Path) -> None:
    """Kept with the solver: columns of features after ReLU are sparse and far from normal."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    folder = shared / "models" / "resnet18_trunk3"
    files = [
        file for c in ("daisy", "rose", "tulip") for file in sorted((shared / "data/flowers5/train" / c).iterdir())[:8]
    ]
    processor, network = AutoImageProcessor.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        pixels = processor(images=[Image.open(file).convert("RGB") for file in files], return_tensors="pt")
        features = network(**pixels).pooler_output.flatten(1).numpy()
    found = run(Problem(features, np.repeat(np.arange(3), 8), 3))
    assert sum(point.n_not_converged for point in found.points) == 0
    assert found.best.accuracy > 0.5
