"""Metrics of generated texts against values by hand and of programs in use; repetition, recitation, contamination."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from graft.core.errors import DataError, UsageError
from graft.evaluation.comparisons import PairedBootstrap, PairedTest
from graft.evaluation.generation_metrics import json_valid, last_number, metric_named, numeric_match
from graft.evaluation.generations import Generations, compare_scores, mean_score, share_ended
from graft.evaluation.repetition import ends_in_loop, repeated_share
from graft.evaluation.shared_passages import contaminated, recited
from graft.evaluation.text_overlap import chrf, longest_common, rouge_l, words_of


def written(texts: list[str], references: list[str] | None = None, ended: list[bool] | None = None) -> Generations:
    n = len(texts)
    return Generations(
        [f"t{i}" for i in range(n)],
        [""] * n,
        references or [""] * n,
        texts,
        np.array([True] * n if ended is None else ended),
        np.full(n, 3),
    )


def test_chrf_by_hand() -> None:
    # "thecat", "thehat": 5 of 6 letters; th he at of 5; the of 4; no longer run.
    share = (5 / 6 + 3 / 5 + 1 / 4) / 6
    assert chrf("the cat", "the hat") == pytest.approx(share)  # equal lengths: precision is recall
    # "ab", "abc": precision 2/2, 1/1; recall 2/3, 1/2; the text without a third letter has no third mean.
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    assert chrf("ab", "abc") == pytest.approx(5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize(
    ("generated", "reference", "plain", "plus_plus", "rouge"),
    [  # sacrebleu 2.6.0: CHRF().sentence_score, CHRF(word_order=2); rouge-score 0.1.2: rougeL
        ("Das ist ein Test.", "Dies ist ein kleiner Test.", 38.44755336173207, 42.77622591477347, 2 / 3),
        ("(hi) there", "hi, there!", 39.411375661375665, 32.886685265838366, 1.0),
        ("Hello world", "hello World", 37.53968253968254, 28.154761904761905, 1.0),
    ],
)
def test_overlap_is_that_of_the_programs_in_use(
    generated: str, reference: str, plain: float, plus_plus: float, rouge: float
) -> None:
    assert 100 * chrf(generated, reference) == pytest.approx(plain)
    assert 100 * chrf(generated, reference, n_words=2) == pytest.approx(plus_plus)
    assert rouge_l(generated, reference) == pytest.approx(rouge)


def test_lins_own_examples_of_rouge_l() -> None:
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference) == 3 / 4
    assert rouge_l("the gunman kill police", reference) == 2 / 4
    assert rouge_l("the gunman police killed", reference) == 2 / 4


def test_the_longest_common_subsequence_equals_the_plain_table() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        a, b = (list(random.choice(list("abc"), random.integers(0, 12))) for _ in range(2))
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
        assert longest_common(a, b) == table[-1, -1]


def test_words_of_scripts_without_blanks() -> None:
    assert words_of("我爱你 and Ünïcode_x") == ["我", "爱", "你", "and", "ünïcode", "x"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 10 x 2 = 20.", "20"),
        ("She earned $10.", "10"),
        ("it costs $1,234,567.5 in all", "1234567.5"),
        ("1,2,3", "3"),
        ("1,2345", "2345"),
        ("it was 5-3", "3"),
        ("it was -3 degrees", "-3"),
        ("−4", "-4"),
        ("first 7 #### 12 apples and 3 pears", "12"),
        ("100%", "100"),
        ("v2", "2"),
    ],
)
def test_the_last_number(text: str, number: str) -> None:
    assert str(last_number(text)) == number


def test_numbers_are_compared_as_numbers() -> None:
    assert numeric_match("is 72.00", "#### 72") == 1.0
    assert numeric_match("no number", "#### 72") == 0.0
    with pytest.raises(DataError, match="t1: a true answer without a number"):
        metric_named("numeric-match").scores(written(["1", "2"], ["1", "none"]))


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} then', "```json\n{}\n```", "NaN", "'a'", "[" * 100_000])
def test_what_is_no_json(text: str) -> None:
    assert json_valid(text) == 0.0


def test_metrics_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert metric_named("json-valid").scores(written(['{"a": [1]}', "a"])).tolist() == [1.0, 0.0]
    assert metric_named("exact-match").scores(written([" e\u0301", "b"], ["é", "B"])).tolist() == [1.0, 0.0]
    assert metric_named(r"regex:^\d+$").scores(written(["12", "x12"])).tolist() == [1.0, 0.0]
    file = tmp_path / "mine.py"
    file.write_text("def longer(generated, reference):\n    return len(generated) > len(reference)\n")
    assert metric_named(f"{file}:longer").scores(written(["abc", "a"], ["a", "b"])).tolist() == [1.0, 0.0]
    monkeypatch.syspath_prepend(str(tmp_path))
    assert metric_named("mine:longer").scores(written(["abc"], ["a"])).tolist() == [1.0]
    sys.modules.pop("mine")


def test_metrics_that_cannot_be_had_say_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'exact-match'"):
        metric_named("exact_match")
    with pytest.raises(UsageError, match="unterminated"):
        metric_named("regex:(")
    with pytest.raises(UsageError, match="there is no file"):
        metric_named("none.py:f")
    with pytest.raises(UsageError, match="cannot be imported"):
        metric_named("no_such_module_here:f")
    file = tmp_path / "bad.py"
    file.write_text("def f(generated, reference):\n    return float('nan')\ndef g(generated, reference):\n    1 / 0\n")
    with pytest.raises(UsageError, match="has no function h"):
        metric_named(f"{file}:h")
    with pytest.raises(DataError, match=r"t0: .* gave nan"):
        metric_named(f"{file}:f").scores(written(["a"]))
    with pytest.raises(DataError, match="ZeroDivisionError"):
        metric_named(f"{file}:g").scores(written(["a"]))


def test_scores_get_the_interval_and_the_test_of_their_kind() -> None:
    right = np.array([1.0] * 8 + [0.0] * 2)
    assert mean_score(right, is_share=True).method == "wilson"
    graded = np.linspace(0, 1, 30)
    assert mean_score(graded, is_share=False).method == "bca-bootstrap"
    assert isinstance(compare_scores(right, 1 - right, metric="x", is_share=True), PairedTest)
    found = compare_scores(graded + 0.1, graded, metric="chrf", is_share=False)
    assert isinstance(found, PairedBootstrap)
    assert found.difference.value == pytest.approx(0.1)
    with pytest.raises(DataError, match="neither right nor wrong"):
        mean_score(graded, is_share=True)
    with pytest.raises(DataError, match="3 and 2 scores"):
        compare_scores(np.ones(3), np.ones(2), metric="x", is_share=True)


def test_the_share_that_ends_by_itself() -> None:
    assert share_ended(written(["a"] * 4, ended=[True, True, True, False])).value == 0.75


def test_generations_of_unequal_number_are_refused() -> None:
    with pytest.raises(DataError, match="2 ids"):
        Generations(["a", "b"], [""], [""], [""], np.array([True]), np.array([1]))


def test_repetition() -> None:
    assert repeated_share("one two three four five") == 0.0
    assert repeated_share("a b c d " * 5) == pytest.approx(1 - 4 / 17)
    assert ends_in_loop("She was sad. " + "She cried and " * 6 + "She cr")
    assert ends_in_loop("ha" * 30)
    assert ends_in_loop("\n" * 300), "a text of blanks alone"
    assert not ends_in_loop("........")
    assert not ends_in_loop("No, no, no, no! " + "He said it was not so, and they all went home in the evening.")
    assert not ends_in_loop("")


def test_recited_passages_but_not_those_of_the_prompt() -> None:
    answer = " ".join(f"w{i}" for i in range(30))
    found = recited(
        [f"well {answer} indeed yes", "w0 w1 w2", answer], ["other words", answer], prompts=["", "", answer]
    )
    assert found.longest.tolist() == [30, 0, 0]
    assert found.source.tolist() == [1, -1, -1]
    assert found.share[0] == pytest.approx(30 / 33)
    assert found.is_any.tolist() == [True, False, False]


def test_contamination_by_a_passage_by_the_whole_and_not_by_a_form() -> None:
    question = " ".join(f"q{i}" for i in range(14))
    form = " ".join(f"f{i}" for i in range(15))
    train = [(f"{question} again", "yes"), ("Short one?", "no"), *((f"{form} {i}", f"a{i}") for i in range(12))]
    test = [(f"Now {question}", "no"), ("short one", "maybe"), ("A short one?", "no"), (f"{form} 99", "new")]
    assert contaminated(test, train).tolist() == [0, 1, -1, -1]
