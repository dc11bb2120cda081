"""Sections on generated texts: baselines, what was forgotten, the worst answers, the example in colour, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graft.evaluation.generation_evidence import BASE
from graft.evaluation.generations import ScoredTexts
from graft.report import figures
from graft.report import wording as w

__all__ = ["example_tokens", "figure_rows", "forgotten_rows", "history_rows", "text_comparison", "worst_answers"]

_SHOWN = 20
_MOST_TEXT = 1_500
_MOST_TOKENS = 1_200
_FIGURES = {
    "loss_per_token": ("Loss per answer token", "surprise at the true answers, in nats; lower is better"),
    "perplexity": ("Perplexity", "exponential of the loss per answer token"),
    "ends_by_itself": ("Ends by itself", "share of texts with a stop token before the limit"),
}


def text_comparison(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return model and baselines as rows of a dot plot: score, loss per token, share that ends, lead over each."""
    name = metrics["headline"]
    baselines = sorted(metrics["baselines"].items(), key=lambda item: -(item[1][name]["value"] or 0.0))
    judged = [("This model", metrics["test"]), *((w.baseline_name(key), found) for key, found in baselines)]
    axis = figures.share_axis([found[name] for _, found in judged])
    rows = figures.dot_rows([(title, found[name]) for title, found in judged], axis)
    for row, (_, found) in zip(rows, judged, strict=True):
        loss, test = found.get("loss_per_token"), found.get("paired_test")
        row["log_loss"] = w.decimal(loss["value"]) if loss else "–"
        row["ends"] = w.percent(found["ends_by_itself"]["value"])
        row["lead"] = row["lead_interval"] = row["p"] = ""
        if test:
            lead = test.get("accuracy_difference") or test["difference"]
            row["lead"] = _minus(f"{100 * lead['value']:+.1f}")
            row["lead_interval"] = _minus(w.interval(lead))
            row["p"] = w.p_value(test["adjusted_p_value"])
    is_share = metrics["metric"]["is_share"]
    return {"axis": axis, "rows": rows, "name": w.clipped(name, 60), "is_share": is_share}


def figure_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return all figures of the splits with their intervals."""
    rows = []
    parts = {"test": metrics["test"], **metrics["held_out"], "train": metrics["train"]}
    for split, judged in parts.items():
        for key, e in judged.items():
            if not isinstance(e, Mapping):
                continue
            is_share = key not in ("loss_per_token", "perplexity")
            name, meaning = _FIGURES.get(key, (w.clipped(key, 60), w.clipped(metrics["metric"]["meaning"], 200)))
            rows.append(
                {
                    "name": name,
                    "split": w.clipped(split, 40),
                    "meaning": meaning,
                    "value": w.percent(e["value"]) if is_share else w.decimal(e["value"]),
                    "interval": w.interval(e, share=is_share),
                    "n": w.count(e["n"]),
                    "method": w.plain(e["method"]),
                }
            )
    return rows


def forgotten_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return for each other text the loss per token before and after, the change, and its test."""
    return [
        {
            "name": w.clipped(name, 120),
            "n": w.count(found["change"]["n"]),
            "before": w.decimal(found["before"]["value"]),
            "after": w.decimal(found["after"]["value"]),
            "change": _signed(found["change"]["difference"]["value"]),
            "interval": _minus(w.interval(found["change"]["difference"], share=False)),
            "p": w.p_value(found["change"]["p_value"]),
            "times": _times(found["change"]["difference"]["value"]),
        }
        for name, found in metrics["forgetting"].items()
    ]


def worst_answers(scored: ScoredTexts, *, most: int = _SHOWN) -> list[dict[str, Any]]:
    """Return the texts with the lowest scores, unended ones first, each beside prompt, true answer and base model."""
    texts, scores, base = scored.texts, scored.scores, scored.baselines.get(BASE)
    order = np.lexsort((np.arange(len(texts)), texts.ended, scores))
    return [
        {
            "id": w.clipped(texts.ids[i], 120),
            "score": w.percent(float(scores[i])),
            "prompt": w.clipped(texts.prompts[i], _MOST_TEXT),
            "true": w.clipped(texts.references[i], _MOST_TEXT),
            "text": w.clipped(texts.texts[i], _MOST_TEXT),
            "base": "" if base is None else w.clipped(base[i], _MOST_TEXT),
            "has_base": base is not None,
            "ended": bool(texts.ended[i]),
            "n_tokens": w.count(int(texts.n_tokens[i])),
        }
        for i in (int(i) for i in order[:most])
        if scores[i] < 1 or not texts.ended[i]
    ]


def example_tokens(tokens: Sequence[tuple[str, bool]]) -> list[dict[str, Any]]:
    """Return a training example as runs of text that carry loss or are masked, at most 1,200 tokens."""
    runs: list[dict[str, Any]] = []
    for text, is_supervised in tokens[:_MOST_TOKENS]:
        if not runs or runs[-1]["is_supervised"] != is_supervised:
            runs.append({"is_supervised": is_supervised, "tokens": []})
        runs[-1]["tokens"].append(w.plain(text))
    return runs


def history_rows(history: Sequence[Mapping[str, Any]], *, kept: int | None) -> list[dict[str, Any]]:
    """Return the looks at the held-out loss while training."""
    return [
        {"step": line["step"], "loss": w.decimal(line["log_loss"]), "is_kept": line["step"] == kept}
        for line in history
        if "log_loss" in line
    ][:60]


def _signed(value: float | None) -> str:
    return "–" if value is None else _minus(f"{value:+.3f}")


def _times(difference: float | None) -> str:
    return "–" if difference is None else f"{np.exp(difference):.2f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
