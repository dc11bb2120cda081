"""The article's own job: a frozen ResNet-50, a new last layer, CIFAR-10. Its script beside one `graft fit`.

The network has random weights, since only cost is measured. The pictures are CIFAR-10's training pictures in class
folders without splits, so that Graft makes the split itself. In each round, one after the other:

- `bench/article.py`, 3 epochs on 500 pictures, as it is and with pages kept. Ten epochs on n pictures are extrapolated:
  start-up + 10 x (wait for the first batch + the rest of the median epoch x n / 500).
- ``graft fit --strategy head`` on 500 and 5,000 pictures: a whole process from start to end with an empty cache:
  interpreter, imports, engine set-up, splitting, cross-validation, baselines, evaluation and report all count.
- The bare forward pass: the same engine, started as in `fit`, over the same pictures, already decoded to a uint8 memory
  map; batches as in `fit`; only the loop is timed.

Graft holds a fifth of the pictures out as a test, and sees each picture once all the same. Ten epochs over *all* n
pictures are the issue's reading; the stricter reading, shown beside it, trains the article's script on the other four
fifths and lets it predict the fifth once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from measure import (
    BENCH,
    Bar,
    class_files,
    environment,
    finish,
    graft,
    interleave,
    median,
    options,
    ratio,
    run,
    shared,
    table,
    temporary_folder,
)  # fmt: skip

ARTICLE_N, ARTICLE_EPOCHS, JOB_EPOCHS = 500, 3, 10
BARS = {500: (20.0, None), 5000: (60.0, 100.0)}
WALL_FACTOR, WALL_EXTRA_S = 1.25, 12.0
_PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,  # bilinear, as in the article
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def save_model(folder: Path) -> None:
    """Write a ResNet-50 with random weights and its image processor as a transformers checkpoint."""
    import torch
    import transformers
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    ResNetForImageClassification(ResNetConfig()).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_PROCESSOR))


def make_pictures(folder: Path, n: int) -> None:
    """Write n pictures of CIFAR-10 in class folders; past the 5,000 that are there, mirrored and encoded anew."""
    from PIL import Image, ImageOps

    by_class: dict[str, list[Path]] = {}
    for file, name in class_files(shared() / "data" / "cifar10" / "train"):
        by_class.setdefault(name, []).append(file)
    per_class = -(-n // len(by_class))
    written = 0
    for name, files in by_class.items():
        (folder / name).mkdir(parents=True)
        for i in range(min(per_class, n - written)):
            source, copy = files[i % len(files)], i // len(files)
            target = folder / name / f"{copy}_{source.name}"
            if copy == 0:
                shutil.copyfile(source, target)
            else:
                with Image.open(source) as image:
                    changed = image.convert("RGB").rotate(7 * copy, Image.Resampling.BILINEAR)
                    (ImageOps.mirror(changed) if copy % 2 else changed).save(target, quality=90)
            written += 1


def run_article(data: Path, model: Path, out: Path, *, epochs: int, keep_pages: bool) -> dict[str, float]:
    """Return start-up seconds, those until the first batch and of the rest of the median epoch, and the pictures."""
    command = [sys.executable, BENCH / "article.py", data, "--model", model, "--epochs", epochs, "--out", out]
    done = run([*map(str, command), *(["--keep-pages"] if keep_pages else [])], env=environment())
    told = json.loads(out.read_text())
    epochs_s = [epoch["seconds"] for epoch in told["epochs"]]
    wait = median([epoch["first_batch_s"] for epoch in told["epochs"]])
    return {
        "wall_s": done.seconds,
        "start_up_s": done.seconds - sum(epochs_s) - told["test_s"],
        "epoch_s": median(epochs_s),
        "first_batch_s": wait,
        "pictures_per_s": told["n_train"] / (median(epochs_s) - wait),
    }


def job_seconds(measured: dict[str, float], n: int, *, is_strict: bool = False) -> float:
    """Return the seconds of the article's 10 epochs on n pictures."""
    passes = JOB_EPOCHS * 0.8 + 0.2 if is_strict else JOB_EPOCHS
    return measured["start_up_s"] + JOB_EPOCHS * measured["first_batch_s"] + passes * n / measured["pictures_per_s"]


