"""The model card: ``README.md`` beside the weights, with the metadata that model hubs read, from the run's own facts.

References
----------
Mitchell et al. 2019, Model cards for model reporting. Metadata as the Hugging Face Hub's specification has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from graft.core.files import write_text
from graft.report import wording as w
from graft.report.leading import headline_of, lead_of, split_of
from graft.report.places import model_name
from graft.report.reads import reads_sentence
from graft.report.use import use_of
from graft.report.verdict import build_verdict

__all__ = ["card_metadata", "write_model_card"]

_HUB_METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "mean_average_precision": "mean_average_precision",
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_MOST_LABELS = 60
_NOT_THE_MODELS = ("How it was chosen", "Time", "Strategy")


def write_model_card(
    path: Path, *, metrics: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Write the card.

    Parameters
    ----------
    path : of the file, by custom ``README.md`` in the model's folder.
    metrics, manifest, config : as ``metrics.json``, ``manifest.json`` and ``config.toml`` of the run hold them.

    Raises
    ------
    ResourceError
        When the file cannot be written.

    Notes
    -----
    Folders of this machine are left out: of a path only its last part is told, for cards are published.
    """
    front = "".join(f"{line}\n" for line in _yaml(card_metadata(metrics, manifest, config)))
    body = "\n\n".join(part for part in _body(metrics, manifest, config) if part)
    write_text(path, f"---\n{front}---\n\n{body}\n")


