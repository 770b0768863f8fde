"""The words that people would use for a photo, and captions ranked by whether they use them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.batches import pad_captions
from model.decoders.interface import Decoder
from model.search import Hypothesis, beam_search
from model.vocabulary import SPECIALS

# What the squares of the weights cost, where features have length 1 (docs/training-log.md).
RIDGE = 0.5
PHOTOS_AT_ONCE = 1024
# Captions that the search finds for each that is kept: more to choose from makes the choice better.
FOUND_FOR_EACH = 2
# Nearer than this to the centre there is rounding, and no direction; photos lie at 16 to 47 for the starter.
NEXT_TO_CENTRE = 1e-3


class ExpectedWords(nn.Module):
    """Tells from the mean of a grid which words the photo's captions will have, as a vector of TF-IDF.

    A decoder knows which words follow each other; whether a whole caption is about the photo is seen better
    from all of the photo at once. Fang et al., "From Captions to Visual Concepts and Back", 2015, detect
    words and rank what a language model wrote by them; here one linear layer tells all, by ridge regression
    (Hoerl and Kennard, 1970), which takes no epochs. The vectors are those of Salton and Buckley,
    "Term-weighting Approaches in Automatic Text Retrieval", 1988. Before `fit` no word is expected, and
    nothing is ranked.
    """

    centre: Tensor
    layer: Tensor
    usual: Tensor
    rarity: Tensor

    def __init__(self, *, feature_size: int, vocabulary_size: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("centre", torch.zeros(feature_size))
        self.register_buffer("layer", torch.zeros(vocabulary_size, feature_size))
        self.register_buffer("usual", torch.zeros(vocabulary_size))
        self.register_buffer("rarity", torch.zeros(vocabulary_size))

    def forward(self, grid: Tensor) -> Tensor:
        """Grid features (B, N, D) -> the TF-IDF vector to expect of a caption (B, V)."""
        return F.linear(self._direction(grid.float().mean(dim=1)), self.layer, self.usual)

    def rank(self, grid: Tensor, found: Sequence[Sequence[Hypothesis]]) -> list[list[Hypothesis]]:
        """The hypotheses of each image of a grid (B, N, D), best first.

        From each score `weight` is taken as often as the cosine between what the caption says and what is
        expected is short of 1.
        """
        if not found:
            return []
        counts = [len(hypotheses) for hypotheses in found]
        said = self._vectors([one.tokens for hypotheses in found for one in hypotheses])
        expected = F.normalize(self(grid), dim=-1).repeat_interleave(
            torch.tensor(counts, device=grid.device), dim=0
        )
        cosines = (said * expected).sum(dim=-1).clamp(max=1.0).split(counts)
        return [
            sorted(
                (
                    replace(one, score=one.score - self.weight * (1 - cosine))
                    for one, cosine in zip(hypotheses, of_image.tolist(), strict=True)
                ),
                key=lambda one: -one.score,
            )
            for hypotheses, of_image in zip(found, cosines, strict=True)
        ]

    @torch.no_grad()
    def fit(self, features: Tensor, captions: Sequence[Sequence[Sequence[int]]]) -> None:
        """Learn from the mean features (M, D) of photos and their captions as token ids.

        What was fitted before stays where these photos do not speak against it, as does how rare its words
        are.
        """
        if not self.centre.any():
            self.centre.copy_(features.mean(dim=0, dtype=torch.float32))
        self._count_rare_words(captions)
        gram = torch.eye(features.shape[1], dtype=torch.float64, device=features.device) * RIDGE
        cross, seen_in_all, lacking_in_all = (
            torch.zeros_like(one, dtype=torch.float64) for one in (self.layer.T, self.centre, self.usual)
        )
        for start in range(0, len(captions), PHOTOS_AT_ONCE):
            seen = self._direction(features[start : start + PHOTOS_AT_ONCE].float())
            groups = captions[start : start + len(seen)]
            wanted = torch.stack([self._vectors(group).mean(dim=0) for group in groups])
            lacking = (wanted - F.linear(seen, self.layer, self.usual)).double()
            seen = seen.double()
            gram += seen.T @ seen
            cross += seen.T @ lacking
            seen_in_all += seen.sum(dim=0)
            lacking_in_all += lacking.sum(dim=0)
        mean_seen, mean_lacking = seen_in_all / len(captions), lacking_in_all / len(captions)
        gram -= seen_in_all.outer(mean_seen)
        cross -= seen_in_all.outer(mean_lacking)
        correction = torch.linalg.solve(gram, cross).T
        self.layer += correction
        self.usual += mean_lacking - correction @ mean_seen

    def _count_rare_words(self, captions: Sequence[Sequence[Sequence[int]]]) -> None:
        """Learn how rare words are that were not known: the logarithm of the photos for each that has one."""
        photos = torch.zeros_like(self.rarity)
        for group in captions:
            photos[list({token for ids in group for token in ids})] += 1
        photos[: len(SPECIALS)] = 0
        new = (self.rarity == 0) & (photos > 0)
        self.rarity[new] = (len(captions) / photos[new]).log()

    def _vectors(self, captions: Sequence[Sequence[int]]) -> Tensor:
        """The words of captions (B, V), each as often as it stands there times its rarity, to length 1."""
        (tokens,) = pad_captions([captions]).to(self.rarity.device)
        vectors = self.rarity.new_zeros(len(tokens), len(self.rarity))
        return F.normalize(vectors.scatter_add_(1, tokens, self.rarity[tokens]), dim=-1)

    def _direction(self, means: Tensor) -> Tensor:
        """Where mean features (B, D) lie, seen from the centre."""
        return F.normalize(means - self.centre, dim=-1, eps=NEXT_TO_CENTRE)


def captions_to_find(beam_size: int, words: ExpectedWords | None) -> int:
    """How many captions a search with K beams ends with: more where words choose, but one beam is greedy."""
    return beam_size * FOUND_FOR_EACH if words and beam_size > 1 else beam_size


@torch.inference_mode()
def best_captions(
    decoder: Decoder,
    grid: Tensor,
    words: ExpectedWords | None,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float,
    prefix: Sequence[int] = (),
    attention: bool = False,
) -> list[list[Hypothesis]]:
    """The K best captions that K beams find for each image of a grid (B, N, D), best first.

    By their score alone as `beam_search` finds them, or ranked by the words to expect among more of them.
    """
    found = beam_search(
        decoder,
        decoder.begin(grid),
        beam_size=beam_size,
        max_length=max_length,
        length_penalty=length_penalty,
        count=captions_to_find(beam_size, words),
        prefix=prefix,
        attention=attention,
    )
    return [best[:beam_size] for best in words.rank(grid, found)] if words else found
