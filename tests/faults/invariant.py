"""What holds of every ended job, whatever happened while it ran."""

from collections import Counter

from sqlalchemy import func, select

from catalog.database import Database
from catalog.schema import (
    Caption,
    CaptionDetail,
    Chunk,
    ChunkState,
    HistoryEntry,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobState,
)
from tests.faults.stubbed import HANGER, KILLER, caption_of

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
GUILTY = (KILLER, HANGER)


def invariant(database: Database, job_id: int, *, may_fail: tuple[int, ...] = GUILTY) -> Counter[str]:
    """Check an ended job and count its items by state; only items of the pictures in `may_fail` may fail.

    Raises AssertionError for items that were lost, captioned twice, wrongly, or failed without guilt.
    """
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        assert job.state in ENDED, f"job {job_id} is {job.state}"
        open_chunks = session.scalar(
            select(func.count()).where(Chunk.job_id == job_id, Chunk.state != ChunkState.FINISHED)
        )
        assert open_chunks == 0, f"{open_chunks} chunks of the ended job {job_id} are open"
        rows = session.execute(
            select(
                Item.id,
                Item.external_id,
                JobItem.state,
                JobItem.error,
                JobItem.in_hand,
                Caption.text,
                CaptionDetail.model_text,
            )
            .join(JobItem, JobItem.item_id == Item.id)
            .outerjoin(Caption, (Caption.item_id == Item.id) & (Caption.job_id == job_id))
            .outerjoin(CaptionDetail, CaptionDetail.caption_id == Caption.id)
            .where(JobItem.job_id == job_id)
        ).all()
        captioned = session.scalar(
            select(func.count()).where(HistoryEntry.job_id == job_id, HistoryEntry.action == "captioned")
        )
        doubled = session.scalars(
            select(Caption.item_id)
            .where(Caption.job_id == job_id)
            .group_by(Caption.item_id)
            .having(func.count() > 1)
        ).all()
    assert not doubled, f"items {doubled} have several captions of job {job_id}"
    assert len(rows) == job.total == len({row.id for row in rows}), f"{len(rows)} rows of {job.total} items"
    for row in rows:
        _check(row.id, int(row.external_id), row.state, row.error, row.text, row.model_text, may_fail)
        assert not row.in_hand, f"item {row.id} is still in hand"
    states = Counter(str(row.state) for row in rows)
    counted = {"done": job.done, "failed": job.failed, "skipped": job.skipped}
    assert counted == {name: states[name] for name in counted}, f"{counted} disagrees with {states}"
    assert captioned == job.done, f"the history tells of {captioned} captions, the job of {job.done}"
    if job.state is JobState.DONE:
        assert not states["cancelled"], f"{states['cancelled']} items of a job that is done were cancelled"
    return states


def _check(
    item_id: int,
    number: int,
    state: JobItemState,
    error: str | None,
    text: str | None,
    model_text: str | None,
    may_fail: tuple[int, ...],
) -> None:
    assert state is not JobItemState.QUEUED, f"item {item_id} is still queued"
    if state is JobItemState.DONE:
        assert text == model_text == caption_of(number), f"item {item_id} (number {number}) has {text!r}"
    else:
        assert text is None, f"item {item_id} is {state} and has {text!r}"
    if state is JobItemState.FAILED:
        assert error, f"item {item_id} failed without a reason"
        assert number in may_fail, f"the innocent item {item_id} (number {number}) failed: {error}"
