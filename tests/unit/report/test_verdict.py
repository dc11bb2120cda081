from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from graft.core.types import Predictions
from graft.evaluation import evaluate, judge, majority_baseline
from graft.evaluation.claims import Claim
from graft.report import build_verdict, print_summary
from graft.report.sections import first

from .conftest import Run, make_label_run, make_run


def with_lead(run: Run, name: str, value: float, p: float) -> dict[str, Any]:
    metrics = copy.deepcopy(run.metrics)
    paired = metrics["baselines"][name]["paired"]
    paired["accuracy_difference"]["value"] = value
    paired["p_value"] = paired["adjusted_p_value"] = p
    return metrics


def facts(metrics: dict[str, Any], leaderboard: list[dict[str, Any]] | None = None) -> dict[str, str]:
    return dict(build_verdict(metrics, leaderboard or []).facts)


@pytest.mark.parametrize(
    ("name", "lead", "p", "headline"),
    [
        ("knn", 0.1, 0.001, "The graft took."),
        ("knn", 0.01, 0.4, "cannot tell it apart from nearest neighbours"),
        ("knn", -0.1, 0.001, "The graft did not pay: nearest neighbours"),
        ("majority", 0.01, 0.4, "No signal"),
        ("majority", -0.1, 0.001, "No signal"),
    ],
)
def test_headline_follows_the_paired_tests(run: Run, name: str, lead: float, p: float, headline: str) -> None:
    assert headline in build_verdict(with_lead(run, name, lead, p)).headline


def test_a_draw_says_what_could_have_been_seen(run: Run) -> None:
    metrics = with_lead(run, "knn", 0.01, 0.4)
    metrics["baselines"]["knn"]["paired"]["smallest_detectable_difference"] = 0.034
    text = facts(metrics)["Baselines"]
    assert "may be chance" in text
    assert "3.4 points" in text


def test_without_baselines_nothing_is_claimed(run: Run) -> None:
    metrics = run.metrics | {"baselines": {}}
    assert "nothing to compare" in build_verdict(metrics).headline
    assert "Baselines" not in facts(metrics)


def test_calibration_is_judged_by_its_null_and_its_direction(run: Run) -> None:
    def sentence(p_value: float, gap: float) -> str:
        calibration = run.metrics["calibration"] | {"p_value": p_value, "confidence_minus_accuracy": gap}
        return facts(run.metrics | {"calibration": calibration})["Confidence"]

    assert "No sign" in sentence(0.3, 0.05)
    assert "claims more than it holds, by 5.0 points" in sentence(0.01, 0.05)
    assert "right more often than it says" in sentence(0.01, -0.05)


def test_choice_names_the_one_standard_error_rule_only_where_it_held(run: Run) -> None:
    assert "10 candidates (2 scalings, 5 penalties)" in facts(run.metrics, run.leaderboard)["How it was chosen"]
    assert "within one standard error" in facts(run.metrics, run.leaderboard)["How it was chosen"]
    narrow = [row | {"standard_error": 0.001} for row in run.leaderboard]
    assert "within one standard error" not in facts(run.metrics, narrow)["How it was chosen"]


def test_weakest_point_names_the_class_and_the_pair() -> None:
    run = make_run(("ant", "bee", "cat"), signal=1.0)
    run.metrics["confusion"]["counts"] = [[70, 0, 10], [1, 79, 0], [0, 0, 80]]
    for i, value in enumerate((70 / 80, 79 / 80, 1.0)):
        run.metrics["confusion"]["recall"][i]["value"] = value
    text = facts(run.metrics)["Weakest point"]
    assert "ant" in text.split(".")[0]
    assert "87.5" in text
    assert "(10×)" in text


