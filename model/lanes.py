"""Several batches at a time on a processor, each on cores of its own from pixels to captions."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from model.ahead import ahead

Batch = TypeVar("Batch")
Result = TypeVar("Result")

MOST = 8  # lanes; more would wait for the interpreter, which one of them holds at a time


def lane_count(device_type: str) -> int:
    """How many batches to work at at a time: one a core as far as that goes, and one on a GPU."""
    return min(torch.get_num_threads(), MOST) if device_type == "cpu" else 1


def in_lanes(
    work: Callable[[Batch], Result], batches: Iterable[Batch], *, lanes: int
) -> Generator[Result, None, None]:
    """What `work` makes of each batch, in their order; few batches are taken ahead.

    The steps of a search are too small to be divided among cores, which would wait for each other at the end
    of each; batches wait for nobody. What is done with the results does not hold up a lane. Raises what
    `work` raises.
    """
    cores = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(lanes, "lane", torch.set_num_threads, (max(1, cores // lanes),)) as pool:
            yield from ahead(pool, work, batches, count=lanes + 1)
    finally:
        # Some libraries have one number for all threads.
        torch.set_num_threads(cores)
