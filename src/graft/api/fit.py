"""`fit`: data in; a fine-tuned model, its evaluation and a report out. The stations in order, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.gathering import gather_options
from graft.api.model_choice import choose_model, is_choice
from graft.core.errors import Interrupted, UsageError
from graft.core.files import read_json
from graft.core.memory import seconds_since_process_start
from graft.core.process import prepare_process, uncollected
from graft.core.processes import Processes, join_processes
from graft.core.run_folder import Run

if TYPE_CHECKING:
    from graft.core.decision import AnyPredictions

__all__ = ["FitResult", "fit"]

_LAST_S = 2.0  # of a time limit, for the report
_RESERVE_S = 8.0  # of a time limit, for all that comes after the pass over the data


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
    """Fine-tune a pretrained model on labelled pictures, texts or recordings, evaluate it, and write model and report.

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
    chosen = gather_options(model=model, out=out, config=config, options=options)
    processes = join_processes(chosen.device)
    _refuse_small_batches(chosen, processes)
    console = console or Console()
    folder = Path(chosen.out)
    options_kept = {"data": str(data), **chosen.as_dict()}
    with Run.beside(folder, options_kept, processes, resume=resume, overwrite=overwrite) as run:
        silent = Console(quiet=True)
        talk = console if processes.is_main else silent
        say = run.logger(lambda text: talk.print(f"[dim]·[/dim] {_escape(text)}", highlight=False, emoji=False))
        if processes.from_main(run.is_resumed and run.is_finished):
            say(f"the run in {folder} is finished; nothing to do (--overwrite starts anew)")
            return FitResult(folder, read_json(folder / "metrics.json") if processes.is_main else {})
        run.seconds["start-up"] = started
        try:
            ranking = None
            if is_choice(chosen.model):
                with run.phase("ranking"):
                    chosen, ranking = choose_model(str(data), chosen, run, processes, say=say)
            return _run(str(data), chosen, run, folder, processes, ranking=ranking, say=say, console=talk)
        except KeyboardInterrupt as error:
            raise Interrupted(
                "the features computed so far are kept",
                fix=f"the same command with --resume goes on (Python: fit(..., out='{folder}', resume=True))",
            ) from error


def _refuse_small_batches(config: FitConfig, processes: Processes) -> None:
    if config.batch_size < processes.n:
        raise UsageError(
            f"--batch-size {config.batch_size} with {processes.n} processes",
            expected="at least one example of every batch for each process",
            fix=f"--batch-size {processes.n} (Python: batch_size={processes.n}), or fewer processes",
        )


