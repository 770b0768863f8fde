"""What workers write for their chunks: captions, failures, counters, and the end of chunk and job."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import CursorResult, Update, and_, case, exists, insert, select, update
from sqlalchemy.orm import Session

from catalog import chunks, job_events
from catalog.captions import refresh_review_state
from catalog.chunks import Claim
from catalog.database import database_clock
from catalog.fence import fence
from catalog.jobs import UNFINISHED, is_of_jobs, may_write
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionState,
    Chunk,
    ChunkState,
    HistoryEntry,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobState,
    Origin,
    Severity,
    utc_now,
)


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


def record(session: Session, held: Claim, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes, their job items, the counters and the chunk's state in this one transaction.

    Items that people touched since the job began are left alone and counted as skipped. The chunk is
    finished with its last item, the job with its last chunk. Raises StaleToken when the chunk is no
    longer ours.
    """
    chunks.prove(session, held, lease_expires=chunks.lease())
    written = {one.item_id: one for one in outcomes if isinstance(one, Written)}
    unreadable = [one for one in outcomes if isinstance(one, Unreadable)]
    allowed = _lock_and_ask(session, held, list(written))
    if held.mode == "replace":
        _take_away(session, held, allowed)
    _write_captions(session, held, [written[item_id] for item_id in allowed])
    done = _settle(session, held, allowed, JobItemState.DONE)
    skipped = _settle(session, held, sorted(set(written) - set(allowed)), JobItemState.SKIPPED)
    failed = sum(_settle(session, held, [one.item_id], JobItemState.FAILED, one.error) for one in unreadable)
    chunks.count(session, held.job_id, done=done, failed=failed, skipped=skipped)
    _finish(session, held)


def fail_job(session: Session, held: Claim, error: str) -> None:
    """Fail what is left of a job that no worker can do, such as one whose checkpoint is gone.

    What is done stays. The chunks that other workers hold are theirs to end, and the job ends with the last:
    waiting for each other's would be a deadlock.
    """
    chunks.prove(session, held, state=ChunkState.FINISHED, lease_expires=None)
    fence(session, and_(Chunk.job_id == held.job_id, Chunk.state == ChunkState.WAITING))
    ended_chunks = select(Chunk.number).where(Chunk.job_id == held.job_id, Chunk.state == ChunkState.FINISHED)
    waiting = update(JobItem).where(
        JobItem.job_id == held.job_id,
        JobItem.state == JobItemState.QUEUED,
        JobItem.chunk_number.in_(ended_chunks),
    )
    failed = _changed(session, waiting.values(state=JobItemState.FAILED, error=error, in_hand=False))
    chunks.count(session, held.job_id, failed=failed)
    session.execute(update(Job).where(Job.id == held.job_id).values(error=error))
    _end_if_complete(session, held.job_id)


def _changed(session: Session, statement: Update) -> int:
    """Run an update that no loaded object depends on, and count its rows."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount


def _lock_and_ask(session: Session, held: Claim, item_ids: Sequence[int]) -> list[int]:
    """Lock the items against reviewers, then ask which of them the job may still write to.

    Those that it has written already are none of them: whether a commit arrived is not always known.
    """
    chosen = Item.id.in_(item_ids)
    session.execute(select(Item.id).where(chosen).order_by(Item.id).with_for_update())
    waits = exists().where(
        JobItem.job_id == held.job_id, JobItem.item_id == Item.id, JobItem.state == JobItemState.QUEUED
    )
    return list(session.scalars(select(Item.id).where(chosen, waits, may_write(held.mode)).order_by(Item.id)))


def _settle(
    session: Session, held: Claim, item_ids: Sequence[int], state: JobItemState, error: str | None = None
) -> int:
    """Settle job items that still wait, and say how many: those of items deleted meanwhile are gone."""
    waiting = chunks.job_items(held, item_ids).where(JobItem.state == JobItemState.QUEUED)
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
            origin_before=caption.origin,
        )
        session.add(entry)
        session.delete(caption)
    session.flush()


def _write_captions(session: Session, held: Claim, written: Sequence[Written]) -> None:
    if not written:
        return
    made = {"job_id": held.job_id, "checkpoint_id": held.checkpoint_id, "origin": Origin.MODEL}
    rows = [{"item_id": one.item_id, "text": one.text, **made} for one in written]
    # By item, not in the order of the rows: for that, SQLite would be asked row by row.
    inserted = insert(Caption).returning(Caption.item_id, Caption.id)
    caption_ids = dict(session.execute(inserted, rows).all())
    details = [
        {
            "caption_id": caption_ids[one.item_id],
            "model_text": one.text,
            "score": one.score,
            "confidence": one.confidence,
            "tokens": list(one.tokens),
            "token_probabilities": list(one.token_probabilities),
            "alternatives": list(one.alternatives),
            "attention": one.attention,
        }
        for one in written
    ]
    session.execute(insert(CaptionDetail), details)
    entries = [
        {
            "item_id": one.item_id,
            "caption_id": caption_ids[one.item_id],
            "action": "captioned",
            "job_id": held.job_id,
            "version": 1,
            "text_after": one.text,
            "state_after": CaptionState.CANDIDATE,
            "origin_after": Origin.MODEL,
        }
        for one in written
    ]
    session.execute(insert(HistoryEntry), entries)
    refresh_review_state(session, [one.item_id for one in written])


def _finish(session: Session, held: Claim) -> None:
    """Finish the chunk when no item of it waits, and the job when no chunk of it does."""
    waits = exists().where(
        JobItem.job_id == held.job_id,
        JobItem.chunk_number == held.number,
        JobItem.state == JobItemState.QUEUED,
    )
    mine = chunks.claimed(held.job_id, held.number, held.token).where(~waits)
    ended = {"state": ChunkState.FINISHED, "lease_expires": None, "finished_at": database_clock()}
    session.execute(mine.values(ended))
    _end_if_complete(session, held.job_id)


def _end_if_complete(session: Session, job_id: int) -> None:
    """End the job, also one that was paused meanwhile, when none of its chunks is open."""
    open_chunk = exists().where(Chunk.job_id == job_id, Chunk.state != ChunkState.FINISHED)
    ended = update(Job).where(Job.id == job_id, Job.state.in_(UNFINISHED), ~open_chunk)
    outcome = case((Job.error.is_(None), JobState.DONE), else_=JobState.FAILED)
    values = {"state": outcome, "paused_because": None, "finished_at": utc_now()}
    row = session.execute(ended.values(values).returning(Job.state, Job.done, Job.failed, Job.error)).first()
    if row:
        text = row.error or f"done: {row.done:,} captioned, {row.failed:,} failed"
        severity = Severity.ERROR if row.error else Severity.INFO
        job_events.append(session, job_id, row.state.value, text, severity=severity)
