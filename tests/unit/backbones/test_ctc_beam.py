"""The beam finds what an exhaustive search finds; the language model is a probability and goes through its file."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from graft.backbones.ctc_beam import BeamSearch, aligned_path
from graft.backbones.word_ngrams import BEGIN, END, UNKNOWN, learn_ngrams, read_arpa, write_arpa
from graft.core.errors import DataError

TOKENS = ("<pad>", "|", "a", "b")


def frames(n: int, seed: int) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(0, 1.5, (n, len(TOKENS)))
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def probability(log_p: np.ndarray, tokens: tuple[int, ...]) -> float:
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(log_p)[:, None], torch.tensor([list(tokens)]), torch.tensor([len(log_p)]),
        torch.tensor([len(tokens)]), blank=0, reduction="sum",
    )  # fmt: skip
    return -float(loss)


@pytest.mark.parametrize("seed", range(8))
def test_beam_finds_the_likeliest_text_of_all(seed: int) -> None:
    log_p = frames(4, seed)
    texts = [text for n in range(5) for text in itertools.product((1, 2, 3), repeat=n)]
    best = max(texts, key=lambda text: probability(log_p, text))
    found = BeamSearch(TOKENS, 0, 1, width=500, narrow=99).text_tokens(log_p)
    assert tuple(found) == best


def test_best_of_each_frame_is_not_the_likeliest_text() -> None:
    log_p = np.log(np.array([[0.6, 1e-9, 0.4, 1e-9], [0.6, 1e-9, 0.4, 1e-9]]))
    assert (log_p.argmax(axis=1) == 0).all()
    assert BeamSearch(TOKENS, 0, 1).text_tokens(log_p) == [2]


def test_language_model_turns_a_close_call() -> None:
    log_p = np.full((3, 4), math.log(1e-4))
    log_p[0, 2], log_p[1, 0], log_p[2, 2], log_p[2, 3] = 0.0, 0.0, math.log(0.55), math.log(0.45)
    plain = BeamSearch(TOKENS, 0, 1)
    assert plain.text_tokens(log_p) == [2, 2]
    language = learn_ngrams(["ab ab", "ab"], order=2)
    helped = BeamSearch(TOKENS, 0, 1, language, weight=0.5)
    assert helped.text_tokens(log_p) == [2, 3]
    assert helped.path(log_p).tolist() == [2, 0, 3]


@pytest.mark.parametrize("seed", range(4))
def test_path_spells_the_text_and_is_the_best_of_all_that_do(seed: int) -> None:
    log_p, tokens = frames(6, seed), [2, 2, 3]

    def spelled(path: tuple[int, ...]) -> list[int]:
        return [token for token, _ in itertools.groupby(path) if token != 0]

    ways = [path for path in itertools.product(range(4), repeat=6) if spelled(path) == tokens]
    best = max(sum(log_p[i, token] for i, token in enumerate(path)) for path in ways)
    path = aligned_path(log_p, tokens, blank=0)
    assert spelled(tuple(path.tolist())) == tokens
    assert sum(log_p[i, token] for i, token in enumerate(path)) == pytest.approx(best)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_after_any_history_sum_to_one(order: int, tmp_path: Path) -> None:
    texts = ["one two three", "one two", "two two six", "six", ""]
    model = learn_ngrams(texts, order=order)
    words = [*model.words, END, UNKNOWN]
    assert model.words == {"one", "two", "three", "six"}
    histories = [(BEGIN,), (BEGIN, "one"), ("one", "two"), ("two", "two"), ("never",), ("three", "six"), ()]
    for history in histories:
        total = sum(math.exp(model.score(history, word)) for word in words)
        assert total == pytest.approx(1.0, abs=1e-9), history
    write_arpa(model, tmp_path / "m.arpa")
    again = read_arpa(tmp_path / "m.arpa")
    assert again.order == order
    for history in histories:
        for word in (*words, "unheard"):
            assert again.score(history, word) == pytest.approx(model.score(history, word), abs=1e-4)


def test_seen_pairs_are_likelier_and_empty_texts_are_refused(tmp_path: Path) -> None:
    model = learn_ngrams(["one two"] * 5 + ["one six"], order=3)
    scores = [model.score((BEGIN, "one"), word) for word in ("two", "six", "seven")]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3
    with pytest.raises(DataError, match="no word"):
        learn_ngrams(["", " "])
    (tmp_path / "m.arpa").write_text("no model\n")
    with pytest.raises(DataError, match="no n-grams"):
        read_arpa(tmp_path / "m.arpa")
