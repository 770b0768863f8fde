"""Additive attention over a grid of features."""

import torch
from torch import Tensor, nn


class AdditiveAttention(nn.Module):
    """Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate", sec. 3.1.

    Keys are projected once per image (`project`) and broadcast over the K captions or beams of the image.
    """

    def __init__(self, *, value_size: int, query_size: int, attention_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(value_size, attention_size)
        self.query = nn.Linear(query_size, attention_size, bias=False)
        self.energy = nn.Linear(attention_size, 1, bias=False)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, K, H), keys (B, N, A), values (B, N, D) -> contexts (B, K, D), weights (B, K, N)."""
        mixed = torch.tanh(keys.unsqueeze(1) + self.query(query).unsqueeze(2))
        weights = self.energy(mixed).squeeze(-1).softmax(dim=-1)
        return weights.to(values.dtype) @ values, weights
