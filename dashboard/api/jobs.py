"""The API of jobs: started, watched, cancelled."""

from typing import Any

from apiflask import APIBlueprint

from catalog import checkpoints, collections, jobs
from catalog.jobs import Failure
from catalog.pages import Listing
from catalog.schema import Job
from dashboard.api.schemas import NEXT_PAGE, FailuresOut, JobIn, JobOut, PageQuery, ProgressOut
from dashboard.etags import with_etag
from dashboard.paging import Answer, linked
from dashboard.progress import Progress, progress_of, wake_workers
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_jobs", __name__, url_prefix="/api/v1/jobs", tag="Jobs")


@blueprint.get("")
@blueprint.input(PageQuery, location="query")
@blueprint.output(JobOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def listing(query_data: dict[str, Any]) -> Answer[Job]:
    """List jobs, newest first; the Link header leads to the next page."""
    return linked(jobs.recent(current_session(), viewer=viewer(), **query_data))


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


@blueprint.get("/<int:job_id>/failures")
@blueprint.input(PageQuery, location="query")
@blueprint.output(FailuresOut)
def list_failures(job_id: int, query_data: dict[str, Any]) -> Listing[Failure]:
    """List the items that a job could not do; `after` continues."""
    session = current_session()
    return jobs.failures(session, jobs.get(session, job_id, viewer=viewer()), **query_data)


@blueprint.get("/<int:job_id>")
@with_etag
@blueprint.output(ProgressOut)
def show(job_id: int) -> Progress:
    """Show how a job stands, with its first failures and the workers that live; with an ETag for polling."""
    session = current_session()
    return progress_of(session, jobs.get(session, job_id, viewer=viewer()))


@blueprint.post("/<int:job_id>/cancel")
@blueprint.output(JobOut)
def cancel(job_id: int) -> Job:
    """Cancel a job; what is done stays."""
    session = current_session()
    job = jobs.get(session, job_id, viewer=viewer())
    jobs.cancel(session, job)
    commit()
    return job
