"""Reports of language models whose prompts, answers, names and training example are hostile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pages import HOSTILE

from graft.evaluation.answer_losses import AnswerLosses
from graft.evaluation.generation_evidence import BASE, GenerationEvidence, evaluate_generations
from graft.evaluation.generation_metrics import metric_named
from graft.evaluation.generations import Generations
from graft.report.comparing_texts import KeptAnswers, compare_texts, write_text_comparison
from graft.report.generation import write_generation_report

N = 60
LONG = "A sentence that goes on for a while, as prompts do.\n\n    def code():\n        return 'as it is'\n" * 4


def hostile(i: int) -> str:
    return HOSTILE[i % len(HOSTILE)]


def losses(mean: float, *, names: str = "t") -> AnswerLosses:
    n_tokens = np.random.default_rng(0).integers(4, 12, N)
    noise = 0.1 * np.random.default_rng(round(100 * mean)).normal(size=N)
    return AnswerLosses([f"{names}{i}" for i in range(N)], n_tokens * (mean + noise), n_tokens)


def texts(n_right: int, n_ended: int, *, shift: int = 0) -> Generations:
    true = [f"answer {i} {hostile(i)[:300]}" for i in range(N)]
    written = [t if (i + shift) % N < n_right else f"{hostile(i)} {LONG if i % 3 else ''}" for i, t in enumerate(true)]
    prompts = [f"question {i}: {hostile(i)} {LONG if i % 4 == 0 else ''}" for i in range(N)]
    return Generations(
        [f"t{i}" for i in range(N)], prompts, true, written, np.arange(N) < n_ended, np.full(N, 9), "test"
    )


def evidence(n_right: int = 30) -> GenerationEvidence:
    return GenerationEvidence(
        metric_named("exact-match"),
        texts(n_right, 50),
        {BASE: texts(3, 2), "base-few-shot": texts(9, 10)},
        {"test": losses(0.5), "valid": losses(0.55, names="v"), "train": losses(0.4, names="s")},
        {"test": losses(2.0), "valid": losses(2.1, names="v"), "train": losses(2.0, names="s")},
        [(f"other {i} {hostile(i)}", f"other answer {i}") for i in range(N)],
        baseline_losses={BASE: losses(2.0), "base-few-shot": losses(1.8)},
        other_texts={
            HOSTILE[1]: (losses(1.2, names="g"), losses(1.5, names="g")),
            "stories.txt": (losses(1.0), losses(1.01)),
        },
        history=[{"step": 10 * i, "log_loss": 1.5 / i} for i in range(1, 9)],
        sizes={n: losses(0.5 + 10 / n) for n in (31, 62, 125, 250, 500)},
    )


def write_generation(path: Path) -> Path:
    """Write the report of a language model."""
    given = evidence()
    metrics = evaluate_generations(given) | {
        "seconds": {"training": 30.0, "evaluation": 12.0, "total": 50.0},
        "test_reads": 2,
        "data": {"Conversations": "500", HOSTILE[0]: HOSTILE[1]},
        "strategy": {"history": list(given.history), "best_step": 80},
    }
    write_generation_report(
        path,
        metrics=metrics,
        manifest={"command": "graft fit " + "a/very/long/path" * 12, "weights": {"hash": "0" * 64}}
        | {"title": HOSTILE[0] + "t" * 80, "notes": ["word" * 40, *HOSTILE], "seed": 0},
        config={"model": "x" * 90, "seed": 0},
        scored=given.scored(),
        example=[("<s>", False), *((f"{text[:300]} ", bool(i % 2)) for i, text in enumerate(HOSTILE)), ("</s>", True)],
        missing=["A sentence on what is not there."],
    )
    return path


def write_comparison(path: Path) -> Path:
    """Write the comparison of two language models with hostile names."""
    answers = [f"answer {i}" for i in range(N)]
    a, b = (
        KeptAnswers(name, given.scored(), given.losses["test"], answers, "exact-match", True)
        for name, given in ((HOSTILE[0], evidence(40)), ("b" * 90, evidence(25)))
    )
    write_text_comparison(path, compare_texts(a, b))
    return path
