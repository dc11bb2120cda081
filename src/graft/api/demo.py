"""The article's three steps, offline and small: a backbone, few labels, a verdict."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft.core.errors import UsageError
from graft.core.files import read_json, write_json
from graft.core.seeds import generator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from graft.data.dataset import LabeledDataset

__all__ = ["LETTERS_BACKBONE", "DemoResult", "demo", "write_digits"]

LETTERS_BACKBONE = Path(__file__).resolve().parents[1] / "demo_assets" / "letters_backbone"
_PER_CLASS = 10
_PLAIN_STEPS = 300  # without distortions 100 pictures are learned by heart long before
_MARK = "demo.json"


@dataclass(frozen=True)
class DemoResult:
    """What the demo came to.

    Parameters
    ----------
    out : the demo's folder.
    run : the folder that `graft.fit` wrote, with ``report.html`` and ``model/``.
    metrics : as in ``metrics.json``; two of its baselines are the demo's own, ``from_scratch_plain`` and ``pixel_knn``.
    """

    out: Path
    run: Path
    metrics: dict[str, Any]


def demo(
    out: str | Path = "demo-run", *, pretrain: bool = False, seed: int = 0, console: Console | None = None
) -> DemoResult:
    """Fine-tune the letters backbone to handwritten digits with 10 labels a class, and say what it is worth.

    Three steps: a network that Graft pretrained on drawn letters (no digit among them); its new last layer, fitted to
    100 of scikit-learn's 1,797 real digits of 8 x 8 pixels; the other 1,697 as the test, beside the same network
    trained from random weights on the same 100 labels and beside the nearest neighbour in pixels.

    Parameters
    ----------
    out : the folder to write; an earlier demo in it is replaced.
    pretrain : make the backbone anew, in about a quarter of an hour on 2 cores, instead of taking the one that Graft
        brings.
    seed : of the draw of the 100 labels and all that follows.
    console : where the steps and the table are printed; None: a new one on standard output.

    Raises
    ------
    UsageError
        When `out` holds something that is no earlier demo.

    Examples
    --------
    >>> demo("demo-run").metrics["test"]["accuracy"]["value"] > 0.9  # doctest: +SKIP
    True
    """
    from rich.console import Console

    out, console = Path(out), console or Console()
    _prepare_folder(out, seed=seed)

    backbone = LETTERS_BACKBONE
    if pretrain:
        from graft.api.letters import pretrain_letters

        console.print("[bold]1  Pretraining on letters[/bold]: drawn in many fonts, distorted, no digit among them")
        backbone = pretrain_letters(out / "backbone", work=out / "letters", seed=seed, console=console)
    else:
        console.print("[bold]1  A pretrained backbone[/bold]: trained on drawn letters, no digit among them")
    held_out = read_json(backbone / "pretrain.json")["held_out"]["accuracy"]
    console.print(
        f"   letters named rightly: {100 * held_out['value']:.1f} % of {held_out['n']:,} drawings that it never saw"
    )

    data = write_digits(out / "data", per_class=_PER_CLASS, seed=seed)
    console.print(f"[bold]2  A new last layer[/bold] for digits, from {_PER_CLASS} labels a class: {data}")
    from graft.api.fit import fit
    from graft.api.more_baselines import add_baselines

    # Mirrored digits are other digits, or none.
    fitted = fit(
        data,
        model=str(backbone),
        out=out / "run",
        cache=out / "cache",
        strategy="head",
        from_scratch=True,
        flip=False,
        overwrite=True,
        seed=seed,
        console=console,
    )
    run = Path(fitted.out)
    console.print("[bold]3  What it is worth[/bold]: the table above. Its network trained from scratch also")
    console.print("   saw distorted copies. From the 100 pictures alone, as the new layer learned:")
    more = {
        "from_scratch_plain": _against(run, _plain_from_scratch(data, backbone, seed=seed)),
        "pixel_knn": _against(run, _nearest_in_pixels(data)),
    }
    names = {"from_scratch_plain": "trained from scratch", "pixel_knn": "nearest in pixels"}
    for name, baseline in more.items():
        console.print(f"   {names[name]:<22}{_told(baseline)}", highlight=False)
    metrics = add_baselines(run, more)
    console.print(f"   Report, with these: {run / 'report.html'}", highlight=False, soft_wrap=True)
    return DemoResult(out, run, metrics)


def write_digits(folder: Path, *, per_class: int, seed: int) -> Path:
    """Write scikit-learn's digits as ``folder/{train,test}/<digit>/<number>.png``, and return `folder`.

    Parameters
    ----------
    per_class : training pictures of each digit, drawn at random; all others are for the test.

    Notes
    -----
    1,797 grey pictures of 8 x 8 pixels with 17 levels, written by 13 people: the test part of the UCI data set
    Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998). White on black, as the letters are.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.minimum(found.images * 16, 255).astype(np.uint8)
    rng = generator(seed, "demo", "digits")
    train = {
        int(index)
        for digit in range(10)
        for index in rng.permutation(np.flatnonzero(found.target == digit))[:per_class]
    }
    for index, (picture, digit) in enumerate(zip(pixels, found.target, strict=True)):
        place = folder / ("train" if index in train else "test") / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{index:04d}.png")
    return folder


