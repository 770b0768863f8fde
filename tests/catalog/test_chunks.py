from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog import captions, chunks, collections, items, job_control, jobs, recording, workers
from catalog.chunks import Claim
from catalog.database import Database, database_clock
from catalog.errors import Conflict, StaleToken
from catalog.recording import Unreadable
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionKind,
    CaptionState,
    Checkpoint,
    Chunk,
    ChunkState,
    Collection,
    HistoryEntry,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobState,
    Origin,
    ReviewState,
)

Filled = Callable[..., tuple[int, list[int], int]]
Outcomes = Callable[[Claim], list[recording.Written]]


def start(
    session: Session, filled: Filled, count: int, name: str = "Harbour", **options: Any
) -> tuple[Job, list[int], int]:
    """A job on `count` new items: the job, the items' ids and a worker's id."""
    collection_id, item_ids, checkpoint_id = filled(session, count, name)
    return again(session, collection_id, checkpoint_id, **options), item_ids, worker(session)


def again(session: Session, collection_id: int, checkpoint_id: int, **options: Any) -> Job:
    collection = session.get_one(Collection, collection_id)
    checkpoint = session.get_one(Checkpoint, checkpoint_id)
    return jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None, **options)


def worker(session: Session, name: str = "one") -> int:
    return workers.register(session, name=name, device="cpu", version="0")


def claimed(session: Session, worker_id: int) -> Claim:
    held = chunks.claim(session, worker_id=worker_id)
    assert held is not None
    return held


def expire(session: Session, held: Claim) -> None:
    session.execute(
        update(Chunk)
        .where(Chunk.job_id == held.job_id, Chunk.number == held.number)
        .values(lease_expires=database_clock() - 1)
    )


def test_a_job_is_cut_into_chunks_in_the_order_of_its_items(session: Session, filled: Filled) -> None:
    job, item_ids, worker_id = start(session, filled, jobs.CHUNK_SIZE + 3)
    first, second = claimed(session, worker_id), claimed(session, worker_id)
    assert [item.item_id for item in first.items] == item_ids[: jobs.CHUNK_SIZE]
    assert [item.item_id for item in second.items] == item_ids[jobs.CHUNK_SIZE :]
    assert chunks.claim(session, worker_id=worker_id) is None
    assert job.total == jobs.CHUNK_SIZE + 3


