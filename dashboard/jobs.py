"""Pages of jobs: the list, and one job with all that people see and do of it."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, job_control, job_events, jobs
from catalog.roster import roster
from catalog.schema import JobKind
from dashboard.forms import Form, PriorityForm
from dashboard.job_changes import ACTIONS, changed
from dashboard.paging import wanted_place
from dashboard.progress import is_unfinished, listed, progress_of
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session

JOBS = 50  # jobs on a page
EVENTS = 30  # events on a page

blueprint = Blueprint("jobs", __name__)


@blueprint.get("/jobs")
def index() -> ResponseReturnValue:
    session, after = current_session(), wanted_place()
    return render_template(
        "jobs.html",
        jobs=listed(session, after=after, limit=JOBS),
        after=after,
        limit=JOBS,
        workers=roster(session, viewer=viewer()),
        troubles=services().troubles(session),
    )


@blueprint.get("/jobs/<int:job_id>")
def show(job_id: int) -> ResponseReturnValue:
    session = current_session()
    job = jobs.get(session, job_id, viewer=viewer())
    if job.kind is JobKind.IMPORT:
        return redirect(url_for("imports.show", import_id=job_id))
    events = request.args.get("events", type=int)
    return render_template(
        "job.html",
        job=job,
        unfinished=is_unfinished(job),
        collection=collections.get(session, job.collection_id, viewer=viewer())
        if job.collection_id
        else None,
        progress=progress_of(session, job, after=wanted_place()),
        events=job_events.newest(session, job, after=events, limit=EVENTS),
        troubles=services().troubles(session),
        form=Form(),
        priority_form=PriorityForm(priority=job.priority),
    )


@blueprint.post("/jobs/<int:job_id>/<any(pause, resume, cancel, retry):action>")
def act(job_id: int, action: str) -> ResponseReturnValue:
    changed(job_id, ACTIONS[action])
    return redirect(url_for(".show", job_id=job_id), 303)


@blueprint.post("/jobs/<int:job_id>/priority")
def prioritise(job_id: int) -> ResponseReturnValue:
    form = PriorityForm()
    form.require_valid()
    changed(job_id, job_control.prioritise, priority=form.priority.data)
    return redirect(url_for(".show", job_id=job_id), 303)


@blueprint.get("/jobs/<int:job_id>/cancel")
def confirm_cancel(job_id: int) -> ResponseReturnValue:
    job = jobs.get(current_session(), job_id, viewer=viewer())
    if not is_unfinished(job):
        return redirect(url_for(".show", job_id=job_id))
    return render_template("cancel_job.html", job=job, form=Form())
