"""How far scores would move with other photos: percentile bootstrap over images.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; of two systems on the same photos, Koehn,
"Statistical Significance Tests for Machine Translation Evaluation", 2004. In every resample CIDEr-D keeps the
document frequency of all photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.metrics import SCORES, corpus_scores

RESAMPLES = 1000
LEVEL = 0.95
SEED = 20140


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much a score lies above another, between which bounds, and how often chance does as much (p)."""

    value: float
    low: float
    high: float
    p: float


def intervals(statistics: np.ndarray) -> dict[str, tuple[float, float]]:
    """Low and high bound of each score, from the statistics (B, 12) of `model.metrics.Scorer`."""
    low, high = _bounds(corpus_scores(statistics, _photos(len(statistics))))
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(SCORES)}


def paired_differences(first: np.ndarray, second: np.ndarray) -> dict[str, Difference]:
    """Each score of the second system less that of the first, from statistics (B, 12) resampled alike."""
    weights = _photos(len(first))
    return _differences(
        corpus_scores(second) - corpus_scores(first),
        corpus_scores(second, weights) - corpus_scores(first, weights),
    )


def seed_differences(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> dict[str, Difference]:
    """Mean scores over the second recipe's seeds less those over the first's; photos and seeds are resampled.

    Each recipe gives the statistics (B, 12) of its seeds, on the same photos.
    """
    random = np.random.default_rng(SEED)
    weights = _photos(len(first[0]))
    means = [np.mean([corpus_scores(seed) for seed in seeds], axis=0) for seeds in (first, second)]
    resampled = []
    for seeds in (first, second):
        scores = np.stack([corpus_scores(seed, weights) for seed in seeds], axis=1)
        drawn = random.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=RESAMPLES)
        resampled.append((scores * drawn[..., None]).sum(axis=1) / len(seeds))
    return _differences(means[1] - means[0], resampled[1] - resampled[0])


def _photos(count: int) -> np.ndarray:
    """How often each resample holds each photo: (resamples, B)."""
    random = np.random.default_rng(SEED)
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)


def _differences(found: np.ndarray, resampled: np.ndarray) -> dict[str, Difference]:
    low, high = _bounds(resampled)
    # Two-sided, and never 0: a thousand resamples cannot tell less than one in a thousand.
    tails = np.minimum((resampled <= 0).sum(axis=0), (resampled >= 0).sum(axis=0))
    p = np.minimum(1.0, 2 * (tails + 1) / (len(resampled) + 1))
    return {
        name: Difference(value=float(found[i]), low=float(low[i]), high=float(high[i]), p=float(p[i]))
        for i, name in enumerate(SCORES)
    }


def _bounds(scores: np.ndarray) -> np.ndarray:
    return np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
