"""`check`: what is wrong with the data, before or without a fine-tuning; nothing is trained but a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.gathering import gather_options
from graft.core.files import write_json
from graft.core.findings import Finding
from graft.core.process import prepare_process

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from graft.api.embedding import Embedded
    from graft.core.decision import AnyPredictions
    from graft.data.dataset import Splits
    from graft.methods.head_only import HeadFit

__all__ = ["Checks", "check", "corrected", "inspect_data", "write_checks"]

_FORM = "graft-checks-1"


@dataclass(frozen=True)
class Checks:
    """What was found.

    Parameters
    ----------
    findings : one a check.
    out : the folder of ``checks.json`` and the template of corrections.
    template : the template; None where there is nothing to correct.
    """

    findings: tuple[Finding, ...]
    out: Path
    template: Path | None = None

    def __getitem__(self, check: str) -> Finding:
        return next(finding for finding in self.findings if finding.check == check)


def check(
    data: str | Path,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> Checks:
    """Look for copies, wrong labels, outliers, shortcuts and leaks in labelled data; nothing is changed.

    Parameters
    ----------
    data, model, config : as in `graft.fit`. The frozen network of `model` is what similarity is judged by. Transcribed
        speech needs none; a recogniser that spells with the transcripts' letters finds wrong ones. Conversations need
        none; a language model shows which answers are cut off, and which surprise it.
    out : folder for ``checks.json`` and ``corrections.csv``, a template; by default ``checks``. Files there are kept: a
        further template gets a number.
    console : where it is printed; None: standard output.
    **options : further fields of `FitConfig`.

    Raises
    ------
    UsageError, DataError, ModelError, ResourceError
        As `graft.fit` does.

    Notes
    -----
    Where the data brings no test split, all of it is looked at. The labels of a test split that it brings are read.

    Examples
    --------
    >>> found = check("flowers", model="microsoft/resnet-50")  # doctest: +SKIP
    >>> found["label_errors"].n  # doctest: +SKIP
    31
    """
    prepare_process()
    console = console or Console()

    def say(text: str) -> None:
        console.print(f"· {text}", style="dim", markup=False, highlight=False)

    from graft.data.conversation_files import is_conversational
    from graft.tasks.finding import is_transcribed

    wanted = options.get("task", "auto")
    if wanted == "text-generation" or (wanted == "auto" and is_conversational(data)):
        from graft.api.check_generation import check_generation

        told = gather_options(model=model or "none", out=out or "checks", config=config, options=options)
        return Checks(tuple(check_generation(str(data), told, model=model, say=say, console=console)), Path(told.out))
    if options.get("task", "auto") in ("auto", "automatic-speech-recognition") and is_transcribed(
        Path(data).expanduser()
    ):
        from graft.api.check_speech import check_speech

        options_of_speech = gather_options(model=model or "none", out=out or "checks", config=config, options=options)
        found = check_speech(str(data), options_of_speech, model=model, say=say, console=console)
        return Checks(tuple(found), Path(options_of_speech.out))
    chosen = gather_options(model=model, out=out or "checks", config=config, options=options)
    from graft.api.suspects import write_suspects
    from graft.report.checks import print_checks

    embedded, findings = _found(str(data), chosen, say=say, console=console)
    folder = Path(chosen.out)
    write_checks(folder / "checks.json", findings, embedded)
    print_checks([finding.as_dict() for finding in findings], console=console, is_whole=True)
    say(f"all of it: {folder / 'checks.json'}")
    template = write_suspects(folder, findings, embedded)
    if template is not None:
        say(f"to correct: fill in the column action of {template} (drop, relabel, keep), then --corrections {template}")
    return Checks(tuple(findings), folder, template)


def corrected(splits: Splits, config: FitConfig, *, say: Callable[[str], None]) -> tuple[Splits, frozenset[str]]:
    """Return the splits as the corrections file has them, and the ids that it calls right."""
    if config.corrections is None:
        return splits, frozenset()
    from graft.data.correcting import apply_corrections, match_corrections
    from graft.data.corrections import read_corrections

    corrections = match_corrections(splits, read_corrections(Path(config.corrections)))
    splits = apply_corrections(splits, corrections)
    say(splits.notes[-1])
    return splits, frozenset(name for name, c in corrections.items() if c.action != "drop")


def inspect_data(
    embedded: Embedded, head: HeadFit, config: FitConfig, *, test: AnyPredictions | None, metric: str
) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    test : predictions of the test split by the model that is judged; None: there is none.
    metric : the figure that leads.
    """
    from graft.api.checking import check_data
    from graft.api.deciding import decision_of_head
    from graft.api.headline import Headline
    from graft.api.suspects import with_texts
    from graft.methods.head_only import refit_head

    train = embedded.splits["train"]
    decision = decision_of_head(embedded, head, config)
    names = embedded.label_names

    def refit(rows: NDArray[np.int64]) -> AnyPredictions:
        part, matrix = embedded.splits["test"], embedded.features["test"].matrix
        weights, bias = refit_head(
            head, embedded.features["train"].matrix[rows], train.labels[rows], n_classes=len(names)
        )
        return decision.predictions(
            part.ids, part.labels, logits=matrix @ weights.T + bias, label_names=names, split="test"
        )

    out_of_fold = decision.predictions(
        train.ids, train.labels, logits=head.out_of_fold_logits, label_names=names, split="out_of_fold"
    )
    headline = Headline(metric, test, refit if "test" in embedded.splits else None, out_of_fold=out_of_fold)
    return with_texts(check_data(embedded, out_of_fold, headline, config), embedded)


