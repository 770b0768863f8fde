"""Pages of jobs: the list, and one job's progress."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, jobs, workers
from catalog.schema import JobKind
from dashboard.forms import Form
from dashboard.paging import wanted_place
from dashboard.progress import progress_of
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = Blueprint("jobs", __name__)


@blueprint.get("/jobs")
def index() -> ResponseReturnValue:
    session = current_session()
    recent = jobs.recent(session, viewer=viewer(), after=wanted_place())
    names = collections.names(session, {job.collection_id for job in recent.rows if job.collection_id})
    return render_template("jobs.html", jobs=recent, names=names, workers=workers.alive(session))


@blueprint.get("/jobs/<int:job_id>")
def show(job_id: int) -> ResponseReturnValue:
    session = current_session()
    job = jobs.get(session, job_id, viewer=viewer())
    if job.kind is JobKind.IMPORT:
        return redirect(url_for("imports.show", import_id=job_id))
    collection = collections.get(session, job.collection_id, viewer=viewer()) if job.collection_id else None
    progress = progress_of(session, job, after=wanted_place())
    return render_template("job.html", job=job, collection=collection, progress=progress, form=Form())


@blueprint.post("/jobs/<int:job_id>/cancel")
def cancel(job_id: int) -> ResponseReturnValue:
    session = current_session()
    jobs.cancel(session, jobs.get(session, job_id, viewer=viewer()))
    commit()
    return redirect(url_for(".show", job_id=job_id), 303)
