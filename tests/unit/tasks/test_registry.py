from __future__ import annotations

import pytest

from graft.core.errors import UsageError
from graft.tasks.image_classification import ImageClassification
from graft.tasks.registry import TASKS, task_class


def test_every_name_leads_to_its_class() -> None:
    for name in TASKS:
        assert task_class(name).name == name
    assert task_class("image-classification") is ImageClassification


def test_names_are_those_of_pipelines() -> None:
    from transformers.pipelines import PIPELINE_REGISTRY

    assert set(TASKS) <= set(PIPELINE_REGISTRY.get_supported_tasks())


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'image-classification'"):
        task_class("image-clasification")
