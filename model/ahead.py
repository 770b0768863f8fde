"""Work that threads do ahead, its results in the order of the tasks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


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
