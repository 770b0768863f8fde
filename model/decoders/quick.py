"""Decoders as search runs them on a processor, where there is nothing to learn."""

import copy

import torch

from model.attention import AdditiveAttention, ExponentialAttention
from model.decoders.interface import Decoder


def quickened(decoder: Decoder, dtype: torch.dtype) -> Decoder:
    """A frozen copy that multiplies in `dtype`, that of its features, and takes no tanh of a whole grid."""
    quick = copy.deepcopy(decoder).to(dtype).eval().requires_grad_(False)
    for module in tuple(quick.modules()):
        for name, child in module.named_children():
            if isinstance(child, AdditiveAttention):
                setattr(module, name, ExponentialAttention(child))
    return quick
