"""The letters that a CTC network spells with: made from transcripts, or the checkpoint's own."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graft.backbones.loading import quiet_transformers
from graft.data.transcript_form import TranscriptForm

__all__ = ["checkpoint_tokenizer", "form_of_vocabulary", "letters_of", "missing_letters", "tokenizer_of_letters"]

_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
DELIMITER = "|"


def letters_of(texts: Iterable[str]) -> Counter[str]:
    """Return how often each character but the blank stands in some texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    counts.pop(" ", None)
    return counts


def tokenizer_of_letters(letters: Iterable[str]) -> Any:
    """Return transformers' CTC tokenizer over some letters, in their order by code; its pad token is CTC's blank."""
    from transformers import Wav2Vec2CTCTokenizer

    tokens = [*_SPECIAL, DELIMITER, *sorted(set(letters) - {DELIMITER})]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.json"
        path.write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False), encoding="utf-8")
        with quiet_transformers():
            return Wav2Vec2CTCTokenizer(str(path), word_delimiter_token=DELIMITER)


def checkpoint_tokenizer(model: str, where: dict[str, Any]) -> Any | None:
    """Return the checkpoint's CTC tokenizer; None where it brings none."""
    from transformers import Wav2Vec2CTCTokenizer

    if Path(model).is_dir() and not (Path(model) / "vocab.json").is_file():
        return None
    try:
        with quiet_transformers():
            return Wav2Vec2CTCTokenizer.from_pretrained(model, **where)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def form_of_vocabulary(tokenizer: Any) -> TranscriptForm:
    """Return the form in which a vocabulary can spell transcripts: its case, and whether it has commas and stops."""
    tokens = [token for token in tokenizer.get_vocab() if len(token) == 1]
    is_lower, is_upper = any(t.islower() for t in tokens), any(t.isupper() for t in tokens)
    case = "keep" if is_lower and is_upper else "upper" if is_upper else "lower" if is_lower else "keep"
    return TranscriptForm(case, has_punctuation=bool({",", "."} & set(tokens)))


def missing_letters(tokenizer: Any, texts: Iterable[str]) -> Counter[str]:
    """Return the characters of some texts that a vocabulary cannot spell, with how often each stands there."""
    known = tokenizer.get_vocab()
    return Counter({letter: n for letter, n in letters_of(texts).items() if letter not in known})
