"""Near hashes among many, found through an index: multi-index hashing of 64-bit codes.

Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.int64]
Codes = NDArray[np.uint64]
Places = NDArray[np.intp]

BITS = 64
PAIRS_AT_A_TIME = 1 << 21  # candidates held in memory
FEWEST_BANDS, MOST_BANDS = 3, 8


@dataclass(frozen=True)
class Band:
    """Some neighbouring bits of the codes, and how many of them may differ in a pair that this band finds."""

    shift: int
    width: int
    radius: int

    def of(self, codes: Codes) -> Codes:
        """The band's bits of each code, as numbers."""
        return (codes >> np.uint64(self.shift)) & np.uint64((1 << self.width) - 1)

    def masks(self) -> Iterator[int]:
        """What the values of such a pair may differ by."""
        for weight in range(min(self.radius, self.width) + 1):
            for bits in combinations(range(self.width), weight):
                yield sum(1 << bit for bit in bits)


def near(hashes: Hashes, others: Hashes, distance: int) -> NDArray[np.bool_]:
    """Which of (N,) hashes differ from one of the (M,) `others` in at most `distance` bits.

    Hashes that tell nothing, such as those of blank pages, are for the caller to leave out.
    """
    wanted, back = np.unique(hashes.view(np.uint64), return_inverse=True)
    hit = np.zeros(len(wanted), np.bool_)
    for left, _ in _near_pairs(wanted, np.unique(others.view(np.uint64)), distance):
        hit[left] = True
    return hit[back]


def components(hashes: Hashes, distance: int) -> Places:
    """(N,) numbers, equal where a chain of hashes joins two, each within `distance` of the next."""
    codes, back = np.unique(hashes.view(np.uint64), return_inverse=True)
    roots = np.arange(len(codes))
    for left, right in _near_pairs(codes, codes, distance):
        join(roots, left, right)
    return roots[back]


def join(roots: Places, left: Places, right: Places) -> None:
    """Make one component of the two that each pair lies in. `roots`: (N,), the lowest member of each one's.

    Y. Shiloach and U. Vishkin, "An O(log n) parallel connectivity algorithm", 1982: hook, then shortcut.
    """
    while True:
        one, other = roots[left], roots[right]
        apart = one != other
        if not apart.any():
            return
        np.minimum.at(roots, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while (roots != (above := roots[roots])).any():
            roots[:] = above


def _near_pairs(codes: Codes, others: Codes, distance: int) -> Iterator[tuple[Places, Places]]:
    """Places in both of all pairs within `distance`, some of them several times. Both are sorted, unique."""
    itself = codes is others
    for band in _bands(len(others), distance):
        values = band.of(others)
        order = np.argsort(values, kind="stable")
        values = values[order]
        asked = band.of(codes)
        by_value = np.argsort(asked, kind="stable")
        for mask in band.masks():
            # Among themselves, every pair would be met from both of its ends.
            lower = asked[by_value] & np.uint64(1 << mask.bit_length() >> 1) == 0 if itself else slice(None)
            who = by_value[lower]
            wanted = asked[who] ^ np.uint64(mask)
            first, last = np.searchsorted(values, wanted), np.searchsorted(values, wanted, side="right")
            for left, at in _ranges(who, first, last):
                right = order[at]
                close = np.bitwise_count(codes[left] ^ others[right]) <= distance
                yield left[close], right[close]


def _ranges(who: Places, first: Places, last: Places) -> Iterator[tuple[Places, Places]]:
    """Pair each of `who` with all places from `first` to before `last`, not too many at a time."""
    found = last > first
    who, first, counts = who[found], first[found], (last - first)[found]
    ends = np.cumsum(counts)
    start = done = 0
    while start < len(who):
        end = max(start + 1, int(np.searchsorted(ends, done + PAIRS_AT_A_TIME, side="right")))
        some = counts[start:end]
        begins = np.repeat(first[start:end] - (ends[start:end] - some - done), some)
        yield np.repeat(who[start:end], some), begins + np.arange(some.sum())
        start, done = end, int(ends[end - 1])


def _bands(count: int, distance: int) -> list[Band]:
    """Bands of about log2(count) bits. One of them differs little in every pair within `distance`.

    Were all worse, the pair would differ in more bits than that: of distance = n * whole + rest, the first
    rest + 1 bands take `whole` bits, the others one less.
    """
    number = min(max(round(BITS / np.log2(max(count, 2))), FEWEST_BANDS), MOST_BANDS)
    whole, rest = divmod(distance, number)
    cuts = [round(at * BITS / number) for at in range(number + 1)]
    bands = [
        Band(cuts[at], cuts[at + 1] - cuts[at], whole if at <= rest else whole - 1) for at in range(number)
    ]
    return [band for band in bands if band.radius >= 0]
