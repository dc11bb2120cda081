"""`fit`: data in; a fine-tuned model, its evaluation and a report out. The stations in order, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig, read_config_file
from graft.core.errors import Interrupted, UsageError
from graft.core.files import read_json, write_json
from graft.core.memory import seconds_since_process_start
from graft.core.process import prepare_process
from graft.core.run_folder import Run

if TYPE_CHECKING:
    from graft.api.stations import Embedded
    from graft.methods.head_only import HeadFit

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True)
class FitResult:
    """A finished run.

    Parameters
    ----------
    out : the run's folder; ``out/model`` loads in ``transformers.pipeline``.
    metrics : what ``metrics.json`` holds.
    """

    out: Path
    metrics: dict[str, Any]

    @property
    def model(self) -> Path:
        """The folder of the fine-tuned model."""
        return self.out / "model"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.out / "report.html"


def fit(
    data: str | Path,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    **options: Any,
) -> FitResult:
    """Fine-tune a pretrained model on labelled pictures, evaluate it, and write model and report.

    Parameters
    ----------
    data : a folder with a class a subfolder (with or without train/valid/test above), a table (CSV, JSONL, Parquet)
        with path and label columns, a dataset that Hugging Face `datasets` saved, or a hub id.
    model, out : see `FitConfig`.
    config : a TOML file of options; arguments given here win over it.
    resume : go on with the run in `out`; what was computed is not computed again.
    overwrite : replace the run in `out`.
    console : where progress and results are printed; None: standard output.
    **options : further fields of `FitConfig`.

    Returns
    -------
    FitResult

    Raises
    ------
    UsageError, DataError, ModelError, ResourceError
        As `graft.core.errors` tells; each says what to do.
    Interrupted
        On Ctrl-C; computed features are kept, and `resume` goes on.

    Examples
    --------
    >>> result = fit("flowers", model="microsoft/resnet-50", out="run")  # doctest: +SKIP
    >>> result.metrics["test"]["accuracy"]["value"]  # doctest: +SKIP
    0.91
    """
    prepare_process()
    started = seconds_since_process_start()
    console = console or Console()
    chosen = _gather(model=model, out=out, config=config, options=options)
    folder = Path(chosen.out)
    run = Run.open(folder, {"data": str(data), **chosen.as_dict()}, resume=resume, overwrite=overwrite)
    say = run.logger(lambda text: console.print(f"[dim]·[/dim] {_escape(text)}", highlight=False))
    if run.is_resumed and run.is_finished:
        say(f"the run in {folder} is finished; nothing to do (--overwrite starts anew)")
        return FitResult(folder, read_json(folder / "metrics.json"))
    run.seconds["start-up"] = started
    try:
        return _run(str(data), chosen, run, say=say, console=console)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted; the features computed so far are kept",
            fix=f"the same command with --resume goes on (Python: fit(..., out='{folder}', resume=True))",
        ) from error


def _gather(
    *, model: str | None, out: str | Path | None, config: str | Path | None, options: dict[str, Any]
) -> FitConfig:
    """Return the options: the file's, overruled by the call's."""
    from dataclasses import fields

    from graft.core.errors import did_you_mean

    merged = read_config_file(Path(config)) if config is not None else {}
    merged.pop("data", None)
    merged |= {name: value for name, value in options.items() if value is not None}
    if model is not None:
        merged["model"] = str(model)
    if out is not None:
        merged["out"] = str(out)
    known = {field.name for field in fields(FitConfig)}
    for name in merged:
        if name not in known:
            raise UsageError(f"no option '{name}'.{did_you_mean(name, known)}", expected=", ".join(sorted(known)))
    for name in ("model", "out"):
        if name not in merged:
            raise UsageError(
                f"no {name} was named",
                expected={"model": "a hub id or folder", "out": "a folder for the run"}[name],
                fix=f"--{name} ... (Python: {name}='...')",
            )
    for name in ("weights", "valid", "test", "cache"):
        if merged.get(name) is not None:
            merged[name] = str(merged[name])
    return FitConfig(**merged)


def _run(data: str, config: FitConfig, run: Run, *, say: Callable[[str], None], console: Console) -> FitResult:
    with run.phase("imports"):
        from graft.api import stations
        from graft.data.readers import read_splits
    with run.phase("data"):
        splits = read_splits(
            data,
            valid=config.valid,
            test=config.test,
            path_column=config.path_column,
            label_column=config.label_column,
            group_column=config.group_column,
        )
        for note in splits.notes:
            say(note)
        n_files = sum(len(part.content_hashes()) for part in splits.present().values())
    with run.phase("model"):
        model = stations.load_model(config, splits.train.label_names)
        say(stations.describe_model(model))
    embedded = stations.embed(splits, model, config, run, say=say, console=console)
    with run.phase("checks and split"):
        embedded = stations.divide(embedded, config, say=say)
    with run.phase("head"):
        head = stations.fit_head(embedded, config, say=say)
    with run.phase("save"):
        saved = stations.save(model, head, embedded, run, say=say)
    with run.phase("baselines"):
        baselines = stations.baselines(embedded, model, config, console=console, say=say)
    with run.phase("evaluation"):
        judged = stations.judge(embedded, head, baselines, config, run)
    return _write(run, config, embedded, head, judged, saved, n_files=n_files, say=say, console=console)


def _write(
    run: Run,
    config: FitConfig,
    embedded: Embedded,
    head: HeadFit,
    judged: Any,
    saved: Any,
    *,
    n_files: int,
    say: Callable[[str], None],
    console: Console,
) -> FitResult:
    """Write predictions, leaderboard, manifest, report and, last, metrics; print the summary."""
    from graft.api import stations
    from graft.report.html import write_report
    from graft.report.terminal import print_summary

    with run.phase("report"):
        write_json(run.folder / "leaderboard.json", head.leaderboard)
        stations.write_predictions(run.folder / "predictions.parquet", judged.predictions)
        manifest = run.write_manifest(
            {"seed": config.seed, "n_files": n_files, **embedded.facts(), **saved, "head": stations.head_facts(head)}
        )
        metrics = {**judged.metrics, "seconds": run.seconds}
        test = judged.predictions["test"]
        write_report(
            run.folder / "report.html",
            metrics=metrics,
            manifest=manifest,
            config=run.config,
            predictions={"test": test},
            leaderboard=head.leaderboard,
            notes=[*embedded.notes, *head.notes],
            thumbnails=stations.thumbnails(embedded, test),
            title=f"{Path(str(run.config['data'])).name}: {Path(config.model).name or config.model}",
        )
    metrics["seconds"] = {
        **{k: round(v, 3) for k, v in run.seconds.items()},
        "total": round(seconds_since_process_start(), 3),
    }
    write_json(run.folder / "metrics.json", metrics)
    print_summary(metrics, console=console, leaderboard=head.leaderboard, noun="pictures")
    console.print()
    say(f"model: {run.folder / 'model'} (loads in transformers.pipeline('image-classification', ...))")
    say(f"report: {run.folder / 'report.html'}")
    return FitResult(run.folder, metrics)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
