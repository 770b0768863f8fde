"""The reconciler: sees work that waits while no message speaks of it, and wakes the workers again.

One runs in every worker and web process, so nobody depends on a single process being alive. A turn may
be missed or doubled without harm.
"""

import logging
import os
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
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        # A process forked in mid-turn would inherit SQLite's locks, and wait for itself.
        os.register_at_fork(
            before=self._turn.acquire,
            after_in_parent=self._turn.release,
            after_in_child=self._turn.release,
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._turn:
                self._reconcile()
            self._stopped.wait(random.uniform(*PERIOD))

    def _reconcile(self) -> None:
        try:
            self._before()
            reconcile(self._database, self._queue)
        except SQLAlchemyError as error:
            log.warning("the database did not answer, trying again: %s", error)
        except Exception:
            # Heartbeats and lost wake-ups depend on this thread: it outlives what nobody foresaw.
            log.exception("a turn of the reconciler failed, trying again")