def test_terminal_summary_holds_figures_baselines_and_no_markup() -> None:
    run = make_run(("[bold]a[/bold]", "b", "c"), signal=1.0)
    run.metrics["baselines"]["[red]odd"] = run.metrics["baselines"]["knn"]
    file = io.StringIO()
    print_summary(run.metrics, console=Console(file=file, width=100, color_system=None), leaderboard=run.leaderboard)
    text = file.getvalue()
    assert f"{100 * run.metrics['test']['accuracy']['value']:.1f}" in text
    assert "Nearest neighbours" in text
    assert "[red]odd" in text
    assert "Log-loss" in text
    assert "\u2068" not in text
    assert max(map(len, text.splitlines())) <= 100


def printed(run: Run) -> str:
    file = io.StringIO()
    print_summary(run.metrics, console=Console(file=file, width=110, color_system=None), leaderboard=run.leaderboard)
    return file.getvalue()


def test_label_sets_are_led_by_mean_average_precision() -> None:
    run = make_label_run(("sea", "sky", "boat"))
    judged, told = run.metrics["test"], facts(run.metrics, run.leaderboard)
    assert build_verdict(run.metrics).headline == "The graft took."
    assert f"{100 * judged['mean_average_precision']['value']:.1f}" in told["Mean average precision"]
    assert "in it all labels weigh alike" in told["Mean average precision"]
    assert f"{100 * judged['exact_match']['value']:.1f}" in told["Mean average precision"]
    assert told["Baselines"].startswith("In mean average precision: ")
    assert "knowing how often each label occurs" in told["Baselines"]
    assert "is recognised least well: F1" in told["Weakest point"]
    text = printed(run)
    for words in (
        "Mean average precision",
        "Micro F1",
        "Macro F1",
        "Exact label sets",
        "Log-loss",
        "Label frequencies",
    ):
        assert words in text
    assert f"{100 * run.metrics['baselines']['prior']['mean_average_precision']['value']:.1f}" in text
    assert max(map(len, text.splitlines())) <= 110


def test_labels_that_are_no_better_than_their_frequencies_are_no_signal() -> None:
    run = make_label_run(("sea", "sky", "boat"), signal=0.0)
    assert (
        "No signal: it does no better than knowing how often each label occurs." in build_verdict(run.metrics).headline
    )


def test_calibration_of_labels_says_whether_too_many_are_expected() -> None:
    run = make_label_run(("sea", "sky", "boat"))
    calibration = run.metrics["calibration"] | {"p_value": 0.001, "confidence_minus_accuracy": 0.05}
    assert "expects more labels than there are" in facts(run.metrics | {"calibration": calibration})["Confidence"]


def test_unequal_classes_are_said_and_macro_f1_leads() -> None:
    run = make_run(("ant", "bee", "cat"), n=300, n_rare=20)
    told = facts(run.metrics)
    assert "140 training examples of" in told["Classes"]
    assert "20 of" in told["Classes"]
    assert "(7 to 1)" in told["Classes"]
    assert "class-weights auto" in told["Classes"]
    assert "are classified correctly" in told["Macro F1"]
    assert told["Baselines"].startswith("In macro F1: ")
    adjusted = facts(run.metrics | {"decision": {"strength": 0.5}})["Classes"]
    assert "taken off; the probabilities are left as they are" in adjusted
    text = printed(run)
    assert text.index("Macro F1") < text.index("Accuracy")
    assert "The classes are unequal" in text
    assert f"{100 * run.metrics['baselines']['majority']['macro_f1']['value']:.1f}" in text


def test_equal_classes_are_not_spoken_of(run: Run) -> None:
    assert "Classes" not in facts(run.metrics)


@pytest.mark.parametrize(("is_used", "low", "is_said"), [(False, 0.1, True), (True, 0.1, False), (False, -0.1, False)])
def test_groups_that_were_ignored_and_matter_stand_in_the_headline(
    run: Run, is_used: bool, low: float, is_said: bool
) -> None:
    groups = {"column": "speaker", "is_used": is_used, "flattery": {"low": low}, "text": "groups: a"}
    metrics = with_lead(run, "knn", 0.1, 0.001) | {"groups": groups}
    said = build_verdict(metrics).headline
    assert said == "The graft took." + (" Its figures flatter for a new speaker." if is_said else "")


