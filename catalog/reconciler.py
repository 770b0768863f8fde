"""The reconciler: sees work that waits while no message speaks of it, and wakes the workers again.

One runs in every worker and web process, so nobody depends on a single process being alive. A turn may
be missed or doubled without harm.
"""

from catalog import chunks, job_control, redecodings, space, workers
from catalog.database import Database
from catalog.queue import Queue

PERIOD = (10.0, 20.0)  # seconds between two turns


def reconcile(database: Database, queue: Queue) -> bool:
    """Wake one worker when work waits and somebody is there to do it; returns whether it did."""
    try:
        go_on(database)
    finally:
        woke = _wake(database, queue)
    return woke


def _wake(database: Database, queue: Queue) -> bool:
    with database.reading() as session:
        waits = chunks.work_waits(session) or redecodings.wait(session)
        wanted = waits and bool(workers.alive(session))
    return queue.wake() if wanted else queue.probe() and False


def go_on(database: Database) -> None:
    """Let jobs go on that were paused for want of room, once the database has some again."""
    with database.reading() as session:
        held_up = job_control.held_up(session)
    if held_up and database.has_room():
        with database.writing() as session:
            job_control.resume_all(session)
    if database.folder:
        space.keep_reserve(database.folder)
