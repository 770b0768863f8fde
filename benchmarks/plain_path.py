"""Captioning as textbooks have it, which the fast path must equal: one photo at a time, nothing folded."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from model.checkpoint import load_checkpoint
from model.decoders.interface import Decoder
from model.description import Description, Preprocessing
from model.encoder import GridEncoder, backbone, to_grid
from model.expected_words import ExpectedWords, captions_to_find
from model.images import read_framed
from model.vocabulary import END, PAD, START, UNK

_NEVER = float("-inf")


@dataclass(frozen=True, kw_only=True)
class PlainPath:
    """A checkpoint in float32: torchvision's network with its BatchNorms, a decoder, a search of lists."""

    network: nn.Module
    pool: nn.Module
    decoder: Decoder
    expected_words: ExpectedWords | None
    description: Description

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a checkpoint folder; raises CheckpointError."""
        captioner, description = load_checkpoint(folder)
        captioner.eval()
        return cls(
            network=unfolded(captioner.encoder, description.recipe.encoder.name),
            pool=captioner.encoder.pool,
            decoder=captioner.decoder,
            expected_words=captioner.expected_words,
            description=description,
        )

    @torch.inference_mode()
    def caption(self, photo: Path) -> tuple[tuple[int, ...], float]:
        """The best caption of one photo as token ids, without `<start>` and `<end>`, and its score."""
        found, grid = self.description.recipe.search, self.grid(photo)
        captions = search(
            self.decoder,
            grid,
            beam_size=found.beam_size,
            count=captions_to_find(found.beam_size, self.expected_words),
            max_length=found.max_length,
            length_penalty=found.length_penalty,
        )
        ranked = [(tokens, score - self._surprise(grid, tokens)) for tokens, score in captions]
        return max(ranked, key=lambda caption: caption[1])

    @torch.inference_mode()
    def score(self, photo: Path, tokens: Sequence[int]) -> float:
        """What the plain path thinks of a caption of a photo."""
        grid = self.grid(photo)
        total = sum(
            float(_next_log_probs(self.decoder, grid, [list(tokens[:length])])[0, token])
            for length, token in enumerate([*tokens, END])
        )
        score = total / (len(tokens) + 1) ** self.description.recipe.search.length_penalty
        return score - self._surprise(grid, tokens)

    def _surprise(self, grid: Tensor, tokens: Sequence[int]) -> float:
        """What a caption loses because its words are not those to expect in grid features (1, N, D)."""
        if self.expected_words is None:
            return 0.0
        expected = self.expected_words(grid)[0].tolist()
        rarity = self.expected_words.rarity.tolist()
        said = {token: count * rarity[token] for token, count in Counter(tokens).items()}
        lengths = math.hypot(*said.values()) * math.hypot(*expected)
        product = sum(value * expected[token] for token, value in said.items())
        return self.expected_words.weight * (1 - (product / lengths if lengths else 0.0))

    def grid(self, photo: Path) -> Tensor:
        """A photo -> grid features (1, N, D)."""
        image = normalised(read_framed(photo, self.description.preprocessing), self.description.preprocessing)
        return to_grid(self.pool(self.network(image.unsqueeze(0))))


def normalised(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """A framed photo (3, size, size) uint8 -> float32, less the mean, over the deviation, plane by plane."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return ((pixels.float() / 255 - mean) / std).contiguous()


def unfolded(encoder: GridEncoder, name: str) -> nn.Module:
    """torchvision's network with BatchNorms that compute, and that folded give the encoder's weights.

    Checkpoints hold folded weights, so statistics are drawn and the weights before them follow.
    """
    network = backbone(name).blocks().eval().requires_grad_(False)
    network.load_state_dict(encoder.network.state_dict(), strict=False)
    _unfold(network, encoder.network, torch.Generator().manual_seed(1))
    return network


def _unfold(network: nn.Module, folded: nn.Module, random: torch.Generator) -> None:
    for (name, first), (_, second) in pairwise(network.named_children()):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            _before_folding(first, second, folded.get_submodule(name), random)
    for name, child in network.named_children():
        _unfold(child, folded.get_submodule(name), random)


def _before_folding(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d, folded: nn.Module, random: torch.Generator
) -> None:
    """Set the two to what `folded` was made of, in float64 until the end."""
    channels = norm.num_features
    norm.running_mean = torch.randn(channels, generator=random)
    norm.running_var = torch.rand(channels, generator=random) + 0.5
    norm.weight.copy_(torch.rand(channels, generator=random) + 0.5)
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight, bias = folded.get_parameter("weight").detach(), folded.get_parameter("bias").detach()
    convolution.weight.copy_(weight.double() / scale.view(-1, 1, 1, 1))
    norm.bias.copy_(bias.double() + norm.running_mean.double() * scale)


def search(
    decoder: Decoder, grid: Tensor, *, beam_size: int, count: int, max_length: int, length_penalty: float
) -> list[tuple[tuple[int, ...], float]]:
    """The captions of grid features (1, N, D) with their scores, by the rules of `model.search.beam_search`.

    Every step reads every caption from its beginning.
    """
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(max_length + 1):
        log_probs = _next_log_probs(decoder, grid, [words for _, words in live])
        if length == 0:
            log_probs[:, END] = _NEVER
        if length == max_length:
            log_probs[:, :END], log_probs[:, END + 1 :] = _NEVER, _NEVER
        candidates = [
            (total + log_prob, [*words, token])
            for (total, words), beam in zip(live, log_probs, strict=True)
            for log_prob, token in zip(*(part.tolist() for part in beam.topk(2 * beam_size)), strict=True)
            if log_prob > _NEVER
        ]
        candidates = sorted(candidates, key=lambda candidate: -candidate[0])[: 2 * beam_size]
        ended += [
            (total / (length + 1) ** length_penalty, words[:-1])
            for total, words in candidates[:beam_size]
            if words[-1] == END
        ]
        ended = sorted(ended, key=lambda caption: -caption[0])[:count]
        live = [candidate for candidate in candidates if candidate[1][-1] != END][:beam_size]
        if len(ended) == count or not live:
            break
    return [(tuple(words), score) for score, words in ended]


def _next_log_probs(decoder: Decoder, grid: Tensor, captions: Sequence[Sequence[int]]) -> Tensor:
    """The log-probabilities (K, V) of what follows captions of one length, among what may be emitted."""
    logits = decoder(grid, torch.tensor([[[START, *words] for words in captions]]))[0, :, -1]
    logits[:, [PAD, START, UNK]] = _NEVER
    return logits.log_softmax(dim=-1)
