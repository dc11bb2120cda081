"""Claims of generated texts: each answer in a case where it is the right one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from graft.core.errors import DataError
from graft.evaluation.answer_losses import AnswerLosses, compare_losses
from graft.evaluation.claims import Claim
from graft.evaluation.generation_claims import judge_contamination, judge_recital, judge_repetition, judge_stops
from graft.evaluation.generation_evidence import BASE, GenerationEvidence, evaluate_generations
from graft.evaluation.generation_metrics import metric_named
from graft.evaluation.generations import Generations
from graft.evaluation.loss_claims import judge_forgetting, judge_learned, judge_more_data, judge_overfitting

RANDOM = np.random.default_rng(0)
WORDS = [f"word{i}" for i in range(400)]


def sentence(n: int, random: np.random.Generator = RANDOM) -> str:
    return " ".join(random.choice(WORDS, n))


def losses(n: int, mean: float, *, names: str = "a", seed: int = 0) -> AnswerLosses:
    random = np.random.default_rng(seed)
    n_tokens = random.integers(5, 20, n)
    return AnswerLosses([f"{names}{i}" for i in range(n)], n_tokens * (mean + 0.2 * random.normal(size=n)), n_tokens)


def moved(before: AnswerLosses, by: float, *, noise: float = 0.02, seed: int = 1) -> AnswerLosses:
    shift = by + noise * np.random.default_rng(seed).normal(size=len(before))
    return AnswerLosses(before.ids, before.sums + shift * before.n_tokens, before.n_tokens)


def texts(written: list[str], true: list[str] | None = None, *, ended: int | None = None) -> Generations:
    n = len(written)
    stops = np.arange(n) < (n if ended is None else ended)
    return Generations(
        [f"t{i}" for i in range(n)], ["?"] * n, true or written, written, stops, np.full(n, 9), split="test"
    )


@pytest.mark.parametrize(
    ("by", "noise", "answer"), [(-0.3, 0.02, "yes"), (0.3, 0.02, "no"), (0.0, 0.01, "no"), (-0.02, 0.3, "can't tell")]
)
def test_learned(by: float, noise: float, answer: str) -> None:
    before = losses(60, 2.0)
    claim = judge_learned(compare_losses(before, moved(before, by, noise=noise)), n=60)
    assert claim.answer == answer, claim.sentence


@pytest.mark.parametrize(
    ("seen_by", "held_out_by", "answer"),
    [(-1.5, 0.3, "yes"), (-1.5, -0.4, "no"), (-0.4, -0.4, "no"), (-1.5, 0.0, "can't tell")],
)
def test_overfitting_takes_a_gap_and_harm(seen_by: float, held_out_by: float, answer: str) -> None:
    seen, held_out = losses(100, 2.0, names="s", seed=2), losses(80, 2.2, names="h", seed=3)
    claim = judge_overfitting(
        moved(seen, seen_by, noise=0.1),
        moved(held_out, held_out_by, noise=0.1),
        seen_before=seen,
        held_out_before=held_out,
    )
    assert claim.answer == answer, claim.sentence


def test_a_gap_that_only_harder_answers_make_is_none() -> None:
    seen, held_out = losses(100, 1.0, names="s", seed=2), losses(80, 2.2, names="h", seed=3)
    raw = judge_overfitting(seen, held_out)
    assert (raw.answer, raw.strength) == ("can't tell", "none")
    fair = judge_overfitting(moved(seen, -0.2), moved(held_out, -0.2), seen_before=seen, held_out_before=held_out)
    assert fair.answer == "no"


@pytest.mark.parametrize(
    ("by", "noise", "answer", "starts"),
    [
        (0.4, 0.05, "yes", "Yes: on stories its loss rose"),
        (0.0, 0.005, "no", "No: on stories its loss is what it was"),
        (-0.4, 0.05, "no", "No: on stories its loss fell"),
        (0.03, 0.4, "can't tell", "Can't tell"),
        (0.018, 0.02, "no", "Hardly: on stories its loss rose a little"),
    ],
)
def test_forgetting(by: float, noise: float, answer: str, starts: str) -> None:
    before = losses(60, 1.5)
    (claim,) = judge_forgetting({"stories": compare_losses(before, moved(before, by, noise=noise))})
    assert claim.name == "forgets:stories"
    assert claim.answer == answer, claim.sentence
    assert claim.sentence.startswith(starts), claim.sentence


def test_a_model_that_did_not_move_forgot_nothing() -> None:
    same = compare_losses(losses(40, 1.5), losses(40, 1.5))
    (claim,) = judge_forgetting({"stories": same})
    assert (claim.answer, claim.strength) == ("no", "strong")
    assert judge_learned(same, n=40).answer == "no"


def test_forgetting_without_a_text_is_said_to_be_unknown() -> None:
    (claim,) = judge_forgetting({})
    assert claim.answer == "can't tell"
    assert "--general-text" in claim.sentence


@pytest.mark.parametrize(("n", "ended", "answer"), [(200, 200, "yes"), (200, 100, "no"), (20, 19, "can't tell")])
def test_stops(n: int, ended: int, answer: str) -> None:
    claim = judge_stops(texts(["a"] * n, ended=ended))
    assert claim.answer == answer
    assert f"{ended} of {n}" in claim.sentence
    assert ("cut off after 9 tokens" in claim.sentence) == (ended < n)


def test_repetition() -> None:
    good = [sentence(20) for _ in range(80)]
    assert judge_repetition(texts(good)).answer == "no"
    looping = [*good[:60], *["and then " * 20] * 20]
    claim = judge_repetition(texts(looping, good))
    assert (claim.answer, claim.strength) == ("yes", "strong")
    assert "20 of 80 texts end in a loop" in claim.sentence
    refrain = [f"{s}. {s}. {sentence(6)}" for s in (sentence(8) for _ in range(80))]
    assert judge_repetition(texts(refrain, good)).answer == "yes"  # no loop, and more than true answers do
    assert judge_repetition(texts(refrain)).answer == "no"  # the true answers repeat as much


def test_recital_counts_against_the_true_answers() -> None:
    answers = [sentence(40) for _ in range(50)]
    fresh = [sentence(30) for _ in range(60)]
    assert judge_recital(texts(fresh), answers).answer == "no"
    claim = judge_recital(texts([*answers[:20], *fresh[20:]], fresh), answers)
    assert claim.answer == "yes"
    assert "20 of 60 texts" in claim.sentence
    assert "40 words" in claim.sentence
    form = [f"{answers[0]} {f}" for f in fresh]
    assert judge_recital(texts(form), answers).answer == "no"  # the true answers hold the same form
    assert judge_recital(texts(fresh), ["yes", "no"]).sentence.startswith("Not judged: 0 of 2 training answers")


def test_contamination_gives_the_score_without() -> None:
    train = [(sentence(20), sentence(5)) for _ in range(40)]
    test = [(sentence(20), sentence(5)) for _ in range(10)]
    assert judge_contamination(test, train).answer == "no"
    scores = np.array([0.0] * 8 + [1.0] * 2)
    claim = judge_contamination([*test[:8], *train[:2]], train, scores=scores, metric="exact-match")
    assert claim.answer == "yes"
    assert "2 of 10 test examples" in claim.sentence
    assert "without them exact-match is 0.0\u202f% (all: 20.0\u202f%)" in claim.sentence


def test_more_data_follows_the_curve() -> None:
    sizes = [25, 50, 100, 200, 400]
    steep = judge_more_data(sizes, [losses(100, 3.0 * n**-0.4 + 0.5, seed=5) for n in sizes])
    flat = judge_more_data(sizes, [losses(100, 1.5 + 0.002 * i, seed=5) for i in range(5)])
    assert steep.answer == "yes", steep.sentence
    assert flat.answer == "no", flat.sentence
    low, high = steep.evidence["twice"].low, steep.evidence["twice"].high
    assert low < 3.0 * (400**-0.4 - 800**-0.4) < high
    with pytest.raises(DataError, match="losses of 20 answers"):
        judge_more_data(sizes, [losses(20, 1.0)] * 5)


def evidence(n: int = 60) -> GenerationEvidence:
    true = [sentence(4) for _ in range(n)]
    own = [t if i % 10 else "wrong" for i, t in enumerate(true)]
    base, held_out = losses(n, 2.0, names="t", seed=7), losses(100, 2.0, names="s", seed=8)
    stories = losses(50, 1.2, names="g", seed=9)
    return GenerationEvidence(
        metric_named("exact-match"),
        texts(own, true),
        {BASE: texts(["no"] * n, true, ended=3), "base-few-shot": texts([*true[:20], *["no"] * (n - 20)], true)},
        {"test": moved(base, -0.9), "train": moved(held_out, -1.0)},
        {"test": base, "train": held_out},
        [(sentence(6), sentence(4)) for _ in range(100)],
        baseline_losses={BASE: base},
        other_texts={"stories": (stories, moved(stories, 0.3))},
    )


def test_all_figures_and_claims_together_are_strict_json() -> None:
    found = evaluate_generations(evidence())
    json.dumps(found, allow_nan=False)
    assert found["headline"] == "exact-match"
    assert found["test"]["exact-match"]["value"] == 0.9
    assert found["baselines"][BASE]["exact-match"]["value"] == 0.0
    assert found["baselines"]["base-few-shot"]["paired_test"]["p_value"] < 0.001
    assert found["forgetting"]["stories"]["change"]["p_value"] < 0.01
    answers = {claim["name"]: claim["answer"] for claim in found["claims"]}
    assert answers == {
        f"beats:{BASE}": "yes",
        "beats:base-few-shot": "yes",
        "learned": "yes",
        "overfits": "no",
        "forgets:stories": "yes",
        "stops": "can't tell",
        "repeats": "can't tell",
        "recites": "can't tell",
        "contaminated": "no",
        "more_data": "can't tell",
    }


def test_baselines_of_other_prompts_are_refused() -> None:
    whole = evidence()
    with pytest.raises(DataError, match="other prompts"):
        GenerationEvidence(
            whole.metric, whole.texts, {BASE: whole.texts.select(np.array([0]))}, whole.losses, {}, whole.train
        )


def test_infinite_losses_and_nothing_to_compare_leave_gaps_and_no_errors() -> None:
    bad = AnswerLosses(["t0", "t1"], np.array([np.inf, 1.0]), np.array([2, 3]))
    found = evaluate_generations(
        GenerationEvidence(metric_named("chrf"), texts(["a", "b"], ["a", "c"]), {}, {"test": bad}, {}, [("q", "a")])
    )
    json.dumps(found, allow_nan=False)
    assert found["test"]["loss_per_token"]["value"] is None
    assert all(isinstance(Claim(**claim), Claim) for claim in found["claims"])
