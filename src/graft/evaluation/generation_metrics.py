"""What is asked of a generated text, by name: exact, numeric, chrF, ROUGE-L, JSON, a pattern, or a user's function."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graft.core.errors import DataError, UsageError, did_you_mean
from graft.evaluation.generations import Generations
from graft.evaluation.text_overlap import chrf, rouge_l

__all__ = ["NAMES", "GenerationMetric", "exact_match", "json_valid", "last_number", "metric_named", "numeric_match"]

_NUMBER: Final = re.compile(r"(?<![\w.])[-−]?\$?\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|(?:(?<![\w.])[-−])?\d+(?:\.\d+)?")
_ANSWER_MARK: Final = "####"  # GSM8K's, before the final answer
_FORMS: Final = "regex:PATTERN, FILE.py:FUNCTION or MODULE:FUNCTION"


@dataclass(frozen=True)
class GenerationMetric:
    """One figure of a text beside its reference.

    Parameters
    ----------
    name : as it was asked for.
    meaning : in words.
    is_share : whether a text is right or wrong (1 or 0), so that the mean is a share; else a number, mostly 0 to 1.
    of : gives the score of a generated text and its reference.
    """

    name: str
    meaning: str
    is_share: bool
    of: Callable[[str, str], float]

    def scores(self, generations: Generations) -> NDArray[np.float64]:
        """Return the score of each text: (n_examples,).

        Raises
        ------
        DataError
            When a user's function fails or gives no finite number, or a reference lacks what the metric compares.
        """
        found = np.empty(len(generations), np.float64)
        for i, (text, reference) in enumerate(zip(generations.texts, generations.references, strict=True)):
            try:
                found[i] = self.of(text, reference)
            except DataError as error:
                raise DataError(f"{generations.ids[i]}: {error.got}", expected=error.expected, fix=error.fix) from error
        return found


def exact_match(generated: str, reference: str) -> float:
    """Return 1 where both texts are equal but for blanks at their ends and Unicode's ways to write one sign.

    Examples
    --------
    >>> exact_match(" yes\\n", "yes"), exact_match("Yes", "yes")
    (1.0, 0.0)
    """
    return float(_normal(generated) == _normal(reference))


def last_number(text: str) -> Decimal | None:
    """Return the number after the last ``####``, else the last number of a text; None where there is none.

    Notes
    -----
    Commas are taken for thousands where three digits follow each; currency signs and percent signs are passed over.

    References
    ----------
    Cobbe et al. 2021, Training verifiers to solve math word problems (GSM8K), https://arxiv.org/abs/2110.14168

    Examples
    --------
    >>> last_number("48/2 = 24, so $1,234.50 in all."), last_number("5-3=2 #### -7"), last_number("none")
    (Decimal('1234.50'), Decimal('-7'), None)
    """
    _, mark, after = text.rpartition(_ANSWER_MARK)
    found = _NUMBER.findall(after)
    if not found:
        return None
    number = found[0 if mark else -1].replace(",", "").replace("$", "").replace("−", "-")
    try:
        return Decimal(number)
    except InvalidOperation:  # signs that are digits for the pattern and no number
        return None


def numeric_match(generated: str, reference: str) -> float:
    """Return 1 where both texts end in the same number (see `last_number`).

    Raises
    ------
    DataError
        When the reference has no number.

    Examples
    --------
    >>> numeric_match("She has 72.0 clips.", "48 + 24 = 72 #### 72")
    1.0
    """
    wanted = last_number(reference)
    if wanted is None:
        raise DataError(
            f"a true answer without a number: {reference[:80]!r}",
            expected="a number in each true answer, for the metric numeric-match",
            fix="--metric exact-match, or another (Python: metric='exact-match')",
        )
    return float(last_number(generated) == wanted)


def json_valid(generated: str, reference: str = "") -> float:
    """Return 1 where the whole text is one JSON value, as RFC 8259 has it: no fence around it, no NaN.

    Examples
    --------
    >>> json_valid('{"a": 1}'), json_valid("{'a': 1}"), json_valid("NaN")
    (1.0, 0.0, 0.0)
    """
    try:
        json.loads(generated, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return 0.0
    return 1.0


NAMES: Final = {
    "exact-match": GenerationMetric("exact-match", "share equal to the true answer", True, exact_match),
    "numeric-match": GenerationMetric("numeric-match", "share with the true answer's last number", True, numeric_match),
    "chrf": GenerationMetric("chrf", "chrF: overlap of letters with the true answer", False, chrf),
    "chrf++": GenerationMetric(
        "chrf++", "chrF++: overlap of letters and words with the true answer", False, partial(chrf, n_words=2)
    ),
    "rouge-l": GenerationMetric("rouge-l", "ROUGE-L: words in common with the true answer, in order", False, rouge_l),
    "json-valid": GenerationMetric("json-valid", "share that is valid JSON", True, json_valid),
}
"""The metrics that need nothing but their name."""


def metric_named(name: str) -> GenerationMetric:
    """Return a metric: one of `NAMES`, ``regex:PATTERN``, ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``.

    Raises
    ------
    UsageError
        When there is no such metric, the pattern is none, or file, module or function cannot be had.

    Notes
    -----
    A function is the user's own code, and is run because it is named: ``def FUNCTION(generated, reference)`` gives a
    finite number, or True and False. A pattern is looked for anywhere in the text; the reference has no part in it.
    """
    kind, colon, rest = name.partition(":")
    if name in NAMES:
        return NAMES[name]
    if kind == "regex" and colon:
        try:
            pattern = re.compile(rest)
        except re.error as error:
            raise UsageError(f"--metric {name}: {error}", expected="a pattern of Python's re") from error
        return GenerationMetric(name, f"share with the pattern {rest}", True, partial(_holds, pattern))
    where, colon, function = name.rpartition(":")
    if not colon or not function.isidentifier():
        raise UsageError(
            f"--metric {name}: no such metric.{did_you_mean(name, NAMES)}",
            expected=f"{', '.join(NAMES)}, {_FORMS}",
            fix="--metric exact-match (Python: metric='exact-match')",
        )
    found = getattr(_module(name, where), function, None)
    if not callable(found):
        raise UsageError(f"--metric {name}: {where} has no function {function}", expected=_FORMS)
    return GenerationMetric(name, f"mean of {name}", False, partial(_checked, found, name))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _holds(pattern: re.Pattern[str], generated: str, reference: str) -> float:
    return float(pattern.search(generated) is not None)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _module(name: str, where: str) -> ModuleType:
    """Return the module of a user's metric, from a file or by its name."""
    try:
        if where.endswith(".py"):
            path = Path(where)
            if not path.is_file():
                raise UsageError(f"--metric {name}: there is no file {where}", expected=_FORMS)
            spec = importlib.util.spec_from_file_location(f"graft_metric_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(where)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"--metric {name}: {where} cannot be imported: {type(error).__name__}: {error}",
            expected=_FORMS,
            fix=f"python -c 'import {where}' shows why" if not where.endswith(".py") else f"python {where} shows why",
        ) from error


def _checked(function: Callable[..., Any], name: str, generated: str, reference: str) -> float:
    try:
        score = float(function(generated, reference))
    except Exception as error:
        raise DataError(
            f"the metric {name} failed: {type(error).__name__}: {error}",
            expected="a number of def FUNCTION(generated, reference)",
        ) from error
    if not math.isfinite(score):
        raise DataError(f"the metric {name} gave {score}", expected="a finite number")
    return score
