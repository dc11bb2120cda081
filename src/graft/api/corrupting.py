"""What the kept model loses where test examples are made worse: as much as there is time for, and beside the probe."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.api.corruption_time import FEWEST_TO_JUDGE, MOST_EXAMPLES
from graft.api.embedding import Embedded, extractor_for
from graft.api.passes import Joined, head_weights, pass_through
from graft.backbones.extraction import Extractor
from graft.backbones.source import Readable
from graft.core.decision import AnyPredictions, Decision
from graft.core.seeds import generator
from graft.core.types import MultiLabelPredictions
from graft.data.corruptions.corrupted import SEVERITIES, CorruptedExamples, corruptions_of
from graft.evaluation.claims import Claim, not_judged
from graft.evaluation.robustness import (
    DISTORTIONS,
    QUESTION,
    compare_robustness,
    judge_corruptions,
    measure_corruptions,
)
from graft.methods.head_only import HeadFit
from graft.tasks.base import Task

__all__ = ["Plan", "corruption_figures", "plan_corruptions"]

_ENOUGH = 100  # examples, for which severities are given up before more examples are
_ORDER = (3, 5, 1, 4, 2)  # in which severities are kept
_TOO_LONG = "a single one would have taken too long (--corruptions all takes the time; Python: corruptions='all')"
_PROBE = 0.2  # of the time that is kept for the frozen network, where another is judged


@dataclass(frozen=True)
class Plan:
    """Which corruptions, severities and how many examples there is time for.

    Parameters
    ----------
    n : examples.
    corruptions, severities : all of the one with all of the other.
    left_out : a sentence on what was used where there was no time for more; empty where nothing was left out.
    """

    n: int
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    left_out: str = ""


def plan_corruptions(
    names: tuple[str, ...], *, n: int, examples_a_second: float, seconds: float, n_extra: int = 0
) -> Plan:
    """Return what fits into a number of seconds: first severities go, then examples, then corruptions.

    Parameters
    ----------
    n : examples there are to take.
    examples_a_second : that are made worse and passed.
    n_extra : further passes of each example, not for a severity of their own.

    Examples
    --------
    >>> plan_corruptions(("a", "b"), n=300, examples_a_second=100, seconds=1e9).severities
    (1, 2, 3, 4, 5)
    >>> plan = plan_corruptions(("a", "b"), n=300, examples_a_second=100, seconds=6)
    >>> plan.n, plan.severities, plan.left_out
    (100, (1, 3, 5), '100 of 300 examples, severities 1, 3 and 5: more would have taken too long')
    """
    most = n
    can = examples_a_second * seconds if np.isfinite(seconds) else np.inf
    severities: tuple[int, ...] = SEVERITIES
    for n_severities in (5, 3, 1):
        severities = tuple(sorted(_ORDER[:n_severities]))
        n = int(min(most, can // (len(names) * n_severities + n_extra)))
        if n >= min(most, _ENOUGH):
            break
    kept = names
    if n < min(most, FEWEST_TO_JUDGE):
        n = min(most, FEWEST_TO_JUDGE)
        kept = names[: max(0, int((can / n - n_extra) // len(severities)))]
    told = []
    if n < most:
        told.append(f"{n} of {most} examples")
    if len(kept) < len(names):
        told.append(f"{len(kept)} of {len(names)} corruptions")
    if severities != SEVERITIES:
        told.append("severity 3" if len(severities) == 1 else "severities 1, 3 and 5")
    return Plan(n, kept, severities, f"{', '.join(told)}: more would have taken too long" if told else "")


def corruption_figures(
    embedded: Embedded,
    test: AnyPredictions,
    config: FitConfig,
    *,
    extractor: Extractor,
    kept: Task,
    decision: Decision,
    probe: tuple[HeadFit, Decision] | None,
    seconds: float,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], list[Claim]]:
    """Return accuracy by corruption and severity, paired with the same examples as they are; and the claims.

    Parameters
    ----------
    probe : the head on the frozen network, where the kept model is another; the two are compared on the same examples.
    seconds : that it may take; what there is no time for is left out, and said.
    """
    is_multi_label = isinstance(test, MultiLabelPredictions)
    known = np.flatnonzero(test.is_known if isinstance(test, MultiLabelPredictions) else test.targets >= 0)
    if len(known) < FEWEST_TO_JUDGE and config.corruptions != "all":
        return _not_judged(f"{len(known)} labelled test examples, of at least {FEWEST_TO_JUDGE}", n=len(known))
    if seconds < 1.0:
        return _not_judged("the time limit leaves no time for it", n=len(known), say=say)
    started, before_s = time.monotonic(), extractor.seconds_forward
    part, names = embedded.splits["test"], corruptions_of(kept.kind)
    rows = generator(config.seed, "corrupted examples").permutation(known)[:MOST_EXAMPLES]
    n_passes = len(names) * len(SEVERITIES) + 1
    # The examples as they are: for the pairing by the same engine, and to see how fast it goes once it runs.
    at, features = pass_through(
        extractor,
        part.select(rows),
        skip_unreadable=True,
        seconds=None if seconds == float("inf") else 0.1 * seconds,
        n_examples=n_passes * len(rows),
    )
    rows = rows[at]
    took = max(extractor.seconds_forward - before_s, 1e-3)
    n_extra = 0 if probe is None else len(names) + 1
    plan = plan_corruptions(
        names,
        n=len(rows),
        examples_a_second=0.9 * len(rows) / took,  # reading and making them worse takes time too
        seconds=seconds - (time.monotonic() - started),
        n_extra=n_extra,
    )
    if not plan.corruptions:
        return _not_judged(_TOO_LONG, n=len(known), say=say)
    rows, features = rows[: plan.n], features[: plan.n]
    end = None if seconds == float("inf") else started + (1 - (_PROBE if probe else 0.0)) * seconds

    def is_right(examples: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.bool_]:
        weights, bias = head_weights(kept.model)
        return _said(part, examples, features @ weights.T + bias, decision).is_correct

    def made_worse(corruption: str, severity: int) -> CorruptedExamples:
        return CorruptedExamples(part, rows, kind=kept.kind, corruption=corruption, severity=severity, seed=config.seed)

    cells = [(c, s) for s in _ORDER if s in plan.severities for c in plan.corruptions]
    at, passed = pass_through(extractor, Joined([made_worse(*cell) for cell in cells]), until=end)
    worse = {
        cell: is_right(rows, passed[i * plan.n : (i + 1) * plan.n])
        for i, cell in enumerate(cells)
        if (i + 1) * plan.n <= len(passed)
    }
    if not worse:
        return _not_judged(_TOO_LONG, n=len(known), say=say)
    left_out = plan.left_out
    if len(worse) < len(cells):
        told = f"of these {len(worse)} of {len(cells)} corruptions by severity were reached in time"
        left_out = f"{left_out}; {told}" if left_out else told
    clean = is_right(rows, features)
    measured = measure_corruptions(clean, worse)
    claims = [judge_corruptions(clean, measured, is_multi_label=is_multi_label)]
    figures: dict[str, Any] = {
        "n": int(plan.n),
        "clean": float(clean.mean()),
        "cells": [cell.as_dict() for cell in sorted(measured, key=lambda c: (names.index(c.corruption), c.severity))],
        "left_out": left_out,
    }
    if left_out:
        say(f"corruptions: {left_out}")
    if probe is not None:
        cells = [cell for cell in worse if cell[1] == claims[0].evidence["severity"]]
        until = None if seconds == float("inf") else started + seconds
        frozen = extractor_for(embedded.model, config, say=lambda text: None, console=None)
        everything: list[Readable] = [part.select(rows), *(made_worse(*cell) for cell in cells)]
        _, passed = pass_through(frozen, Joined(everything), until=until)
        n_whole = len(passed) // plan.n
        if n_whole >= 2:
            head, probe_decision = probe
            right = [
                _said(part, rows, head.logits(passed[i * plan.n : (i + 1) * plan.n]), probe_decision).is_correct
                for i in range(n_whole)
            ]
            tuned = np.stack([worse[cell] for cell in cells[: n_whole - 1]], axis=1)
            shares = (float(clean.mean()), float(right[0].mean()))
            claim = compare_robustness(tuned, np.stack(right[1:], axis=1), clean=shares, is_multi_label=is_multi_label)
            claims.append(claim)
            figures["beside_probe"] = claim.as_dict()["evidence"]
    figures["seconds"] = round(time.monotonic() - started, 2)
    return figures, claims


def _not_judged(
    why: str, *, n: int, say: Callable[[str], None] = lambda text: None
) -> tuple[dict[str, Any], list[Claim]]:
    """Return no figures, and the claim that says why."""
    say(f"corruptions left out: {why}")
    return {}, [not_judged(DISTORTIONS, QUESTION, why=why, n=n)]


def _said(part: Any, rows: NDArray[np.int64], logits: NDArray[np.floating[Any]], decision: Decision) -> AnyPredictions:
    return decision.predictions(
        [part.ids[int(row)] for row in rows],
        part.labels[rows],
        logits=logits,
        label_names=part.label_names,
        split="test",
    )
