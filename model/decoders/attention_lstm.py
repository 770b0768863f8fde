"""LSTMs that look at the grid before each word."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from model.attention import AdditiveAttention
from model.decoders.interface import Begun, Decoder, Memory, State, Step


class _Attentive(Decoder):
    """What the two have in common: a step for each word, each with a look at the grid.

    The K axis holds the captions of an image in training and its beams in search; whatever depends on the
    image alone has no such axis and is computed once.
    """

    embedding: nn.Embedding
    dropout: nn.Dropout

    @abstractmethod
    def _advance(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """Words (B, K, E) -> what the next word is read from (B, K, *), attention (B, K, N), next state."""

    @abstractmethod
    def _logits(self, steps: Tensor) -> Tensor:
        """What `_advance` gave (..., *) -> logits (..., V)."""

    def step(self, tokens: Tensor, state: State, memory: Memory) -> Step:
        """Tokens (B, K), state of (B, K, H) each -> logits (B, K, V), next state, attention (B, K, N)."""
        step, weights, state = self._advance(self._embed(tokens), state, memory)
        return self._logits(step), state, weights

    def _embed(self, tokens: Tensor) -> Tensor:
        """Tokens (...) -> words (..., E) as they enter the network."""
        return self.dropout(self.embedding(tokens))

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: grid (B, N, D), tokens (B, K, T) -> logits of each next token (B, K, T, V)."""
        memory, state = self.begin(features)
        state = tuple(part.expand(-1, tokens.shape[1], -1) for part in state)
        steps = []
        for words in self._embed(tokens).unbind(dim=2):
            step, _, state = self._advance(words, state, memory)
            steps.append(step)
        # All words at once: one large product with the vocabulary instead of T small ones.
        return self._logits(torch.stack(steps, dim=2))


class SoftAttentionLSTM(_Attentive):
    """Xu et al., "Show, Attend and Tell", 2015, with soft attention: context and word enter an LSTM cell."""

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
        # On a grid, a 1x1 convolution is a linear layer at each of its cells.
        self.reduce = nn.Linear(feature_size, embedding_size)
        self.attention = AdditiveAttention(
            value_size=embedding_size, query_size=hidden_size, attention_size=attention_size
        )
        self.initial = nn.Linear(embedding_size, 2 * hidden_size)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.cell = nn.LSTMCell(2 * embedding_size, hidden_size)
        self.output = nn.Linear(hidden_size, vocabulary_size)
        self.dropout = nn.Dropout(dropout)

    def begin(self, features: Tensor) -> Begun:
        """Grid (B, N, D) -> memory (values (B, N, E), keys (B, N, A)) and the first state, with K = 1."""
        values = self.reduce(features)
        hidden, cell = torch.tanh(self.initial(values.mean(dim=1, keepdim=True))).chunk(2, dim=-1)
        return (values, self.attention.project(values)), (hidden, cell)

    def _advance(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        values, keys = memory
        context, weights = self.attention(state[0], keys, values)
        hidden, cell = _step_cell(self.cell, torch.cat([context, words], dim=-1), state)
        return hidden, weights, (hidden, cell)

    def _logits(self, steps: Tensor) -> Tensor:
        return self.output(self.dropout(steps))


class AttentionLSTM(_Attentive):
    """The same idea made small: values of the LSTM's size, the context gate of sec. 4.2.1, and an output
    layer tied to the word embedding."""

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

    def begin(self, features: Tensor) -> Begun:
        """Grid (B, N, D) -> memory (values (B, N, H), keys (B, N, A)) and the first state, with K = 1."""
        values = self.dropout(torch.relu(self.values(features)))
        hidden, cell = torch.tanh(self.initial(values.mean(dim=1, keepdim=True))).chunk(2, dim=-1)
        return (values, self.attention.project(values)), (hidden, cell)

    def _advance(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        values, keys = memory
        context, weights = self.attention(state[0], keys, values)
        context = torch.sigmoid(self.gate(state[0])) * context
        hidden, cell = _step_cell(self.cell, torch.cat([words, context], dim=-1), state)
        return torch.cat([hidden, context], dim=-1), weights, (hidden, cell)

    def _embed(self, tokens: Tensor) -> Tensor:
        # The output layer wants short vectors, the cell entries of about 1 (Vaswani et al., 2017, sec. 3.4).
        return self.dropout(self.embedding(tokens) * self.embedding.embedding_dim**0.5)

    def _logits(self, steps: Tensor) -> Tensor:
        return nn.functional.linear(self.output(self.dropout(steps)), self.embedding.weight, self.bias)


def _step_cell(cell: nn.LSTMCell, inputs: Tensor, state: State) -> State:
    """One step of a cell that knows no K axis: inputs (B, K, *), state of (B, K, H) each -> next state."""
    hidden, memory = (part.flatten(0, 1) for part in state)
    return tuple(part.unflatten(0, inputs.shape[:2]) for part in cell(inputs.flatten(0, 1), (hidden, memory)))
