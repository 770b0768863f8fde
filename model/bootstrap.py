"""How far scores would move with other photos: percentile bootstrap over images.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; of two systems on the same photos, Koehn,
"Statistical Significance Tests for Machine Translation Evaluation", 2004. In every resample CIDEr-D keeps the
document frequency of all photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.metrics import SCORES, corpus_scores

RESAMPLES = 10_000
PIECE = 500  # resamples that are in memory at a time
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
    low, high = _bounds(_resampled(statistics))
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(SCORES)}


def paired_differences(first: np.ndarray, second: np.ndarray) -> dict[str, Difference]:
    """Each score of the second system less that of the first, from statistics (B, 12) resampled alike."""
    return _differences(corpus_scores(second) - corpus_scores(first), _resampled(second) - _resampled(first))


def seed_differences(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> dict[str, Difference]:
    """Mean scores over the second recipe's seeds less those over the first's; photos and seeds are resampled.

    Each recipe gives the statistics (B, 12) of its seeds, on the same photos.
    """
    random = np.random.default_rng(SEED)
    means = [np.mean([corpus_scores(seed) for seed in seeds], axis=0) for seeds in (first, second)]
    resampled = []
    for seeds in (first, second):
        scores = np.stack([_resampled(seed) for seed in seeds], axis=1)
        drawn = random.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=RESAMPLES)
        resampled.append((scores * drawn[..., None]).sum(axis=1) / len(seeds))
    return _differences(means[1] - means[0], resampled[1] - resampled[0])


def _resampled(statistics: np.ndarray) -> np.ndarray:
    """The scores in each resample (resamples, 6) of statistics (B, 12); the resamples depend on B alone."""
    return np.concatenate([corpus_scores(statistics, weights) for weights in _photos(len(statistics))])


def _photos(count: int) -> Iterator[np.ndarray]:
    """How often each resample holds each photo, some resamples at a time: (PIECE, B)."""
    random = np.random.default_rng(SEED)
    for _ in range(RESAMPLES // PIECE):
        drawn = random.integers(0, count, (PIECE, count)) + count * np.arange(PIECE)[:, None]
        yield np.bincount(drawn.ravel(), minlength=PIECE * count).reshape(PIECE, count).astype(np.float64)


def _differences(found: np.ndarray, resampled: np.ndarray) -> dict[str, Difference]:
    low, high = _bounds(resampled)
    # Two-sided, and never 0: ten thousand resamples cannot tell less than one in ten thousand.
    tails = np.minimum((resampled <= 0).sum(axis=0), (resampled >= 0).sum(axis=0))
    p = np.minimum(1.0, 2 * (tails + 1) / (len(resampled) + 1))
    return {
        name: Difference(value=float(found[i]), low=float(low[i]), high=float(high[i]), p=float(p[i]))
        for i, name in enumerate(SCORES)
    }


def _bounds(scores: np.ndarray) -> np.ndarray:
    return np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
