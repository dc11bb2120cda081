"""Packages that Graft can use but does not need, and what to say when one is missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from graft.core.errors import UsageError

__all__ = ["is_installed", "require"]


def is_installed(package: str) -> bool:
    """Return whether `package` can be found, without importing it."""
    return importlib.util.find_spec(package) is not None


def require(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import and return an optional package.

    Raises
    ------
    UsageError
        When it is missing; the message names the extra that brings it.
    """
    if not is_installed(package):
        raise UsageError(
            f"{purpose} needs the package '{package}', which is not installed",
            fix=f"pip install 'graft-finetune[{extra}]'",
        )
    return importlib.import_module(package)
