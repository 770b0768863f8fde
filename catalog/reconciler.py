"""The reconciler: sees work that waits while no message speaks of it, and wakes the workers again.

One runs in every worker and web process, so nobody depends on a single process being alive. A turn may
be missed or doubled without harm.
"""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from catalog import chunks, job_control, redecodings, space, training_runs, workers
from catalog.database import Database
from catalog.queue import CAPTION_QUEUE, TRAIN_QUEUE, Queue

PERIOD = (10.0, 20.0)  # seconds between two turns


def reconcile(database: Database, queue: Queue) -> bool:
    """Wake one worker of each queue where work waits and somebody can do it; returns whether it did."""
    try:
        go_on(database)
    finally:
        woke = _wake(database, queue)
    return woke


def _wake(database: Database, queue: Queue) -> bool:
    with database.reading() as session:
        wanted = [name for name in _waiting(session) if workers.alive(session, queue=name)]
    if not wanted:
        return queue.probe() and False
    # Each is woken, also behind one that was.
    return sum(queue.wake(queue=name) for name in wanted) > 0


def _waiting(session: Session) -> Iterator[str]:
    """The queues that something waits in."""
    if chunks.work_waits(session) or redecodings.wait(session):
        yield CAPTION_QUEUE
    if training_runs.work_waits(session):
        yield TRAIN_QUEUE


def go_on(database: Database) -> None:
    """Let jobs go on that were paused for want of room, once the database has some again."""
    with database.reading() as session:
        held_up = job_control.held_up(session)
    if held_up and database.has_room():
        with database.writing() as session:
            job_control.resume_all(session)
    if database.folder:
        space.keep_reserve(database.folder)
