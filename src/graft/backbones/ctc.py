"""CTC networks over raw sound: one forward pass in which padding changes nothing, and what CTC can and cannot spell.

For wav2vec2, HuBERT, WavLM and those built like them: convolutions over the waveform, a projection, a transformer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graft.core.errors import ModelError

__all__ = ["base_of", "ctc_logits", "encoder_states", "fewest_frames", "n_frames", "refuse_other_ctc"]

_PARTS = ("feature_extractor", "feature_projection", "encoder")
_SPAN = 10  # frames of a masked span, as in wav2vec 2.0


def base_of(network: Any) -> Any:
    """Return the encoder below the CTC head."""
    return getattr(network, network.base_model_prefix)


def refuse_other_ctc(network: Any, model: str) -> None:
    """Raise where a CTC network is not built as these functions expect.

    Raises
    ------
    ModelError
        When it lacks a part, or shortens its frames once more by an adapter.
    """
    base = base_of(network)
    lacking = [name for name in (*_PARTS,) if not hasattr(base, name)]
    if lacking or not hasattr(network, "lm_head") or getattr(network.config, "add_adapter", False):
        raise ModelError(
            f"{model} is a {type(network).__name__}, which is built in another way"
            f"{' (no ' + ', '.join(lacking) + ')' if lacking else ' (an adapter after the encoder)'}",
            expected="a wav2vec2, HuBERT, WavLM or Whisper checkpoint",
            fix="choose another checkpoint",
        )


def n_frames(network: Any, lengths: Tensor) -> Tensor:
    """Return how many frames the network makes of waveforms of so many samples: int64, the shape of `lengths`."""
    found: Tensor = network._get_feat_extract_output_lengths(lengths)
    return found.to(torch.long).clamp_min(0)


def fewest_frames(labels: Sequence[int] | NDArray[np.integer[Any]]) -> int:
    """Return the fewest frames in which CTC can spell a sequence: a blank must part equal neighbours.

    Examples
    --------
    >>> fewest_frames([3, 3, 4]), fewest_frames([])
    (4, 0)
    """
    row = np.asarray(labels)
    return len(row) + int((row[1:] == row[:-1]).sum())


def encoder_states(network: Any, values: Tensor, lengths: Tensor, *, mask_share: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the encoder's states (n, n_frames, width) and how many frames of each are its own (n,).

    Parameters
    ----------
    values : (n, n_samples), each as the feature extractor gives it alone, then filled up with zeros.
    lengths : (n,), samples of each.
    mask_share : share of the frames that are replaced by the learned mask in training, in spans of 10; drawn from
        torch's random state.

    Notes
    -----
    Base-size networks normalise their first convolution over the whole of time, so that zeros after a short utterance
    change all of it, and transformers takes no mask there. Here the convolutions of such networks see each utterance
    alone; what follows is masked. So an utterance has the same states beside a longer one as alone.

    References
    ----------
    Baevski et al., wav2vec 2.0, 2020: masking while fine-tuning, appendix B.
    """
    base = base_of(network)
    is_frozen = not any(p.requires_grad for p in base.feature_extractor.parameters())
    own = n_frames(network, lengths)
    with torch.no_grad() if is_frozen else nullcontext():
        features = _convolved(base, values, lengths, own, is_each_alone=network.config.feat_extract_norm == "group")
    projected = base.feature_projection(features.transpose(1, 2))
    hidden: Tensor = projected[0] if isinstance(projected, tuple) else projected
    is_own = torch.arange(hidden.shape[1], device=hidden.device) < own[:, None]
    if network.training and mask_share > 0 and hasattr(base, "masked_spec_embed"):
        spans = _drawn_spans(is_own, mask_share)
        hidden = torch.where(spans[..., None], base.masked_spec_embed.to(hidden.dtype), hidden)
    mask = None if bool(is_own.all()) else is_own
    states: Tensor = base.encoder(hidden, attention_mask=mask).last_hidden_state
    return states, own


def ctc_logits(network: Any, values: Tensor, lengths: Tensor, *, mask_share: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return logits (n, n_frames, n_tokens) and each one's own frames (n,); see `encoder_states`."""
    states, own = encoder_states(network, values, lengths, mask_share=mask_share)
    dropout: nn.Module = getattr(network, "dropout", nn.Identity())
    logits: Tensor = network.lm_head(dropout(states))
    return logits, own


def _convolved(base: Any, values: Tensor, lengths: Tensor, own: Tensor, *, is_each_alone: bool) -> Tensor:
    """Return what the convolutions make of the waveforms: (n, n_channels, n_frames)."""
    if not is_each_alone or bool((lengths == values.shape[1]).all()):
        found: Tensor = base.feature_extractor(values)
        return found
    rows = [base.feature_extractor(row[None, : int(n)])[0] for row, n in zip(values, lengths, strict=True)]
    longest = int(own.max())
    return torch.stack([nn.functional.pad(row, (0, longest - row.shape[1])) for row in rows])


def _drawn_spans(is_own: Tensor, share: float) -> Tensor:
    """Return which frames are masked: (n, n_frames), spans of 10 that begin at drawn frames."""
    begins = torch.rand(is_own.shape).to(is_own.device) < share / _SPAN
    begins[:, -1:] = False
    reach = nn.functional.max_pool1d(
        nn.functional.pad(begins[:, None].float(), (_SPAN - 1, 0)), kernel_size=_SPAN, stride=1
    )
    return (reach[:, 0] > 0) & is_own