def test_groups_of_train_and_of_test_are_one_fact(run: Run) -> None:
    groups = {"column": "speaker", "is_used": True, "text": "groups: one", "test": {"text": "two"}}
    metrics = run.metrics | {"groups": groups}
    assert facts(metrics)["Groups"] == "One. Two."
    console = Console(file=io.StringIO(), width=200)
    print_summary(metrics, console=console)
    assert "One. Two." in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_lead_that_is_not_proven_is_no_proof_of_nothing(run: Run) -> None:
    """The headline says what the claim below it says: 75 % against 33 % on 12 examples is open."""
    y = np.arange(12) % 3
    right = np.arange(12) < 9
    said = Predictions([str(i) for i in range(12)], y, 3 * np.eye(3)[np.where(right, y, (y + 1) % 3)], ("a", "b", "c"))
    base = majority_baseline(np.array([0, 0, 1, 2]), said.ids, y, label_names=said.label_names)
    found = evaluate(said, baselines={"majority": base})
    (claim,) = (c for c in judge(said, baselines={"majority": base}, evaluation=found) if c.name == "signal")
    assert claim.answer == "can't tell"
    metrics = found.as_dict() | {"claims": [claim.as_dict()]}
    assert build_verdict(metrics).headline == (
        "No signal shown: this test is too small to show that it learned anything."
    )
    ruled_out = metrics | {"claims": [claim.as_dict() | {"answer": "no"}]}
    assert "does no better" in build_verdict(ruled_out).headline


def heard(run: Run, over: dict[str, Any], n_groups: int) -> dict[str, Any]:
    """Return the run's metrics with a test split of speakers that train has not."""
    test = {"text": "two", "n_groups": n_groups, "over_groups": over}
    groups = {"column": "speaker", "is_used": True, "flattery": {"low": 0.2}, "text": "groups: one", "test": test}
    return run.metrics | {"groups": groups}


def test_the_interval_that_leads_is_the_one_for_new_speakers(run: Run) -> None:
    metrics = heard(run, {"value": 0.9, "low": 0.41, "high": 0.97, "level": 0.95}, 6)
    verdict = build_verdict(metrics)
    assert verdict.facts[0].text.endswith("runs from 41.0 to 97.0\u202f% and holds for a new speaker.")
    assert [fact.topic for fact in verdict.facts][1] == "Groups"
    shown = first.headline(metrics)
    assert shown is not None
    assert (shown["interval"], shown["for_whom"]) == ("41.0 to 97.0\u202f%", ", for a new speaker")
    assert [fact.topic for fact in first.five_sentences(verdict)[0]][:2] == ["Accuracy", "Groups"]


@pytest.mark.parametrize(("n", "words"), [(1, "for this speaker alone"), (2, "for these 2 speakers alone")])
def test_too_few_speakers_for_an_interval_are_named(run: Run, n: int, words: str) -> None:
    metrics = heard(run, {"value": 0.9, "low": None, "high": None}, n)
    assert f"and holds {words}." in build_verdict(metrics).facts[0].text
    shown = first.headline(metrics)
    assert shown is not None
    assert shown["for_whom"] == f", {words}"


def test_an_answer_stands_behind_its_question(run: Run) -> None:
    claim = Claim("calibrated", "Can its probabilities be taken at face value?", "no", "weak", "No: they are off.")
    metrics = run.metrics | {"claims": [claim.as_dict()]}
    file = io.StringIO()
    print_summary(metrics, console=Console(file=file, width=110, color_system=None))
    assert "Can its probabilities be taken at face value? No: they are off." in file.getvalue()
    assert "Confidence: No" not in file.getvalue()
