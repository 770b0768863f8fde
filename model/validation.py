"""The validation split, captioned from cached features by the network in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch

from model.batches import FeatureMaps, to_maps
from model.calibration import Chosen
from model.captioner import TrainedPart
from model.config import Recipe
from model.data import Example
from model.description import Preprocessing, log_odds
from model.expected_words import ExpectedWords, best_captions
from model.images import read_framed
from model.metrics import cider
from model.search import Hypothesis, beam_search
from model.text import finish
from model.tokenizer import ptb_words
from model.training_log import Sample
from model.vocabulary import Vocabulary

SAMPLES = 4


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Photos with their references and the feature maps of the encoder's blocks that are not trained."""

    split: str
    examples: Sequence[Example]
    features: FeatureMaps
    recipe: Recipe
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    device: torch.device

    @torch.inference_mode()
    def captions(
        self, part: TrainedPart, *, beam_size: int, expected_words: ExpectedWords | None = None
    ) -> list[Hypothesis]:
        """The best caption of each photo."""
        best: list[Hypothesis] = []
        for grid in part.grids(self.features):
            found = best_captions(
                part.decoder,
                grid,
                expected_words,
                beam_size=beam_size,
                max_length=self.recipe.search.max_length,
                length_penalty=self.recipe.search.length_penalty,
            )
            best += [hypotheses[0] for hypotheses in found]
        return best

    def texts(self, captions: Sequence[Hypothesis]) -> list[str]:
        """Captions as finished texts."""
        return [finish(self.vocabulary.decode(one.tokens), self.recipe.text) for one in captions]

    def chosen(self, captions: Sequence[Hypothesis]) -> Chosen:
        """Each word of the captions, with its log-odds and whether it stands in a reference."""
        used = [set(chain.from_iterable(references)) for references in self._references]
        words = [
            (log_odds(probability), self.vocabulary.words[token] in of_photo)
            for caption, of_photo in zip(captions, used, strict=True)
            for token, probability in zip(caption.tokens, caption.probabilities, strict=True)
        ]
        return Chosen(log_odds=[odds for odds, _ in words], chosen=[was for _, was in words])

    def cider(self, part: TrainedPart) -> float:
        """CIDEr-D of greedy captions: the network runs freely, as it will when it captions."""
        texts = self.texts(self.captions(part, beam_size=1))
        return cider([ptb_words(text) for text in texts], self._references)

    @torch.inference_mode()
    def samples(self, part: TrainedPart) -> list[Sample]:
        """Greedy captions of the first few photos, with the attention behind each word."""
        return [self._sample(part, row) for row in range(min(SAMPLES, len(self.examples)))]

    @cached_property
    def _references(self) -> list[list[list[str]]]:
        return [[ptb_words(reference) for reference in example.captions] for example in self.examples]

    def _sample(self, part: TrainedPart, row: int) -> Sample:
        grid = part.grid(to_maps(self.features[row : row + 1]).to(self.device))
        ((best,),) = beam_search(
            part.decoder,
            part.decoder.begin(grid),
            beam_size=1,
            max_length=self.recipe.search.max_length,
            length_penalty=0.0,
            attention=True,
        )
        side = round(grid.shape[1] ** 0.5)
        example = self.examples[row]
        return Sample(
            pixels=np.ascontiguousarray(read_framed(example.path, self.preprocessing).permute(1, 2, 0)),
            words=self.vocabulary.decode(best.tokens),
            references=example.captions,
            attention=None
            if best.attention is None
            else best.attention.float().numpy().reshape(-1, side, side),
        )
