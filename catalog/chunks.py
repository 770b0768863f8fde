"""Chunks, the worker's side of a job: claim, renew, take in hand, let go.

`catalog.recording` ends those of caption jobs; `catalog.training_runs` builds on this for train jobs.
A claim raises the chunk's token; every later write begins by proving it, so a worker that lost its lease
can do no harm. Leases run on the database's clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Update, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from catalog import job_events
from catalog.database import database_clock
from catalog.errors import StaleToken
from catalog.jobs import PROTOCOL, WORKABLE
from catalog.schema import (
    Chunk,
    ChunkState,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobKind,
    JobState,
    Severity,
    Worker,
    utc_now,
)

LEASE = 60.0  # seconds
POISON_AFTER = 3  # times that an item is found in the hand of a dead worker


@dataclass(frozen=True)
class ClaimedItem:
    """One picture to caption; `rendition` is the key of its blob."""

    item_id: int
    path: str
    rendition: str


@dataclass(frozen=True)
class Held:
    """A chunk in this worker's hands for as long as its token is the newest."""

    job_id: int
    number: int
    token: int


@dataclass(frozen=True)
class Claim(Held):
    """A chunk of a caption job with all that a worker has to know to do it."""

    checkpoint_id: int
    mode: str
    one_by_one: bool
    items: tuple[ClaimedItem, ...]


def lapsed() -> ColumnElement[bool]:
    """The chunks whose lease ran out.

    A lease that ends much later than a whole lease from now is a clock that jumped, and counts as run out.
    """
    now = database_clock()
    over = or_(Chunk.lease_expires < now, Chunk.lease_expires > now + 2 * LEASE)
    return and_(Chunk.state == ChunkState.CLAIMED, over)


def claimable() -> tuple[ColumnElement[bool], ...]:
    """What a worker may take, in this order: chunks that another one left, then those that wait."""
    return lapsed(), Chunk.state == ChunkState.WAITING


def work_waits(session: Session, kind: JobKind = JobKind.CAPTION) -> bool:
    """Whether there is anything to claim in jobs of this kind."""
    waits = [exists().where(Chunk.job_id == Job.id, condition) for condition in claimable()]
    return bool(session.scalar(select(exists().where(_workable(kind), or_(*waits)))))


def claim(session: Session, *, worker_id: int) -> Claim | None:
    """Take the next chunk of a caption job, or None when nothing waits."""
    taken = take(session, JobKind.CAPTION, worker_id=worker_id)
    return _claim(session, *taken) if taken else None


def take(
    session: Session,
    kind: JobKind,
    *,
    worker_id: int,
    free: Callable[[Session, int], bool] = lambda session, job_id: True,
) -> tuple[Job, Chunk] | None:
    """Lend the next chunk of a job of this kind to the worker; None when nothing waits.

    The jobs of the highest priority go first; those of one priority take turns, chunk by chunk. Jobs that
    are not `free` wait for another time.
    """
    # Which of them have something to claim is asked one by one: asked at once, PostgreSQL reads all chunks.
    in_turn = select(Job.id).where(_workable(kind)).order_by(Job.priority.desc(), Job.turn, Job.id)
    for job_id in session.scalars(in_turn).all():
        if not free(session, job_id):
            continue
        chunk = _next_chunk(session, job_id)
        if chunk and (job := _begin(session, job_id)):
            _lend(session, chunk, worker_id)
            return job, chunk
    return None


def _workable(kind: JobKind) -> ColumnElement[bool]:
    """The jobs of a kind that this release may work at."""
    return and_(Job.state.in_(WORKABLE), Job.kind == kind, Job.protocol <= PROTOCOL)


def _next_chunk(session: Session, job_id: int) -> Chunk | None:
    """A chunk of the job, locked; None when others lock all that it has."""
    for condition in claimable():
        query = select(Chunk).where(Chunk.job_id == job_id, condition).order_by(Chunk.number).limit(1)
        if chunk := session.scalar(query.with_for_update(skip_locked=True)):
            return chunk
    return None


def _begin(session: Session, job_id: int) -> Job | None:
    """Note that the job is served; None when it was paused or ended in the same moment."""
    waiting = update(Job).where(Job.id == job_id, Job.state == JobState.QUEUED)
    begun = {"running_since": database_clock(), "started_at": func.coalesce(Job.started_at, utc_now())}
    if session.scalar(waiting.values(begun).returning(Job.id)):
        job_events.append(session, job_id, "started", "workers are at it")
    last = select(func.max(Job.turn)).where(Job.state.in_(WORKABLE)).scalar_subquery()
    serving = update(Job).where(Job.id == job_id, Job.state.in_(WORKABLE))
    served = serving.values(state=JobState.RUNNING, turn=last + 1).returning(Job)
    return session.scalar(served, execution_options={"populate_existing": True})


