"""What the verdict says where the truth is known: shift with and without labels, overfitting, sound fits, more labels.

Real data and weights (GRAFT_SHARED, else ../shared); MobileNetV2 for pictures, all-MiniLM-L6-v2 for texts. Features are
computed once and kept in a temporary folder, or in --cache. Parts, 20 draws each unless --draws says otherwise:

shift    A head on 1,000 training pictures of cifar10 or mnist; 500 test pictures at home, 500 of other data: lossless
         pictures of the same classes, scikit-learn's digits (8 pixels, other writers), and the test pictures at half of
         their resolution. Without labels: mean error of the accuracy that is put at them, from out-of-fold answers.
         With labels: how often the interval of the loss holds the loss over all of the data.
sound    A head on plenty of data (800 flowers, 2,000 pictures of cifar10): how often it is accused of overfitting.
overfit  All layers trained on 5 flowers a class for 30 epochs without any regularisation: how often it is named.
curve    A curve of labels from 250 examples (616 of 77 intents: 8 a class): how often the accuracy of a head on 1,000
         (2,464) lies in its band at that size.

    python bench/verdict.py [--only shift,sound,overfit,curve] [--draws 20] [--overfit-draws 5] [--cache DIR]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from frozen import frozen
from measure import Bar, finish, options, shared, table, temporary_folder
from other_pictures import at_half_resolution, digits_folder

WITHIN = 0.05


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--only", default="shift,sound,curve,overfit")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--overfit-draws", type=int, default=5)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    n_draws = 1 if args.quick else args.draws
    parts = {"shift": shift, "sound": sound, "curve": curve, "overfit": overfit}
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    with temporary_folder() as folder:
        lab = Lab(args.cache or folder, folder)
        for name in args.only.split(","):
            figures[name], more = parts[name](lab, min(n_draws, args.overfit_draws) if name == "overfit" else n_draws)
            bars += more
    finish("verdict", args, figures, bars)


class Lab:
    """Data sets with their features, each computed once."""

    def __init__(self, cache: Path, folder: Path) -> None:  # noqa: D107
        self._cache, self.folder = cache, folder
        self._extractors: dict[str, Any] = {}

    def extractor(self, kind: str) -> Any:
        """Return the frozen network of a kind of example."""
        if kind not in self._extractors:
            self._extractors[kind] = frozen(kind, self._cache)[1]
        return self._extractors[kind]

    def features(self, part: Any, kind: str = "image") -> np.ndarray:
        """Return (n_examples, n_features)."""
        return np.asarray(self.extractor(kind).run(part, n_examples=5_000).matrix)


def splits_of(name: str, kind: str = "image") -> Any:
    from graft.data.kinds import PICTURE, TEXT
    from graft.data.readers import read_splits

    return read_splits(shared() / "data" / name, kind=PICTURE if kind == "image" else TEXT)


def drawn(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return `n` random rows, the classes in proportion."""
    from graft.data.splitting import stratified_split

    if n >= len(labels):
        return np.arange(len(labels))
    fractions = {"kept": n / len(labels), "left": 1 - n / len(labels)}
    return np.asarray(stratified_split(labels, groups=None, fractions=fractions, seed=seed)["kept"])


def fitted(x: np.ndarray, y: np.ndarray, n_classes: int, seed: int) -> Any:
    from graft.methods.head_only import HeadOnly

    return HeadOnly(scalings=("none", "z-score")).fit(x, y, n_classes=n_classes, seed=seed)


def said(logits: np.ndarray, y: np.ndarray, names: tuple[str, ...], split: str) -> Any:
    from graft.core.types import Predictions

    return Predictions([f"{split}/{i}" for i in range(len(y))], y, logits, names, split)


