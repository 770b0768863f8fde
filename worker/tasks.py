"""The tasks that messages name. Each is one call."""

import logging
import os
from collections.abc import Callable

from catalog import workers
from catalog.database import AWAY
from catalog.errors import StorageFull
from worker import captioning, training
from worker.runtime import Runtime

log = logging.getLogger(__name__)

runtime: Runtime | None = None  # set once, when the child process begins


def begin(begun: Runtime) -> None:
    """Take up this process's work, beginning with what the one before it may have left in mid-chunk."""
    global runtime
    runtime = begun
    runtime.setbacks.begin()
    try:
        with begun.database.writing() as session:
            left = workers.end_leases(session, begun.worker_id)
        if left:
            begun.queue.wake(queue=begun.work_queue)
    except (StorageFull, *AWAY) as error:
        log.warning("the database did not answer; what this worker left waits for its lease: %s", error)


def drain() -> None:
    """Caption what waits, and ask for another turn when there is more."""
    _do(_drain)


def train() -> None:
    """Do the train jobs that wait, one after the other."""
    _do(training.drain)


def _drain(begun: Runtime) -> None:
    if captioning.drain(begun):
        begun.queue.wake()


def _do(act: Callable[[Runtime], None]) -> None:
    if runtime is None:
        raise RuntimeError("the worker's child process was not begun; start it with `recaption worker`")
    if runtime.stopping.wait(runtime.setbacks.pause):
        return
    try:
        act(runtime)
    except (StorageFull, *AWAY) as error:
        log.warning("the database did not answer, the reconciler will try again: %s", error)
    except Exception:
        # A network that failed in an unforeseen way may be broken for good, as a GPU is after an illegal
        # access. A fresh process takes over, and the item in hand is charged.
        log.exception("the work failed; this process ends and another one takes its place")
        os._exit(1)