def _prepare_folder(out: Path, *, seed: int) -> None:
    """Empty the folder of an earlier demo; refuse any other that is not empty."""
    if out.exists():
        if not out.is_dir() or (any(out.iterdir()) and not (out / _MARK).exists()):
            raise UsageError(
                f"{out} exists and is no earlier demo",
                expected="a new or empty folder",
                fix="graft demo --out ANOTHER (Python: demo('another'))",
            )
        shutil.rmtree(out)
    write_json(out / _MARK, {"format": "graft-demo-1", "seed": seed})


def _told(baseline: dict[str, Any]) -> str:
    """Return a baseline's accuracy and the model's lead over it, as one line."""
    accuracy, lead = baseline["accuracy"], baseline["paired"]["accuracy_difference"]["value"]
    p = baseline["paired"]["p_value"]
    return (
        f"{100 * accuracy['value']:.1f} % ({100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}),"
        f" lead {100 * lead:+.1f} points, p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"
    )


def _against(run: Path, is_right: dict[str, bool]) -> dict[str, Any]:
    """Return how the model compares with a baseline, as ``metrics.json`` tells of one.

    Parameters
    ----------
    is_right : for each test picture, by id, whether the baseline named it rightly.
    """
    import numpy as np
    import pyarrow.parquet as parquet

    from graft.evaluation.comparisons import mcnemar_exact
    from graft.evaluation.intervals import wilson

    columns = ["id", "target", "prediction", "split"]
    rows = [
        row
        for row in parquet.read_table(run / "predictions.parquet", columns=columns).to_pylist()
        if row["split"] == "test"
    ]
    baseline = np.array([is_right[row["id"]] for row in rows])
    model = np.array([row["prediction"] == row["target"] for row in rows])
    return {
        "accuracy": wilson(int(baseline.sum()), len(baseline)).as_dict(),
        "paired": mcnemar_exact(model, baseline).as_dict(),
    }


def _plain_from_scratch(data: Path, backbone: Path, *, seed: int) -> dict[str, bool]:
    """Return for each test picture whether the network trained from random weights, without distortions, is right."""
    from graft.api.scratch import scratch_predictions
    from graft.backbones.loading import load_image_model
    from graft.data.readers import read_splits

    splits = read_splits(data)
    if splits.test is None:
        return {}
    names = splits.train.label_names
    model = load_image_model(str(backbone), label_names=names)
    found = scratch_predictions(
        splits.train, splits.test, model, label_names=names, seed=seed, is_augmented=False, n_steps=_PLAIN_STEPS
    )
    return dict(zip(found.ids, (found.logits.argmax(axis=1) == found.targets).tolist(), strict=True))


def _nearest_in_pixels(data: Path) -> dict[str, bool]:
    """Return for each test picture, by id, whether the nearest training picture in pixels is of its class."""
    import numpy as np

    from graft.data.images import decode_image
    from graft.data.readers import read_splits

    splits = read_splits(data)
    if splits.test is None:
        return {}

    def pixels(dataset: LabeledDataset) -> NDArray[np.float32]:
        pictures = (decode_image(dataset.read(i), name=dataset.place(i)).convert("L") for i in range(len(dataset)))
        return np.stack([np.asarray(picture, dtype=np.float32).ravel() for picture in pictures])

    train, test = pixels(splits.train), pixels(splits.test)
    squared = (test**2).sum(axis=1)[:, None] - 2 * test @ train.T + (train**2).sum(axis=1)
    predicted = splits.train.labels[squared.argmin(axis=1)]
    return dict(zip(splits.test.ids, (predicted == splits.test.labels).tolist(), strict=True))
