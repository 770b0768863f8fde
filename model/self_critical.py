"""Self-critical sequence training: of several sampled captions, those that score above the others win.

Rennie et al., "Self-critical Sequence Training for Image Captioning", 2017; the baseline is the mean of the
other samples (Luo, "A Better Variant of Self-Critical Sequence Training", 2020).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.decoders.interface import Decoder
from model.losses import Loss
from model.metrics import CiderD, bleu4
from model.search import emitted_log_probs
from model.vocabulary import END, PAD, START, Vocabulary


class SelfCritic:
    """Scores sampled captions by CIDEr-D, with the document frequency of all training references, and BLEU-4.

    `<end>` counts as a word: without it a caption gains by stopping in the middle, after an article.
    """

    def __init__(
        self,
        *,
        references: Sequence[Sequence[Sequence[int]]],
        vocabulary: Vocabulary,
        samples: int,
        max_length: int,
        bleu: float = 0.0,
    ) -> None:
        self._bleu = bleu
        self._vocabulary = vocabulary
        self._samples = samples
        self._max_length = max_length
        self._scorer = CiderD([[self._words(ids) for ids in group] for group in references])

    def loss(self, decoder: Decoder, grid: Tensor, references: Tensor) -> Loss:
        """The policy gradient's loss of images (B, N, D) with their references (B, K, T) as token ids.

        Its sum over all sampled tokens, and their number.
        """
        sampled = sample_captions(decoder, grid, samples=self._samples, max_length=self._max_length)
        rewards = self._rewards(sampled, references).to(grid.device)
        others = (rewards.sum(dim=1, keepdim=True) - rewards) / (self._samples - 1)
        targets = sampled[:, :, 1:]
        log_probs = emitted_log_probs(decoder(grid, sampled[:, :, :-1]))
        chosen = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1).masked_fill(targets == PAD, 0.0)
        return -((rewards - others).unsqueeze(-1) * chosen).sum(), (targets != PAD).sum()

    def _rewards(self, sampled: Tensor, references: Tensor) -> Tensor:
        rows = [
            [self._reward(self._words(ids), group) for ids in captions]
            for captions, group in zip(sampled.tolist(), map(self._group, references.tolist()), strict=True)
        ]
        return torch.tensor(rows)

    def _reward(self, words: list[str], references: list[list[str]]) -> float:
        reward = self._scorer.score(words, references)
        return reward + self._bleu * bleu4(words, references) if self._bleu else reward

    def _group(self, references: Sequence[Sequence[int]]) -> list[list[str]]:
        return [self._words(ids) for ids in references if ids[0] != PAD]

    def _words(self, ids: Sequence[int]) -> list[str]:
        return [self._vocabulary.words[number] for number in ids if number not in (PAD, START)]


@torch.no_grad()
def sample_captions(decoder: Decoder, grid: Tensor, *, samples: int, max_length: int) -> Tensor:
    """Captions drawn word by word: grid (B, N, D) -> token ids (B, samples, T), `<pad>` behind `<end>`."""
    images = grid.shape[0]
    memory, state = decoder.begin(grid)
    state = tuple(part.expand(-1, samples, *part.shape[2:]) for part in state)
    tokens = torch.full((images, samples), START, device=grid.device)
    ended = torch.zeros_like(tokens, dtype=torch.bool)
    steps = [tokens]
    for _ in range(max_length):
        logits, state, _ = decoder.step(tokens, state, memory)
        drawn = _draw(emitted_log_probs(logits).exp())
        steps.append(drawn.masked_fill(ended, PAD))
        ended = ended | (drawn == END)
        if ended.all():
            break
        tokens = drawn.masked_fill(ended, END)
    return torch.stack(steps, dim=2)


def _draw(odds: Tensor) -> Tensor:
    """A word of each row of probabilities (..., V) -> token ids (...).

    By one random number a row. torch.multinomial takes one a word, which on a processor is most of its work.
    """
    below = odds.cumsum(dim=-1)
    # In (0, 1]: at 0 it would be the first word, improbable or not.
    share = 1 - torch.rand_like(below[..., :1])
    return torch.searchsorted(below, share * below[..., -1:]).squeeze(-1)
