"""Chunks, the worker's side of a job: claim, renew, record, release.

A claim raises the chunk's token; every later write begins by proving it, so a worker that lost its lease
can do no harm. Leases run on the database's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Update, and_, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from catalog.captions import refresh_review_state
from catalog.database import database_clock
from catalog.errors import StaleToken
from catalog.fence import fence
from catalog.jobs import is_of_jobs, may_write
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionState,
    Chunk,
    ChunkState,
    HistoryEntry,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobKind,
    JobState,
    Origin,
    utc_now,
)

LEASE = 60.0  # seconds
POISON_AFTER = 3  # times that an item is found in the hand of a dead worker
WORKABLE = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class ClaimedItem:
    """One picture to caption; `rendition` is the key of its blob."""

    item_id: int
    path: str
    rendition: str


@dataclass(frozen=True)
class Claim:
    """A chunk in this worker's hands for as long as its token is the newest."""

    job_id: int
    number: int
    token: int
    checkpoint_id: int
    mode: str
    one_by_one: bool
    items: tuple[ClaimedItem, ...]


@dataclass(frozen=True)
class Written:
    """What the network made of one item; `attention` is a square grid of bytes a token."""

    item_id: int
    text: str
    score: float
    tokens: Sequence[str]
    token_probabilities: Sequence[float]
    alternatives: Sequence[dict[str, Any]] = field(default=())
    confidence: float | None = None
    attention: bytes | None = None


@dataclass(frozen=True)
class Unreadable:
    """An item that could not be captioned, and why."""

    item_id: int
    error: str


Outcome = Written | Unreadable


def claimable() -> ColumnElement[bool]:
    """The chunks that wait, and those whose lease ran out.

    A lease that ends later than a whole lease from now is a clock that jumped, and counts as run out.
    """
    now = database_clock()
    lapsed = or_(Chunk.lease_expires < now, Chunk.lease_expires > now + LEASE)
    return and_(
        or_(Chunk.state == ChunkState.WAITING, and_(Chunk.state == ChunkState.CLAIMED, lapsed)),
        Job.state.in_(WORKABLE),
        Job.kind == JobKind.CAPTION,
    )


def work_waits(session: Session) -> bool:
    """Whether there is anything to claim."""
    return bool(session.scalar(select(exists().where(Chunk.job_id == Job.id, claimable()))))


def claim(session: Session, *, worker_id: int) -> Claim | None:
    """Take the next chunk by priority, or None when nothing waits."""
    found = session.execute(
        select(Chunk, Job)
        .join(Job, Job.id == Chunk.job_id)
        .where(claimable())
        .order_by(Job.priority.desc(), Job.id, Chunk.number)
        .limit(1)
        .with_for_update(of=Chunk, skip_locked=True)
    ).first()
    if found is None:
        return None
    chunk, job = found
    if chunk.state is ChunkState.CLAIMED:
        chunk.one_by_one = True
        _charge_the_guilty(session, chunk)
    chunk.state, chunk.worker_id = ChunkState.CLAIMED, worker_id
    chunk.token += 1
    session.flush()
    session.execute(_mine(chunk.job_id, chunk.number, chunk.token).values(lease_expires=_lease()))
    starting = update(Job).where(Job.id == job.id, Job.state == JobState.QUEUED)
    session.execute(starting.values(state=JobState.RUNNING, started_at=utc_now()))
    return Claim(
        job_id=chunk.job_id,
        number=chunk.number,
        token=chunk.token,
        checkpoint_id=cast(int, job.checkpoint_id),
        mode=job.options["mode"],
        one_by_one=chunk.one_by_one,
        items=_items_left(session, chunk),
    )


def renew(session: Session, held: Claim) -> None:
    """Lengthen the lease by a whole one. Raises StaleToken when the chunk is no longer ours."""
    _prove(session, held, lease_expires=_lease())


