"""From a conversation to one text and the places of its answers in it, by the checkpoint's own chat template."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graft.core.errors import DataError, ModelError

__all__ = ["PLAIN_TEMPLATE", "ChatTemplate", "Rendered"]

# Small enough for a context of a few hundred tokens, and each answer ends in the token that stops generation.
PLAIN_TEMPLATE: Final = (
    "{{ bos_token }}{% if tools %}{{ 'Tools:\n' + (tools | tojson) + '\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "Assistant:\n{% generation %}{{ message['content'] }}"
    "{% if message['tool_calls'] %}{{ message['tool_calls'] | tojson }}{% endif %}{{ eos_token }}{% endgeneration %}\n"
    "{% else %}{{ message['role'] | capitalize + ':\n' + message['content'] + '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:\n' }}{% endif %}"
)
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_MARK: Final = "\U000f0f0f\U000f0f0e"  # stands for an answer while its place is looked for


@dataclass(frozen=True)
class Rendered:
    """A conversation as one text.

    Parameters
    ----------
    text : what the template makes of it.
    answers : from where to where each answer goes, end of turn included, in characters.
    """

    text: str
    answers: tuple[tuple[int, int], ...]


class ChatTemplate:
    """A chat template.

    Parameters
    ----------
    source : Jinja, as transformers has it.
    words : what the template may name beside the messages, such as ``bos_token``.
    control_tokens : texts of tokens that control the model; the end of a turn is one of them.
    label : the checkpoint, for messages.
    """

    def __init__(self, source: str, *, words: Mapping[str, str], control_tokens: Sequence[str], label: str) -> None:
        self.source, self.label = source, label
        self._words = {"bos_token": "", "eos_token": "", **words}
        self.has_generation_mask = _GENERATION.search(source) is not None
        longest_first = sorted(control_tokens, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def text(
        self, messages: Sequence[Mapping[str, Any]], *, tools: Sequence[Mapping[str, Any]] = (), is_asking: bool = False
    ) -> str:
        """Return the text of some messages.

        Parameters
        ----------
        is_asking : whether the beginning of an answer follows, which the model is to go on with.

        Raises
        ------
        DataError
            When the template refuses them.
        """
        return self._render(messages, tools, is_asking=is_asking)[0]

    def rendered(self, messages: Sequence[Mapping[str, Any]], *, tools: Sequence[Mapping[str, Any]] = ()) -> Rendered:
        """Return the text and its answers' places, one for each turn of the assistant, in order.

        Raises
        ------
        DataError
            When the template refuses the messages.
        ModelError
            When the template does not let answers be found.

        Notes
        -----
        By the template's own generation mask where it has one. Else the text up to an answer is compared with the text
        with it; where a template writes earlier turns differently once more follow (as those do that drop a turn's
        reasoning), the answer is looked for by a mark put in its place. What the template writes of itself before an
        answer, after the point where a model is asked to go on, belongs to the answer: the model has to write it.
        """
        if self.has_generation_mask:
            text, spans = self._render(messages, tools, is_masked=True)
            return Rendered(text, tuple((start, self._turn_end(text, end)) for start, end in spans if end > start))
        whole = self.text(messages, tools=tools)
        spans = [
            self._span(whole, messages, tools, number)
            for number, message in enumerate(messages)
            if message["role"] == "assistant"
        ]
        return Rendered(whole, tuple(spans))

    def _span(
        self, whole: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], number: int
    ) -> tuple[int, int]:
        before = self._before(messages[:number], tools)
        until = self.text(messages[: number + 1], tools=tools)
        if before is not None and until.startswith(before) and whole.startswith(until):
            return len(before), self._last_control(until, len(before))
        if whole.startswith(until) and before is None:
            start = len(self.text(messages[:number], tools=tools)) if number else 0
            return start, self._last_control(until, start)
        marked = [dict(message) for message in messages]
        marked[number]["content"] = _MARK
        start_text, found, end_text = self.text(marked, tools=tools).partition(_MARK)
        if not (found and whole.startswith(start_text) and whole.endswith(end_text)):
            raise ModelError(
                f"the chat template of {self.label} does not let answers be found in a conversation of"
                f" {len(messages)} turns",
                expected="a template that writes turns where they stand, or one with {% generation %} around answers",
                fix="--answers last (Python: answers='last'), or put {% generation %} into its chat template",
            )
        start = len(before) if before is not None and whole.startswith(before) else len(start_text)
        return min(start, len(start_text)), self._turn_end(whole, len(whole) - len(end_text))

    def _before(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str | None:
        """Return the text up to the point where a model is asked to go on; None: the template cannot say."""
        try:
            return self.text(messages, tools=tools, is_asking=True)
        except DataError:
            return None

    def _last_control(self, text: str, start: int) -> int:
        """Return where the last control token of a text ends, if only white space follows; else where the text ends."""
        last = max((found.end() for found in self._control.finditer(text, start)), default=0)
        return last if last and not text[last:].strip() else len(text)

    def _turn_end(self, text: str, end: int) -> int:
        """Return where the control token ends that stands right behind an answer; `end` where none does."""
        behind = text[end:]
        found = self._control.match(behind.lstrip())
        return end + len(behind) - len(behind.lstrip()) + found.end() if found else end

    def _render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        *,
        is_asking: bool = False,
        is_masked: bool = False,
    ) -> tuple[str, list[tuple[int, int]]]:
        from jinja2.exceptions import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            texts, spans = render_jinja_template(
                conversations=[copy.deepcopy([dict(message) for message in messages])],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=self.source,
                return_assistant_tokens_mask=is_masked,
                add_generation_prompt=is_asking,
                **self._words,
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            roles = ", ".join(str(message["role"]) for message in messages)
            raise DataError(
                f"the chat template of {self.label} refuses the turns {roles}: {error}",
                expected="turns as the template wants them, for most models user and assistant in turn",
                fix="correct the row, or remove it",
            ) from error
        return texts[0], [(int(start), int(end)) for start, end in spans[0]] if is_masked else []
