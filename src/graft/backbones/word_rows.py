"""Rows of a language model's word tables that its training never reached: such words cannot be told apart by it.

A word that never occurred is only ever pushed away from, in one direction with all others of its kind; one that was
added later starts at the mean. Low-rank updates of the layers between leave both as they are: the logits of two equal
rows stay equal, whatever the layers do.

Land and Bartolo, Fishing for Magikarp, 2024: https://arxiv.org/abs/2405.05417
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["rows_to_train", "untrained_rows"]

_ALIKE: Final = 0.25  # distance to the nearest other row, in the row's own length
_NOTHING: Final = 0.05  # length, in the median row's
_FEW_AXES: Final = 64  # in which rows of a wide table are compared first
_AT_ONCE: Final = 1 << 25  # distances held at once


def rows_to_train(
    network: Any, *, inputs: NDArray[np.integer[Any]], targets: NDArray[np.integer[Any]], which: str = "auto"
) -> dict[str, tuple[int, ...]]:
    """Return by table which rows have to learn beside low-rank updates; empty: none.

    Parameters
    ----------
    network : a transformers network for causal language modelling.
    inputs, targets : the tokens that occur, and those among them that carry loss.
    which : ``"auto"``: rows that were never trained; ``"train"``: all that occur; ``"frozen"``: none.

    Returns
    -------
    dict
        By the table's dotted name. Where the output is the input's table, it is named once.
    """
    table, head = network.get_input_embeddings(), network.get_output_embeddings()
    if which == "frozen" or table is None or head is None:
        return {}
    is_tied = head.weight is table.weight
    has_bias = getattr(head, "bias", None) is not None  # peft's rows of an output leave a bias out
    wanted = {} if is_tied and has_bias else {table: np.union1d(inputs, targets) if is_tied else np.unique(inputs)}
    if not is_tied and not has_bias:
        wanted[head] = np.unique(targets)
    names = {module: name for name, module in network.named_modules()}
    found = {}
    for module, tokens in wanted.items():
        rows = untrained_rows(module.weight.detach(), tokens) if which == "auto" else tokens
        if len(rows):
            found[names[module]] = tuple(int(row) for row in rows)
    return found


def untrained_rows(table: Tensor, tokens: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return which of some tokens have a row that was never trained, ascending.

    Parameters
    ----------
    table : (n_words, width).
    tokens : (k,), rows that are looked at.

    Notes
    -----
    A row was never trained if another one is all but equal to it, if it is all but the mean of all rows, or nothing.

    Examples
    --------
    >>> table = torch.eye(8)
    >>> table[[5, 7]] = torch.full((8,), 0.5)
    >>> untrained_rows(table, np.arange(6)).tolist()
    [5]
    """
    rows = torch.from_numpy(np.unique(np.asarray(tokens, np.int64)))
    if not len(rows):
        return rows.numpy()
    table = table.float().cpu()
    own = table[rows]
    lengths = table.norm(dim=1)
    mean = table.mean(0)
    off_mean = torch.cat([(part - mean).norm(dim=1) for part in table.split(8192)])
    nearest = _nearest(table, rows)
    is_untrained = (
        ((own - table[nearest]).norm(dim=1) < _ALIKE * lengths[rows])
        | (off_mean[rows] < _ALIKE * off_mean.median())
        | (lengths[rows] < _NOTHING * lengths.median())
    )
    return rows[is_untrained].numpy()


def _nearest(table: Tensor, rows: Tensor) -> Tensor:
    """Return the nearest other row of each of some rows, of wide tables on a few random axes."""
    if table.shape[1] > _FEW_AXES:
        axes = torch.randn((table.shape[1], _FEW_AXES), generator=torch.Generator().manual_seed(0))
        table = table @ axes
    found = []
    for part in rows.split(max(1, _AT_ONCE // len(table))):
        distances = torch.cdist(table[part], table)
        distances[torch.arange(len(part)), part] = torch.inf
        found.append(distances.argmin(dim=1))
    return torch.cat(found)