def take_in_hand(session: Session, held: Claim, item_id: int) -> None:
    """Note, to be committed before the attempt, which item a one-by-one claim tries next."""
    renew(session, held)
    session.execute(_job_item(held, [item_id]).values(in_hand=True))


def release(session: Session, held: Claim) -> None:
    """Give an unfinished chunk back, charging nobody: an operator stopped the worker."""
    _prove(session, held, state=ChunkState.WAITING, worker_id=None, lease_expires=None)
    session.execute(_job_item(held, [item.item_id for item in held.items]).values(in_hand=False))


def record(session: Session, held: Claim, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes, their job items, the counters and the chunk's state in this one transaction.

    Items that people touched since the job began are left alone and counted as skipped. The chunk is
    finished with its last item, the job with its last chunk. Raises StaleToken when the chunk is no
    longer ours.
    """
    _prove(session, held, lease_expires=_lease())
    written = {one.item_id: one for one in outcomes if isinstance(one, Written)}
    unreadable = [one for one in outcomes if isinstance(one, Unreadable)]
    allowed = _lock_and_ask(session, held, list(written))
    if held.mode == "replace":
        _take_away(session, held, allowed)
    _write_captions(session, held, [written[item_id] for item_id in allowed])
    done = _settle(session, held, allowed, JobItemState.DONE)
    skipped = _settle(session, held, sorted(set(written) - set(allowed)), JobItemState.SKIPPED)
    failed = sum(_settle(session, held, [one.item_id], JobItemState.FAILED, one.error) for one in unreadable)
    _count(session, held.job_id, done=done, failed=failed, skipped=skipped)
    _finish(session, held)


def fail_job(session: Session, held: Claim, error: str) -> None:
    """End a job that no worker can do, such as one whose checkpoint is gone; what is done stays."""
    _prove(session, held, state=ChunkState.FINISHED, lease_expires=None)
    # The chunks that other workers hold are theirs to end: waiting for each other's would be a deadlock.
    fence(session, and_(Chunk.job_id == held.job_id, Chunk.state == ChunkState.WAITING))
    ended_chunks = select(Chunk.number).where(Chunk.job_id == held.job_id, Chunk.state == ChunkState.FINISHED)
    waiting = update(JobItem).where(
        JobItem.job_id == held.job_id,
        JobItem.state == JobItemState.QUEUED,
        JobItem.chunk_number.in_(ended_chunks),
    )
    failed = _changed(session, waiting.values(state=JobItemState.FAILED, error=error, in_hand=False))
    _count(session, held.job_id, failed=failed)
    ended = {"state": JobState.FAILED, "error": error, "finished_at": utc_now()}
    session.execute(update(Job).where(Job.id == held.job_id).values(ended))


def _lease() -> ColumnElement[float]:
    return database_clock() + LEASE


def _mine(job_id: int, number: int, token: int) -> Update:
    return update(Chunk).where(
        Chunk.job_id == job_id,
        Chunk.number == number,
        Chunk.token == token,
        Chunk.state == ChunkState.CLAIMED,
    )


def _prove(session: Session, held: Claim, **values: Any) -> None:
    """Change the chunk under our token: the first statement of every write of a worker."""
    mine = _mine(held.job_id, held.number, held.token).values(**values).returning(Chunk.number)
    if session.execute(mine).first() is None:
        raise StaleToken(
            f"chunk {held.number} of job {held.job_id} was taken over or ended; token {held.token} is stale"
        )


def _job_item(held: Claim, item_ids: Sequence[int]) -> Update:
    return update(JobItem).where(JobItem.job_id == held.job_id, JobItem.item_id.in_(item_ids))


def _changed(session: Session, statement: Update) -> int:
    """Run an update that no loaded object depends on, and count its rows."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount


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
        .order_by(Item.position, Item.id)
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
            job_item.error = f"poison: the worker died {POISON_AFTER} times while it captioned this picture"
            _count(session, chunk.job_id, failed=1)


def _lock_and_ask(session: Session, held: Claim, item_ids: Sequence[int]) -> list[int]:
    """Lock the items against reviewers, then ask which of them the job may still write to."""
    chosen = Item.id.in_(item_ids)
    session.execute(select(Item.id).where(chosen).order_by(Item.id).with_for_update())
    return list(session.scalars(select(Item.id).where(chosen, may_write(held.mode)).order_by(Item.id)))


def _settle(
    session: Session, held: Claim, item_ids: Sequence[int], state: JobItemState, error: str | None = None
) -> int:
    """Settle job items that still wait, and say how many: those of items deleted meanwhile are gone."""
    waiting = _job_item(held, item_ids).where(JobItem.state == JobItemState.QUEUED)
    return _changed(session, waiting.values(state=state, in_hand=False, error=error))


def _take_away(session: Session, held: Claim, item_ids: Sequence[int]) -> None:
    """Delete the captions that a replacing job may replace, and say so in the history."""
    replaced = select(Caption).where(Caption.item_id.in_(item_ids), is_of_jobs())
    for caption in session.scalars(replaced).all():
        entry = HistoryEntry(
            item_id=caption.item_id,
            caption_id=caption.id,
            action="replaced",
            job_id=held.job_id,
            version=caption.version,
            text_before=caption.text,
            state_before=caption.state,
        )
        session.add(entry)
        session.delete(caption)
    session.flush()


def _write_captions(session: Session, held: Claim, written: Sequence[Written]) -> None:
    if not written:
        return
    made = {"job_id": held.job_id, "checkpoint_id": held.checkpoint_id, "origin": Origin.MODEL}
    rows = [{"item_id": one.item_id, "text": one.text, **made} for one in written]
    inserted = insert(Caption).returning(Caption.id, sort_by_parameter_order=True)
    caption_ids = session.scalars(inserted, rows).all()
    details = [
        {
            "caption_id": caption_id,
            "model_text": one.text,
            "score": one.score,
            "confidence": one.confidence,
            "tokens": list(one.tokens),
            "token_probabilities": list(one.token_probabilities),
            "alternatives": list(one.alternatives),
            "attention": one.attention,
        }
        for caption_id, one in zip(caption_ids, written, strict=True)
    ]
    session.execute(insert(CaptionDetail), details)
    entries = [
        {
            "item_id": one.item_id,
            "caption_id": caption_id,
            "action": "captioned",
            "job_id": held.job_id,
            "version": 1,
            "text_after": one.text,
            "state_after": CaptionState.CANDIDATE,
        }
        for caption_id, one in zip(caption_ids, written, strict=True)
    ]
    session.execute(insert(HistoryEntry), entries)
    refresh_review_state(session, [one.item_id for one in written])


def _count(session: Session, job_id: int, *, done: int = 0, failed: int = 0, skipped: int = 0) -> None:
    counters = {
        "done": Job.done + done,
        "failed": Job.failed + failed,
        "skipped": Job.skipped + skipped,
    }
    session.execute(update(Job).where(Job.id == job_id).values(counters))


def _finish(session: Session, held: Claim) -> None:
    """Finish the chunk when no item of it waits, and the job when no chunk of it does."""
    waits = exists().where(
        JobItem.job_id == held.job_id,
        JobItem.chunk_number == held.number,
        JobItem.state == JobItemState.QUEUED,
    )
    mine = _mine(held.job_id, held.number, held.token).where(~waits)
    session.execute(mine.values(state=ChunkState.FINISHED, lease_expires=None))
    open_chunk = exists().where(Chunk.job_id == held.job_id, Chunk.state != ChunkState.FINISHED)
    ending = update(Job).where(Job.id == held.job_id, Job.state.in_(WORKABLE), ~open_chunk)
    session.execute(ending.values(state=JobState.DONE, finished_at=utc_now()))