def _lend(session: Session, chunk: Chunk, worker_id: int) -> None:
    """Lend the chunk to the worker under a new token; one that was lent before goes item by item."""
    if chunk.state is ChunkState.CLAIMED:
        chunk.one_by_one = True
        _charge_the_guilty(session, chunk)
        _tell_of_takeover(session, chunk)
    chunk.state, chunk.worker_id = ChunkState.CLAIMED, worker_id
    chunk.token += 1
    session.flush()
    session.execute(claimed(chunk.job_id, chunk.number, chunk.token).values(lease_expires=lease()))


def _claim(session: Session, job: Job, chunk: Chunk) -> Claim:
    return Claim(
        job_id=chunk.job_id,
        number=chunk.number,
        token=chunk.token,
        checkpoint_id=cast(int, job.checkpoint_id),
        mode=job.options["mode"],
        one_by_one=chunk.one_by_one,
        items=_items_left(session, chunk),
    )


def renew(session: Session, held: Held) -> None:
    """Lengthen the lease by a whole one. Raises StaleToken when the chunk is no longer ours."""
    prove(session, held, lease_expires=lease())


def take_in_hand(session: Session, held: Claim, item_id: int) -> None:
    """Note, to be committed before the attempt, which item a one-by-one claim tries next."""
    renew(session, held)
    session.execute(job_items(held, [item_id]).values(in_hand=True))


def let_go(session: Session, held: Held) -> None:
    """Let another worker have the chunk. Raises StaleToken when one has it already."""
    prove(session, held, state=ChunkState.WAITING, worker_id=None, lease_expires=None)


def lease() -> ColumnElement[float]:
    return database_clock() + LEASE


def claimed(job_id: int, number: int, token: int) -> Update:
    return update(Chunk).where(
        Chunk.job_id == job_id,
        Chunk.number == number,
        Chunk.token == token,
        Chunk.state == ChunkState.CLAIMED,
    )


def prove(session: Session, held: Held, **values: Any) -> None:
    """Change the chunk under our token: the first statement of every write of a worker."""
    mine = claimed(held.job_id, held.number, held.token).values(**values).returning(Chunk.number)
    if session.execute(mine).first() is None:
        raise StaleToken(
            f"chunk {held.number} of job {held.job_id} was taken over or ended; token {held.token} is stale"
        )


def job_items(held: Claim, item_ids: Sequence[int]) -> Update:
    return update(JobItem).where(JobItem.job_id == held.job_id, JobItem.item_id.in_(item_ids))


def _items_left(session: Session, chunk: Chunk) -> tuple[ClaimedItem, ...]:
    rows = session.execute(
        select(Item.id, Item.path, Image.rendition)
        .join(JobItem, JobItem.item_id == Item.id)
        .join(Image, Image.id == Item.image_id)
        .where(
            JobItem.job_id == chunk.job_id,
            JobItem.chunk_number == chunk.number,
            JobItem.state == JobItemState.QUEUED,
        )
        # What ended a worker before comes last, so that the others are done before it ends another one.
        .order_by(JobItem.found_in_hand, Item.position, Item.id)
    )
    return tuple(ClaimedItem(item_id, path, rendition) for item_id, path, rendition in rows)


def _charge_the_guilty(session: Session, chunk: Chunk) -> None:
    """Charge the item that a dead worker had in hand, and fail it after three times."""
    found = session.scalars(
        select(JobItem).where(
            JobItem.job_id == chunk.job_id, JobItem.chunk_number == chunk.number, JobItem.in_hand
        )
    )
    for job_item in found.all():
        job_item.in_hand = False
        job_item.found_in_hand += 1
        if job_item.found_in_hand >= POISON_AFTER:
            job_item.state = JobItemState.FAILED
            job_item.error = f"poison: workers died or hung {POISON_AFTER} times over this picture"
            count(session, chunk.job_id, failed=1)
            text = f"item {job_item.item_id} failed: {job_item.error}"
            job_events.append(session, chunk.job_id, "poison", text, severity=Severity.ERROR)


def _tell_of_takeover(session: Session, chunk: Chunk) -> None:
    name = session.scalar(select(Worker.name).where(Worker.id == chunk.worker_id))
    text = f"chunk {chunk.number} is taken over: {name or 'a worker'} did not finish it within its lease"
    job_events.append_once(session, chunk.job_id, "taken over", text, severity=Severity.WARNING, worker=name)


def count(session: Session, job_id: int, *, done: int = 0, failed: int = 0, skipped: int = 0) -> None:
    counters = {
        "done": Job.done + done,
        "failed": Job.failed + failed,
        "skipped": Job.skipped + skipped,
    }
    session.execute(update(Job).where(Job.id == job_id).values(counters))
