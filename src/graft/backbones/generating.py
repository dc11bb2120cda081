"""Answers of a language model to several prompts at once, or one token after the other as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graft.backbones.language_model import LanguageModel
from graft.backbones.loading import quiet_transformers

__all__ = ["generate_rows"]


class _Stream:
    """What transformers hands each new token to; the first call brings the prompt."""

    def __init__(self, on_token: Callable[[int], None]) -> None:
        self._on_token, self._is_prompt = on_token, True

    def put(self, value: torch.Tensor) -> None:
        """Take tokens."""
        if not self._is_prompt:
            for token in value.flatten().tolist():
                self._on_token(int(token))
        self._is_prompt = False

    def end(self) -> None:
        """Take note of the end."""


@torch.inference_mode()
def generate_rows(
    model: LanguageModel,
    network: Any,
    prompts: Sequence[NDArray[np.integer[Any]]],
    *,
    most: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    on_token: Callable[[int], None] | None = None,
) -> list[tuple[NDArray[np.int64], bool]]:
    """Return the tokens of an answer to each prompt, without what ends it, and whether it ended by itself.

    Parameters
    ----------
    prompts : tokens; filled up on the left. A prompt that leaves no place for an answer is cut at its beginning.
    most : tokens of an answer.
    temperature : 0: the likeliest token; else tokens are drawn, from torch's random state.
    top_p : share of the probability that is drawn from, the likeliest tokens first.
    on_token : told of each token of a single prompt as it comes.
    """
    config = network.config
    places = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    room = max(1, int(places) - most) if isinstance(places, int) else None
    rows = [row if room is None else row[-room:] for row in prompts]
    tokens, mask = model.padded(rows, is_left=True)
    device = next(network.parameters()).device
    drawn: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if temperature > 0:
        drawn = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    was_training = network.training
    network.eval()
    with quiet_transformers():
        found = network.generate(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=most,
            num_beams=1,
            eos_token_id=list(model.stop_tokens),
            pad_token_id=model.pad_token,
            streamer=None if on_token is None else _Stream(on_token),
            **drawn,
        )
    network.train(was_training)
    answers = found[:, tokens.shape[1] :].cpu().numpy()
    return [_until_stop(answer, model.stop_tokens) for answer in answers]


def _until_stop(answer: NDArray[np.int64], stop_tokens: Sequence[int]) -> tuple[NDArray[np.int64], bool]:
    ends = np.flatnonzero(np.isin(answer, stop_tokens))
    return (answer[: ends[0]], True) if len(ends) else (answer, False)
