"""The reconciler: sees work that waits while no message speaks of it, and wakes the workers again.

One runs in every worker and web process, so nobody depends on a single process being alive. A turn may
be missed or doubled without harm.
"""

import logging
import random
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from catalog import chunks, workers
from catalog.database import Database
from catalog.queue import Queue

log = logging.getLogger(__name__)

PERIOD = (15.0, 30.0)  # seconds; drawn anew each turn, so that processes spread out


def reconcile(database: Database, queue: Queue) -> bool:
    """Wake one worker when work waits and somebody is there to do it; returns whether it did."""
    with database.reading() as session:
        wanted = chunks.work_waits(session) and bool(workers.alive(session))
    return wanted and queue.wake()


class Reconciler:
    """A thread that reconciles until it is stopped. `before` runs ahead of every turn."""

    def __init__(
        self, database: Database, queue: Queue, *, before: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._queue = queue
        self._before = before
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._before()
                reconcile(self._database, self._queue)
            except SQLAlchemyError as error:
                log.warning("the database did not answer, trying again: %s", error)
            self._stopped.wait(random.uniform(*PERIOD))
