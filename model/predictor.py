"""From decoded photos to finished captions: what the worker and the command line call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from model.captioner import Captioner
from model.checkpoint import load_checkpoint
from model.description import Description
from model.devices import encoding_precision, pick_device
from model.encoder import for_inference
from model.errors import ModelError
from model.search import Hypothesis, beam_search
from model.text import finish
from model.transforms import frame, normalise

MAX_BEAM_SIZE = 32


@dataclass(frozen=True)
class Alternative:
    """Another caption of the same photo; scores compare within a photo and between photos."""

    text: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """A finished caption, the words it was made of with the probability of each, and the other captions the
    search ended with, best first. A score is a log-probability over length ** length_penalty, at most 0."""

    text: str
    score: float
    tokens: tuple[str, ...]
    token_probabilities: tuple[float, ...]
    alternatives: tuple[Alternative, ...]


class Predictor:
    """A loaded checkpoint that captions photos."""

    def __init__(
        self,
        captioner: Captioner,
        description: Description,
        *,
        device: torch.device,
        beam_size: int | None = None,
    ) -> None:
        self.description = description
        self.beam_size = beam_size or description.recipe.search.beam_size
        if not 1 <= self.beam_size <= MAX_BEAM_SIZE:
            raise ModelError(f"beam size {self.beam_size} is out of range; choose 1 to {MAX_BEAM_SIZE}")
        self._encoder = for_inference(captioner.encoder).to(device)
        self._decoder = captioner.decoder.to(device).eval().requires_grad_(False)
        self._device = device

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", beam_size: int | None = None) -> Self:
        """Load a checkpoint folder; the beam size is the checkpoint's unless given.

        Raises CheckpointError, and ModelError for a device or beam size that cannot be had.
        """
        captioner, description = load_checkpoint(folder)
        return cls(captioner, description, device=pick_device(device), beam_size=beam_size)

    def predict(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """Caption photos of any size, each (H, W, 3) uint8 RGB, in one batch."""
        if not images:
            return []
        return self.predict_framed([frame(pixels, self.description.preprocessing) for pixels in images])

    @torch.inference_mode()
    def predict_framed(self, images: Sequence[Tensor]) -> list[Prediction]:
        """Caption photos that `model.transforms.frame` has already resized, each (3, size, size) uint8."""
        found = beam_search(
            self._decoder,
            self.encode(images),
            beam_size=self.beam_size,
            max_length=self.description.recipe.search.max_length,
            length_penalty=self.description.recipe.search.length_penalty,
        )
        return [self._prediction(hypotheses) for hypotheses in found]

    @torch.inference_mode()
    def encode(self, images: Sequence[Tensor]) -> Tensor:
        """Framed photos -> grid features (B, N, D) float32."""
        batch = normalise(torch.stack(list(images)).to(self._device), self.description.preprocessing)
        with encoding_precision(self._device):
            grid = self._encoder(batch)
        return grid.float()

    def _prediction(self, hypotheses: Sequence[Hypothesis]) -> Prediction:
        best = hypotheses[0]
        return Prediction(
            text=self._text(best),
            score=best.score,
            tokens=tuple(self.description.vocabulary.words[token] for token in best.tokens),
            token_probabilities=best.probabilities,
            alternatives=tuple(Alternative(self._text(other), other.score) for other in hypotheses[1:]),
        )

    def _text(self, hypothesis: Hypothesis) -> str:
        return finish(self.description.vocabulary.decode(hypothesis.tokens), self.description.recipe.text)