def shift(lab: Lab, n_draws: int) -> tuple[dict[str, Any], list[Bar]]:
    from graft.data.readers import read_labeled
    from graft.evaluation.label_free import accuracy_without_labels
    from graft.evaluation.shift import unpaired_difference

    cifar, mnist = splits_of("cifar10"), splits_of("mnist")
    homes = {"lossless": cifar, "digits": mnist, "half resolution": cifar}
    places = {
        "lossless": shared() / "data" / "cifar10_lossless",
        "digits": digits_folder(lab.folder),
        "half resolution": at_half_resolution(cifar.test, lab.folder),
    }
    figures: dict[str, Any] = {}
    rows, bars, n_within, n_held = [], [], 0, 0
    for name, home in homes.items():
        names = home.train.label_names
        other = read_labeled(places[name], label_names=names)
        x, x_home, x_other = (lab.features(part) for part in (home.train, home.test, other))
        found: list[dict[str, float]] = []
        for seed in range(n_draws):
            kept = drawn(home.train.labels, 1_000, seed)
            head = fitted(x[kept], home.train.labels[kept], len(names), seed)
            right_home = head.logits(x_home).argmax(axis=1) == home.test.labels
            right = head.logits(x_other).argmax(axis=1) == other.labels
            rng = np.random.default_rng(seed)
            a, b = (rng.permutation(len(r))[:500] for r in (right_home, right))
            loss = unpaired_difference(int(right_home[a].sum()), len(a), int(right[b].sum()), len(b))
            truth = float(right_home.mean() - right.mean())
            own = said(head.out_of_fold_logits, home.train.labels[kept], names, "out_of_fold")
            new = said(head.logits(x_other[b]), np.full(len(b), -1), names, "other")
            guess = accuracy_without_labels(own, new, seed=seed)
            found.append(
                {
                    "home": float(right_home.mean()),
                    "other": float(right.mean()),
                    "covers": float(loss.low <= truth <= loss.high),
                    "atc": guess.threshold.value - float(right.mean()),
                    "doc": guess.confidence.value - float(right.mean()),
                    "cot": guess.transport.value - float(right.mean()),
                    "cott": guess.transport_threshold.value - float(right.mean()),
                    "both": guess.both.value - float(right.mean()),
                }
            )
        mean = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
        error = {key: float(np.mean([abs(row[key]) for row in found])) for key in ("atc", "doc", "cot", "cott", "both")}
        within = float(np.mean([abs(row["both"]) <= WITHIN for row in found]))
        figures[name] = {"mean": mean, "mean_absolute_error": error, "within_5_points": within, "draws": found}
        n_within += error["both"] <= WITHIN
        n_held += mean["covers"] >= 0.85
        rows.append(
            [
                name,
                f"{mean['home']:.1%}",
                f"{mean['other']:.1%}",
                *(f"{100 * mean[k]:+.1f} ({100 * error[k]:.1f})" for k in ("atc", "doc", "cot", "cott", "both")),
                f"{within:.0%}",
                f"{mean['covers']:.0%}",
            ]
        )
    columns = ["data", "home", "there", "ATC off by", "DoC off by", "COT off by", "COTT off by", "mean of the two"]
    table([*columns, "within 5", "interval covers"], rows)
    bars.append(Bar("shifts of 3 estimated without labels within 5 points in the mean", n_within, 2))
    bars.append(Bar("shifts of 3 whose interval with labels covers at least 85 % of the time", n_held, 3))
    return figures, bars


