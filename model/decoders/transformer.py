"""A transformer that looks at the grid: Vaswani et al., "Attention Is All You Need", 2017."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from model.attention import MultiHeadAttention
from model.decoders.interface import Begun, Decoder, Memory, State, Step
from model.errors import RecipeError


class TransformerDecoder(Decoder):
    """Layers of self-attention, attention to the grid and a feed-forward network of `hidden_size`.

    Each sublayer normalises what it reads (Xiong et al., "On Layer Normalization in the Transformer
    Architecture", 2020). The output layer is tied to the word embedding. What the words before said is kept:
    a state is the keys and values of each layer (B, K, t, 2E), where t words went before.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        feature_size: int,
        embedding_size: int,
        hidden_size: int,
        layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if embedding_size % heads or embedding_size % 2:
            raise RecipeError(
                f"decoder.embedding_size is {embedding_size}; a transformer with decoder.heads={heads} "
                f"needs an even multiple of the heads"
            )
        self.values = nn.Linear(feature_size, embedding_size)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.layers = nn.ModuleList(
            _Layer(size=embedding_size, hidden_size=hidden_size, heads=heads, dropout=dropout)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(embedding_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)

    def begin(self, features: Tensor) -> Begun:
        """Grid (B, N, D) -> keys and values of the grid for each layer (B, N, 2E); an empty state."""
        values = self.dropout(torch.relu(self.values(features)))
        memory = tuple(layer.grid.project(values) for layer in self._each_layer())
        empty = values.new_zeros(values.shape[0], 1, 0, 2 * values.shape[-1])
        return memory, (empty,) * len(memory)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> Step:
        """Tokens (B, K), state of (B, K, t, 2E) each -> logits (B, K, V), next state, attention (B, K, N).

        The attention is the last layer's, the mean over its heads.
        """
        rows, weights, state = self._run(tokens.unsqueeze(-1), state, memory)
        return self._logits(rows).squeeze(2), state, weights.squeeze(2)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: grid (B, N, D), tokens (B, K, T) -> logits of each next token (B, K, T, V)."""
        memory, state = self.begin(features)
        state = tuple(part.expand(-1, tokens.shape[1], -1, -1) for part in state)
        return self._logits(self._run(tokens, state, memory)[0])

    def _each_layer(self) -> "Iterable[_Layer]":
        return cast("Iterable[_Layer]", self.layers)

    def _run(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        before, new = state[0].shape[2], tokens.shape[2]
        size = self.embedding.embedding_dim
        words = self.embedding(tokens) * size**0.5
        rows = self.dropout(words + _positions(before, new, size, tokens.device).to(words.dtype))
        # Word i of the new ones sees all before it, and itself.
        seen = torch.ones(new, before + new, dtype=torch.bool, device=tokens.device).tril(before)
        kept = []
        for layer, past, grid in zip(self._each_layer(), state, memory, strict=True):
            rows, weights, past = layer(rows, past, grid, seen)
            kept.append(past)
        return self.norm(rows), weights, tuple(kept)

    def _logits(self, rows: Tensor) -> Tensor:
        return nn.functional.linear(rows, self.embedding.weight, self.bias)


class _Layer(nn.Module):
    def __init__(self, *, size: int, hidden_size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.words = MultiHeadAttention(query_size=size, value_size=size, heads=heads)
        self.grid = MultiHeadAttention(query_size=size, value_size=size, heads=heads)
        self.forwards = nn.Sequential(
            nn.Linear(size, hidden_size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_size, size)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, rows: Tensor, past: Tensor, grid: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows (B, K, T, E), past (B, K, t, 2E), grid (B, N, 2E) -> rows, weights (B, K, T, N), new past."""
        own = self.norms[0](rows)
        past = torch.cat([past, self.words.project(own)], dim=2)
        rows = rows + self.dropout(self.words(own, past, seen)[0])
        # All captions of an image ask its grid together: the grid is not copied for each.
        asked, weights = self.grid(self.norms[1](rows).flatten(1, 2), grid)
        rows = rows + self.dropout(asked.unflatten(1, rows.shape[1:3]))
        rows = rows + self.dropout(self.forwards(self.norms[2](rows)))
        return rows, weights.unflatten(1, rows.shape[1:3]), past


def _positions(start: int, count: int, size: int, device: torch.device) -> Tensor:
    """Sines and cosines of sec. 3.5 for positions from `start` on: (count, size)."""
    place = torch.arange(start, start + count, device=device).unsqueeze(1)
    angles = place * 10_000.0 ** (-torch.arange(0, size, 2, device=device) / size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