def write_checks(path: Path, findings: Sequence[Finding], embedded: Embedded) -> None:
    """Write ``checks.json``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    splits = {name: len(part) for name, part in embedded.splits.items()}
    write_json(path, {"form": _FORM, "splits": splits, "findings": [finding.as_dict() for finding in findings]})


def _found(
    data: str, config: FitConfig, *, say: Callable[[str], None], console: Console
) -> tuple[Embedded, list[Finding]]:
    from graft.api import dividing, embedding, pooling, stations
    from graft.api.copying import copies_between, copies_within, groups_for_folds, read_all_traits
    from graft.api.deciding import decision_of_head
    from graft.api.reading import read_as_told
    from graft.core.run_folder import Run
    from graft.evaluation.imbalance import imbalance_of
    from graft.tasks.finding import find_task, refuse_without_classes

    task_name = find_task(data, config.model, wanted=config.task)
    refuse_without_classes(task_name, verb="check")
    splits = read_as_told(data, task_name, config)
    for note in splits.notes:
        say(note)
    splits, reviewed = corrected(splits, config, say=say)
    task = embedding.load_task(config, task_name, splits.train.label_names)
    run = Run(Path(config.out), {}, is_resumed=False)  # keeps the seconds; writes nothing
    embedded = embedding.embed(splits, task, config, run, say=say, console=console)
    traits = read_all_traits(embedded.splits, task.kind, config)
    embedded = replace(embedded, traits=traits, reviewed=reviewed)
    if "test" in embedded.splits:
        embedded = dividing.divide(embedded, config, say=say)
    else:
        train, copies = embedded.splits["train"], copies_within(embedded)
        groups = groups_for_folds(copies, train.groups, n_folds=config.folds)[0]
        overlaps = {"valid": copies_between(embedded, "valid")} if "valid" in embedded.splits else {}
        embedded = replace(embedded, copies=copies, groups=groups, overlaps=overlaps)
    embedded = pooling.choose_pooling(embedded, config, say=say)
    head, _, _ = stations.fit_head(embedded, config, say=say)
    test: AnyPredictions | None = None
    train = embedded.splits["train"]
    if "test" in embedded.splits:
        part = embedded.splits["test"]
        test = decision_of_head(embedded, head, config).predictions(
            part.ids,
            part.labels,
            logits=head.logits(embedded.features["test"].matrix),
            label_names=embedded.label_names,
            split="test",
        )
        say("the labels of the test split were read once, for what the head is worth without what is flagged")
    metric = "mean_average_precision"
    if not train.is_multi_label:
        metric = imbalance_of(train.class_counts, embedded.label_names).headline
    return embedded, inspect_data(embedded, head, config, test=test, metric=metric)
