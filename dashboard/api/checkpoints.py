"""The API of checkpoints: listed, compared, measured, promoted, rolled back, sent out and taken in."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from catalog import checkpoints, lineage, promotions, training_jobs
from catalog.errors import InvalidInput
from catalog.queue import TRAIN_QUEUE
from catalog.schema import Checkpoint, Job, Promotion
from dashboard.api.checkpoint_schemas import (
    AgainstQuery,
    CheckpointUploadIn,
    ComparisonOut,
    ListedCheckpointOut,
    PromotionIn,
    PromotionOut,
    ShownCheckpointOut,
)
from dashboard.api.job_schemas import JobOut
from dashboard.api.schemas import NEXT_PAGE, PageQuery
from dashboard.checkpoint_comparisons import Beside, beside
from dashboard.checkpoint_files import checkpoint_response, registered
from dashboard.checkpoint_lists import Shown, listed, shown
from dashboard.paging import Answer, linked
from dashboard.progress import wake_workers
from dashboard.security import require_admin, viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_checkpoints", __name__, url_prefix="/api/v1/checkpoints", tag="Checkpoints")


def asked_for(checkpoint_id: int) -> Checkpoint:
    return checkpoints.get(current_session(), checkpoint_id)


@blueprint.get("")
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListedCheckpointOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def listing(query_data: dict[str, Any]) -> Answer[Shown]:
    """List the active checkpoint, then the others, newest first; the Link header leads to the next page."""
    return linked(listed(current_session(), **query_data))


@blueprint.post("")
@blueprint.input(CheckpointUploadIn, location="files")
@blueprint.output(ListedCheckpointOut, status_code=201)
def upload(files_data: dict[str, Any]) -> Shown:
    """Take in a checkpoint, as a zip or as its two files, once it is checked. For admins."""
    require_admin()
    return shown(current_session(), registered(services(), files_data["files"]))


@blueprint.post("/rollback")
@blueprint.output(PromotionOut)
def roll_back() -> Promotion:
    """Take the latest promotion back: the checkpoint before it captions again. For admins."""
    promotion = promotions.roll_back(current_session(), user=viewer())
    commit()
    return promotion


@blueprint.get("/<int:checkpoint_id>")
@blueprint.output(ShownCheckpointOut)
def show(checkpoint_id: int) -> dict[str, Any]:
    """Show a checkpoint: what it is, where it comes from, and what came of it."""
    session, checkpoint = current_session(), asked_for(checkpoint_id)
    told = shown(session, checkpoint)
    lines = lineage.of_checkpoint(session, services().blobs, checkpoint, viewer=viewer())
    description = _described(checkpoint, hidden=lines.run is not None and lines.dataset is None)
    names = ("checkpoint", "origin", "words", "golden", "golden_name", "scores")
    own = {name: getattr(told, name) for name in names}
    return {**own, "lineage": lines, "description": description}


@blueprint.get("/<int:checkpoint_id>/comparison")
@blueprint.input(AgainstQuery, location="query")
@blueprint.output(ComparisonOut)
def compare(checkpoint_id: int, query_data: dict[str, str]) -> Beside:
    """Compare a checkpoint with another one on the same photos: scores, verdict, regressions, impact."""
    session, checkpoint = current_session(), asked_for(checkpoint_id)
    name = query_data.get("against")
    other = checkpoints.by_name(session, name) if name else checkpoints.active(session)
    if other.id == checkpoint.id:
        raise InvalidInput(f"{checkpoint.name} cannot be compared with itself; name another one as `against`")
    return beside(session, checkpoint, other)


@blueprint.post("/<int:checkpoint_id>/promote")
@blueprint.input(PromotionIn)
@blueprint.output(PromotionOut)
def promote(checkpoint_id: int, json_data: dict[str, Any]) -> Promotion:
    """Make a checkpoint the active one. For admins; what the gate does not call better needs a reason."""
    promotion = promotions.promote(current_session(), asked_for(checkpoint_id), user=viewer(), **json_data)
    commit()
    return promotion


@blueprint.post("/<int:checkpoint_id>/measure")
@blueprint.output(JobOut, status_code=202)
def measure(checkpoint_id: int) -> Job:
    """Start a job that scores a checkpoint, and the active one, on every golden set."""
    job = training_jobs.create_measuring(current_session(), asked_for(checkpoint_id), user=viewer())
    commit()
    wake_workers(TRAIN_QUEUE)
    return job


@blueprint.get("/<int:checkpoint_id>/download")
@blueprint.doc(responses={200: "A zip of checkpoint.json and weights.safetensors."})
def download(checkpoint_id: int) -> Response:
    """Download a checkpoint."""
    return checkpoint_response(services(), asked_for(checkpoint_id))


def _described(checkpoint: Checkpoint, *, hidden: bool) -> dict[str, Any]:
    """The description without its vocabulary; where the dataset is `hidden`, without what names it."""
    told = {name: value for name, value in checkpoint.description.items() if name != "vocabulary"}
    came = told.get("lineage")
    if hidden and isinstance(came, dict):
        told["lineage"] = {name: value for name, value in came.items() if name != "data"}
    return told