def card_metadata(metrics: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the front matter. What is not known is left out: a licence or a hub id is not guessed."""
    backbone = manifest.get("backbone") or {}
    task = w.plain(manifest.get("task", ""))
    split, headline = split_of(metrics), headline_of(metrics)
    base, data = str(config.get("model", "")), str(config.get("data", ""))
    judged = {k: v for k, v in metrics.get(split, {}).items() if isinstance(v, Mapping) and v.get("value") is not None}
    names = [headline, *(k for k in _HUB_METRICS if k in judged and k != headline)]
    found: dict[str, Any] = {"library_name": "transformers"}
    if backbone.get("licence"):
        found["license"] = w.plain(backbone["licence"])
    if _is_hub_id(base, backbone):
        found["base_model"] = base
    if task:
        found["pipeline_tag"] = task
    found["tags"] = ["graft", "fine-tuned", *([task] if task else [])]
    if _is_hub_id(data):
        found["datasets"] = [data]
    found["metrics"] = sorted({_HUB_METRICS[k] for k in names if k in _HUB_METRICS and k in judged})
    results = [
        {"type": _HUB_METRICS.get(k, k), "name": w.metric_name(k)[0], "value": round(float(judged[k]["value"]), 4)}
        for k in names
        if k in judged
    ]
    if results:
        title = w.clipped(_last_part(data) or "data", 80)
        found["model-index"] = [
            {
                "name": w.clipped(f"{_base_name(base)} on {title}", 120),
                "results": [
                    {
                        "task": {"type": task or "other"},
                        "dataset": {"name": title, "type": data if _is_hub_id(data) else "other", "split": split},
                        "metrics": results,
                    }
                ],
            }
        ]
    return found


def _is_hub_id(name: str, backbone: Mapping[str, Any] | None = None) -> bool:
    """Return whether a name is one of a hub: owner and name, and nothing of that name lies here."""
    if backbone is not None and not backbone.get("revision"):
        return False
    return bool(_HUB_ID.fullmatch(name)) and "/" in name and not Path(name).exists()


def _last_part(place: str) -> str:
    return w.plain(PurePath(place).name or place)


def _base_name(model: str) -> str:
    return w.plain(model_name(model))


def _body(metrics: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    noun = w.plain(manifest.get("noun", "examples"))
    verdict = build_verdict(metrics, (), noun=noun)
    base, task = _base_name(str(config.get("model", ""))), str(manifest.get("task", ""))
    yield f"# {_md(manifest.get('title') or _last_part(str(config.get('data', ''))))}"
    yield f"**{_md(verdict.headline)}** {' '.join(_md(f.text) for f in verdict.facts[:1])}"
    yield f"{_md(base)}, fine-tuned with Graft for {_md(task or 'a task of its own')}."
    use = use_of(manifest, metrics)
    if use.code:
        yield f"```python\n{use.code.replace('`', '')}\n```"
    yield " ".join(_md(note) for note in use.notes)
    yield "## What it is worth"
    yield "\n".join(_figures(metrics))
    facts = [fact for fact in verdict.facts[1:] if fact.topic not in _NOT_THE_MODELS]
    if facts:
        yield "\n".join(f"- **{_md(verdict.question_of(f) or f'{f.topic}.')}** {_md(f.text)}" for f in facts)
    yield "\n\n".join(_data(metrics, manifest, noun))
    yield "## Limits"
    yield "\n".join(_limits(metrics, manifest, noun))
    yield "## How it was made"
    yield "\n".join(_made(manifest, config))


def _figures(metrics: Mapping[str, Any]) -> Iterator[str]:
    split, headline = split_of(metrics), headline_of(metrics)
    yield f"| {split} | value | 95 % interval |\n|---|---|---|"
    for key, e in metrics.get(split, {}).items():
        if isinstance(e, Mapping) and "value" in e:
            is_share = w.is_share(key)
            value = w.percent(e["value"]) if is_share else w.decimal(e["value"])
            yield f"| {w.metric_name(key)[0]} | {value} | {w.interval(e, share=is_share)} |"
    for name, baseline in (metrics.get("baselines") or {}).items():
        figure, lead = baseline.get(headline), lead_of(baseline)
        if figure:
            known = f"{w.metric_name(headline)[0]} of: {w.baseline_name(name, in_sentence=True)}"
            if lead:
                known += f"; the lead over it: {_signed_points(lead.difference['value'])}, {w.p_value(lead.p_value)}"
            yield f"| {_md(known)} | {w.percent(figure['value'])} | {w.interval(figure)} |"


def _signed_points(value: float) -> str:
    return f"{'−' if value < 0 else ''}{w.points(value)}"


def _data(metrics: Mapping[str, Any], manifest: Mapping[str, Any], noun: str) -> Iterator[str]:
    yield "## Data"
    parts = [f"{w.count(part['n'])} {_md(name)}" for name, part in (manifest.get("splits") or {}).items()]
    if parts:
        yield f"{', '.join(parts)} {_md(noun)}. {reads_sentence({'test_reads': 1} | dict(metrics))}"
    labels = manifest.get("labels") or []
    shown = ", ".join(_md(w.clipped(name, 60)) for name in labels[:_MOST_LABELS])
    if labels:
        more = f", and {len(labels) - _MOST_LABELS} more (config.json has all)" if len(labels) > _MOST_LABELS else ""
        yield f"{len(labels)} labels: {shown}{more}."


def _limits(metrics: Mapping[str, Any], manifest: Mapping[str, Any], noun: str) -> Iterator[str]:
    yield f"- Judged on {_md(noun)} like those it was trained on, and on no others unless it says so above."
    yield "- It gives one of its labels to anything, also to what is none of them."
    for claim in metrics.get("claims") or ():
        if claim["answer"] == "can't tell" and not claim["sentence"].startswith("Not judged"):
            yield f"- Open: {_md(claim['question'])} {_md(claim['sentence'])}"
    if not (manifest.get("backbone") or {}).get("licence"):
        yield "- The licence of the pretrained network is not stated in its files; look it up before you publish this."


def _made(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    backbone, versions = manifest.get("backbone") or {}, manifest.get("versions") or {}
    yield f"- base: {_md(_base_name(str(config.get('model', ''))))}, weights hash `{backbone.get('weights_hash', '?')}`"
    yield f"- saved weights hash: `{manifest.get('weights_hash', '?')}`"
    kept = (manifest.get("strategy") or {}).get("kept", "head")
    yield f"- kept: {_md(kept)}; seed {manifest.get('seed', '?')}"
    yield f"- versions: {', '.join(f'{_md(k)} {_md(v)}' for k, v in versions.items())}"
    words = [_last_part(word) if word.startswith(("/", "~", "..")) else word for word in _words(manifest)]
    yield f"- command: `{w.clipped(' '.join(words), 1_000).replace('`', chr(39))}`"


def _words(manifest: Mapping[str, Any]) -> Sequence[str]:
    return w.plain(manifest.get("command") or "?").replace("\n", " ").split(" ")


_MARKS = re.compile(r"([\\`*_{}\[\]#|~])")


def _md(text: object) -> str:
    """Return text that Markdown and HTML show as it stands, in one line."""
    flat = " ".join(w.clipped(w.without_marks(str(text)), 2_000).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", flat)


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of nested mappings and lists; scalars as JSON, which YAML reads."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(inner, indent + "  ")
        elif isinstance(inner, list):
            yield f"{indent}{key}:"
            for item in inner:
                if isinstance(item, Mapping):
                    lines = list(_yaml(item, indent + "    "))
                    yield f"{indent}  - {lines[0].strip()}"
                    yield from lines[1:]
                else:
                    yield f"{indent}  - {json.dumps(item, ensure_ascii=False)}"
        else:
            yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}"
