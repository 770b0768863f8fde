"""How far to trust a score: fit a confidence to what people wrote, and measure what it is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from model.description import Calibration
from model.metrics import chosen_words_of_each, cider_of_each

# The weight of the prior against all captions together, in captions: it keeps both numbers finite where
# the captions are few, or all right.
PRIOR = 0.1
TENTHS = 10


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What a confidence is worth on one split.

    CIDEr-D of the tenth of the captions with the highest and with the lowest confidence, and the expected
    calibration error: how far confidence and share of words lie apart, averaged over ten bins of equally
    many captions (Guo et al., "On Calibration of Modern Neural Networks", 2017, sec. 2, with such bins).
    """

    most_certain_cider: float
    least_certain_cider: float
    calibration_error: float


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The words of captions, each with its log-odds and whether people used it for that photo."""

    log_odds: Sequence[float]
    chosen: Sequence[bool]


def fit(scores: Sequence[float], statistics: np.ndarray) -> Calibration:
    """Fit confidence to the share of words that people chose, by the score of each caption.

    `statistics` (B, 12) are those of `model.metrics.Scorer`. Raises ModelError where that leads to no usable
    numbers.
    """
    return _fit(scores, chosen_words_of_each(statistics))


def fit_words(words: Chosen) -> Calibration:
    """Fit confidence to whether people chose a word, by its log-odds. Raises ModelError as `fit`."""
    return _fit(words.log_odds, np.array(words.chosen, np.float64))


def word_error(confidences: Sequence[float], chosen: Sequence[bool]) -> float:
    """The expected calibration error of words, in bins as those of `Certainty`."""
    confidence = np.array(confidences)
    order = np.argsort(confidence, kind="stable")
    return _error((confidence - np.array(chosen, np.float64))[order])


def _fit(scores: Sequence[float], shares: np.ndarray) -> Calibration:
    """The two numbers that minimise the cross-entropy of the shares.

    The slope is learned as its logarithm, so that it stays above zero.
    """
    score = torch.tensor(scores, dtype=torch.float64)
    share = torch.from_numpy(shares)
    numbers = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([numbers], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = numbers[0].exp() * score + numbers[1]
        error = binary_cross_entropy_with_logits(logits, share) + PRIOR / len(scores) * (numbers**2).sum()
        error.backward()
        return error

    optimiser.step(loss)
    log_slope, bias = numbers.detach()
    return Calibration(slope=_short(log_slope.exp()), bias=_short(bias))


def certainty(confidences: Sequence[float], statistics: np.ndarray) -> Certainty:
    """Measure the confidence of each caption against what people wrote, by its statistics (B, 12)."""
    confidence = np.array(confidences)
    order = np.argsort(confidence, kind="stable")
    tenth = max(1, len(order) // TENTHS)
    ciders = cider_of_each(statistics)[order]
    gaps = (confidence - chosen_words_of_each(statistics))[order]
    return Certainty(
        most_certain_cider=round(float(ciders[-tenth:].mean()), 4),
        least_certain_cider=round(float(ciders[:tenth].mean()), 4),
        calibration_error=_error(gaps),
    )


def _error(gaps: np.ndarray) -> float:
    """The mean distance over ten bins of equally many gaps, ordered by confidence."""
    edges = [len(gaps) * number // TENTHS for number in range(TENTHS + 1)]
    return round(float(sum(abs(gaps[a:b].sum()) for a, b in pairwise(edges)) / len(gaps)), 4)


def _short(value: Tensor) -> float:
    return float(f"{float(value):.6g}")
