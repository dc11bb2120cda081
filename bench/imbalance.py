"""What an offset of the decision does for unequal classes: macro-F1, mean recall and accuracy by its strength.

The head is fitted without weights on training sets of unequal classes; the decision on fresh examples of the same
proportions looks at its calibrated logits less a share of the classes' log-frequencies. Beside it stands the head that
is fitted with weights n / (n_classes n_class), with its log-loss.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from graft.evaluation.decision import STRENGTHS, choose_decision, decision_offset
from graft.methods.head_only import HeadOnly
from measure import Bar, finish, options, table

Floats = NDArray[np.float32]
Classes = NDArray[np.int64]
Drawn = tuple[Floats, Classes, Floats, Classes]
N_FRESH = 6_000


def blobs(n: int, n_classes: int, *, ratio: float, noise: float) -> Callable[[np.random.Generator], Drawn]:
    share = np.geomspace(1, 1 / ratio, n_classes)

    def draw(rng: np.random.Generator) -> Drawn:
        centres = rng.normal(size=(n_classes, 10))
        y = rng.choice(n_classes, size=n + N_FRESH, p=share / share.sum())
        y[: 2 * n_classes] = np.tile(np.arange(n_classes), 2)
        x = (centres[y] + noise * rng.normal(size=(len(y), 10))).astype(np.float32)
        return x[:n], y[:n], x[n:], y[n:]

    return draw


def digits(n: int, *, ratio: float, through: int) -> Callable[[np.random.Generator], Drawn]:
    pixels, digit = load_digits(return_X_y=True)
    share = np.geomspace(1, 1 / ratio, 10)

    def draw(rng: np.random.Generator) -> Drawn:
        x = (pixels / 16 @ rng.normal(size=(64, through))).astype(np.float32)
        order, classes = rng.permutation(len(digit)), rng.permutation(10)

        def thinned(rows: NDArray[np.int64], total: float) -> NDArray[np.int64]:
            sizes = np.maximum(2, np.round(total * share / share.sum()).astype(int))
            return np.concatenate([rows[digit[rows] == c][:m] for c, m in zip(classes, sizes, strict=True)])

        half = len(order) // 2
        train, fresh = thinned(order[:half], n), thinned(order[half:], 85 * share.sum())
        return x[train], digit[train], x[fresh], digit[fresh]

    return draw


PROBLEMS = {
    "2 blobs, 9:1, n 200": blobs(200, 2, ratio=9, noise=1.5),
    "3 blobs, 10:1, n 300": blobs(300, 3, ratio=10, noise=1.5),
    "5 blobs, 10:1, n 100": blobs(100, 5, ratio=10, noise=1.3),
    "10 blobs, 30:1, n 500": blobs(500, 10, ratio=30, noise=1.3),
    "digits / 6, 20:1, n 300": digits(300, ratio=20, through=6),
    "digits / 20, 20:1, n 300": digits(300, ratio=20, through=20),
}


def one(drawn: Drawn) -> dict[str, float]:
    """Return the figures of all decisions on one draw."""
    x, y, fresh_x, fresh_y = drawn
    n_classes = int(y.max()) + 1
    counts = np.bincount(y, minlength=n_classes)
    head = HeadOnly(scalings=("none",)).fit(x, y, n_classes=n_classes)
    rule = choose_decision(head.out_of_fold_logits, counts)
    logits = head.logits(fresh_x).astype(np.float64)
    labels = list(range(n_classes))
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    result = {"log-loss": float(log_loss(fresh_y, probabilities, labels=labels))}
    weighted = LogisticRegression(C=1 / (head.penalty * len(y)), class_weight="balanced", max_iter=5_000).fit(x, y)
    said_of = {f"strength {s:g}": (logits + decision_offset(counts, strength=s)).argmax(1) for s in STRENGTHS}
    said_of |= {"chosen": (logits + rule.offset).argmax(1), "weighted fit": weighted.predict(fresh_x)}
    for name, said in said_of.items():
        result[f"macro-F1, {name}"] = float(f1_score(fresh_y, said, average="macro"))
        result[f"mean recall, {name}"] = float(balanced_accuracy_score(fresh_y, said))
        result[f"accuracy, {name}"] = float((said == fresh_y).mean())
    result["log-loss, weighted fit"] = float(log_loss(fresh_y, weighted.predict_proba(fresh_x), labels=labels))
    result["chosen strength"] = rule.strength
    return result


def main() -> None:
    arguments = options(str(__doc__).splitlines()[0]).parse_args()
    n_draws = 2 if arguments.quick else 20
    figures: dict[str, dict[str, float]] = {}
    for name, draw in PROBLEMS.items():
        rows = [one(draw(np.random.default_rng(seed))) for seed in range(n_draws)]
        figures[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    keys = sorted(next(iter(figures.values())))
    table(["", *figures], [[key, *(f"{figures[name][key]:.3f}" for name in figures)] for key in keys])
    gains = [f["macro-F1, chosen"] - f["macro-F1, strength 0"] for f in figures.values()]
    recalls = [f["mean recall, chosen"] - f["mean recall, strength 0"] for f in figures.values()]
    bars = [
        Bar("least gain in macro-F1, points", 100 * min(gains), 0.0),
        Bar("least gain in mean recall, points", 100 * min(recalls), 0.0),
    ]
    finish("imbalance", arguments, {"problems": figures, "n_draws": n_draws}, bars)


if __name__ == "__main__":
    main()
