"""Attention: additive over a grid of features, and the multi-head kind of transformers."""

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


class ExponentialAttention(nn.Module):
    """What a trained AdditiveAttention says, without a tanh for each cell and query; nothing learns by it.

    tanh(k + q) is 1 - 2 / (1 + exp(2k) exp(2q)), and softmax takes no notice of constants: the exponentials
    of the keys are taken once an image. The energies are float32, whatever the layers before them are.
    """

    # Of a key or a query; tanh is 1 from 10 on, and the exponentials of twice as much still have a product.
    largest = 40.0

    def __init__(self, trained: AdditiveAttention) -> None:
        super().__init__()
        self.keys, self.query = trained.project, trained.query
        self.energy = -2 * trained.energy.weight[0].float()
        self.one = torch.ones(())

    def project(self, values: Tensor) -> Tensor:
        """Values (B, N, D) -> exponentials of keys (B, N, A)."""
        return self._exponentials(self.keys(values))

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, K, H), keys (B, N, A), values (B, N, D) -> contexts (B, K, D), weights (B, K, N)."""
        queries = self._exponentials(self.query(query))
        mixed = torch.addcmul(self.one, keys.unsqueeze(1), queries.unsqueeze(2)).reciprocal_()
        weights = (mixed @ self.energy).softmax(dim=-1)
        return weights.to(values.dtype) @ values, weights

    def _exponentials(self, projected: Tensor) -> Tensor:
        return projected.float().clamp_(-self.largest, self.largest).mul_(2).exp_()


class MultiHeadAttention(nn.Module):
    """Vaswani et al., "Attention Is All You Need", 2017, sec. 3.2.2: scaled dot products in several heads."""

    def __init__(self, *, query_size: int, value_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query_size, query_size)
        self.project = nn.Linear(value_size, 2 * query_size)
        self.output = nn.Linear(query_size, query_size)

    def forward(self, query: Tensor, memory: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Queries (..., T, E), projected memory (..., S, 2E) -> contexts (..., T, E), weights (..., T, S).

        `allowed` (T, S) says what each query may look at; weights are the mean over the heads.
        """
        queries = self._split(self.query(query))
        keys, values = (self._split(part) for part in memory.chunk(2, dim=-1))
        energies = queries @ keys.transpose(-2, -1) * queries.shape[-1] ** -0.5
        if allowed is not None:
            energies = energies.masked_fill(~allowed, float("-inf"))
        weights = energies.softmax(dim=-1)
        contexts = (weights.to(values.dtype) @ values).transpose(-3, -2).flatten(-2)
        return self.output(contexts), weights.mean(dim=-3)

    def _split(self, rows: Tensor) -> Tensor:
        """(..., T, E) -> (..., heads, T, E / heads)."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