def _run(
    data: str,
    config: FitConfig,
    run: Run,
    folder: Path,
    processes: Processes,
    *,
    ranking: dict[str, Any] | None,
    say: Callable[[str], None],
    console: Console,
) -> FitResult:
    with uncollected(), run.phase("task"):
        from graft.tasks.finding import find_task

        task_name = find_task(data, config.model, wanted=config.task)
    if task_name == "automatic-speech-recognition":  # without pooled features: the stations are others
        from graft.api.fit_speech import fit_speech

        return FitResult(run.folder, fit_speech(data, config, run, folder, processes, say=say, console=console))
    if task_name == "text-generation":
        from graft.api.fit_generation import fit_generation

        return FitResult(run.folder, fit_generation(data, config, run, folder, processes, say=say, console=console))
    with uncollected(), run.phase("imports"):
        from graft.api import (
            copying,
            deciding,
            dividing,
            embedding,
            grouping,
            hearing,
            pooling,
            reporting,
            stations,
            tuning,
            verdicts,
        )
        from graft.api.check import corrected, inspect_data
        from graft.api.dividing import hold_out_test
        from graft.api.further import further_figures
        from graft.api.labels_curve import LabelsCurve
        from graft.api.reading import read_as_told
    deadline = tuning.Deadline.of(config)
    with uncollected(), run.phase("data"):
        splits = read_as_told(data, task_name, config)
        notes = splits.notes
        if ranking is not None:
            splits = hold_out_test(splits, config)  # what it notes the ranking has said
        deciding.refuse_for_label_sets(splits, config)
        for note in notes:
            say(note)
        splits, reviewed = corrected(splits, config, say=say)
        n_files = sum(len(part.content_hashes()) for part in splits.present().values())
    with uncollected(), run.phase("model"):
        task = embedding.load_task(config, task_name, splits.train.label_names)
        say(embedding.describe_model(task))
    seconds = deadline.left_s(reserve_s=_RESERVE_S)
    embedded = embedding.embed(
        splits, task, config, run, seconds=seconds, processes=processes, say=say, console=console
    )
    with run.phase("checks and split"):
        traits = copying.read_all_traits(embedded.splits, task.kind, config, processes=processes)
        embedded = replace(embedded, traits=traits, reviewed=reviewed)
        embedded = dividing.divide(embedded, config, processes=processes, say=say)
        embedded, windows = hearing.count_long(embedded, say=say) if processes.is_main else (embedded, None)
    with run.phase("head"):
        embedded = pooling.choose_pooling(embedded, config, say=say)
        head, names, heeded = processes.from_main(
            stations.fit_head(embedded, config, say=say) if processes.is_main else None
        )
        groups = grouping.compare_grouping(embedded, head, config, say=say) if processes.is_main else None
        curve = LabelsCurve.begin(embedded, head, config) if processes.is_main else None
    with run.phase("fine-tuning"):
        tuned = tuning.tune(
            embedded,
            head,
            config,
            run,
            names=heeded,
            folder=folder,
            deadline=deadline,
            processes=processes,
            say=say,
            console=console,
        )
    if curve is None:  # not the main process
        processes.wait()
        return FitResult(folder, {})
    is_kept = tuned.task is not None
    with run.phase("save"):
        decision, choice = deciding.decide(embedded, head, tuned, config, say=say)
        kept = tuned.task or embedded.task
        held_out = deciding.held_out(embedded, head, tuned, decision)
        saved = stations.save(
            kept, None if is_kept else head, embedded, run, decision=decision, held_out=held_out, say=say
        )
    with run.phase("baselines"):
        baselines = stations.baselines(
            embedded, config, probe=head if is_kept else None, label_texts=names, console=console, say=say
        )
    with run.phase("evaluation"):
        out_of_fold: AnyPredictions | None
        logits, out_of_fold = stations.head_logits(embedded, head, decision)
        if tuned.task is not None:
            logits = {
                name: tuning.network_logits(tuned.task.model, embedded.splits[name], config, say=say, console=console)
                for name in logits
            }
            out_of_fold = tuned.out_of_fold(embedded, decision)
        judged = stations.judge(embedded, logits, out_of_fold, baselines, config, run, decision=decision, say=say)
        groups = grouping.judge_by_group(embedded, judged.predictions["test"], groups)
        told = {"decision": choice, "groups": groups, "windows": windows, "ranking": ranking}
        judged.metrics.update({name: facts for name, facts in told.items() if facts is not None})
    with run.phase("checks"):
        metric = judged.metrics["headline"]
        findings = inspect_data(embedded, head, config, test=judged.predictions["test"], metric=metric)
    with run.phase("verdict"):
        found = verdicts.verdict_figures(
            embedded,
            head,
            judged,
            baselines,
            config,
            decision=decision,
            curve=curve,
            tuned=tuned.task,
            candidates=tuned.candidates if is_kept else None,
            history=tuned.history,
            say=say,
            console=console,
        )
        judged.metrics.update(found)
    with run.phase("other data"):
        further_figures(
            embedded,
            head,
            judged,
            config,
            run,
            decision=decision,
            tuned=tuned.task,
            seconds_left=deadline.left_s(reserve_s=_LAST_S),
            say=say,
        )
    metrics = reporting.write_run(
        run, config, embedded, head, tuned, judged, saved, findings=findings, n_files=n_files, say=say, console=console
    )
    tuning.forget(folder)
    processes.wait()
    return FitResult(run.folder, metrics)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
