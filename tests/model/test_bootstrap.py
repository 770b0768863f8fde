"""Intervals and differences, on statistics whose spread is known."""

import math
import time
import tracemalloc

import numpy as np
import pytest

from model.bootstrap import intervals, paired_differences, seed_differences
from model.metrics import SCORES, corpus_scores

PHOTOS = 400


def statistics(seed: int, *, rouge: float = 0.5, right: float = 0.7, photos: int = PHOTOS) -> np.ndarray:
    """Statistics (B, 12) of captions of 10 words: so many n-grams right, ROUGE-L and CIDEr-D with noise."""
    random = np.random.default_rng(seed)
    counted = np.tile([10.0, 9, 8, 7], (photos, 1))
    noise = random.normal([rouge, 2 * rouge], 0.1, (photos, 2))
    return np.hstack(
        [random.binomial(10, right, (photos, 1)) * counted / 10, counted, [[10.0, 11]] * photos, noise]
    )


def test_an_interval_holds_its_score_and_is_as_wide_as_theory_says() -> None:
    found = statistics(1)
    bounds = intervals(found)
    for name, score in zip(SCORES, corpus_scores(found), strict=True):
        assert bounds[name][0] < score < bounds[name][1]
    low, high = bounds["rouge_l"]
    assert high - low == pytest.approx(2 * 1.96 * found[:, 10].std() / math.sqrt(PHOTOS), rel=0.1)


def test_the_interval_of_bleu_is_that_of_sums_over_the_resampled_photos() -> None:
    found = statistics(2)
    random = np.random.default_rng(5)
    by_hand = [corpus_scores(found[random.integers(0, PHOTOS, PHOTOS)])[3] for _ in range(1000)]
    assert intervals(found)["bleu4"] == pytest.approx(np.quantile(by_hand, [0.025, 0.975]), abs=2e-3)


def test_the_same_photos_give_the_same_interval() -> None:
    assert intervals(statistics(3)) == intervals(statistics(3))


def test_nineteen_in_twenty_intervals_hold_the_true_mean() -> None:
    held = [
        low < 0.5 < high for low, high in (intervals(statistics(i, photos=80))["rouge_l"] for i in range(100))
    ]
    assert 88 <= sum(held) <= 100


def test_a_system_does_not_differ_from_itself() -> None:
    same = paired_differences(statistics(4), statistics(4))["cider"]
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_pairing_finds_a_difference_that_is_smaller_than_either_interval() -> None:
    first = statistics(5)
    second = first + np.eye(12)[10] * 0.004 * np.arange(PHOTOS)[:, None] / PHOTOS
    low, high = intervals(first)["rouge_l"]
    found = paired_differences(first, second)["rouge_l"]
    assert found.value == pytest.approx(0.002, rel=0.01)
    assert 0 < found.low < found.value < found.high < high - low
    assert found.p == pytest.approx(2 / 10_001)
    assert paired_differences(second, first)["rouge_l"].high == pytest.approx(-found.low)


def test_systems_of_one_quality_seldom_differ() -> None:
    p = [paired_differences(statistics(i), statistics(i + 100))["cider"].p for i in range(40)]
    assert sum(value < 0.05 for value in p) <= 6
    assert np.mean(p) > 0.3


def test_seeds_that_scatter_widen_the_interval_of_two_recipes() -> None:
    level = [[statistics(i + 10 * k, rouge=0.5 + 0.02 * k) for i in range(3)] for k in (0, 1)]
    scattered = [
        [statistics(i + 10 * k, rouge=0.5 + 0.02 * k + 0.05 * (i - 1)) for i in range(3)] for k in (0, 1)
    ]
    narrow, wide = (seed_differences(*recipes)["rouge_l"] for recipes in (level, scattered))
    assert narrow.value == pytest.approx(0.02, abs=0.01)
    assert narrow.p < 0.05 < wide.p
    assert wide.low < 0 < narrow.low


def test_one_seed_each_is_the_paired_difference() -> None:
    first, second = statistics(6), statistics(7, rouge=0.52)
    assert seed_differences([first], [second]) == paired_differences(first, second)


def test_the_smallest_p_bears_a_correction_for_many_looks() -> None:
    first = statistics(9)
    found = paired_differences(first, first + np.eye(12)[11] * 0.1)["cider"]
    assert found.p * 100 < 0.05


def test_a_thousand_photos_are_compared_in_a_moment_and_in_little_memory() -> None:
    first, second = statistics(8, photos=1000), statistics(9, photos=1000)
    started = time.process_time()
    paired_differences(first, second)
    assert time.process_time() - started < 3
    tracemalloc.start()
    intervals(first)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20
