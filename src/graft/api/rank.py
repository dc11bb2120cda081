"""`rank`: which of several pretrained models to begin with, on these data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from graft.api.config import FitConfig
from graft.api.config_values import seconds_of
from graft.api.gathering import gather_options
from graft.core.errors import Interrupted, UsageError
from graft.core.files import write_json
from graft.core.process import prepare_process
from graft.core.text import counted

if TYPE_CHECKING:
    from graft.evaluation.selection_bias import SelectionBias
    from graft.selection.ranking_evidence import PairedLoss
    from graft.selection.ranking_final import ShortFinal
    from graft.selection.ranking_standing import Standing

__all__ = ["Ranking", "overrun", "rank", "ranked"]

_NAMED = 5  # of those left out, in an error


@dataclass(frozen=True)
class Ranking:
    """Pretrained models, the best first, and what can be said of their differences.

    Parameters
    ----------
    standings : the candidates that were looked at, the best first.
    pairs : paired comparisons of those that met on the same examples.
    left_out : names and reasons.
    told : in words, who can't be told apart.
    bias : the winner's out-of-fold accuracy, corrected for having been chosen (BBC-CV); None: nothing was chosen, or
        the final did.
    final : what a short fine-tuning run of the first two says; None: they can be told apart without, there was no time
        for it, or it was not wanted.
    n_examples : training examples that there were; the test split is not among them.
    seconds : that all of it took.
    """

    standings: tuple[Standing, ...]
    pairs: tuple[PairedLoss, ...]
    left_out: tuple[tuple[str, str], ...]
    told: tuple[str, ...]
    bias: SelectionBias | None
    n_examples: int
    seconds: float
    final: ShortFinal | None = None

    @property
    def best(self) -> str:
        """The name of the first."""
        return self.standings[0].name

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "best": self.best,
            "standings": [standing.as_dict() for standing in self.standings],
            "pairs": [pair.as_dict() for pair in self.pairs],
            "left_out": [{"name": name, "why": why} for name, why in self.left_out],
            "told": list(self.told),
            "selection_bias": None if self.bias is None else self.bias.as_dict(),
            "final": None if self.final is None else self.final.as_dict(),
            "n_examples": self.n_examples,
            "seconds": round(self.seconds, 3),
        }


def rank(
    data: str | Path,
    *,
    models: Sequence[str | Path] | None = None,
    catalog: bool = False,
    budget: str = "5m",
    licence: Sequence[str] | None = None,
    json: str | Path | None = None,
    config: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> Ranking:
    """Rank pretrained models by what their frozen features know of the labels; the test split is not read.

    Where these can't tell the first two apart, both are fine-tuned for a quarter of the steps if the budget allows.

    Parameters
    ----------
    data : as in `graft.fit`.
    models : hub ids and folders; a folder of folders stands for all checkpoints in it.
    catalog : take Graft's own list for this kind of example as well; without `models` it is taken anyway.
    budget : time for all of it, such as ``"90s"`` or ``"5m"``.
    licence : short names; only models that state one of them are looked at.
    json : a file for the result as JSON.
    console : where it is printed; None: standard output.
    **options : further fields of `FitConfig`; with ``offline=True`` only what is on disk is looked at, with
        ``race="none"`` nothing is fine-tuned.

    Raises
    ------
    UsageError
        When no candidate is left, or the budget is no time.
    ModelError
        When no candidate could be loaded.
    DataError, ResourceError
        As `graft.fit` does.

    Examples
    --------
    >>> found = rank("flowers", models=["microsoft/resnet-18", "facebook/dinov2-small"])  # doctest: +SKIP
    >>> found.best, found.told  # doctest: +SKIP
    ('facebook/dinov2-small', ('facebook/dinov2-small is better than every other that was compared with it',))
    """
    prepare_process()
    began = time.monotonic()
    seconds = seconds_of(budget)
    if seconds is None:
        raise UsageError(f"--budget {budget} (Python: budget=)", expected="a time such as 90s, 5m or 1h")
    options["out"] = options.get("out") or "run"
    chosen = gather_options(
        model=options.pop("model", None) or "auto", out=options.pop("out"), config=config, options=options
    )
    if json is not None and Path(json).is_dir():
        raise UsageError(f"--json {json} is a folder", expected="a file", fix=f"--json {Path(json) / 'ranking.json'}")
    console = console or Console()

    def say(text: str) -> None:
        console.print(f"· {text}", style="dim", markup=False, highlight=False)

    from graft.report.ranking_table import print_ranking

    names = [str(model) for model in models or ()]
    found = ranked(
        str(data),
        chosen,
        names,
        catalog or not names,
        [*(licence or ())],
        end=began + seconds,
        began=began,
        has_final=chosen.race != "none",
        say=say,
        say_left_out=lambda text: None,  # the table's last lines say it
    )
    print_ranking(found.as_dict(), console=console)
    if json is not None:
        write_json(Path(json), found.as_dict())
    if (late := overrun(found, seconds)) is not None:
        say(late)
    return found


def overrun(found: Ranking, seconds: float) -> str | None:
    """Return in a sentence by how much a ranking overran its budget, and why; None: it did not."""
    if found.seconds < seconds + 1:
        return None
    took = f"the ranking took {found.seconds:,.0f} s of {seconds:,.0f} s"
    if found.final is not None and found.final.seconds > 0.5 * found.seconds:
        return f"{took}: the short fine-tuning of the first two took {found.final.seconds:,.0f} s"
    slowest = max(found.standings, key=lambda standing: standing.seconds)
    alone = ""
    if slowest.seconds > 0.5 * found.seconds:
        alone = f"{slowest.name} alone took {slowest.seconds:,.0f} s, "
    return f"{took}: {alone}a look at a network is not broken off"


def ranked(
    data: str,
    config: FitConfig,
    models: list[str],
    has_catalog: bool,
    licences: list[str],
    *,
    end: float,
    began: float,
    has_final: bool = False,
    say: Callable[[str], None],
    say_left_out: Callable[[str], None] | None = None,
) -> Ranking:
    """Return the ranking, as `rank` does, of options that are gathered already.

    Parameters
    ----------
    has_catalog : whether Graft's own list is ranked as well.
    end, began : readings of ``time.monotonic``.
    has_final : whether the first two are fine-tuned for some steps where features can't tell them apart.
    say_left_out : told of each that could not be looked at; None: `say`.
    """
    import numpy as np

    from graft.api.candidates import candidates_of, wanted_entries
    from graft.api.check import corrected
    from graft.api.dividing import groups_by_content, hold_out_test
    from graft.api.finalists import final_of
    from graft.api.reading import read_as_told
    from graft.evaluation.selection_bias import selection_bias
    from graft.selection.ranking import rank_candidates, reason_of
    from graft.selection.ranking_evidence import tie_sentences
    from graft.tasks.finding import find_task, refuse_without_classes
    from graft.tasks.registry import task_class

    task_name = find_task(data, models[0] if models else "", wanted=config.task)
    refuse_without_classes(task_name, verb="rank")
    kind = task_class(task_name).kind
    splits = read_as_told(data, task_name, config)
    had_test = splits.test is not None
    splits = hold_out_test(splits, config)
    if not had_test:
        say(splits.notes[-1])
    splits, _ = corrected(splits, config, say=lambda text: None)  # in a fit, which says it
    train, groups = splits.train, groups_by_content(splits.train)
    entries, left_out = wanted_entries(
        kind.modality, models, has_catalog=has_catalog, licences=licences, is_offline=config.offline
    )
    if not entries:
        raise _none_left(kind.noun, left_out, config, licences)
    unreadable = set[int]()
    standings, pairs, late = rank_candidates(
        candidates_of(entries, task_name, train, config, n_examples=len(train), unreadable=unreadable),
        train.labels,
        n_classes=len(train.label_names),
        groups=groups,
        n_folds=config.folds,
        seconds=max(1.0, end - time.monotonic()),
        seed=config.seed,
        say=say,
        say_left_out=say_left_out,
    )
    if unreadable:
        example = train.ids[min(unreadable)]
        say(f"{counted(len(unreadable), f'unreadable {kind.noun}')} of train skipped, for example {example}")
    last = [standing for standing in standings if standing.round == standings[0].round]
    bias = None
    if len(last) > 1:
        right = np.stack([standing.signals.is_right for standing in last], axis=1).astype(float)
        by = np.stack([standing.bonus - standing.signals.both for standing in last], axis=1)
        bias = selection_bias(right, criterion=by, seed=config.seed)
    told = tie_sentences([standing.name for standing in standings], pairs)
    final = None
    if has_final and len(last) > 1 and last[1].is_tied:
        by_id = {entry.id: entry for entry in entries}
        try:
            final = final_of(
                [by_id[one.name] for one in last[:2]], task_name, train, config, groups=groups, standings=last[:2],
                end=end, say=say,
            )  # fmt: skip
        except Interrupted:
            raise
        except Exception as error:  # the ranking stands without it
            say(f"no final of {last[0].name} and {last[1].name}: {reason_of(error)}")
    if final is not None:
        told.append(final.told)
        if final.is_turned:  # and what was corrected is the other's accuracy
            standings, bias = (standings[1], standings[0], *standings[2:]), None
    return Ranking(standings, pairs, (*left_out, *late), tuple(told), bias, len(train), time.monotonic() - began, final)


def _none_left(
    noun: str, left_out: Sequence[tuple[str, str]], config: FitConfig, licences: Sequence[str]
) -> UsageError:
    """Return the error where no candidate is left: who was left out, why, and which options led to it."""
    named = [f"{name} ({why})" for name, why in left_out[:_NAMED]]
    more = len(left_out) - len(named)
    told = ", ".join(named) + (f" and {more} more" if more else "")
    given = [flag for flag, is_given in (("--offline", config.offline), ("--licence", bool(licences))) if is_given]
    away = f"; or leave {' or '.join(given)} away" if given else ""
    conditions = ["on this disk" if config.offline else "on this disk or to be fetched"]
    conditions += ["under a licence that is wanted"] if licences else []
    return UsageError(
        f"no pretrained model of {noun}s is left{f'; left out: {told}' if told else ''}",
        expected=f"at least one that is {' and '.join(conditions)}",
        fix="name others: graft rank --models FOLDER_OR_ID ..., graft fit --model FOLDER (Python: models=[...],"
        f" model=...){away}",
    )
