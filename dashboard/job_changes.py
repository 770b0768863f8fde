"""What people do to jobs, on pages and through the API."""

from collections.abc import Callable
from typing import Any

from catalog import job_control, jobs, uploads
from catalog.queue import queue_of
from catalog.schema import Job, JobKind
from dashboard.progress import wake_workers
from dashboard.security import viewer
from dashboard.session import commit, current_session

ACTIONS: dict[str, Callable[..., object]] = {
    "pause": job_control.pause,
    "resume": job_control.resume,
    "cancel": job_control.cancel,
    "retry": job_control.retry_failed,
}


def changed(job_id: int, change: Callable[..., object], **options: Any) -> Job:
    """The job after a change by its viewer; workers are woken where there is something to do now."""
    session = current_session()
    job = jobs.get(session, job_id, viewer=viewer())
    if job.kind is JobKind.IMPORT:
        uploads.own(session, job_id, user=viewer())
    change(session, job, user=viewer(), **options)
    commit()
    if job.state in jobs.WORKABLE:
        wake_workers(queue_of(job.kind))
    return job
