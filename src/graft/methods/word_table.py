"""The table of word vectors, which few texts leave frozen.

Half of a small encoder's weights are a row for each token of the vocabulary. Fewer texts than rows touch few of them;
the others would only decay, while the optimizer, the gradient's norm and the clearing of a dense gradient pay for all.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from graft.methods.prepared import Prepared
from graft.methods.settings import FineTuning

__all__ = ["frozen_word_table", "without_word_table", "word_table_note"]


def frozen_word_table(settings: FineTuning, network: nn.Module, *, n_examples: int) -> str:
    """Return the dotted name of the table that stays as it is; empty: none does.

    Parameters
    ----------
    network : a transformers network, bare or wrapped.
    n_examples : labelled examples of the job. With ``word_embeddings="auto"`` fewer than the table has rows freeze it.
    """
    if settings.word_embeddings == "train":
        return ""
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith("word_embeddings"):
            is_frozen = settings.word_embeddings == "frozen" or n_examples < module.num_embeddings
            return f"{name}.weight" if is_frozen else ""
    return ""


def without_word_table(prepared: Prepared, settings: FineTuning, *, n_examples: int) -> Prepared:
    """Return what is prepared, the table frozen where `frozen_word_table` names one."""
    table = frozen_word_table(settings, prepared.network, n_examples=n_examples)
    if not table:
        return prepared
    prepared.network.get_parameter(table).requires_grad_(False)
    groups = (replace(group, names=tuple(n for n in group.names if n != table)) for group in prepared.groups)
    return replace(prepared, groups=tuple(group for group in groups if group.names))


def word_table_note(settings: FineTuning, network: nn.Module, *, n_examples: int) -> str:
    """Return the sentence for the report; empty where the table is trained or there is none."""
    table = frozen_word_table(settings, network, n_examples=n_examples)
    if not table:
        return ""
    n_rows = len(network.get_parameter(table))
    return (
        f"the table of {n_rows:,} word vectors stays frozen in fine-tuning: {n_examples:,} texts touch few of them"
        " (--word-embeddings train moves it)"
    )
