from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graft.data.minhash import LEAST_OVERLAP, near_texts

QUESTION = "I want to reactivate my card, I thought I had lost it but found it again this morning."


def test_copies_but_for_case_points_and_a_word_are_found() -> None:
    texts = [QUESTION, "Where is my card?", QUESTION.upper() + "!!", QUESTION.replace("this", "early this"), "Hello"]
    pairs, overlap = near_texts(texts)
    assert {frozenset(pair) for pair in pairs.tolist()} >= {frozenset({0, 2})}
    groups = {i for pair in pairs.tolist() for i in pair}
    assert groups == {0, 2, 3}
    assert overlap.min() >= LEAST_OVERLAP


def test_candidates_are_proved_by_the_overlap_asked_for() -> None:
    a, b = QUESTION, QUESTION.replace("found it again this morning", "it was in my other coat")
    assert len(near_texts([a, b])[0]) == 0
    pairs, overlap = near_texts([a, b], least=0.4)
    assert pairs.tolist() == [[0, 1]]
    assert 0.4 <= overlap[0] < 0.8


@given(st.lists(st.text(max_size=12), max_size=20))
def test_any_texts_even_none_and_empty_ones(texts: list[str]) -> None:
    pairs, overlap = near_texts(texts)
    assert pairs.shape == (len(overlap), 2)
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_equal_texts_are_a_chain() -> None:
    assert near_texts(["b", "a", "a", "a"])[0].tolist() == [[1, 2], [2, 3]]


def test_real_questions_planted_copies_are_found(shared: Path) -> None:
    lines = (shared / "data" / "banking77" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:1500]
    texts = [json.loads(line)["text"] for line in lines]
    alone = len(near_texts(texts)[0])
    assert alone < 0.05 * len(texts)
    random = np.random.default_rng(0)
    long = [i for i, text in enumerate(texts) if len(text) > 60]
    chosen = random.permutation(long)[:100]
    copies = [f"{texts[i].lower().rstrip('?.')} please" for i in chosen]
    pairs = {tuple(pair) for pair in near_texts([*texts, *copies])[0].tolist()}
    assert sum((int(i), len(texts) + n) in pairs for n, i in enumerate(chosen)) >= 95
