from __future__ import annotations

import json

import pytest

from graft.core.errors import UsageError
from graft.core.optional import is_installed, require


def test_a_package_that_is_there() -> None:
    assert is_installed("json")
    assert require("json", extra="x", purpose="y") is json


def test_a_missing_package_names_the_extra_that_brings_it() -> None:
    assert not is_installed("no_such_package_at_all")
    with pytest.raises(UsageError) as caught:
        require("no_such_package_at_all", extra="openvino", purpose="--engine openvino")
    assert "--engine openvino needs the package 'no_such_package_at_all'" in caught.value.got
    assert caught.value.fix == "pip install 'graft-finetune[openvino]'"
