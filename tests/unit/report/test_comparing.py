from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from graft.core.errors import DataError
from graft.core.types import MultiLabelPredictions, Predictions
from graft.evaluation.alignment import take
from graft.report.comparing import compare_predictions, print_comparison, write_comparison

from .conftest import make_label_run, make_run
from .hostile import HOSTILE

NAMES = ("first", "second")
LABELS = ("ant", "bee", "cat")


def pair(n: int = 300) -> tuple[Predictions, Predictions]:
    a = make_run(LABELS, n=n, signal=2.0).predictions
    assert isinstance(a, Predictions)
    noise = np.random.default_rng(1).normal(size=a.logits.shape)
    return a, replace(a, logits=a.logits + 2 * noise)


def test_the_tests_are_those_of_the_common_examples_in_any_order() -> None:
    a, b = pair()
    shuffled = take(b, np.random.default_rng(0).permutation(300)[:280])
    found = compare_predictions(a, shuffled, names=NAMES)
    common = np.array([i for i, name in enumerate(a.ids) if name in set(shuffled.ids)])
    only_a = int((a.is_correct & ~b.is_correct)[common].sum())
    only_b = int((~a.is_correct & b.is_correct)[common].sum())
    assert (found.paired.only_a, found.paired.only_b, found.paired.n) == (only_a, only_b, 280)
    assert found.paired.p_value == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
    assert found.n_only == (20, 0)
    assert "first" in found.sentence
    assert "is better than" in found.sentence
    loss = -(a.log_probabilities - b.log_probabilities)[common, a.targets[common]].mean()
    assert found.log_loss["value"] == pytest.approx(loss)


def test_labels_may_stand_in_another_order() -> None:
    a, b = pair()
    order = np.array([2, 0, 1])
    turned = Predictions(
        b.ids, np.argsort(order)[b.targets], b.logits[:, order], tuple(LABELS[i] for i in order), "test"
    )
    assert compare_predictions(a, turned, names=NAMES).paired == compare_predictions(a, b, names=NAMES).paired


def test_a_model_against_itself_shows_no_difference() -> None:
    a, _ = pair()
    assert compare_predictions(a, a, names=NAMES).sentence.startswith("No difference shows")


def test_label_sets_are_compared_by_exact_sets() -> None:
    a = make_label_run(LABELS).predictions
    b = make_label_run(LABELS, signal=0.5).predictions
    b = replace(b, targets=a.targets)  # type: ignore[type-var]
    assert compare_predictions(a, b, names=NAMES).paired.n == 240


def test_other_test_sets_are_refused_with_what_to_do() -> None:
    a, b = pair()
    with pytest.raises(DataError, match=r"(?s)share 0 of them.*same test split.*--test"):
        compare_predictions(a, replace(b, ids=[f"other/{i}" for i in range(300)]), names=NAMES)
    with pytest.raises(DataError, match="share 100 of them"):
        compare_predictions(a, take(b, np.arange(100)), names=NAMES)
    with pytest.raises(DataError, match="other labels"):
        compare_predictions(a, replace(b, label_names=("ant", "bee", "cow")), names=NAMES)
    with pytest.raises(DataError, match="300 of the 300 test examples have other labels in second"):
        compare_predictions(a, replace(b, targets=(b.targets + 1) % 3), names=NAMES)
    with pytest.raises(DataError, match="one task"):
        compare_predictions(a, make_label_run(LABELS).predictions, names=NAMES)


def test_it_is_told_in_the_terminal_and_as_a_page(tmp_path: Path) -> None:
    a, b = pair()
    ids = [f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(300)]
    found = compare_predictions(replace(a, ids=ids), replace(b, ids=ids), names=(HOSTILE[0], HOSTILE[1]))
    file = io.StringIO()
    print_comparison(found, console=Console(file=file, width=150))
    assert "exact McNemar test" in file.getvalue()
    write_comparison(tmp_path / "compare.html", found)
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert len(page) < 100_000


def test_texts_stand_beside_the_ids_of_where_they_differ(tmp_path: Path) -> None:
    found = compare_predictions(*pair(), names=NAMES)
    example = found.differing[0][0]
    write_comparison(tmp_path / "compare.html", replace(found, texts={example: "the <rose> is red"}))
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert page.count("“the &lt;rose&gt; is red”") == 1


def test_label_sets_and_unequal_classes_are_compared_by_the_figure_that_leads() -> None:
    a = make_label_run(LABELS, signal=3.0).predictions
    assert isinstance(a, MultiLabelPredictions)
    worse = replace(a, logits=a.logits + 3 * np.random.default_rng(1).normal(size=a.logits.shape))
    found = compare_predictions(a, worse, names=NAMES)
    assert found.headline is not None
    assert found.headline.metric == "mean_average_precision"
    assert "more of mean average precision" in found.sentence
    back = compare_predictions(worse, a, names=NAMES)
    assert back.headline is not None
    assert back.headline.difference.value == pytest.approx(-(found.headline.difference.value or 0))
    rare = make_run(LABELS, n=300, signal=2.0, n_rare=15).predictions
    assert isinstance(rare, Predictions)
    never = replace(rare, logits=rare.logits - np.array([0.0, 0.0, 50.0]))
    by_f1 = compare_predictions(rare, never, names=NAMES)
    assert by_f1.headline is not None
    assert by_f1.headline.metric == "macro_f1"
    assert "more of macro F1" in by_f1.sentence
    file = io.StringIO()
    print_comparison(by_f1, console=Console(file=file, width=120, color_system=None))
    assert "Macro F1: +" in file.getvalue()
    assert "exact McNemar test" in " ".join(file.getvalue().split())
    assert compare_predictions(*pair(), names=NAMES).headline is None
