"""What people do to jobs: pause, resume, cancel, do the failed items again, change the priority."""

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from catalog import job_events, training_runs
from catalog.errors import Conflict
from catalog.fence import fence
from catalog.jobs import CHUNK_SIZE, UNFINISHED, WORKABLE, counted
from catalog.schema import Chunk, Job, JobItem, JobItemState, JobKind, JobState, Severity, User, utc_now


def pause(session: Session, job: Job, *, user: User | None) -> None:
    """Let workers finish what they hold and begin nothing more. Raises Conflict for a job not at work."""
    _require_chunks(job, "paused")
    resting = {"state": JobState.PAUSED, "paused_because": None}
    if not (_move(session, job, WORKABLE, **resting) or _keep(session, job)):
        raise Conflict(f"job {job.id} is {job.state}; only a queued or running job can be paused")
    job_events.append(session, job.id, "paused", "paused", user=user)


def resume(session: Session, job: Job, *, user: User | None) -> None:
    """Let a paused job go on; wake the workers once it is committed. Raises Conflict for another job."""
    if not _move(session, job, (JobState.PAUSED,), state=JobState.QUEUED, paused_because=None):
        raise Conflict(f"job {job.id} is {job.state}; only a paused job can be resumed")
    job_events.append(session, job.id, "resumed", "resumed", user=user)


def cancel(session: Session, job: Job, *, user: User | None) -> None:
    """Stop a job and keep what is done. Raises Conflict when it has ended already.

    Chunks are fenced first, in the order in which workers lock: a result still on its way is refused.
    """
    _drop_waiting(session, job)
    ended = {"state": JobState.CANCELLED, "paused_because": None, "finished_at": utc_now()}
    if not _move(session, job, UNFINISHED, **ended):
        raise Conflict(f"job {job.id} has ended already ({job.state}); there is nothing to cancel")
    # Items that somebody queued again in the same moment show only now that the job itself is held.
    _drop_waiting(session, job)
    job_events.append(session, job.id, "cancelled", "cancelled; what is done stays", user=user)


def retry_failed(session: Session, job: Job, *, user: User | None) -> int:
    """Queue the failed items of a job again, and only those; returns how many they are.

    They get chunks of their own and three new attempts each, under the checkpoint and mode of the job.
    A train job that failed is one such item, and goes on from what it has saved. Raises Conflict when there
    are none, or when the job was cancelled.
    """
    _require_chunks(job, "retried")
    if job.kind is JobKind.TRAIN:
        training_runs.retry(session, job, user=user)
        return 1
    # Until this ends nobody cancels the job, counts for it, or retries it as well.
    session.refresh(job, with_for_update={"key_share": True})
    if job.state is JobState.CANCELLED:
        raise Conflict(f"job {job.id} was cancelled; start another one for what is left")
    failed = (JobItem.job_id == job.id, JobItem.state == JobItemState.FAILED)
    count = session.scalar(select(func.count()).where(*failed)) or 0
    if count == 0:
        raise Conflict(f"no item of job {job.id} has failed; there is nothing to do again")
    first = (session.scalar(select(func.max(Chunk.number)).where(Chunk.job_id == job.id)) or 0) + 1
    numbers = range(first, first + (count + CHUNK_SIZE - 1) // CHUNK_SIZE)
    session.execute(insert(Chunk), [{"job_id": job.id, "number": number} for number in numbers])
    place = func.row_number().over(order_by=JobItem.item_id) - 1
    again = select(JobItem.item_id, (first + place // CHUNK_SIZE).label("number")).where(*failed).subquery()
    session.execute(
        update(JobItem)
        .where(JobItem.job_id == job.id, JobItem.item_id == again.c.item_id)
        .values(
            state=JobItemState.QUEUED, chunk_number=again.c.number, error=None, in_hand=False, found_in_hand=0
        ),
        execution_options={"synchronize_session": False},
    )
    begun = {"failed": Job.failed - count, "error": None, "finished_at": None}
    if not _move(session, job, UNFINISHED, **begun):
        _move(session, job, (JobState.DONE, JobState.FAILED), state=JobState.QUEUED, **begun)
    text = f"{counted(count, 'failed item')} queued again"
    job_events.append(session, job.id, "retried", text, user=user)
    return count


def prioritise(session: Session, job: Job, priority: int, *, user: User | None) -> None:
    """Change which jobs go first. Raises Conflict when the job has ended."""
    _require_chunks(job, "put first")
    if not _move(session, job, UNFINISHED, priority=priority):
        raise Conflict(f"job {job.id} has ended already ({job.state}); its priority says nothing any more")
    job_events.append(session, job.id, "prioritised", f"priority is now {priority}", user=user)


def pause_all(session: Session, reason: str) -> None:
    """Pause every caption and train job because none can go on; `resume_all` lets them go on again."""
    at_work = select(Job.id).where(Job.kind.in_((JobKind.CAPTION, JobKind.TRAIN)), Job.state.in_(WORKABLE))
    # One that is just being claimed is left to the worker that claims it, which will find the same.
    free = session.scalars(at_work.order_by(Job.id).with_for_update(skip_locked=True)).all()
    paused = update(Job).where(Job.id.in_(free)).values(state=JobState.PAUSED, paused_because=reason)
    for job_id in session.scalars(paused.returning(Job.id)).all():
        text = f"paused, and goes on by itself: {reason}"
        job_events.append(session, job_id, "paused", text, severity=Severity.ERROR)


def resume_all(session: Session) -> bool:
    """Let all jobs go on that the system paused; returns whether there were any."""
    held_up = (Job.state == JobState.PAUSED, Job.paused_because.is_not(None))
    resumed = update(Job).where(*held_up).values(state=JobState.QUEUED, paused_because=None)
    job_ids = session.scalars(resumed.returning(Job.id)).all()
    for job_id in job_ids:
        job_events.append(session, job_id, "resumed", "went on by itself: what held it up is over")
    return bool(job_ids)


def held_up(session: Session) -> bool:
    """Whether the system has paused any job."""
    query = select(Job.id).where(Job.state == JobState.PAUSED, Job.paused_because.is_not(None)).limit(1)
    return session.scalar(query) is not None


def _keep(session: Session, job: Job) -> bool:
    """Keep a job paused that the system had paused, until somebody says otherwise."""
    held_up = Job.paused_because.is_not(None)
    keeping = update(Job).where(Job.id == job.id, Job.state == JobState.PAUSED, held_up)
    kept = session.scalar(keeping.values(paused_because=None).returning(Job.id)) is not None
    session.refresh(job)
    return kept


def _drop_waiting(session: Session, job: Job) -> None:
    """End the chunks of a job and cancel the items that still wait."""
    fence(session, Chunk.job_id == job.id)
    waiting = update(JobItem).where(JobItem.job_id == job.id, JobItem.state == JobItemState.QUEUED)
    session.execute(waiting.values(state=JobItemState.CANCELLED, in_hand=False))


def _require_chunks(job: Job, what: str) -> None:
    if job.kind is JobKind.IMPORT:
        raise Conflict(f"job {job.id} is an import, which cannot be {what} here; see its own page")


def _move(session: Session, job: Job, states: tuple[JobState, ...], **values: object) -> bool:
    """Change a job that is in one of the states by now; False, with the job as it is, when it is not."""
    moving = update(Job).where(Job.id == job.id, Job.state.in_(states)).values(**values).returning(Job.id)
    moved = session.execute(moving, execution_options={"synchronize_session": False}).first() is not None
    session.refresh(job)
    return moved
