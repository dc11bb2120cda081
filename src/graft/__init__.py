"""Graft: fine-tune a pretrained model on few labels, and say with evidence whether it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graft.core.version import VERSION

__version__ = VERSION
__all__ = [
    "Chat", "GraftError", "__version__", "check", "demo", "evaluate", "find_learning_rate", "fit",
    "plan", "predict", "pretrain", "rank",
]  # fmt: skip

if TYPE_CHECKING:
    from graft.api import Chat, check, demo, evaluate, find_learning_rate, fit, plan, predict, pretrain, rank
    from graft.core.errors import GraftError


def __getattr__(name: str) -> Any:
    # Lazy, so that `import graft` and `graft --help` do not import torch.
    if name == "GraftError":
        from graft.core.errors import GraftError

        return GraftError
    if name in __all__:
        from graft import api

        return getattr(api, name)
    raise AttributeError(f"module 'graft' has no attribute {name!r}")
