"""LSTMs that see the image once, as a whole.

Tanti et al., "Where to put the Image in an Image Caption Generator", 2018, names the places for it.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from model.decoders.interface import Begun, Decoder, Memory, State, Step
from model.vocabulary import PAD


class _WholeImageLSTM(Decoder):
    """What they have in common: words go in, logits come out. The image is the mean of its grid, (B, D).

    Sequences come first inside, as in torch.nn.LSTM: (T, B K, E). A state is (B, K, layers, H).
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        feature_size: int,
        embedding_size: int,
        hidden_size: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, layers, dropout=dropout if layers > 1 else 0.0)
        self.image = self._image_layers(feature_size)
        self.output = nn.Linear(hidden_size, vocabulary_size)
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def _image_layers(self, feature_size: int) -> nn.Module:
        """From the image (B, D) to what enters the LSTM."""

    def begin(self, features: Tensor) -> Begun:
        """Grid (B, N, D) -> no memory, and the state (B, 1, layers, H) after the image as the first input."""
        image = self.image(features.mean(dim=1)).unsqueeze(0)
        return (), self._run(image, self._empty_state(features), captions=1)[1]

    def step(self, tokens: Tensor, state: State, memory: Memory) -> Step:
        """Tokens (B, K), state of (B, K, layers, H) -> logits (B, K, V), next state, no attention."""
        words = self.dropout(self.embedding(tokens)).flatten(0, 1)
        outputs, state = self._run(words.unsqueeze(0), state, captions=tokens.shape[1])
        return self._logits(outputs[0]).unflatten(0, tokens.shape), state, None

    def _run(self, inputs: Tensor, state: State, *, captions: int) -> tuple[Tensor, State]:
        """Inputs (T, B K, E) -> outputs (T, B K, H) and the state after them."""
        first = tuple(part.flatten(0, 1).transpose(0, 1).contiguous() for part in state)
        outputs, last = self.lstm(inputs, first)
        return outputs, tuple(part.transpose(0, 1).unflatten(0, (-1, captions)) for part in last)

    def _logits(self, outputs: Tensor) -> Tensor:
        return self.output(self.dropout(outputs))

    def _empty_state(self, features: Tensor) -> State:
        zeros = features.new_zeros(features.shape[0], 1, self.lstm.num_layers, self.lstm.hidden_size)
        return zeros, zeros


class InitInjectLSTM(_WholeImageLSTM):
    """The image is the state that the LSTM begins with."""

    def _image_layers(self, feature_size: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(feature_size, 2 * self.lstm.num_layers * self.lstm.hidden_size), nn.Tanh()
        )

    def begin(self, features: Tensor) -> Begun:
        """Grid (B, N, D) -> no memory, and the image as hidden and cell state (B, 1, layers, H)."""
        states = self.image(features.mean(dim=1)).unflatten(-1, (1, 2, self.lstm.num_layers, -1))
        hidden, cell = states.unbind(dim=2)
        return (), (hidden, cell)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: grid (B, N, D), tokens (B, K, T) -> logits of each next token (B, K, T, V)."""
        _, state = self.begin(features)
        captions = tokens.shape[1]
        state = tuple(part.expand(-1, captions, -1, -1) for part in state)
        words = self.dropout(self.embedding(_sequence_first(tokens)))
        outputs, _ = self._run(words, state, captions=captions)
        return _image_first(self._logits(outputs), captions)


class PreInjectLSTM(_WholeImageLSTM):
    """The image is the input at t = 0, before the first word, and `<start>` is what it should lead to."""

    def _image_layers(self, feature_size: int) -> nn.Module:
        return nn.Linear(feature_size, self.lstm.input_size)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: grid (B, N, D), tokens (B, K, T) -> logits of each next token (B, K, T, V)."""
        return _image_first(self.outputs(features, tokens)[1:], tokens.shape[1])

    def teach(self, features: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Captions (B, K, T) -> logits (B, K, T, V) for the very same tokens: `<start>` is a target too."""
        return _image_first(self.outputs(features, captions[:, :, :-1]), captions.shape[1]), captions

    def outputs(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Grid (B, N, D), tokens (B, K, T) -> logits after the image and each token (T + 1, B K, V)."""
        inputs = self.inputs(features, tokens)
        state = tuple(part.expand(-1, tokens.shape[1], -1, -1) for part in self._empty_state(features))
        return self._logits(self._run(inputs, state, captions=tokens.shape[1])[0])

    def inputs(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Grid (B, N, D), tokens (B, K, T) -> the image, then the words (T + 1, B K, E)."""
        image = self.image(features.mean(dim=1)).repeat_interleave(tokens.shape[1], dim=0)
        words = self.dropout(self.embedding(_sequence_first(tokens)))
        return torch.cat([image.unsqueeze(0), words])


class PackedLSTM(_WholeImageLSTM):
    """The image, normalised over the batch, is the first input of several layers; padding is never run."""

    def _image_layers(self, feature_size: int) -> nn.Module:
        size = self.lstm.input_size
        return nn.Sequential(nn.Linear(feature_size, size), _BatchNorm(size), nn.ReLU())

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: grid (B, N, D), tokens (B, K, T) -> logits of each next token (B, K, T, V)."""
        return self.outputs(features, tokens)[:, 1:].unflatten(0, tokens.shape[:2])

    def outputs(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Grid (B, N, D), tokens (B, K, T) -> logits after the image and each token (B K, T + 1, V)."""
        inputs = self.inputs(features, tokens)
        # A padded caption is as long as its words, and at least the image stands before them.
        lengths = 1 + (tokens != PAD).sum(dim=-1).flatten().cpu()
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=inputs.shape[1])
        return self._logits(outputs)

    def inputs(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Grid (B, N, D), tokens (B, K, T) -> the image, then the words (B K, T + 1, E)."""
        image = self.image(features.mean(dim=1)).repeat_interleave(tokens.shape[1], dim=0)
        words = self.dropout(self.embedding(tokens)).flatten(0, 1)
        return torch.cat([image.unsqueeze(1), words], dim=1)


class _BatchNorm(nn.BatchNorm1d):
    """BatchNorm that takes a batch of one as well, which has no variance of its own, by what it knows."""

    def forward(self, rows: Tensor) -> Tensor:
        if len(rows) > 1:
            return super().forward(rows)
        return nn.functional.batch_norm(
            rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def _sequence_first(tokens: Tensor) -> Tensor:
    """(B, K, T) -> (T, B K)."""
    return tokens.flatten(0, 1).transpose(0, 1)


def _image_first(logits: Tensor, captions: int) -> Tensor:
    """(T, B K, V) -> (B, K, T, V)."""
    return logits.transpose(0, 1).unflatten(0, (-1, captions))
