"""Answers of a finished language model: to the questions of files, and in a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft.core.errors import DataError, UsageError
from graft.core.process import prepare_process

if TYPE_CHECKING:
    from graft.deploy.answering import Answer

__all__ = ["Chat", "answer_files"]


def answer_files(
    model: Path,
    inputs: Sequence[str | Path],
    *,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 32,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    coverage: float | None = None,
) -> Iterator[Answer]:
    """Yield the answer to each question of some files, in order.

    Raises
    ------
    ModelError, DataError
        As `graft.api.predict.predict`.
    UsageError
        When sets of likely classes are asked for, or an option of writing is out of its range.
    """
    if coverage is not None:
        raise UsageError(
            f"--coverage {coverage} for a language model",
            expected="a model of classes: answers have no sets",
            fix="leave --coverage away (Python: coverage=None)",
        )
    from itertools import chain

    from graft.data.conversation_files import read_prompts
    from graft.deploy.answering import answer_all

    ready = Chat(model, precision=precision, device=device, max_new_tokens=max_new_tokens, temperature=temperature,
                 top_p=top_p)  # fmt: skip
    for path in inputs:
        if not Path(path).is_file():
            raise DataError(
                f"{path} is no file",
                expected="a table of conversations or prompts (JSONL, JSON, CSV, Parquet), or a .txt with one a line",
            )
    conversations = chain.from_iterable(read_prompts(Path(path)) for path in inputs)
    yield from answer_all(
        ready.task,
        ready.network,
        conversations,
        writing=ready.writing,
        batch_size=batch_size,
        precision=ready.precision,
    )


class Chat:
    """A conversation with a language model that `fit` made; ``graft.Chat``.

    Parameters
    ----------
    run : the folder that `fit` wrote, or the model's folder in it.
    precision, device : as in `FitConfig`.
    max_new_tokens : of an answer.
    temperature : 0: the likeliest token each time; else tokens are drawn.
    top_p : share of the probability that is drawn from.
    system : what the model is told before all else; empty: nothing.
    seed : of the draws.

    Raises
    ------
    ModelError
        When there is no language model of Graft.
    UsageError
        When an option is out of its range.

    Examples
    --------
    >>> chat = graft.Chat("run")  # doctest: +SKIP
    >>> chat.say("What do bees eat?")  # doctest: +SKIP
    'Nectar and pollen.'
    """

    def __init__(
        self,
        run: str | Path,
        *,
        precision: str = "auto",
        device: str = "auto",
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        system: str = "",
        seed: int = 0,
    ) -> None:
        for name, value, is_right, expected in (
            ("max-new-tokens", max_new_tokens, max_new_tokens >= 1, "1 or more"),
            ("temperature", temperature, temperature >= 0, "0 or more"),
            ("top-p", top_p, 0 < top_p <= 1, "above 0, up to 1"),
        ):
            if not is_right:
                raise UsageError(f"--{name} {value} (Python: {name.replace('-', '_')}=)", expected=expected)
        prepare_process()
        import torch

        from graft.core.devices import choose_device
        from graft.deploy.answering import Writing
        from graft.methods.where import training_precision
        from graft.tasks.generation_saved import load_generation

        folder = Path(run)
        self.task = load_generation(folder if (folder / "graft.json").is_file() else folder / "model")
        self.network: Any = self.task.build().to(choose_device(device))
        self.precision = training_precision(self.network, choose_device(device), wanted=precision)
        self.writing = Writing(max_new_tokens, temperature, top_p)
        self._first = [{"role": "system", "content": system}] if system else []
        self.messages: list[dict[str, Any]] = list(self._first)
        torch.manual_seed(seed)

    def say(self, text: str, *, show: Callable[[str], None] = lambda piece: None) -> str:
        """Return the answer to what is said next; `show` is told its pieces as they are written."""
        from graft.deploy.answering import answer_one

        asked = [*self.messages, {"role": "user", "content": text}]
        told = answer_one(self.task, self.network, asked, writing=self.writing, precision=self.precision, show=show)
        self.messages = [*asked, told]
        return str(told["content"])

    def begin_anew(self) -> None:
        """Forget what was said."""
        self.messages = list(self._first)
