"""Pages of imports: what became of each file, and failed ones tried again."""

from typing import cast

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, jobs, uploads
from catalog.imports import reports
from catalog.imports.claims import retry as retry_failed
from catalog.schema import JobKind
from dashboard.forms import Form
from dashboard.progress import is_unfinished
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = Blueprint("imports", __name__, url_prefix="/imports")


@blueprint.get("/<int:import_id>")
def show(import_id: int) -> ResponseReturnValue:
    session = current_session()
    job = jobs.get(session, import_id, viewer=viewer(), kind=JobKind.IMPORT)
    failed = bool(job.failed) and request.args.get("files") != "all"
    return render_template(
        "import.html",
        job=job,
        collection=collections.get(session, cast(int, job.collection_id), viewer=viewer()),
        unfinished=is_unfinished(job),
        counts=reports.counts(session, job),
        failed=failed,
        page=reports.page(session, job, failed=failed, after=request.args.get("after", type=int)),
        form=Form(),
    )


@blueprint.post("/<int:import_id>/retry")
def retry(import_id: int) -> ResponseReturnValue:
    session = current_session()
    retry_failed(session, uploads.own(session, import_id, user=viewer()))
    commit()
    services().importer.wake()
    return redirect(url_for(".show", import_id=import_id), 303)
