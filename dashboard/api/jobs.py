"""The API of jobs: started, watched, paused, cancelled, tried again."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, stream_with_context

from catalog import checkpoints, collections, job_control, job_events, jobs
from catalog.job_events import Line
from catalog.jobs import Failure
from catalog.pages import Listing
from catalog.schema import Job
from dashboard.api.job_schemas import (
    EventsOut,
    FailuresOut,
    JobIn,
    JobOut,
    ListedJobOut,
    PriorityIn,
    ProgressOut,
)
from dashboard.api.schemas import NEXT_PAGE, PageQuery
from dashboard.etags import with_etag
from dashboard.job_changes import changed
from dashboard.paging import Answer, linked
from dashboard.progress import Listed, Progress, listed, progress_of, wake_workers
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_jobs", __name__, url_prefix="/api/v1/jobs", tag="Jobs")


def asked_for(job_id: int) -> Job:
    return jobs.get(current_session(), job_id, viewer=viewer())


@blueprint.get("")
@with_etag
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListedJobOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def listing(query_data: dict[str, Any]) -> Answer[Listed]:
    """List jobs, newest first, with an ETag for polling; the Link header leads to the next page."""
    return linked(listed(current_session(), **query_data))


@blueprint.post("")
@blueprint.input(JobIn)
@blueprint.output(JobOut, status_code=202)
def create(json_data: dict[str, Any]) -> Job:
    """Start captioning a collection. The job waits where no worker is there to do it."""
    session, name = current_session(), json_data["checkpoint"]
    job = jobs.create_caption_job(
        session,
        collections.get(session, json_data["collection_id"], viewer=viewer()),
        checkpoint=checkpoints.by_name(session, name) if name else checkpoints.active(session),
        user=viewer(),
        mode=json_data["mode"],
        priority=json_data["priority"],
    )
    commit()
    wake_workers()
    return job


@blueprint.get("/<int:job_id>")
@with_etag
@blueprint.output(ProgressOut)
def show(job_id: int) -> Progress:
    """Show how a job stands, with its first failures and the workers that live; with an ETag for polling."""
    return progress_of(current_session(), asked_for(job_id))


@blueprint.patch("/<int:job_id>")
@blueprint.input(PriorityIn)
@blueprint.output(JobOut)
def change(job_id: int, json_data: dict[str, Any]) -> Job:
    """Change the priority of a job that has not ended."""
    return changed(job_id, job_control.prioritise, **json_data)


@blueprint.post("/<int:job_id>/pause")
@blueprint.output(JobOut, status_code=202)
def pause(job_id: int) -> Job:
    """Pause a job: workers finish the chunks that they hold and begin no other one."""
    return changed(job_id, job_control.pause)


@blueprint.post("/<int:job_id>/resume")
@blueprint.output(JobOut, status_code=202)
def resume(job_id: int) -> Job:
    """Let a paused job go on."""
    return changed(job_id, job_control.resume)


@blueprint.post("/<int:job_id>/cancel")
@blueprint.output(JobOut, status_code=202)
def cancel(job_id: int) -> Job:
    """Cancel a job; what is done stays."""
    return changed(job_id, job_control.cancel)


@blueprint.post("/<int:job_id>/retry")
@blueprint.output(JobOut, status_code=202)
def retry(job_id: int) -> Job:
    """Do the failed items of a job again, and only those."""
    return changed(job_id, job_control.retry_failed)


@blueprint.get("/<int:job_id>/failures")
@blueprint.input(PageQuery, location="query")
@blueprint.output(FailuresOut)
def list_failures(job_id: int, query_data: dict[str, Any]) -> Listing[Failure]:
    """List the items that a job could not do; `after` continues."""
    return jobs.failures(current_session(), asked_for(job_id), **query_data)


@blueprint.get("/<int:job_id>/events")
@with_etag
@blueprint.input(PageQuery, location="query")
@blueprint.output(EventsOut)
def list_events(job_id: int, query_data: dict[str, Any]) -> Listing[Line]:
    """List what happened to a job, newest first, with an ETag for polling; `after` continues."""
    return job_events.newest(current_session(), asked_for(job_id), **query_data)


@blueprint.get("/<int:job_id>/log")
@blueprint.doc(responses={200: "The log, a line an event; tracebacks are indented."})
def log(job_id: int) -> Response:
    """Show what happened to a job as plain text, oldest first, with tracebacks."""
    lines = job_events.log(current_session(), asked_for(job_id))
    return Response(stream_with_context(lines), mimetype="text/plain")
