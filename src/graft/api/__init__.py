"""The verbs, for Python; the command line calls the same functions."""

from graft.api.chat import Chat
from graft.api.check import Checks, check
from graft.api.demo import demo
from graft.api.evaluate import evaluate
from graft.api.find_learning_rate import FoundRate, find_learning_rate
from graft.api.fit import FitResult, fit
from graft.api.plan import Plan, plan
from graft.api.predict import predict
from graft.api.pretrain import pretrain
from graft.api.rank import Ranking, rank

__all__ = [
    "Chat", "Checks", "FitResult", "FoundRate", "Plan", "Ranking", "check", "demo", "evaluate",
    "find_learning_rate", "fit", "plan", "predict", "pretrain", "rank",
]  # fmt: skip