def run_graft(data: Path, model: Path, work: Path) -> dict[str, Any]:
    """Return the wall time of one `graft fit` with an empty cache, its phases, and its engine."""
    out, cache = work / "run", work / "cache"
    for folder in (out, cache):
        shutil.rmtree(folder, ignore_errors=True)
    done = run(graft("fit", data, "--model", model, "--out", out, "--strategy", "head"), env=environment(cache))
    metrics = json.loads((out / "metrics.json").read_text())
    manifest = json.loads((out / "manifest.json").read_text())
    return {"wall_s": done.seconds, "phases": metrics["seconds"], "engine": manifest["engine"]}


def run_bare(data: Path, model: Path, decoded: Path, out: Path) -> dict[str, Any]:
    """Return the seconds of the bare forward pass, measured in a process of its own."""
    run([sys.executable, BENCH / "seed_job.py", "--bare", data, model, decoded, out], env=environment())
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def bare_forward(data: Path, model: Path, decoded: Path, out: Path) -> None:
    """Decode the pictures to a memory map where there is none yet; time the engine's loop over it; write JSON."""
    from graft.core.process import prepare_process

    prepare_process()
    from graft.api.config import FitConfig
    from graft.backbones.engines import candidates, start_engine
    from graft.backbones.loading import load_image_model
    from graft.core.devices import choose_device, choose_precision
    from graft.data.images import decode_image
    from graft.data.readers import read_splits

    train = read_splits(data).train
    loaded = load_image_model(str(model), label_names=train.label_names, is_offline=True)
    n, shape = len(train), loaded.preprocessing.shape
    if not decoded.exists():
        pixels = np.lib.format.open_memmap(decoded, mode="w+", dtype=np.uint8, shape=(n, *shape))
        for i in range(n):
            pixels[i] = loaded.preprocessing(decode_image(train.read(i), name=train.place(i)))
        pixels.flush()
        del pixels
    pixels = np.load(decoded, mmap_mode="r")
    batch_size = FitConfig(model="", out="").batch_size
    device = choose_device()
    choices = candidates("auto", device=device, precision=choose_precision(device), n_pictures=n)
    started = time.perf_counter()
    engine, choice, _ = start_engine(
        loaded.feature_network(), choices, sample=np.array(pixels[:8]), batch_size=batch_size, device=device, say=print
    )
    set_up_s = time.perf_counter() - started
    started = time.perf_counter()
    for first in range(0, n, batch_size):
        batch = np.asarray(pixels[first : first + batch_size])
        engine(batch if len(batch) == batch_size else np.resize(batch, (batch_size, *shape)))
    seconds = time.perf_counter() - started
    out.write_text(json.dumps({"seconds": seconds, "set_up_s": set_up_s, "engine": choice.label}))


