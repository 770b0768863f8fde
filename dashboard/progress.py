"""How jobs stand, in the form in which pages and the API show it."""

from dataclasses import dataclass

from flask import request
from sqlalchemy.orm import Session

from catalog import collections, job_commands, jobs, roster, training_runs, workers
from catalog.job_commands import Commands
from catalog.jobs import Failure
from catalog.pace import Pace, pace, paces
from catalog.pages import PAGE_SIZE, Listing
from catalog.queue import CAPTION_QUEUE, queue_of
from catalog.roster import Post
from catalog.schema import Job, JobKind, JobState
from catalog.training_runs import Brief
from dashboard.security import viewer
from dashboard.services import services


@dataclass(frozen=True)
class Listed:
    """A job as lists show it; only train jobs have a `run`."""

    job: Job
    collection: str | None
    pace: Pace
    run: Brief | None = None

    @property
    def work(self) -> str:
        """What the job does, in a word."""
        return "measure" if self.run and not self.run.trains else self.job.kind

    @property
    def finished(self) -> int:
        return finished(self.job)


@dataclass(frozen=True)
class Progress:
    """A job with its pace, its failures, the workers that live, and the lines that start it again."""

    job: Job
    pace: Pace
    failures: Listing[Failure]
    workers: list[Post]
    commands: Commands | None

    @property
    def finished(self) -> int:
        return finished(self.job)

    @property
    def waiting_for_a_worker(self) -> bool:
        needs_one = self.job.kind is not JobKind.IMPORT and self.job.state is not JobState.PAUSED
        there = any(post.worker.queue == queue_of(self.job.kind) for post in self.workers)
        return needs_one and is_unfinished(self.job) and not there


def progress_of(session: Session, job: Job, *, after: int | None = None) -> Progress:
    """How the job stands, with a page of its failures."""
    return Progress(
        job=job,
        pace=pace(session, job),
        failures=jobs.failures(session, job, after=after),
        workers=roster.roster(session, viewer=viewer()),
        commands=job_commands.commands(session, job, address=request.host_url),
    )


def listed(session: Session, *, after: int | None = None, limit: int = PAGE_SIZE) -> Listing[Listed]:
    """The jobs that the viewer may see, newest first."""
    found = jobs.recent(session, viewer=viewer(), after=after, limit=limit)
    names = collections.names(session, {job.collection_id for job in found.rows if job.collection_id})
    at = paces(session, found.rows)
    runs = training_runs.briefs(session, [job.id for job in found.rows if job.kind is JobKind.TRAIN])
    rows = [
        Listed(job, names.get(job.collection_id or 0), at[job.id], runs.get(job.id)) for job in found.rows
    ]
    return Listing(rows=rows, after=found.after)


def finished(job: Job) -> int:
    """The items of a job that are settled, whatever became of them."""
    return job.done + job.failed + job.skipped


def is_unfinished(job: Job) -> bool:
    return job.state in jobs.UNFINISHED


def wake_workers(queue: str = CAPTION_QUEUE) -> None:
    """Publish a wake-up for every living worker of a queue, once the work is committed.

    A broker that is down changes nothing but the delay: the reconciler publishes again.
    """
    with services().database.reading() as session:
        awake = len(workers.alive(session, queue=queue))
    services().queue.wake(max(awake, 1), queue=queue)
