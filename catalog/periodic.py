"""Threads that do something now and then for as long as their process lives, whatever goes wrong."""

import logging
import os
import random
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from catalog.errors import CatalogError

log = logging.getLogger(__name__)


class Periodic:
    """A thread with one thing to do. `period` is the least and most seconds between two turns.

    The pause is drawn anew each time, so that processes spread out.
    """

    def __init__(self, name: str, act: Callable[[], object], *, period: tuple[float, float]) -> None:
        self._act = act
        self._period = period
        self._stopped = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        # A process forked in mid-turn would inherit SQLite's locks, and wait for itself.
        os.register_at_fork(
            before=self._turn.acquire,
            after_in_parent=self._turn.release,
            after_in_child=self._turn.release,
        )
        self._thread.start()

    def stop(self) -> None:
        """End behind the turn under way, if that does not take long."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._turn:
                self._do()
            self._stopped.wait(random.uniform(*self._period))

    def _do(self) -> None:
        try:
            self._act()
        except (SQLAlchemyError, CatalogError) as error:
            log.warning("the %s could not do its turn, trying again: %s", self._thread.name, error)
        except Exception:
            # Heartbeats and lost wake-ups depend on this: it outlives what nobody foresaw.
            log.exception("a turn of the %s failed, trying again", self._thread.name)
