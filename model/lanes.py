"""Several batches at a time on a processor, each on cores of its own from pixels to captions."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Task = TypeVar("Task")
Result = TypeVar("Result")

MOST = 8  # lanes; more would wait for the interpreter, which one of them holds at a time


def lane_count(device: torch.device) -> int:
    """How many batches to work at at a time: one a core as far as that goes, and one on a GPU."""
    return min(torch.get_num_threads(), MOST) if device.type == "cpu" else 1


def in_lanes(work: Callable[[Batch], Result], batches: Iterable[Batch], *, lanes: int) -> Iterator[Result]:
    """What `work` makes of each batch, in their order; few batches are taken ahead.

    The steps of a search are too small to be divided among cores, which would wait for each other at the end
    of each; batches wait for nobody. Raises what `work` raises.
    """
    if lanes == 1:
        yield from map(work, batches)
        return
    cores = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(lanes, "lane", torch.set_num_threads, (max(1, cores // lanes),)) as pool:
            yield from ahead(pool, work, batches, count=lanes + 1)
    finally:
        # Some libraries have one number for all threads.
        torch.set_num_threads(cores)


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[Task], Result], tasks: Iterable[Task], *, count: int
) -> Iterator[Result]:
    """What `work` makes of each task on the threads of a pool, in their order, `count` ahead at most.

    Ends the pool, and what has not begun by then is left out.
    """
    waiting = iter(tasks)
    try:
        pending = deque(pool.submit(work, task) for task in islice(waiting, count))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(work, task) for task in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)
