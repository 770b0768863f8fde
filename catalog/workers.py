"""Workers and their devices, as rows with heartbeats."""

import socket
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, delete, exists, select, true, update
from sqlalchemy.orm import Session

from catalog import job_events
from catalog.database import Database, database_clock
from catalog.jobs import PROTOCOL, UNFINISHED
from catalog.queue import CAPTION_QUEUE, queue_of
from catalog.schema import Chunk, ChunkState, Job, JobEvent, JobItem, JobKind, Severity, Worker, utc_now

BEAT = 5.0  # seconds between two heartbeats
ALIVE_FOR = 20.0  # seconds without a heartbeat after which nobody counts on a worker
MOURNED_FOR = 3600.0  # seconds for which people are told of a worker that died
FORGOTTEN_AFTER = 86_400.0  # seconds without a heartbeat after which its row goes


def register(
    session: Session,
    *,
    name: str,
    device: str,
    version: str,
    queue: str = CAPTION_QUEUE,
    worker_id: int | None = None,
) -> int:
    """Announce a worker of a queue, or announce it anew after a restart; returns its id.

    `worker_id` is that of a worker which was cut off for so long that its row is gone.
    """
    session.execute(delete(Worker).where(Worker.heartbeat < database_clock() - FORGOTTEN_AFTER))
    worker = session.scalar(select(Worker).where(Worker.name == name))
    if worker is None:
        worker = Worker(id=worker_id, name=name, device=device, version=version, heartbeat=0.0)
        session.add(worker)
    worker.device, worker.version, worker.host = device, version, socket.gethostname()
    worker.protocol, worker.started_at, worker.trouble = PROTOCOL, utc_now(), None
    worker.queue = queue
    session.flush()
    beat(session, worker.id)
    return worker.id


def beat(session: Session, worker_id: int, *, trouble: str | None = None) -> bool:
    """Say that a worker lives, and what keeps it from working; False where its row is gone."""
    living = {"heartbeat": database_clock(), "stopped": False, "trouble": trouble}
    beating = update(Worker).where(Worker.id == worker_id).values(living).returning(Worker.id)
    return session.scalar(beating) is not None


def say_goodbye(session: Session, worker_id: int) -> None:
    """Note that a worker ended in order, so that nobody looks for it."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped=True, trouble=None))


def refuse_newer(session: Session, name: str, *, queue: str = CAPTION_QUEUE) -> None:
    """Say once in the log of each job of a queue that needs a newer release that it is left to others."""
    kinds = [kind for kind in JobKind if queue_of(kind) == queue]
    refused = exists().where(JobEvent.job_id == Job.id, JobEvent.action == "refused", JobEvent.worker == name)
    newer = (Job.kind.in_(kinds), Job.protocol > PROTOCOL, Job.state.in_(UNFINISHED), ~refused)
    for job_id, protocol in session.execute(select(Job.id, Job.protocol).where(*newer)).all():
        text = (
            f"{name} is too old for this job, which needs protocol {protocol}: it knows {PROTOCOL}; update it"
        )
        job_events.append(session, job_id, "refused", text, severity=Severity.WARNING, worker=name)


def alive(session: Session, *, queue: str | None = None) -> Sequence[Worker]:
    """The workers that were heard of lately, of one queue or of all."""
    wanted = Worker.queue == queue if queue else true()
    return session.scalars(select(Worker).where(_alive(), wanted).order_by(Worker.name)).all()


def mourned(session: Session) -> Sequence[Worker]:
    """The workers that died lately without a word, and have not been replaced since.

    One that lives on the same host and device, and began when the next heartbeat was due, takes its place.
    """
    now = database_clock()
    lately = Worker.heartbeat.between(now - MOURNED_FOR, now + MOURNED_FOR)
    query = select(Worker).where(~Worker.stopped, ~_alive(), lately).order_by(Worker.name)
    living = alive(session)
    return [lost for lost in session.scalars(query) if not any(_replaces(one, lost) for one in living)]


def end_leases(session: Session, worker_id: int) -> bool:
    """End at once what a working process held that is known to be dead; returns whether it held anything."""
    held = update(Chunk).where(Chunk.worker_id == worker_id, Chunk.state == ChunkState.CLAIMED)
    ended = session.scalars(held.values(lease_expires=0.0).returning(Chunk.number)).all()
    return bool(ended)


def release_all(session: Session, worker_id: int) -> None:
    """Give back whatever a worker holds, charging nobody: it cannot go on, and knows it."""
    held = update(Chunk).where(Chunk.worker_id == worker_id, Chunk.state == ChunkState.CLAIMED)
    given_back = held.values(
        state=ChunkState.WAITING, worker_id=None, lease_expires=None, token=Chunk.token + 1
    )
    for job_id, number in session.execute(given_back.returning(Chunk.job_id, Chunk.number)).all():
        items = update(JobItem).where(
            JobItem.job_id == job_id, JobItem.chunk_number == number, JobItem.in_hand
        )
        session.execute(items.values(in_hand=False))


def bury(session: Session, name: str, *, died: bool = True) -> None:
    """Take note of a worker that is known to have ended, so that nobody waits for its leases.

    One that did not die by itself was told to end, and is not mourned.
    """
    worker_id = session.scalar(select(Worker.id).where(Worker.name == name))
    if worker_id is not None:
        if died:
            end_leases(session, worker_id)
        else:
            release_all(session, worker_id)
        ended = {"heartbeat": Worker.heartbeat - ALIVE_FOR} if died else {"stopped": True}
        session.execute(update(Worker).where(Worker.id == worker_id).values(ended))


def burying(database: Database, name: str) -> Callable[[bool], None]:
    """What a supervisor does when the worker of this name has ended."""

    def after_end(died: bool) -> None:
        with database.writing() as session:
            bury(session, name, died=died)

    return after_end


def _alive() -> ColumnElement[bool]:
    """A heartbeat from the future is one from before the clock was set back, and counts for nothing."""
    now = database_clock()
    return ~Worker.stopped & Worker.heartbeat.between(now - ALIVE_FOR, now + ALIVE_FOR)


def _replaces(one: Worker, lost: Worker) -> bool:
    same_place = (one.host, one.device, one.queue) == (lost.host, lost.device, lost.queue)
    return same_place and one.started_at.timestamp() > lost.heartbeat + BEAT
