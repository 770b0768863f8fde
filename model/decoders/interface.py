"""What training and search ask of a language network."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

# What search keeps for an image: tensors that begin with (B,), and with (B, K) where a beam has its own.
Memory = tuple[Tensor, ...]
State = tuple[Tensor, ...]
Begun = tuple[Memory, State]


class Decoder(nn.Module, ABC):
    """Turns grid features into captions; K counts the captions or beams of an image."""

    @abstractmethod
    def begin(self, features: Tensor) -> Begun:
        """Grid features (B, N, D) -> what depends on the image alone, and the first state with K = 1."""

    @abstractmethod
    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Tokens (B, K) -> logits of the next token (B, K, V) and the next state."""

    @abstractmethod
    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: tokens (B, K, T) -> logits of each next token (B, K, T, V)."""

    def teach(self, features: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Captions (B, K, T), `<start>` to `<end>` -> logits (B, K, S, V) and their targets (B, K, S)."""
        return self(features, captions[:, :, :-1]), captions[:, :, 1:]

    def attend(self, begun: Begun, tokens: Tensor) -> Tensor | None:
        """The attention weights (B, K, T, N) with which the token after each of (B, K, T) is chosen.

        `begun` is what `begin` made of the images. None for a decoder that pays no attention.
        """
        return None
