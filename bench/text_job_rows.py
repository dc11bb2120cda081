"""What all arms of text_job.py share: the request's texts and labels, and the probe that judges an embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Facts", "numbers", "probe"]

Facts = dict[str, Any]


def rows_of(folder: str, name: str) -> tuple[list[str], list[str]]:
    lines = [json.loads(line) for line in (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["text"] for line in lines], [line["label"] for line in lines]


def numbers(told: Facts) -> tuple[list[str], list[int], list[str], list[int], list[str]]:
    texts, labels = rows_of(told["data"], "train")
    test_texts, test_labels = rows_of(told["data"], "test")
    names = sorted(set(labels))
    place = {name: i for i, name in enumerate(names)}
    return texts, [place[x] for x in labels], test_texts, [place[x] for x in test_labels], names


def probe(features: Any, targets: Any, test: Any, test_targets: Any) -> float:
    """Return the test accuracy of scikit-learn's logistic regression on features of unit length."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    def unit(x: Any) -> Any:
        x = np.asarray(x, dtype=np.float64)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    head = LogisticRegression(C=10, max_iter=200, tol=1e-3).fit(unit(features), targets)
    return float(head.score(unit(test), test_targets))
