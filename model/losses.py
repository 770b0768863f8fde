"""What teacher forcing minimises."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.vocabulary import PAD

Loss = tuple[Tensor, Tensor]


def token_loss(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Loss:
    """Cross entropy of logits (B, K, T, V) against (B, K, T): its sum, and the number of targets, no `<pad>`.

    Sums of parts of a batch add up to that of the batch, whatever their sizes.
    """
    total = F.cross_entropy(
        logits.flatten(0, 2).float(),
        targets.flatten(),
        ignore_index=PAD,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total, (targets != PAD).sum()


def random_prefixes(captions: Tensor) -> Tensor:
    """Captions (B, K, T), each cut off behind a token drawn at random, the first word or a later one.

    Long captions are drawn no more often than short ones.
    """
    lengths = (captions != PAD).sum(dim=-1)
    kept = 2 + (torch.rand(lengths.shape, device=captions.device) * (lengths - 1).clamp(min=1)).long()
    return cut(captions, kept)


def cut(captions: Tensor, lengths: Tensor) -> Tensor:
    """Captions (B, K, T) with `<pad>` behind the given numbers of tokens (B, K)."""
    places = torch.arange(captions.shape[-1], device=captions.device)
    return captions.masked_fill(places >= lengths.unsqueeze(-1), PAD)


def last_only(targets: Tensor) -> Tensor:
    """Targets (B, K, T) of which only the last of each row counts: the others become `<pad>`.

    The objective of those who train on a caption's prefixes: given the words before, only the next one.
    The mean over all prefixes is the loss of every token.
    """
    counts = targets != PAD
    behind = counts.flip(-1).cumsum(dim=-1).flip(-1)
    return targets.masked_fill(behind != 1, PAD)
