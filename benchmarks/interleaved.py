"""Contestants measured in turns, so that a busy moment of the machine meets them all."""

import time
from collections.abc import Callable, Mapping
from statistics import median

Contestant = Callable[[], object]


def seconds(contestants: Mapping[str, Contestant], *, repeats: int) -> dict[str, list[float]]:
    """How long each took, `repeats` times; once before that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, act in contestants.items():
            begun = time.perf_counter()
            act()
            if turn:
                taken[name].append(time.perf_counter() - begun)
    return taken


def ratio(taken: Mapping[str, list[float]], first: str, second: str) -> float:
    """How many times as long the first took as the second: the median over the turns."""
    return median(one / other for one, other in zip(taken[first], taken[second], strict=True))
