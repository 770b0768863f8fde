"""How fast jobs go and how long they still take, as their latest chunks tell, and not the present moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, union_all
from sqlalchemy.orm import Session

from catalog.schema import Chunk, Job, JobItem, JobState

RECENT = 20  # chunks by which the pace is told


@dataclass(frozen=True)
class Pace:
    """How a job gets on; None while nothing is known: before its first chunk, in a pause, at the end."""

    items_per_second: float | None
    seconds_left: float | None


UNKNOWN = Pace(items_per_second=None, seconds_left=None)


def pace(session: Session, job: Job) -> Pace:
    """The pace of a job since it last began to run or went on.

    Asked again while nothing happened, it is the same: pages that poll see no change.
    """
    return paces(session, [job])[job.id]


def paces(session: Session, jobs: Sequence[Job]) -> dict[int, Pace]:
    """The pace of each job, by its id, in one statement at most."""
    running = [job for job in jobs if job.state is JobState.RUNNING and job.running_since is not None]
    finished: dict[int, list[tuple[float, int]]] = {job.id: [] for job in running}
    if running:
        latest = union_all(*(select(_latest(job).subquery()) for job in running))
        for job_id, finished_at, items in session.execute(latest):
            finished[job_id].append((finished_at, items))
    known = {job.id: _pace(job, finished[job.id]) for job in running}
    return {job.id: known.get(job.id, UNKNOWN) for job in jobs}


def rate_in_words(rate: float) -> str:
    """Photos a second, as people read it."""
    digits = 0 if rate >= 10 else 1 if rate >= 1 else 2
    return f"{rate:,.{digits}f} photos/s"


def left_in_words(seconds: float, *, work: bool = False) -> str:
    """The time left, no more exact than anybody can know it; that of people's `work` has no days."""
    left = "of work" if work else "left"
    minutes, hours, days = (int(seconds / unit + 0.5) for unit in (60, 3600, 86_400))
    if minutes < 1:
        return f"less than a minute {left}"
    if minutes < 90:
        return f"about {minutes} min {left}"
    return f"about {hours} h {left}" if work or hours < 48 else f"about {days} days {left}"


def in_words(pace: Pace) -> str:
    """Rate and time left in a few words; nothing where they are unknown."""
    if pace.items_per_second is None or pace.seconds_left is None:
        return ""
    return f"{rate_in_words(pace.items_per_second)}, {left_in_words(pace.seconds_left)}"


def _latest(job: Job) -> Select[Any]:
    """The chunks that finished last since the job began to run, and the one before them, with their items."""
    items = (
        select(func.count())
        .select_from(JobItem)
        .where(JobItem.job_id == Chunk.job_id, JobItem.chunk_number == Chunk.number)
    )
    return (
        select(Chunk.job_id, Chunk.finished_at, items.scalar_subquery().label("items"))
        .where(Chunk.job_id == job.id, Chunk.finished_at >= job.running_since)
        .order_by(Chunk.finished_at.desc())
        .limit(RECENT + 1)
    )


def _pace(job: Job, finished: list[tuple[float, int]]) -> Pace:
    finished = sorted(finished, reverse=True)
    began = finished[RECENT][0] if len(finished) > RECENT else job.running_since or 0.0
    items = sum(count for _, count in finished[:RECENT])
    elapsed = finished[0][0] - began if finished else 0.0
    if elapsed <= 0.0 or items == 0:
        return UNKNOWN
    left = job.total - job.done - job.failed - job.skipped
    return Pace(items_per_second=items / elapsed, seconds_left=left * elapsed / items)
