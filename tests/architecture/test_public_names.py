"""What each module gives out: `__all__` is there, sorted, whole, and importable."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

import graft

SOURCE = Path(__file__).parents[2] / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in (SOURCE / "graft").rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_public_names(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it owns"
    public = module.__all__
    assert len(set(public)) == len(public)
    for attribute in public:
        value = getattr(module, attribute)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{attribute} has no docstring"
    own = {
        attribute
        for attribute, value in vars(module).items()
        if not attribute.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    }
    assert own <= set(public), f"{name}: public by name, but not in __all__"


def test_the_package_itself() -> None:
    assert graft.__all__ == [
        "Chat",
        "GraftError",
        "__version__",
        "check",
        "demo",
        "evaluate",
        "find_learning_rate",
        "fit",
        "plan",
        "predict",
        "pretrain",
        "rank",
    ]
    for name in graft.__all__:
        assert getattr(graft, name)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        graft.fitt  # noqa: B018


@pytest.mark.parametrize("name", MODULES)
def test_past_two_arguments_all_are_keyword_only(name: str) -> None:
    """STYLE.md; what others call decides the order (protocols of torch and cyclopts) is left out."""
    module = importlib.import_module(name)
    for attribute in module.__all__:
        value = getattr(module, attribute)
        if inspect.isfunction(value) and value.__module__ == name:
            kinds = [p.kind for p in inspect.signature(value).parameters.values()]
            positional = [kind for kind in kinds if kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD,)]
            assert len(positional) <= 7, f"{name}.{attribute} takes {len(positional)} positional arguments"
