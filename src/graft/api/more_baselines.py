"""Baselines that came after a run, written into all that tells of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.api.report import report
from graft.core.files import read_json, write_json
from graft.evaluation.comparisons import holm
from graft.report.model_card import write_model_card

__all__ = ["add_baselines"]


def add_baselines(run: Path, more: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Write further baselines into metrics, report and model card of a finished run; return the metrics.

    The p-values of all baselines are adjusted anew, as there are more of them.

    Parameters
    ----------
    run : the folder that `fit` wrote.
    more : by name; each has ``accuracy``, as an estimate, and ``paired``, the test against the model.

    Raises
    ------
    ModelError, DataError
        When the run is not finished or a file of it cannot be read.
    """
    metrics: dict[str, Any] = read_json(run / "metrics.json")
    baselines = {**metrics.get("baselines", {}), **more}
    adjusted = holm([baseline["paired"]["p_value"] for baseline in baselines.values()])
    metrics["baselines"] = {
        name: {**baseline, "paired": {**baseline["paired"], "adjusted_p_value": p_value}}
        for (name, baseline), p_value in zip(baselines.items(), adjusted, strict=True)
    }
    write_json(run / "metrics.json", metrics)
    report(run)
    config = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    manifest = read_json(run / "manifest.json")
    write_model_card(run / "model" / "README.md", metrics=metrics, manifest=manifest, config=config)
    return metrics
