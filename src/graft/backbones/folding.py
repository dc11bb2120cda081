"""BatchNorm folded into the convolution before it: the same outputs, one pass over the activations less."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_batch_norms"]


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> int:
    """Fold each BatchNorm2d into the Conv2d that stands right before it in the same parent; return how many.

    `network` is changed in place and must be in eval mode. That neighbours in a parent are also neighbours in the
    forward pass holds for the usual layouts but is not promised: the caller compares outputs before and after.
    """
    n_folded = 0
    for parent in network.modules():
        children = list(parent.named_children())
        for (name, first), (next_name, second) in pairwise(children):
            if (
                isinstance(first, nn.Conv2d)
                and isinstance(second, nn.BatchNorm2d)
                and first.out_channels == second.num_features
                and not second.training
            ):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, next_name, nn.Identity())
                n_folded += 1
    return n_folded
