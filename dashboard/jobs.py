"""Pages of jobs: the list, and one job with all that people see and do of it."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import checkpoints, collections, gate, job_control, job_events, jobs
from catalog.roster import roster
from catalog.schema import CheckpointState, Job, JobKind
from dashboard.forms import Form, PriorityForm
from dashboard.job_changes import ACTIONS, changed
from dashboard.paging import wanted_place
from dashboard.progress import is_unfinished, listed, progress_of
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session
from dashboard.training import training_of

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
    told = _told_of_training(job) if job.kind is JobKind.TRAIN else {}
    return render_template(
        "training_job.html" if told else "job.html",
        **told,
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


def _told_of_training(job: Job) -> dict[str, Any]:
    """What the page of a train job says besides; the verdict stands once there is a checkpoint to judge."""
    session, training = current_session(), training_of(current_session(), job)
    made, verdict = training.made, None
    if made and not is_unfinished(job) and made.state is CheckpointState.CANDIDATE:
        verdict = gate.verdict(session, made, checkpoints.active(session), viewer=viewer())
    return {"training": training, "verdict": verdict}