def test_recording_writes_captions_history_counters_and_ends_the_job(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    job, item_ids, worker_id = start(session, filled, 3)
    held = claimed(session, worker_id)
    outcomes = [*written(held)[:2], Unreadable(item_ids[2], "blob is missing")]
    recording.record(session, held, outcomes)
    session.expire_all()
    assert (job.state, job.done, job.failed, job.skipped) == (JobState.DONE, 2, 1, 0)
    assert job.finished_at is not None
    assert session.scalar(select(func.count()).select_from(CaptionDetail)) == 2
    assert session.scalars(select(HistoryEntry.action)).all() == ["captioned", "captioned"]
    states = session.scalars(select(Item.review_state).order_by(Item.id)).all()
    assert states == [ReviewState.PENDING, ReviewState.PENDING, ReviewState.UNCAPTIONED]
    assert jobs.failures(session, job).rows[0].error == "blob is missing"


def test_what_the_network_said_is_recorded_with_its_caption(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    start(session, filled, 2)
    held = claimed(session, worker(session, "two"))
    first, second = written(held)
    recording.record(
        session, held, [replace(first, confidence=0.71, attention=b"\xff\x00\x00\x01" * 2), second]
    )
    said = session.scalars(select(CaptionDetail).order_by(CaptionDetail.caption_id)).all()
    assert [(one.score, one.tokens) for one in said] == [(-0.5, ["a", "boat"])] * 2
    assert (said[0].confidence, said[0].attention) == (0.71, b"\xff\x00\x00\x01\xff\x00\x00\x01")
    assert (said[1].confidence, said[1].attention) == (None, None)


def test_a_worker_that_lost_its_lease_cannot_write(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    job, _, worker_id = start(session, filled, 2)
    lost = claimed(session, worker_id)
    expire(session, lost)
    taken = claimed(session, worker(session, "two"))
    assert taken.token == lost.token + 1
    with pytest.raises(StaleToken, match="stale"):
        recording.record(session, lost, written(lost))
    with pytest.raises(StaleToken):
        chunks.renew(session, lost)
    recording.record(session, taken, written(taken))
    session.expire_all()
    assert job.done == 2


def test_a_chunk_in_hand_is_not_claimed_twice(session: Session, filled: Filled) -> None:
    _, _, worker_id = start(session, filled, 2)
    claimed(session, worker_id)
    assert chunks.claim(session, worker_id=worker(session, "two")) is None


def test_a_lease_beyond_a_whole_lease_counts_as_expired(session: Session, filled: Filled) -> None:
    _, _, worker_id = start(session, filled, 2)
    held = claimed(session, worker_id)
    session.execute(update(Chunk).values(lease_expires=database_clock() + 3600))
    assert claimed(session, worker_id).token == held.token + 1


def test_only_the_item_in_hand_is_charged_and_the_third_time_it_is_poison(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    job, item_ids, worker_id = start(session, filled, 3)
    expire(session, claimed(session, worker_id))
    for _ in range(chunks.POISON_AFTER):
        held = claimed(session, worker_id)
        assert held.one_by_one
        assert item_ids[1] in [item.item_id for item in held.items]
        chunks.take_in_hand(session, held, item_ids[1])
        expire(session, held)
    held = claimed(session, worker_id)
    assert [item.item_id for item in held.items] == [item_ids[0], item_ids[2]]
    recording.record(session, held, written(held))
    session.expire_all()
    assert (job.state, job.done, job.failed) == (JobState.DONE, 2, 1)
    charged = session.scalars(select(JobItem.found_in_hand).order_by(JobItem.item_id)).all()
    assert charged == [0, chunks.POISON_AFTER, 0]
    assert jobs.failures(session, job).rows[0].error.startswith("poison")


def test_a_chunk_that_is_given_back_charges_nobody(session: Session, filled: Filled) -> None:
    _, item_ids, worker_id = start(session, filled, 2)
    expire(session, claimed(session, worker_id))
    held = claimed(session, worker_id)
    chunks.take_in_hand(session, held, item_ids[0])
    workers.release_all(session, worker_id)
    session.expire_all()
    assert claimed(session, worker_id).token > held.token
    assert set(session.scalars(select(JobItem.found_in_hand))) == {0}


def test_burying_a_worker_frees_its_chunk_at_once(session: Session, filled: Filled) -> None:
    _, _, worker_id = start(session, filled, 2)
    claimed(session, worker_id)
    workers.bury(session, "one")
    assert claimed(session, worker(session, "two")).one_by_one


def test_a_cancelled_job_keeps_what_is_done_and_refuses_what_comes_late(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    job, _, worker_id = start(session, filled, jobs.CHUNK_SIZE + 1)
    done, late = claimed(session, worker_id), claimed(session, worker_id)
    recording.record(session, done, written(done))
    job_control.cancel(session, job, user=None)
    with pytest.raises(StaleToken):
        recording.record(session, late, written(late))
    session.expire_all()
    assert (job.state, job.done) == (JobState.CANCELLED, jobs.CHUNK_SIZE)
    assert session.scalar(select(func.count()).select_from(Caption)) == jobs.CHUNK_SIZE
    states = set(session.scalars(select(JobItem.state)))
    assert states == {JobItemState.DONE, JobItemState.CANCELLED}
    with pytest.raises(Conflict, match="ended already"):
        job_control.cancel(session, job, user=None)


def test_higher_priority_goes_first(session: Session, filled: Filled) -> None:
    collection_id, _, checkpoint_id = filled(session, 2)
    low = again(session, collection_id, checkpoint_id)
    high = again(session, collection_id, checkpoint_id, priority=5)
    assert claimed(session, worker(session)).job_id == high.id != low.id


@pytest.mark.parametrize("mode", ["fill", "replace"])
def test_no_job_changes_what_a_person_decided_while_it_ran(
    session: Session, filled: Filled, written: Outcomes, mode: str
) -> None:
    job, item_ids, worker_id = start(session, filled, 2, mode=mode)
    held = claimed(session, worker_id)
    item = items.get(session, item_ids[0], viewer=None)
    captions.write(session, item, text="Written by hand.", user=None)
    recording.record(session, held, written(held))
    session.expire_all()
    assert (job.done, job.skipped) == (1, 1)
    kept = session.scalars(select(Caption).where(Caption.item_id == item_ids[0])).one()
    assert (kept.text, kept.origin) == ("Written by hand.", Origin.WRITTEN)


def test_replace_leaves_every_kind_of_human_work_alone(
    session: Session,
    filled: Filled,
    written: Outcomes,
    new_user: Callable[..., object],
) -> None:
    _, item_ids, worker_id = start(session, filled, 6)
    held = claimed(session, worker_id)
    recording.record(session, held, written(held))
    user = new_user(session, "Reviewer")
    found = [items.get(session, item_id, viewer=None) for item_id in item_ids]
    texts = [captions.of_item(session, item)[0].caption for item in found]
    captions.revise(session, texts[0], version=1, user=user, state=CaptionState.ACCEPTED)
    captions.revise(session, texts[1], version=1, user=user, state=CaptionState.REJECTED)
    captions.revise(session, texts[2], version=1, user=user, text="a boat at 0002.jpg")
    items.flag(session, found[3], flagged=True)
    captions.save_draft(session, found[4], user=user, text="Perhaps", caption=texts[4])
    session.flush()
    job = again(session, found[0].collection_id, held.checkpoint_id, mode="replace")
    assert job.total == 1
    second = claimed(session, worker_id)
    recording.record(session, second, written(second))
    by_job = session.scalars(select(Caption.item_id).where(Caption.job_id == job.id)).all()
    assert by_job == [item_ids[5]]
    assert session.scalar(select(func.count()).select_from(Caption)) == 6
    session.flush()
    replaced = session.scalars(select(HistoryEntry).where(HistoryEntry.action == "replaced")).one()
    assert (replaced.text_before, replaced.job_id) == ("A boat at 0005.jpg.", job.id)


def test_jobs_pass_over_alt_texts_and_descriptions(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    _, (item_id,), worker_id = start(session, filled, 1)
    held = claimed(session, worker_id)
    recording.record(session, held, written(held))
    item = items.get(session, item_id, viewer=None)
    captions.write(session, item, text="A boat, left.", user=None, kind=CaptionKind.ALT)
    session.add(Caption(item_id=item_id, text="Left.", origin=Origin.MODEL, kind=CaptionKind.DESCRIPTION))
    session.flush()
    job = again(session, item.collection_id, held.checkpoint_id, mode="replace")
    second = claimed(session, worker_id)
    recording.record(session, second, written(second))
    rows = session.execute(select(Caption.text, Caption.job_id).order_by(Caption.id)).all()
    assert [tuple(row) for row in rows] == [
        ("A boat, left.", None),
        ("Left.", None),
        ("A boat at 0000.jpg.", job.id),
    ]


def test_adding_gives_a_second_candidate_once(session: Session, filled: Filled, written: Outcomes) -> None:
    job, item_ids, worker_id = start(session, filled, 1)
    held = claimed(session, worker_id)
    recording.record(session, held, written(held))
    collection_id = session.get_one(Item, item_ids[0]).collection_id
    second = again(session, collection_id, held.checkpoint_id, mode="add")
    held = claimed(session, worker_id)
    recording.record(session, held, written(held))
    pairs = session.execute(select(Caption.item_id, Caption.job_id).order_by(Caption.id)).all()
    assert [tuple(pair) for pair in pairs] == [(item_ids[0], job.id), (item_ids[0], second.id)]


def test_an_item_deleted_during_a_job_is_skipped(session: Session, filled: Filled, written: Outcomes) -> None:
    job, item_ids, worker_id = start(session, filled, 2)
    held = claimed(session, worker_id)
    items.remove(session, items.get(session, item_ids[0], viewer=None), user=None)
    recording.record(session, held, written(held))
    session.expire_all()
    assert (job.state, job.done, job.skipped, job.total) == (JobState.DONE, 1, 1, 2)


def test_a_job_whose_checkpoint_is_gone_fails_with_the_reason(session: Session, filled: Filled) -> None:
    job, _, worker_id = start(session, filled, 2)
    recording.fail_job(session, claimed(session, worker_id), "the checkpoint cannot be used: gone")
    session.expire_all()
    assert (job.state, job.failed, job.error) == (JobState.FAILED, 2, "the checkpoint cannot be used: gone")
    assert chunks.claim(session, worker_id=worker_id) is None


def test_a_failing_job_leaves_the_chunks_of_other_workers_to_them(
    session: Session, filled: Filled, written: Outcomes
) -> None:
    job, _, worker_id = start(session, filled, jobs.CHUNK_SIZE * 2 + 1)
    theirs, ours = claimed(session, worker_id), claimed(session, worker(session, "two"))
    recording.fail_job(session, ours, "the checkpoint cannot be used: gone")
    recording.record(session, theirs, written(theirs))
    session.expire_all()
    assert (job.state, job.done, job.failed) == (JobState.FAILED, jobs.CHUNK_SIZE, jobs.CHUNK_SIZE + 1)


def test_an_id_is_never_used_again(session: Session, filled: Filled) -> None:
    job, item_ids, _ = start(session, filled, 1)
    job_id, collection = job.id, session.get_one(Collection, job.collection_id)
    collections.remove(session, collection, user=None)
    session.flush()
    session.expunge_all()
    job, new_ids, _ = start(session, filled, 1, name="Another")
    assert new_ids[0] > item_ids[0]
    assert job.id > job_id


def test_an_empty_job_is_done_at_once(session: Session, filled: Filled) -> None:
    job, _, _ = start(session, filled, 0)
    assert job.state is JobState.DONE
    assert not chunks.work_waits(session)


def test_two_workers_never_hold_the_same_chunk(database: Database, filled: Filled) -> None:
    with database.writing() as session:
        start(session, filled, jobs.CHUNK_SIZE * 2)
        other = worker(session, "two")
    with database.writing() as session:
        first = claimed(session, other)
    with database.writing() as session:
        second = claimed(session, other)
    assert first.number != second.number


def test_deleting_a_collection_ends_its_claims(session: Session, filled: Filled, written: Outcomes) -> None:
    job, _, worker_id = start(session, filled, 2)
    held = claimed(session, worker_id)
    collections.remove(session, session.get_one(Collection, job.collection_id), user=None)
    with pytest.raises(StaleToken):
        recording.record(session, held, written(held))
    assert (
        session.scalar(select(func.count()).select_from(Chunk).where(Chunk.state != ChunkState.FINISHED)) == 0
    )
