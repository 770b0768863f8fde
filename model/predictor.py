"""From decoded photos to finished captions: what the worker and the command line call."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from math import isqrt
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from model.captioner import Captioner
from model.checkpoint import load_checkpoint
from model.decoders.quick import quickened
from model.description import Description
from model.devices import can_compute_fast, encoding_precision, pick_device
from model.encoder import for_inference
from model.errors import ModelError
from model.expected_words import best_captions
from model.fusion import fused
from model.prediction import NOTHING_TYPED, Alternative, Beginning, Prediction, Replacement
from model.search import Hypothesis, caption_log_probs, emitted_log_probs
from model.text import finish
from model.transforms import frame, normalise, stack
from model.vocabulary import END, SPECIALS, UNK

MAX_BEAM_SIZE = 32
MAX_REPLACEMENTS = 32
# Photos on a processor. The feature maps of more are so large that each is new memory from the system, which
# has to be cleared, and none of them is still in the cache when it is read.
ENCODED_AT_ONCE = 8
# A word that the network likes less at its place may still make the better caption.
CANDIDATES_A_REPLACEMENT = 4


class Predictor:
    """A loaded checkpoint that captions photos."""

    def __init__(
        self,
        captioner: Captioner,
        description: Description,
        *,
        device: torch.device,
        beam_size: int | None = None,
        precision: str = "float32",
    ) -> None:
        self.description = description
        self.beam_size = beam_size or description.recipe.search.beam_size
        if not 1 <= self.beam_size <= MAX_BEAM_SIZE:
            raise ModelError(f"beam size {self.beam_size} is out of range; choose 1 to {MAX_BEAM_SIZE}")
        fast = precision == "auto" and can_compute_fast(device)
        self._dtype = torch.bfloat16 if fast else torch.float32
        encoder = fused(captioner.encoder, self._dtype) if fast else for_inference(captioner.encoder)
        self._encoder: nn.Module = encoder.to(device)
        decoder = captioner.decoder
        if device.type == "cpu":
            decoder = quickened(decoder, self._dtype)
        self._decoder = decoder.to(device).eval().requires_grad_(False)
        words = captioner.expected_words
        self._expected_words = words.to(device) if words else None
        self.device = device
        self._most = sys.maxsize  # photos at once

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str = "auto",
        beam_size: int | None = None,
        framing: str | None = None,
        precision: str = "float32",
    ) -> Self:
        """Load a checkpoint folder; beam size and framing are the checkpoint's unless given.

        `precision` "auto" computes in bfloat16 where a processor is faster at it, which changes some captions
        and no score (docs/benchmarks.md); "float32" says the same on every machine without a GPU.
        Raises CheckpointError, and ModelError for a device or beam size that cannot be had.
        """
        captioner, description = load_checkpoint(folder)
        if framing:
            preprocessing = dataclasses.replace(description.preprocessing, framing=framing)
            description = dataclasses.replace(description, preprocessing=preprocessing)
        return cls(
            captioner, description, device=pick_device(device), beam_size=beam_size, precision=precision
        )

    def predict(self, images: Sequence[np.ndarray], *, attention: bool = False) -> list[Prediction]:
        """Caption photos of any size, each (H, W, 3) uint8 RGB, in one batch."""
        if not images:
            return []
        return self.predict_framed([self.frame(pixels) for pixels in images], attention=attention)

    def predict_framed(
        self,
        images: Sequence[Tensor],
        *,
        attention: bool = False,
        go_on: Callable[[], None] = lambda: None,
    ) -> list[Prediction]:
        """Caption photos that `model.transforms.frame` has already resized, each (3, size, size) uint8.

        `go_on` is called every few photos; what it raises ends the work. Where the device has no memory
        for a batch, this one and later ones go in parts of half its size. Raises torch.OutOfMemoryError
        where it has none for a single photo.
        """
        most = self._most
        if len(images) > most:
            parts = [images[start : start + most] for start in range(0, len(images), most)]
            return [
                one for part in parts for one in self.predict_framed(part, attention=attention, go_on=go_on)
            ]
        try:
            return self._predict_at_once(images, attention=attention, go_on=go_on)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
            self._most = len(images) // 2
        # Not while the error is handled, which holds on to the tensors of the attempt.
        return self.predict_framed(images, attention=attention, go_on=go_on)

    @torch.inference_mode()
    def continue_from(self, image: np.ndarray, prefix: str) -> Prediction:
        """Caption a photo (H, W, 3) uint8 RGB from the words that a person typed; these stay as they are.

        The typed words count as words of the caption, in its length and in its score. Without a text this
        is `predict`. Raises ModelError for more words than a caption may have.
        """
        beginning = Beginning.of(prefix)
        grid = self.encode([self.frame(image)])
        (found,) = self._search(grid, self._ids(beginning.words)[1:-1])
        return self._prediction(found, beginning=beginning)

    @torch.inference_mode()
    def replacements(
        self, image: np.ndarray, words: Sequence[str], position: int, count: int
    ) -> list[Replacement]:
        """The `count` likeliest other words at a position of a caption of a photo (H, W, 3) uint8 RGB.

        The best candidates that the words before let expect are ranked by the likelihood of the whole
        caption with each in place. Words that the vocabulary does not know stay in the text as they are.
        Raises ModelError for a position outside the caption, a count above MAX_REPLACEMENTS, and for more
        words than a caption may have.
        """
        self._refuse_replacement(words, position, count)
        features = self.encode([self.frame(image)])
        caption = torch.tensor(self._ids(words), device=self.device)
        candidates = self._candidates(features, caption, position, CANDIDATES_A_REPLACEMENT * count)
        captions = caption.repeat(len(candidates), 1)
        captions[:, position + 1] = candidates
        totals = caption_log_probs(self._decoder, features, captions.unsqueeze(0)).sum(dim=-1)[0]
        scores, order = (totals / (len(words) + 1) ** self._length_penalty).topk(min(count, len(totals)))
        best = zip(candidates[order].tolist(), scores.tolist(), strict=True)
        return [self._replacement(words, position, token, score) for token, score in best]

    @torch.inference_mode()
    def encode(self, images: Sequence[Tensor], *, go_on: Callable[[], None] = lambda: None) -> Tensor:
        """Framed photos -> grid features (B, N, D) as the decoder takes them; `go_on` as above."""
        at_once = ENCODED_AT_ONCE if self.device.type == "cpu" else len(images)
        parts = []
        for start in range(0, len(images), at_once):
            go_on()
            parts.append(self._encode(images[start : start + at_once]))
        return torch.cat(parts)

    def frame(self, pixels: np.ndarray) -> Tensor:
        return frame(pixels, self.description.preprocessing)

    @torch.inference_mode()
    def _predict_at_once(
        self, images: Sequence[Tensor], *, attention: bool, go_on: Callable[[], None]
    ) -> list[Prediction]:
        found = self._search(self.encode(images, go_on=go_on), attention=attention)
        return [self._prediction(hypotheses) for hypotheses in found]

    def _encode(self, images: Sequence[Tensor]) -> Tensor:
        batch = normalise(stack(images).to(self.device), self.description.preprocessing)
        with encoding_precision(self.device):
            grid = self._encoder(batch.to(self._dtype))
        return grid.to(self._dtype)

    @property
    def _length_penalty(self) -> float:
        return self.description.recipe.search.length_penalty

    def _ids(self, words: Sequence[str]) -> list[int]:
        """`<start>`, the words as token ids and `<end>`."""
        longest = self.description.recipe.search.max_length
        if len(words) > longest:
            raise ModelError(
                f"the caption has {len(words)} words and this checkpoint writes {longest} at most; shorten it"
            )
        known = [SPECIALS[UNK] if word in SPECIALS else word.lower() for word in words]
        return self.description.vocabulary.encode(known, max_length=longest)

    def _search(
        self, grid: Tensor, prefix: Sequence[int] = (), *, attention: bool = False
    ) -> list[list[Hypothesis]]:
        return best_captions(
            self._decoder,
            grid,
            self._expected_words,
            beam_size=self.beam_size,
            max_length=self.description.recipe.search.max_length,
            length_penalty=self._length_penalty,
            prefix=prefix,
            attention=attention,
        )

    def _prediction(
        self,
        hypotheses: Sequence[Hypothesis],
        *,
        beginning: Beginning = NOTHING_TYPED,
    ) -> Prediction:
        distinct: dict[str, float] = {}
        for hypothesis in hypotheses:
            text = beginning.continued(self._rest(hypothesis, beginning), self.description.recipe.text)
            distinct.setdefault(text, hypothesis.score)
        (text, score), *others = distinct.items()
        calibration = None if beginning.words else self.description.calibration
        return Prediction(
            text=text,
            score=score,
            confidence=calibration.confidence(score) if calibration else None,
            tokens=(*beginning.words, *self._rest(hypotheses[0], beginning)),
            token_probabilities=hypotheses[0].probabilities,
            alternatives=tuple(Alternative(*other) for other in others),
            attention=_to_maps(hypotheses[0].attention),
        )

    def _rest(self, hypothesis: Hypothesis, beginning: Beginning) -> list[str]:
        return self.description.vocabulary.decode(hypothesis.tokens[len(beginning.words) :])

    def _refuse_replacement(self, words: Sequence[str], position: int, count: int) -> None:
        if not 0 <= position < len(words):
            raise ModelError(
                f"position {position} lies outside the caption; it has {len(words)} words, counted from 0"
            )
        if not 1 <= count <= MAX_REPLACEMENTS:
            raise ModelError(f"{count} replacements are out of range; ask for 1 to {MAX_REPLACEMENTS}")

    def _candidates(self, features: Tensor, caption: Tensor, position: int, count: int) -> Tensor:
        """The likeliest words (C) at a position, given those before it, but for the one that stands there."""
        logits = self._decoder(features, caption[: position + 1].view(1, 1, -1))[0, 0, -1]
        log_probs = emitted_log_probs(logits)
        log_probs[[END, int(caption[position + 1])]] = float("-inf")
        likeliest = log_probs.topk(min(count, len(log_probs)))
        return likeliest.indices[likeliest.values.isfinite()]

    def _replacement(self, words: Sequence[str], position: int, token: int, score: float) -> Replacement:
        word = self.description.vocabulary.words[token]
        caption = [*words[:position], word, *words[position + 1 :]]
        return Replacement(word, finish(caption, self.description.recipe.text), score)


def _to_maps(attention: Tensor | None) -> np.ndarray | None:
    """Attention (T, N) over a square grid -> uint8 (T, rows, columns), 255 where a token looked at most."""
    if attention is None:
        return None
    scaled = (attention / attention.amax(dim=-1, keepdim=True) * 255).round()
    side = isqrt(scaled.shape[-1])
    return scaled.to(torch.uint8).numpy().reshape(-1, side, side)
