"""The report of a language model: everything said, and nothing of what models or users write run as markup."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generation_evidence import BASE, GenerationEvidence, evaluate_generations
from graft.evaluation.generation_metrics import metric_named
from graft.evaluation.generations import Generations
from graft.report.generation import generation_facts, generation_headline, print_generation, write_generation_report

from .hostile import HOSTILE

N = 60


def losses(mean: float, *, names: str = "t", n: int = N) -> AnswerLosses:
    n_tokens = np.random.default_rng(0).integers(4, 12, n)
    noise = 0.1 * np.random.default_rng(round(100 * mean)).normal(size=n)
    return AnswerLosses([f"{names}{i}" for i in range(n)], n_tokens * (mean + noise), n_tokens)


def evidence(*, wrong: int = 6, ended: int = N, base_right: int = 0, text: str = "no") -> GenerationEvidence:
    true = [f"answer number {i}" for i in range(N)]

    def texts(n_right: int, n_ended: int) -> Generations:
        written = [t if i < n_right else text for i, t in enumerate(true)]
        prompts = [f"question {i} {text}" for i in range(N)]
        names = [f"t{i}" for i in range(N)]
        return Generations(names, prompts, true, written, np.arange(N) < n_ended, np.full(N, 9), split="test")

    return GenerationEvidence(
        metric_named("exact-match"),
        texts(N - wrong, ended),
        {BASE: texts(base_right, 2), "base-few-shot": texts(base_right, 10)},
        {"test": losses(0.5), "train": losses(0.4, names="s")},
        {"test": losses(2.0), "train": losses(2.0, names="s")},
        [(f"other question {i}", f"other answer {i}") for i in range(N)],
        baseline_losses={BASE: losses(2.0), "base-few-shot": losses(1.8)},
        other_texts={"stories": (losses(1.2, names="g"), losses(1.5, names="g"))},
    )


MANIFEST = {"title": "skill: tiny", "command": "graft fit skill.jsonl", "notes": ["2 rows were dropped"], "seed": 0}


def written(path: Path, given: GenerationEvidence, **more: Any) -> str:
    metrics = evaluate_generations(given) | {
        "seconds": {"training": 3.0, "total": 5.0},
        "test_reads": 1,
        "data": {"tokens that carry loss": "31.0 %"},
        "strategy": {"history": [{"step": 5, "log_loss": 1.5}, {"step": 10, "log_loss": 0.5}], "best_step": 10},
    }
    example = more.pop("example", [("<s>", False), ("Say", False), (" yes", True), ("</s>", True)])
    write_generation_report(
        path, metrics=metrics, manifest=MANIFEST | more, config={"seed": 0}, scored=given.scored(), example=example
    )
    return path.read_text(encoding="utf-8")


def test_the_report_says_what_was_learned_and_what_it_cost(tmp_path: Path) -> None:
    page = written(tmp_path / "r.html", evidence())
    assert "The graft took. It forgot some of stories." in page
    for text in (
        "90.0\u202f%",
        "Did it forget stories?",
        "Base model, few-shot",
        '<td class="num">1.3',  # perplexity of stories, times: about exp(0.3)
        '<span class="masked"><span>&lt;s&gt;</span><span>Say</span></span>',
        '<span class="supervised"><span> yes</span><span>&lt;/s&gt;</span></span>',
        "2 rows were dropped",
        "graft fit skill.jsonl",
        "tokens that carry loss",
    ):
        assert text in page, text


@pytest.mark.parametrize(
    ("given", "starts"),
    [
        (evidence(), "The graft took. It forgot"),
        (evidence(base_right=51), "The graft learned the answers; whether its texts beat the base model as it was"),
        (evidence(wrong=50, base_right=40), "The graft did not pay: no better than the base model as it was and"),
        (evidence(ended=20), "The graft took. It does not stop by itself, and forgot some of stories."),
        (evidence(ended=20, text="and then " * 20), "The graft took. It does not stop by itself, repeats itself, and"),
    ],
)
def test_the_headline_holds_the_bad_news(given: GenerationEvidence, starts: str) -> None:
    assert generation_headline(evaluate_generations(given)).startswith(starts)


def test_the_first_facts_are_those_that_people_ask_for() -> None:
    topics = [fact.topic for fact in generation_facts(evaluate_generations(evidence()))]
    assert topics[:6] == ["Score", "Baselines", "Baselines", "Answers", "Forgetting", "Stopping"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_shown_and_never_markup(tmp_path: Path, name: str) -> None:
    page = written(
        tmp_path / "r.html", evidence(text=name), title=name, notes=[name], example=[(name, False), (name, True)]
    )
    assert "<script" not in page
    assert "<img" not in page
    assert "onload=alert" not in page.replace("onload=alert(4)&gt;", "")
    assert page.count("</style>") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert len(page) < 1_000_000


def test_the_terminal_shows_the_same(tmp_path: Path) -> None:
    out = io.StringIO()
    metrics = evaluate_generations(evidence(text="[bold]x[/bold]"))
    print_generation(metrics, console=Console(file=out, width=140))
    shown = out.getvalue()
    assert "The graft took. It forgot some of stories." in shown
    assert "Base model, few-shot" in shown
    assert "Forgetting: Yes: on stories its loss rose" in shown
