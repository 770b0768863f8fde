"""How a job stands, in the form in which pages and the API show it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from catalog import jobs, workers
from catalog.jobs import Failure
from catalog.pages import Listing
from catalog.schema import Job, JobKind, JobState, Worker
from dashboard.services import services


@dataclass(frozen=True)
class Progress:
    """A job with its failures and the workers that live. `finished` counts items, whatever became of them."""

    job: Job
    failures: Listing[Failure]
    workers: list[Worker]

    @property
    def finished(self) -> int:
        return self.job.done + self.job.failed + self.job.skipped

    @property
    def waiting_for_a_worker(self) -> bool:
        needs_one = self.job.kind is not JobKind.IMPORT and self.job.state is not JobState.PAUSED
        return needs_one and is_unfinished(self.job) and not self.workers


def progress_of(session: Session, job: Job, *, after: int | None = None) -> Progress:
    """How the job stands, with a page of its failures."""
    failures = jobs.failures(session, job, after=after)
    return Progress(job=job, failures=failures, workers=list(workers.alive(session)))


def is_unfinished(job: Job) -> bool:
    return job.state in jobs.UNFINISHED


def wake_workers() -> None:
    """Publish a wake-up for every living worker, once the work is committed.

    A broker that is down changes nothing but the delay: the reconciler publishes again.
    """
    with services().database.reading() as session:
        awake = len(workers.alive(session))
    services().queue.wake(max(awake, 1))