def sound(lab: Lab, n_draws: int) -> tuple[dict[str, Any], list[Bar]]:
    from graft.evaluation.overfitting import judge_overfitting

    figures: dict[str, Any] = {}
    rows, bars = [], []
    for name, n in (("flowers5", 800), ("cifar10", 2_000)):
        data = splits_of(name)
        names, x, x_test = data.train.label_names, lab.features(data.train), lab.features(data.test)
        answers, gaps = [], []
        for seed in range(n_draws):
            kept = drawn(data.train.labels, n, seed)
            head = fitted(x[kept], data.train.labels[kept], len(names), seed)
            train = said(head.logits(x[kept]), data.train.labels[kept], names, "train")
            test = said(head.logits(x_test), data.test.labels, names, "test")
            answers.append(judge_overfitting(train, test, seed=seed).answer)
            gaps.append(float(train.is_correct.mean() - test.is_correct.mean()))
        n_yes = answers.count("yes")
        figures[name] = {"accused": n_yes, "of": n_draws, "mean_gap": float(np.mean(gaps)), "answers": answers}
        rows.append([name, f"{n_yes} of {n_draws}", f"{100 * np.mean(gaps):.1f}"])
        bars.append(Bar(f"{name}: sound fits accused of overfitting", n_yes, max(1, n_draws // 20), is_floor=False))
    table(["sound fit", "accused", "gap, points"], rows)
    return figures, bars


def overfit(lab: Lab, n_draws: int) -> tuple[dict[str, Any], list[Bar]]:
    from graft.evaluation.overfitting import judge_overfitting

    data = splits_of("flowers5")
    found = []
    for seed in range(n_draws):
        kept = drawn(data.train.labels, 25, seed)
        train, test = trained_to_the_end(data.train.select(kept), data.test, seed=seed)
        claim = judge_overfitting(train, test, seed=seed)
        found.append(
            {"answer": claim.answer, "train": float(train.is_correct.mean()), "test": float(test.is_correct.mean())}
        )
        print(f"  {claim.sentence}", flush=True)
    n_yes = sum(row["answer"] == "yes" for row in found)
    table(["overfitted", "named"], [["flowers5, 5 a class", f"{n_yes} of {n_draws}"]])
    return {"draws": found}, [Bar(f"overfitted full fine-tunings named, of {n_draws}", n_yes, n_draws)]


def trained_to_the_end(train: Any, test: Any, *, seed: int) -> tuple[Any, Any]:
    """Return predictions of train and test after 30 epochs of all layers: AdamW at 3e-4, no decay, plain pictures."""
    import torch

    from graft.api import embedding
    from graft.api.config import FitConfig

    torch.manual_seed(seed)
    config = FitConfig(model=str(shared() / "models" / "mobilenet_v2_1.0_224"), out="none")
    task = embedding.load_task(config, "image-classification", train.label_names)
    network = (
        task.build().requires_grad_(True).eval()
    )  # BatchNorm keeps its statistics: their momentum would replace them in one batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, weight_decay=0.0)
    inputs = [task.encode(train.read(i), name=train.place(i)) for i in range(len(train))]
    for epoch in range(30):
        order = np.random.default_rng([seed, epoch]).permutation(len(train))
        for rows in np.array_split(order, 5):
            batch = task.collate([inputs[int(i)] for i in rows], train.labels[rows].tolist())
            total, count = task.loss(network, batch)
            optimizer.zero_grad()
            (total / count).backward()
            optimizer.step()

    @torch.inference_mode()
    def predictions(part: Any, split: str) -> Any:
        found = []
        for start in range(0, len(part), 32):
            rows = range(start, min(start + 32, len(part)))
            batch = task.collate([task.encode(part.read(i), name=part.place(i)) for i in rows], [0] * len(rows))
            found.append(task.predict(network, batch).float().numpy())
        return said(np.concatenate(found), part.labels, part.label_names, split)

    return predictions(train, "train"), predictions(test, "test")


def curve(lab: Lab, n_draws: int) -> tuple[dict[str, Any], list[Bar]]:
    from graft.evaluation.learning_curve import fit_learning_curve
    from graft.methods.learning_curve import accuracy_over_sizes

    figures: dict[str, Any] = {}
    rows, bars = [], []
    for name, kind, n in (("cifar10", "image", 250), ("banking77", "text", 616)):
        data = splits_of(name, kind)
        n_classes = len(data.train.label_names)
        x, x_test, y = lab.features(data.train, kind), lab.features(data.test, kind), data.train.labels
        found = []
        for seed in range(n_draws):
            many = drawn(y, 4 * n, seed)
            few = many[drawn(y[many], n, seed)]
            head = fitted(x[few], y[few], n_classes, seed)
            seen = accuracy_over_sizes(x[few], y[few], n_classes=n_classes, head=head, seed=seed)
            band = fit_learning_curve(seen.sizes, seen.accuracy, n_now=len(few), seed=seed).accuracy(4 * len(few))
            logits = fitted(x[many], y[many], n_classes, seed).logits(x_test)
            truth = float((logits.argmax(axis=1) == data.test.labels).mean())
            found.append({"truth": truth, "value": band.value, "low": band.low, "high": band.high})
        n_in = sum(row["low"] <= row["truth"] <= row["high"] for row in found)
        width = float(np.mean([row["high"] - row["low"] for row in found]))
        off = float(np.mean([row["value"] - row["truth"] for row in found]))
        figures[name] = {"inside": n_in, "of": n_draws, "mean_width": width, "mean_error": off, "draws": found}
        rows.append([f"{name}, {n} to {4 * n}", f"{n_in} of {n_draws}", f"{100 * width:.1f}", f"{100 * off:+.1f}"])
        bars.append(Bar(f"{name}: accuracy at 4 n within the band from n", n_in, 17 * n_draws / 20))
    table(["curve of labels", "inside", "width, points", "off by"], rows)
    return figures, bars


if __name__ == "__main__":
    main()