def report(found: dict[str, list[Any]], sizes: list[int]) -> tuple[dict[str, Any], list[Bar]]:
    """Print the tables; return figures and bars."""
    bars: list[Bar] = []
    rows: list[list[Any]] = []
    results: dict[str, Any] = {"runs": found, "jobs": {}}
    articles = {name: found[name] for name in ("article", "article, pages kept") if name in found}
    if articles:
        print("\nThe article's script (medians over rounds)")
        table(
            ["", "start-up s", "epoch s", "pictures/s"],
            [[name, *(median([r[k] for r in runs]) for k in ("start_up_s", "epoch_s", "pictures_per_s"))]
             for name, runs in articles.items()],
        )  # fmt: skip
    for n in sizes:
        ours = [r["wall_s"] for r in found[f"graft {n}"]]
        rows.append([f"graft fit, n = {n:,}", median(ours), 1.0, None, None])
        for name, runs in articles.items():
            jobs, strict = [job_seconds(r, n) for r in runs], [job_seconds(r, n, is_strict=True) for r in runs]
            rows.append([f"{name}, n = {n:,}", median(jobs), ratio(jobs, ours), median(strict), ratio(strict, ours)])
            results["jobs"][f"{name}, n = {n}"] = {"seconds": jobs, "seconds_strict": strict}
            least, aim = BARS.get(n, (None, None)) if name == "article" else (None, None)
            bars.append(Bar(f"{name} / graft, n = {n:,}", ratio(jobs, ours), least, aim=aim))
        if f"bare {n}" in found:
            bare = [r["seconds"] for r in found[f"bare {n}"]]
            over = [wall - WALL_FACTOR * forward for wall, forward in zip(ours, bare, strict=True)]
            rows.append([f"bare forward pass, n = {n:,}", median(bare), None, None, None])
            limit = WALL_EXTRA_S if n == 5000 else None
            bars.append(Bar(f"graft - 1.25 x bare forward, s, n = {n:,}", median(over), limit, is_floor=False))
    print(f"\nThe job: {JOB_EPOCHS} epochs (strict: on four fifths, plus one prediction of the last fifth)")
    table(["", "median s", "x graft", "strict s", "x graft"], rows)
    names = list(dict.fromkeys(k for n in sizes for r in found[f"graft {n}"] for k in r["phases"]))
    print("\nWhere graft's seconds go (medians)")
    table(
        ["phase", *(f"n = {n:,}" for n in sizes)],
        [[name, *(median([r["phases"].get(name, 0.0) for r in found[f"graft {n}"]]) for n in sizes)] for name in names],
    )
    engines = {r["engine"] for n in sizes for r in found[f"graft {n}"]}
    print(f"  engine: {', '.join(sorted(engines))}")
    return results, bars


def main() -> None:
    if sys.argv[1:2] == ["--bare"]:
        bare_forward(*map(Path, sys.argv[2:6]))
        return
    parser = options("The article's job (frozen ResNet-50, new last layer, CIFAR-10): its script beside graft fit.")
    parser.add_argument("--n", type=int, nargs="+", default=[500, 5000], help="pictures of graft's jobs")
    parser.add_argument("--rounds", type=int, default=3, help="each runs every arm once")
    parser.add_argument("--skip-article", action="store_true", help="measure Graft alone")
    parser.add_argument("--skip-bare", action="store_true", help="leave the bare forward pass out")
    args: argparse.Namespace = parser.parse_args()
    sizes = [48] if args.quick else args.n
    article_n, epochs, rounds = (64, 2, 1) if args.quick else (ARTICLE_N, ARTICLE_EPOCHS, args.rounds)
    with temporary_folder() as work:
        model = work / "resnet50"
        save_model(model)
        folders = {n: work / "pictures" / str(n) for n in {article_n, *sizes}}
        for n, folder in folders.items():
            make_pictures(folder, n)
        arms: dict[str, Any] = {}
        if not args.skip_article:
            for name, keep_pages in (("article", False), ("article, pages kept", True)):
                arms[name] = lambda _, keep_pages=keep_pages: run_article(
                    folders[article_n], model, work / "article.json", epochs=epochs, keep_pages=keep_pages
                )
        for n in sizes:
            arms[f"graft {n}"] = lambda _, n=n: run_graft(folders[n], model, work)
        if not args.skip_bare:
            for n in sizes:
                arms[f"bare {n}"] = lambda _, n=n: run_bare(
                    folders[n], model, work / f"decoded-{n}.npy", work / "bare.json"
                )
        results, bars = report(interleave(arms, rounds), sizes)
    finish("seed_job", args, results, bars)


if __name__ == "__main__":
    main()
