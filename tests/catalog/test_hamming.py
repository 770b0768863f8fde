import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import hamming

# Few bases and few flips, so that many of the hashes are near each other.
HASHES = st.lists(
    st.builds(
        lambda base, flips: base ^ sum(1 << bit for bit in flips),
        st.sampled_from([0, 0x5A5A_0F0F_3C3C_1234, (1 << 63) - 1, 0x7000_0000_0000_0001]),
        st.sets(st.integers(0, 63), max_size=9),
    ),
    max_size=40,
)
DISTANCES = st.integers(0, 12)


def array(values: list[int]) -> hamming.Hashes:
    return np.array(values, np.uint64).view(np.int64)


@given(HASHES, HASHES, DISTANCES)
def test_near_finds_what_comparing_all_pairs_finds(left: list[int], right: list[int], distance: int) -> None:
    expected = [any((one ^ other).bit_count() <= distance for other in right) for one in left]
    assert hamming.near(array(left), array(right), distance).tolist() == expected


@given(HASHES, DISTANCES)
def test_components_are_those_of_all_pairs(values: list[int], distance: int) -> None:
    expected = list(range(len(values)))
    for _ in values:
        for at, one in enumerate(values):
            close = [expected[i] for i, other in enumerate(values) if (one ^ other).bit_count() <= distance]
            expected[at] = min(close)
    found = hamming.components(array(values), distance)
    assert [found.tolist().index(label) for label in found] == expected


@pytest.mark.parametrize("count", [100, 10_000, 3_000_000])
@pytest.mark.parametrize("distance", range(12))
def test_no_pair_within_the_distance_escapes_all_bands(count: int, distance: int) -> None:
    """Bands cover all bits once; differing more than each allows takes more than the distance."""
    bands = hamming._bands(count, distance)
    radii = [band.radius for band in bands]
    covered = sorted(bit for band in bands for bit in range(band.shift, band.shift + band.width))
    if distance >= hamming.MOST_BANDS:
        assert covered == list(range(64))
    assert len(covered) == len(set(covered))
    assert sum(radius + 1 for radius in radii) == distance + 1


@pytest.mark.parametrize("distance", [0, 1, 4, 7, 8, 11, 15, 16, 19])
def test_pairs_that_only_one_band_finds_are_found(distance: int) -> None:
    """They differ in one band by as much as it allows, and in each other band by one bit more."""
    noise = random.Random(distance)
    for alone in range(len(hamming._bands(2, distance))):
        for _ in range(20):
            one = other = noise.getrandbits(64)
            for at, band in enumerate(hamming._bands(2, distance)):
                for bit in noise.sample(range(band.width), band.radius + (at != alone)):
                    other ^= 1 << band.shift + bit
            assert (one ^ other).bit_count() == distance
            assert len(np.unique(hamming.components(array([one, other]), distance))) == 1
            assert hamming.near(array([one]), array([other]), distance).all()
            assert not distance or not hamming.near(array([one]), array([other]), distance - 1).any()


def test_many_candidates_are_looked_at_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 1 << 10, 400)
    whole = hamming.components(values, 2)
    monkeypatch.setattr(hamming, "PAIRS_AT_A_TIME", 7)
    assert hamming.components(values, 2).tolist() == whole.tolist()


def test_a_hundred_thousand_hashes_take_no_time_for_all_pairs() -> None:
    """All pairs would be five thousand million."""
    noise = np.random.default_rng(0)
    hashes = noise.integers(-(1 << 63), 1 << 63, 100_000)
    hashes[-1000:] = hashes[:1000] ^ (1 << noise.integers(0, 63, 1000))
    begun = time.process_time()
    roots = hamming.components(hashes, 4)
    assert time.process_time() - begun < 10
    assert (roots[-1000:] == roots[:1000]).all()
    assert len(np.unique(roots)) == 99_000


def test_nothing_is_near_nothing() -> None:
    assert hamming.near(array([1, 2]), array([]), 64).tolist() == [False, False]
    assert hamming.near(array([]), array([1]), 64).tolist() == []
    assert hamming.components(array([]), 4).tolist() == []
