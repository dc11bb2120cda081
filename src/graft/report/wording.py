"""How numbers and names are written: one way everywhere in the report."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from graft.core.text import THIN, percent
from graft.evaluation.baselines import BASELINE_WORDS

__all__ = [
    "BASELINES",
    "METRICS",
    "THIN",
    "baseline_name",
    "breakable",
    "clipped",
    "count",
    "decimal",
    "duration",
    "interval",
    "is_share",
    "lowered",
    "metric_name",
    "p_value",
    "percent",
    "plain",
    "points",
    "quoted",
    "storable",
    "without_marks",
]

_TITLES = {
    "majority": "Most frequent class",
    "prior": "Label frequencies",
    "zero-shot": "Label names alone",
    "knn": "Nearest neighbours",
    "probe": "Frozen network, new head",
    "pixel_knn": "Nearest neighbours on pixels",
    "from_scratch": "Trained from scratch",
    "from_scratch_plain": "From scratch, undistorted",
    "scratch": "Trained from scratch",
    "base-zero-shot": "Base model",
    "base-few-shot": "Base model, few-shot",
}
# Name in tables, and within a sentence.
BASELINES = {name: (title, BASELINE_WORDS[name]) for name, title in _TITLES.items()}
METRICS = {
    "accuracy": ("Accuracy", "share of right answers"),
    "balanced_accuracy": ("Balanced accuracy", "mean of the recalls of all classes"),
    "macro_f1": ("Macro F1", "mean over classes of precision and recall joined"),
    "micro_f1": ("Micro F1", "precision and recall joined, all labels of all examples together"),
    "mean_average_precision": ("Mean average precision", "area under precision over recall, mean over labels"),
    "exact_match": ("Exact label sets", "share given all of their own labels and no other"),
    "log_loss": ("Log-loss", "surprise at the truth, in nats; lower is better"),
    "brier": ("Brier score", "squared error of the probabilities, 0 to 2; lower is better"),
}
_SHARES = (
    "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "mean_average_precision", "exact_match", "top_",
)  # fmt: skip


def plain(text: object) -> str:
    """Return text that a page can hold: no control characters, no overrides of direction, no lone surrogates.

    File names have all of these. Each becomes a replacement sign, a surrogate its escape.

    Examples
    --------
    >>> plain("a\\x1b[31m\\u202eb") == "a\\ufffd[31m\\ufffdb"
    True
    """
    return "".join("\ufffd" if _is_unfit(c) else c for c in storable(str(text)))


def storable(text: str) -> str:
    """Return text that a file can hold: lone surrogates as their escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clipped(text: object, most: int = 160) -> str:
    """Return `plain` text of at most `most` characters; of a longer one the beginning and the end.

    Examples
    --------
    >>> clipped("a" * 30 + "z" * 30, 21)
    'aaaaaaaaaaaaa…zzzzzzz'
    """
    raw = str(text)
    if len(raw) > most:
        tail = most // 3
        raw = f"{raw[: most - 1 - tail]}…{raw[-tail:]}"
    return plain(raw)


def _is_unfit(character: str) -> bool:
    if character in "\n\t":
        return False
    return (
        unicodedata.category(character) == "Cc" or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def breakable(text: str) -> Markup:
    """Return escaped text that may be broken after an underscore or slash."""
    escaped = str(escape(text))
    for sign in "_/":
        escaped = escaped.replace(sign, f"{sign}<wbr>")
    return Markup(escaped)


def quoted(name: object) -> str:
    """Return a label's name in typographic quotes, set apart from the direction of the text around it."""
    return f"\u201c\u2068{clipped(name, 80)}\u2069\u201d"


def is_share(metric: str) -> bool:
    """Return whether a metric is a share, written in percent."""
    return metric.startswith(_SHARES)


def points(value: float) -> str:
    """Return a difference of two shares in percentage points, without its sign.

    Examples
    --------
    >>> points(-0.0123)
    '1.2 points'
    """
    text = f"{abs(100 * value):.1f}"
    return f"{text} point{'' if text == '1.0' else 's'}"


def decimal(value: float | None) -> str:
    """Return a loss or score with three decimals."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}".replace("-", "−")


def count(value: int) -> str:
    """Return a whole number with narrow spaces between its thousands."""
    return f"{value:,}".replace(",", THIN)


def p_value(value: float) -> str:
    """Return a p-value as it is read aloud.

    Examples
    --------
    >>> [p_value(p).replace("\\xa0", " ") for p in (0.0321, 1e-9, 1.0)]
    ['p = 0.032', 'p < 0.001', 'p = 1']
    """
    if value < 0.001:
        return "p\u00a0<\u00a00.001"
    text = "1" if value > 0.995 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    return f"p\u00a0=\u00a0{text}"


def interval(estimate: Mapping[str, Any], *, share: bool = True, unit: bool = False) -> str:
    """Return "low to high", or a dash where there is no interval."""
    low, high = estimate.get("low"), estimate.get("high")
    if low is None or high is None:
        return "–"
    if share:
        return f"{percent(low, unit=False)} to {percent(high, unit=unit)}"
    return f"{decimal(low)} to {decimal(high)}"


def duration(seconds: float) -> str:
    """Return a time in the largest fitting unit.

    Examples
    --------
    >>> duration(0.42), duration(41.2), duration(200), duration(4000)
    ('0.42 s', '41 s', '3 min 20 s', '1 h 7 min')
    """
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def metric_name(metric: str) -> tuple[str, str]:
    """Return a metric's name and what it is."""
    if metric.startswith("top_"):
        k = metric.removeprefix("top_")
        return f"Top-{k} accuracy", f"truth among the {k} most probable classes"
    return METRICS.get(metric, (plain(metric.replace("_", " ")), ""))


def lowered(name: str) -> str:
    """Return a figure's name as it stands within a sentence.

    Examples
    --------
    >>> lowered("Macro F1"), lowered("Accuracy")
    ('macro F1', 'accuracy')
    """
    return name[:1].lower() + name[1:]


def baseline_name(name: str, *, in_sentence: bool = False) -> str:
    """Return how a baseline is called in the report."""
    known = BASELINES.get(name)
    return known[in_sentence] if known else plain(name.replace("_", " "))


def without_marks(text: str) -> str:
    """Return text without the marks of direction, which some terminals show as boxes."""
    return text.translate(dict.fromkeys((0x2066, 0x2067, 0x2068, 0x2069, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E)))
