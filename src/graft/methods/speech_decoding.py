"""How a CTC recogniser's frames become words: a beam, a language model, and weights chosen on held-out speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graft.backbones.ctc_beam import BeamSearch
from graft.backbones.speech_model import SpeechModel
from graft.backbones.word_ngrams import BEGIN, END, UNKNOWN, WordNgrams, learn_ngrams, read_arpa
from graft.core.devices import Precision
from graft.core.errors import DataError, UsageError
from graft.data.transcript_form import COMPARED
from graft.evaluation.speech import error_rate
from graft.evaluation.word_errors import character_errors
from graft.tasks.speech_recognition import SpeechRecognition
from graft.tasks.speech_saved import LANGUAGE_FILE, saved_decoding
from graft.training.utterances import UtteranceExamples

__all__ = ["Decoding", "beam_of", "choose_weights", "decoded_as_told", "language_of"]

_WEIGHTS: Final = (0.5, 0.25, 1.0, 1.5, 2.5, 0.0)
_BONUSES: Final = (1.0, 0.0, 2.0, 4.0)
_MOST_UTTERANCES: Final = 200  # that weights are chosen on; more would take long and change little


@dataclass(frozen=True)
class Decoding:
    """A way to decode that was chosen.

    Parameters
    ----------
    search : the beam with its weights.
    errors : by (weight, bonus), share of held-out words that are wrong; empty: nothing was held out.
    n : held-out utterances on which that was seen.
    """

    search: BeamSearch
    errors: dict[tuple[float, float], float]
    n: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        language = self.search.language
        return {
            "decoding": "beam",
            "weight": self.search.weight,
            "bonus": self.search.bonus,
            "width": self.search.width,
            "n_words": None if language is None else len(language.words),
            "order": None if language is None else language.order,
            "chosen_on": self.n,
            "wer_by_weights": [{"weight": w, "bonus": b, "wer": round(e, 4)} for (w, b), e in self.errors.items()],
        }


def beam_of(model: SpeechModel, language: WordNgrams | None) -> BeamSearch:
    """Return the beam over a model's letters, with weights that nobody chose.

    Raises
    ------
    UsageError
        When the model writes no letters of frames.
    """
    if model.family != "ctc":
        raise UsageError(
            "--decoding beam with a Whisper network",
            expected="a CTC network: Whisper writes by a language model of its own",
            fix="leave --decoding and --language-model away (Python: decoding='greedy', language_model=None)",
        )
    tokenizer = model.tokenizer
    names = tuple(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    weight, bonus = (0.5, 1.0) if language is not None else (0.0, 0.0)
    return BeamSearch(
        names, int(tokenizer.pad_token_id), int(tokenizer.word_delimiter_token_id), language, weight, bonus
    )


def language_of(source: str | Path, texts: Sequence[str], model: SpeechModel) -> WordNgrams:
    """Return a model of words in the form in which the recogniser writes.

    Parameters
    ----------
    source : ``"train"``: learned from `texts`; else an ARPA file, or a text file with a sentence a line.

    Raises
    ------
    DataError
        When the file cannot be read, or holds no word.
    """
    if str(source) == "train":
        return learn_ngrams(model.form(text) for text in texts)
    path = Path(source).expanduser()
    try:
        if path.suffix == ".arpa":
            return _in_form(read_arpa(path), model)
        return learn_ngrams(model.form(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"--language-model {source} cannot be read: {error}",
            expected="train, an .arpa file, or a UTF-8 text with a sentence a line",
            fix="name another file (Python: language_model=)",
        ) from error


def decoded_as_told(
    task: SpeechRecognition, folder: Path, *, decoding: str = "auto", language_model: str | Path | None = None
) -> SpeechRecognition:
    """Return a saved recogniser with the way to decode that was asked for.

    Parameters
    ----------
    folder : of the saved recogniser.
    decoding : ``"auto"``: as it was fitted, or by the beam where a language model is named; ``"greedy"`` or ``"beam"``.
    language_model : ``"train"``: the one that was saved; an ARPA or text file; None: the saved one, if any. The weights
        are those that were saved, else the usual ones.

    Raises
    ------
    UsageError
        When the word is none of these, or no language model was saved.
    DataError
        When the file cannot be read.
    """
    if decoding not in ("auto", "greedy", "beam"):
        raise UsageError(f"--decoding {decoding}", expected="auto, greedy or beam", fix="leave it away")
    if decoding == "greedy" and language_model is not None:
        raise UsageError(
            f"--decoding greedy with --language-model {language_model}",
            expected="the beam, which alone asks the language model",
            fix="--decoding beam (Python: decoding='beam')",
        )
    kept = saved_decoding(folder)
    if decoding == "greedy" or (decoding == "auto" and language_model is None and kept["decoding"] == "greedy"):
        return task
    file = folder / LANGUAGE_FILE
    if str(language_model) == "train" and not file.is_file():
        raise UsageError(
            f"--language-model train, but {folder} keeps none",
            expected="a run that was fitted with a language model",
            fix="name a file of sentences, or fit again with --language-model train (Python: language_model='train')",
        )
    language = None
    if language_model is not None and str(language_model) != "train":
        language = language_of(language_model, (), task.model)
    elif file.is_file():
        language = read_arpa(file)
    search = beam_of(task.model, language)
    if language is not None and "weight" in kept:
        search = search.with_weights(float(kept["weight"]), float(kept["bonus"]))
    return task.decoded_by(search)


def choose_weights(
    task: SpeechRecognition,
    network: nn.Module,
    examples: UtteranceExamples,
    rows: NDArray[np.integer[Any]],
    texts: Sequence[str],
    *,
    search: BeamSearch,
    most: int,
    precision: Precision,
) -> Decoding:
    """Return the beam whose weights leave the fewest words wrong on held-out utterances.

    Parameters
    ----------
    rows, texts : of the held-out utterances, and what is said in them in the form in which words are compared.
    most : samples of a batch.

    Notes
    -----
    Between equals, fewer wrong characters decide, then the order in which the weights are tried, the usual ones first.
    """
    rows = np.asarray(rows)[:_MOST_UTTERANCES]
    texts = list(texts[:_MOST_UTTERANCES])
    place = {int(row): number for number, row in enumerate(rows)}
    frames: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(rows)
    device = next(network.parameters()).device
    for own, batch in examples.plain(rows, most=most):
        with precision.autocast(device):
            found = task.frames(network, {k: t.to(device) for k, t in batch.items()})
        for row, log_p in zip(own.tolist(), found, strict=True):
            frames[place[row]] = log_p
    errors: dict[tuple[float, float], float] = {}
    ranked: dict[tuple[float, float], tuple[float, float]] = {}
    for weight in _WEIGHTS:
        for bonus in _BONUSES:
            tried = search.with_weights(weight, bonus)
            heard = [COMPARED(task.written(tried.path(log_p))) for log_p in frames]
            errors[weight, bonus] = error_rate(texts, heard)
            ranked[weight, bonus] = (errors[weight, bonus], error_rate(texts, heard, of=character_errors))
    best = min(ranked, key=lambda key: ranked[key])  # the first of equals
    return Decoding(search.with_weights(*best), errors, len(rows))


def _in_form(language: WordNgrams, model: SpeechModel) -> WordNgrams:
    """Return an ARPA file's model with its words written as the recogniser writes them."""
    kept = {BEGIN, END, UNKNOWN}

    def written(key: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word if word in kept else model.form(word) for word in key)

    return WordNgrams(
        language.order,
        {written(key): p for key, p in language.log_p.items()},
        {written(key): p for key, p in language.backoff.items()},
    )
