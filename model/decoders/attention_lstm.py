"""An LSTM that looks at the grid before each word: Xu et al., "Show, Attend and Tell", 2015."""

import torch
from torch import Tensor, nn

from model.attention import AdditiveAttention
from model.decoders.interface import Decoder, Memory, State


class AttentionLSTM(Decoder):
    """Additive attention with the context gate of sec. 4.2.1 and an output layer tied to the word embedding.

    The K axis holds the captions of an image in training and its beams in search; whatever depends on the
    image alone has no such axis and is computed once.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        feature_size: int,
        embedding_size: int,
        hidden_size: int,
        attention_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.values = nn.Linear(feature_size, hidden_size)
        self.attention = AdditiveAttention(
            value_size=hidden_size, query_size=hidden_size, attention_size=attention_size
        )
        self.initial = nn.Linear(hidden_size, 2 * hidden_size)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.gate = nn.Linear(hidden_size, hidden_size)
        self.cell = nn.LSTMCell(embedding_size + hidden_size, hidden_size)
        self.output = nn.Linear(2 * hidden_size, embedding_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)

    def begin(self, features: Tensor) -> tuple[Memory, State]:
        """Grid (B, N, D) -> memory (values (B, N, H), keys (B, N, A)) and the first state, with K = 1."""
        values = self.dropout(torch.relu(self.values(features)))
        hidden, cell = torch.tanh(self.initial(values.mean(dim=1, keepdim=True))).chunk(2, dim=-1)
        return (values, self.attention.project(values)), (hidden, cell)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Tokens (B, K), state of (B, K, H) each -> logits of the next token (B, K, V), next state."""
        words = self.dropout(self.embedding(tokens))
        features, state = self._advance(words, state, memory)
        return self._logits(features), state

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: grid (B, N, D), tokens (B, K, T) -> logits of each next token (B, K, T, V)."""
        memory, state = self.begin(features)
        state = tuple(part.expand(-1, tokens.shape[1], -1) for part in state)
        steps = []
        for words in self.dropout(self.embedding(tokens)).unbind(dim=2):
            features, state = self._advance(words, state, memory)
            steps.append(features)
        # All words at once: one large product with the vocabulary instead of T small ones.
        return self._logits(torch.stack(steps, dim=2))

    def _advance(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        values, keys = memory
        hidden, cell = state
        context, _ = self.attention(hidden, keys, values)
        context = torch.sigmoid(self.gate(hidden)) * context
        flat = torch.cat([words, context], dim=-1).flatten(0, 1)
        hidden, cell = self.cell(flat, (hidden.flatten(0, 1), cell.flatten(0, 1)))
        hidden, cell = (part.unflatten(0, words.shape[:2]) for part in (hidden, cell))
        return torch.cat([hidden, context], dim=-1), (hidden, cell)

    def _logits(self, features: Tensor) -> Tensor:
        projected = self.output(self.dropout(features))
        return nn.functional.linear(self.dropout(projected), self.embedding.weight, self.bias)
