"""The tasks that messages name. Each is one call."""

import logging
import os

from sqlalchemy.exc import SQLAlchemyError

from catalog.errors import StorageFull
from worker import captioning
from worker.runtime import Runtime

log = logging.getLogger(__name__)

runtime: Runtime | None = None  # set once, when the child process begins


def drain() -> None:
    """Caption what waits, and ask for another turn when there is more."""
    if runtime is None:
        raise RuntimeError("the worker's child process was not begun; start it with `recaption worker`")
    try:
        if captioning.drain(runtime):
            runtime.queue.wake()
    except (SQLAlchemyError, StorageFull) as error:
        log.warning("the database did not answer, the reconciler will try again: %s", error)
    except Exception:
        # A network that failed in an unforeseen way may be broken for good, as a GPU is after an illegal
        # access. A fresh process takes over, and the item in hand is charged.
        log.exception("captioning failed; this process ends and another one takes its place")
        os._exit(1)
