"""A caption taken through a language network word by word, whatever a search did."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.decoders.interface import Decoder
from model.vocabulary import START


@torch.inference_mode()
def attention_behind(decoder: Decoder, features: Tensor, tokens: Sequence[int]) -> Tensor:
    """The attention (T, N) with which each token of one caption is chosen, step by step."""
    memory, state = decoder.begin(features)
    steps = []
    for before in (START, *tokens[:-1]):
        _, state, weights = decoder.step(torch.tensor([[before]]), state, memory)
        assert weights is not None
        steps.append(weights[0, 0])
    return torch.stack(steps)
