"""What training and search ask of a language network."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

# What search keeps for an image: tensors that begin with (B,), and with (B, K) where a beam has its own.
Memory = tuple[Tensor, ...]
State = tuple[Tensor, ...]
Begun = tuple[Memory, State]
# Logits of the next token (B, K, V), the next state, and the attention (B, K, N) with which it is chosen.
Step = tuple[Tensor, State, Tensor | None]


class Decoder(nn.Module, ABC):
    """Turns grid features into captions; K counts the captions or beams of an image."""

    @abstractmethod
    def begin(self, features: Tensor) -> Begun:
        """Grid features (B, N, D) -> what depends on the image alone, and the first state with K = 1."""

    @abstractmethod
    def step(self, tokens: Tensor, state: State, memory: Memory) -> Step:
        """Tokens (B, K) -> logits, next state, and attention; None for a decoder that pays no attention."""

    @abstractmethod
    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: tokens (B, K, T) -> logits of each next token (B, K, T, V)."""

    def teach(self, features: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Captions (B, K, T), `<start>` to `<end>` -> logits (B, K, S, V) and their targets (B, K, S)."""
        return self(features, captions[:, :, :-1]), captions[:, :, 1:]
