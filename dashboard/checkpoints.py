"""Pages of checkpoints: the list, one of them beside another one, promotion, files out and in."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import checkpoints, lineage, promotions, training_jobs
from catalog.errors import DamagedManifest, MissingBlob, NotFound
from catalog.lineage import CheckpointLineage
from catalog.queue import TRAIN_QUEUE
from catalog.schema import Checkpoint, CheckpointState
from dashboard.checkpoint_comparisons import Beside, beside
from dashboard.checkpoint_files import checkpoint_response, registered
from dashboard.checkpoint_lists import listed, shown
from dashboard.forms import Form, PromotionForm
from dashboard.paging import wanted_place
from dashboard.progress import wake_workers
from dashboard.security import require_admin, viewer
from dashboard.services import services
from dashboard.session import commit, current_session

PROMOTIONS = 20  # on a page

blueprint = Blueprint("checkpoints", __name__)


def asked_for(checkpoint_id: int) -> Checkpoint:
    return checkpoints.get(current_session(), checkpoint_id)


@blueprint.get("/checkpoints")
def index() -> ResponseReturnValue:
    session, after = current_session(), wanted_place()
    return render_template(
        "checkpoints.html",
        listing=listed(session, after=after),
        promotions=promotions.history(
            session, after=request.args.get("promotions", type=int), limit=PROMOTIONS
        ),
        back=promotions.way_back(session),
        form=Form(),
    )


@blueprint.get("/checkpoints/<int:checkpoint_id>")
def show(checkpoint_id: int) -> ResponseReturnValue:
    session, checkpoint = current_session(), asked_for(checkpoint_id)
    lines, damage = _lineage(checkpoint)
    return render_template(
        "checkpoint.html",
        checkpoint=checkpoint,
        shown=shown(session, checkpoint),
        beside=_beside(checkpoint),
        back=promotions.way_back(session),
        others=[one for one in checkpoints.newest(session).rows if one.id != checkpoint.id],
        lineage=lines,
        damage=damage,
        form=Form(),
        promotion_form=PromotionForm(),
    )


@blueprint.post("/checkpoints/<int:checkpoint_id>/promote")
def promote(checkpoint_id: int) -> ResponseReturnValue:
    form = PromotionForm()
    form.require_valid()
    checkpoint = asked_for(checkpoint_id)
    promotions.promote(current_session(), checkpoint, user=viewer(), reason=form.reason.data or None)
    commit()
    return redirect(url_for(".show", checkpoint_id=checkpoint_id, done="promoted"), 303)


@blueprint.post("/checkpoints/roll-back")
def roll_back() -> ResponseReturnValue:
    Form().require_valid()
    promotions.roll_back(current_session(), user=viewer())
    commit()
    return redirect(url_for(".index", done="back"), 303)


@blueprint.post("/checkpoints/<int:checkpoint_id>/measure")
def measure(checkpoint_id: int) -> ResponseReturnValue:
    Form().require_valid()
    job = training_jobs.create_measuring(current_session(), asked_for(checkpoint_id), user=viewer())
    commit()
    wake_workers(TRAIN_QUEUE)
    return redirect(url_for("jobs.show", job_id=job.id), 303)


@blueprint.get("/checkpoints/<int:checkpoint_id>/download")
def download(checkpoint_id: int) -> ResponseReturnValue:
    return checkpoint_response(services(), asked_for(checkpoint_id))


@blueprint.post("/checkpoints")
def upload() -> ResponseReturnValue:
    require_admin()
    Form().require_valid()
    checkpoint = registered(services(), request.files.getlist("files"))
    return redirect(url_for(".show", checkpoint_id=checkpoint.id, done="added"), 303)


def _beside(checkpoint: Checkpoint) -> Beside | None:
    """Beside the one that the address names, or the active one; the active one beside what it replaced."""
    session, against = current_session(), request.args.get("against", type=int)
    if against is not None:
        other: Checkpoint | None = checkpoints.get(session, against)
    elif checkpoint.state is CheckpointState.ACTIVE:
        other = promotions.way_back(session)
    else:
        other = _active()
    return beside(session, checkpoint, other) if other and other.id != checkpoint.id else None


def _active() -> Checkpoint | None:
    try:
        return checkpoints.active(current_session())
    except NotFound:
        return None


def _lineage(checkpoint: Checkpoint) -> tuple[CheckpointLineage | None, str]:
    try:
        found = lineage.of_checkpoint(current_session(), services().blobs, checkpoint, viewer=viewer())
    except (MissingBlob, DamagedManifest) as error:
        return None, str(error)
    return found, ""
