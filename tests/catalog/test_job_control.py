"""Jobs paused, resumed, cancelled, tried again, hurried; and the turns that they take."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog import chunks, collections, job_control, job_events, jobs, recording, workers
from catalog.chunks import Claim
from catalog.errors import Conflict
from catalog.jobs import CHUNK_SIZE
from catalog.queue import TRAIN_QUEUE
from catalog.recording import Unreadable, Written
from catalog.schema import Caption, Checkpoint, Job, JobItem, JobItemState, JobState, User

Filled = Callable[..., tuple[int, list[int], int]]
Outcomes = Callable[[Claim], list[Written]]
NewUser = Callable[..., User]


@pytest.fixture
def worker_id(session: Session) -> int:
    return workers.register(session, name="one", device="cpu", version="0")


@pytest.fixture
def started(session: Session, filled: Filled) -> Callable[..., Job]:
    """A function that starts a job on a new collection of so many items."""

    def start(count: int, name: str = "Harbour", **options: int) -> Job:
        collection_id, _, checkpoint_id = filled(session, count, name)
        return jobs.create_caption_job(
            session,
            collections.get(session, collection_id, viewer=None),
            checkpoint=session.get_one(Checkpoint, checkpoint_id),
            user=None,
            **options,
        )

    return start


def claimed(session: Session, worker_id: int) -> Claim:
    held = chunks.claim(session, worker_id=worker_id)
    assert held
    return held


def actions(session: Session, job: Job) -> list[str]:
    return [line.event.action for line in reversed(job_events.newest(session, job).rows)]


def test_a_paused_job_lends_no_chunk_and_keeps_what_is_on_its_way(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int, new_user: NewUser
) -> None:
    job, ada = started(CHUNK_SIZE + 1), new_user(session, "ada")
    held = claimed(session, worker_id)
    job_control.pause(session, job, user=ada)
    assert chunks.claim(session, worker_id=worker_id) is None
    assert not chunks.work_waits(session)
    recording.record(session, held, written(held))
    session.refresh(job)
    assert (job.state, job.done) == (JobState.PAUSED, CHUNK_SIZE)
    job_control.resume(session, job, user=ada)
    assert job.state is JobState.QUEUED
    last = claimed(session, worker_id)
    recording.record(session, last, written(last))
    session.refresh(job)
    assert (job.state, job.done) == (JobState.DONE, CHUNK_SIZE + 1)
    assert actions(session, job) == ["created", "started", "paused", "resumed", "started", "done"]
    paused = job_events.newest(session, job).rows[3]
    assert paused.who == ada.name


def test_a_job_that_was_paused_over_its_last_chunk_ends_with_it(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    job = started(3)
    held = claimed(session, worker_id)
    job_control.pause(session, job, user=None)
    recording.record(session, held, written(held))
    session.refresh(job)
    assert job.state is JobState.DONE


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (job_control.resume, "only a paused job"),
        (job_control.retry_failed, "no item of job"),
    ],
)
def test_what_does_not_apply_to_a_queued_job_is_refused(
    session: Session, started: Callable[..., Job], act: Callable[..., object], message: str
) -> None:
    with pytest.raises(Conflict, match=message):
        act(session, started(3), user=None)


@pytest.mark.parametrize("act", [job_control.pause, job_control.resume, job_control.cancel])
def test_what_has_ended_stays_as_it_is(
    session: Session,
    started: Callable[..., Job],
    written: Outcomes,
    worker_id: int,
    act: Callable[..., object],
) -> None:
    job = started(3)
    held = claimed(session, worker_id)
    recording.record(session, held, written(held))
    with pytest.raises(Conflict, match=f"job {job.id}"):
        act(session, job, user=None)
    with pytest.raises(Conflict, match="has ended"):
        job_control.prioritise(session, job, 5, user=None)
    session.refresh(job)
    assert job.state is JobState.DONE


def test_failed_items_are_done_again_and_nothing_else(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    job = started(2 * CHUNK_SIZE)
    first, second = claimed(session, worker_id), claimed(session, worker_id)
    bad = [item.item_id for item in (*first.items[:2], *second.items[:1])]
    for held in (first, second):
        good = [one for one in written(held) if one.item_id not in bad]
        gone = [Unreadable(item.item_id, "gone") for item in held.items if item.item_id in bad]
        recording.record(session, held, [*good, *gone])
    session.refresh(job)
    assert (job.state, job.done, job.failed) == (JobState.DONE, 2 * CHUNK_SIZE - 3, 3)
    before = set(session.scalars(select(Caption.id)))

    assert job_control.retry_failed(session, job, user=None) == 3
    assert (job.state, job.failed, job.finished_at) == (JobState.QUEUED, 0, None)
    again = claimed(session, worker_id)
    assert sorted(item.item_id for item in again.items) == sorted(bad)
    assert not again.one_by_one
    recording.record(session, again, written(again))
    session.refresh(job)
    assert (job.state, job.done, job.failed) == (JobState.DONE, 2 * CHUNK_SIZE, 0)
    assert before < set(session.scalars(select(Caption.id)))
    assert session.scalar(select(func.count()).select_from(Caption)) == 2 * CHUNK_SIZE


def test_failed_items_can_be_queued_while_the_job_runs(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    job = started(CHUNK_SIZE + 2)
    held = claimed(session, worker_id)
    recording.record(session, held, [Unreadable(item.item_id, "gone") for item in held.items])
    assert job_control.retry_failed(session, job, user=None) == CHUNK_SIZE
    assert job.state is JobState.RUNNING
    while held := chunks.claim(session, worker_id=worker_id):
        recording.record(session, held, written(held))
    session.refresh(job)
    assert (job.state, job.done, job.failed) == (JobState.DONE, CHUNK_SIZE + 2, 0)


def test_a_poisonous_item_gets_three_new_attempts(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    job = started(1)
    for _ in range(2):
        for _ in range(chunks.POISON_AFTER):
            held = claimed(session, worker_id)
            chunks.take_in_hand(session, held, held.items[0].item_id)
            workers.end_leases(session, worker_id)
        assert claimed(session, worker_id).items == ()
        workers.end_leases(session, worker_id)
        ended = claimed(session, worker_id)
        recording.record(session, ended, [])
        session.refresh(job)
        assert (job.state, job.failed) == (JobState.DONE, 1)
        assert job_control.retry_failed(session, job, user=None) == 1
    assert "poison" in actions(session, job)


def test_a_cancelled_job_is_not_retried(
    session: Session, started: Callable[..., Job], worker_id: int
) -> None:
    job = started(CHUNK_SIZE + 2)
    held = claimed(session, worker_id)
    recording.record(session, held, [Unreadable(item.item_id, "gone") for item in held.items])
    job_control.cancel(session, job, user=None)
    with pytest.raises(Conflict, match="was cancelled; start another one"):
        job_control.retry_failed(session, job, user=None)


def test_jobs_of_one_priority_take_turns(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    long, short = started(6 * CHUNK_SIZE, "Long"), started(2 * CHUNK_SIZE, "Short")
    served = []
    for _ in range(6):
        held = claimed(session, worker_id)
        served.append(held.job_id)
        recording.record(session, held, written(held))
    assert served == [long.id, short.id, long.id, short.id, long.id, long.id]


def test_a_job_that_comes_late_does_not_make_up_for_what_it_missed(
    session: Session, started: Callable[..., Job], worker_id: int
) -> None:
    early = started(8 * CHUNK_SIZE, "Early")
    for _ in range(3):
        claimed(session, worker_id)
    late = started(8 * CHUNK_SIZE, "Late")
    served = [claimed(session, worker_id).job_id for _ in range(4)]
    assert served == [late.id, early.id, late.id, early.id]


def test_priority_goes_before_turns_and_can_be_changed_on_the_way(
    session: Session, started: Callable[..., Job], worker_id: int
) -> None:
    usual, urgent = started(4 * CHUNK_SIZE, "Usual"), started(4 * CHUNK_SIZE, "Urgent", priority=5)
    assert [claimed(session, worker_id).job_id for _ in range(2)] == [urgent.id] * 2
    job_control.prioritise(session, usual, 6, user=None)
    assert claimed(session, worker_id).job_id == usual.id
    assert actions(session, usual)[:2] == ["created", "prioritised"]


def test_a_job_beyond_this_release_is_left_to_newer_workers(
    session: Session, started: Callable[..., Job], worker_id: int
) -> None:
    newer, known = started(3, "Newer"), started(3, "Known")
    newer.protocol = jobs.PROTOCOL + 1
    session.flush()
    assert claimed(session, worker_id).job_id == known.id
    assert chunks.claim(session, worker_id=worker_id) is None
    assert not chunks.work_waits(session)
    for _ in range(2):
        workers.refuse_newer(session, "one")
        workers.refuse_newer(session, "trainer", queue=TRAIN_QUEUE)
    events = [line.event for line in job_events.newest(session, newer).rows]
    (refusal,) = [event for event in events if event.action == "refused"]
    assert refusal.worker == "one"
    assert "needs protocol 2" in refusal.text


def test_what_ended_a_worker_comes_last(
    session: Session, started: Callable[..., Job], worker_id: int
) -> None:
    started(3)
    held = claimed(session, worker_id)
    guilty = held.items[0].item_id
    chunks.take_in_hand(session, held, guilty)
    workers.end_leases(session, worker_id)
    assert [item.item_id for item in claimed(session, worker_id).items][-1] == guilty


def test_all_jobs_are_paused_for_want_of_room_and_go_on_by_themselves(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    job, by_hand = started(3), started(3, "By hand")
    job_control.pause(session, by_hand, user=None)
    held = claimed(session, worker_id)
    chunks.take_in_hand(session, held, held.items[0].item_id)
    workers.release_all(session, worker_id)
    job_control.pause_all(session, "the disk is full")
    assert job_control.held_up(session)
    session.refresh(job)
    assert (job.state, job.paused_because) == (JobState.PAUSED, "the disk is full")
    assert not session.scalar(select(func.count()).where(JobItem.in_hand))
    assert job_control.resume_all(session)
    assert not job_control.resume_all(session)
    session.refresh(by_hand)
    assert by_hand.state is JobState.PAUSED
    again = claimed(session, worker_id)
    assert not again.one_by_one
    assert again.token > held.token
    recording.record(session, again, written(again))
    assert set(session.scalars(select(JobItem.state).where(JobItem.job_id == job.id))) == {JobItemState.DONE}


def test_somebody_may_keep_a_job_paused_that_waits_for_room(
    session: Session, started: Callable[..., Job]
) -> None:
    job = started(3)
    job_control.pause_all(session, "full")
    job_control.pause(session, job, user=None)
    assert not job_control.resume_all(session)
    session.refresh(job)
    assert (job.state, job.paused_because) == (JobState.PAUSED, None)


def test_what_a_supervisor_ends_charges_nobody(
    session: Session, started: Callable[..., Job], worker_id: int
) -> None:
    started(3)
    for _ in range(chunks.POISON_AFTER + 1):
        held = claimed(session, worker_id)
        chunks.take_in_hand(session, held, held.items[0].item_id)
        workers.bury(session, "one", died=False)
    assert session.scalar(select(func.max(JobItem.found_in_hand))) == 0


def test_a_worker_that_lost_all_to_a_pause_cannot_write_late(
    session: Session, started: Callable[..., Job], written: Outcomes, worker_id: int
) -> None:
    started(3)
    held = claimed(session, worker_id)
    workers.release_all(session, worker_id)
    with pytest.raises(Conflict, match="stale"):
        recording.record(session, held, written(held))
