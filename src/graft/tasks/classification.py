"""What all classification tasks share, as plain functions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from graft.core.errors import UsageError
from graft.core.types import UNKNOWN

__all__ = ["binary_cross_entropy_sum", "classification_loss_sum", "cross_entropy_sum", "refuse_preprocessing"]


def cross_entropy_sum(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the sum of cross-entropies and the number of targets.

    Parameters
    ----------
    logits : (n_examples, n_classes), unnormalised.
    targets : (n_examples,), class numbers; -100 is left out. Or (n_examples, n_classes), shares of the classes.
    label_smoothing : share of the target spread over all classes, 0 to 1.
    """
    if targets.is_floating_point():
        total = torch.nn.functional.cross_entropy(
            logits.float(), targets, reduction="sum", label_smoothing=label_smoothing
        )
        return total, torch.tensor(len(targets))
    total = torch.nn.functional.cross_entropy(
        logits.float(), targets, reduction="sum", label_smoothing=label_smoothing, ignore_index=-100
    )
    return total, (targets != -100).sum()


def binary_cross_entropy_sum(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of binary cross-entropies over examples *and* labels, and the number of examples.

    Parameters
    ----------
    logits : (n_examples, n_labels), log-odds.
    targets : (n_examples, n_labels), 0 or 1, or shares between them; rows of `UNKNOWN` are left out.

    Notes
    -----
    The count is of examples, not of examples times labels. The gradient by a logit is then (p - y) / n, the very form
    that it has for one class an example, so that learning rates, weight decay and clipping mean the same for both; and
    the loss is that of the head's solver. torch's ``BCEWithLogitsLoss``, which transformers uses, divides by the labels
    as well: with 20 labels its gradients, and what SGD makes of a learning rate, are 20 times smaller.
    """
    wanted = targets.float()
    is_known = wanted.amax(dim=1) < UNKNOWN
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.float(), torch.where(is_known[:, None], wanted, 0.0), reduction="none"
    )
    return torch.where(is_known, each.sum(dim=1), 0.0).sum(), is_known.sum()


def classification_loss_sum(logits: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses of a batch and their count, as the batch's keys ask for.

    Parameters
    ----------
    logits : (n_examples, n_classes), unnormalised.
    batch : ``labels`` (n_examples,), class numbers, or (n_examples, n_classes), 0 or 1, where an example may have
        several: see `binary_cross_entropy_sum`. Where it is there, ``soft_labels`` (n_examples, n_classes), shares of
        the classes, goes before them; ``logit_offset`` (n_classes,) is added to the logits; ``class_weights``
        (n_classes,) weighs each example's loss, and the count is then the sum of the weights (both for one class an
        example only).

    References
    ----------
    Logit adjustment: Menon et al., Long-Tail Learning via Logit Adjustment, 2021, equation 10: the offset is the log
    of the classes' shares in the training data.
    """
    targets = batch.get("soft_labels", batch["labels"])
    if batch["labels"].ndim == 2:
        return binary_cross_entropy_sum(logits, targets)
    if "logit_offset" in batch:
        logits = logits + batch["logit_offset"]
    if "class_weights" not in batch:
        return cross_entropy_sum(logits, targets)
    each = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    weights = batch["class_weights"]
    own = targets.float() @ weights if targets.is_floating_point() else weights[targets]
    return (each * own).sum(), own.sum()


def refuse_preprocessing(named: str | None, *, noun: str) -> None:
    """Raise if a preprocessing of the user's own was named for examples that have the checkpoint's.

    Raises
    ------
    UsageError
        When `named` is not None.
    """
    if named is not None:
        raise UsageError(
            f"--preprocessing {named} for {noun}",
            expected="a preprocessing of your own for recordings only",
            fix="leave it out: the checkpoint brings its own (Python: preprocessing=None)",
        )
