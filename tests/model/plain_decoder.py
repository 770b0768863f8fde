"""A language network without attention, whose state grows with every word."""

import torch
from torch import Tensor, nn

from model.decoders.interface import Decoder, Memory, State, Step


class PlainDecoder(Decoder):
    """The next word follows from the photo's mean, the last word and the mean of all words so far.

    The state is a cache (B, K, 1, T, E) of the words so far.
    """

    def __init__(self, *, vocabulary_size: int, feature_size: int, size: int = 12) -> None:
        super().__init__()
        self.photo = nn.Linear(feature_size, size)
        self.embedding = nn.Embedding(vocabulary_size, size)
        self.output = nn.Linear(2 * size, vocabulary_size)

    def begin(self, features: Tensor) -> tuple[Memory, State]:
        photo = self.photo(features.mean(dim=1))
        return (photo,), (photo.new_zeros(len(photo), 1, 1, 0, photo.shape[-1]),)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> Step:
        words = self.embedding(tokens)
        cache = torch.cat([state[0], words[:, :, None, None]], dim=3)
        mixed = torch.tanh(memory[0].unsqueeze(1) + cache.mean(dim=(2, 3)))
        return self.output(torch.cat([mixed, words], dim=-1)), (cache,), None

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        memory, state = self.begin(features)
        state = (state[0].expand(-1, tokens.shape[1], -1, -1, -1),)
        steps = []
        for words in tokens.unbind(dim=2):
            logits, state, _ = self.step(words, state, memory)
            steps.append(logits)
        return torch.stack(steps, dim=2)
