"""The API of retraining: started and watched. Pausing, cancelling and the log are those of all jobs."""

from typing import Any

from apiflask import APIBlueprint

from catalog import checkpoints, datasets, jobs, training_jobs
from catalog.queue import TRAIN_QUEUE
from catalog.schema import Job, JobKind
from dashboard.api.job_schemas import JobOut
from dashboard.api.training_schemas import TrainingJobIn, TrainingJobOut
from dashboard.etags import with_etag
from dashboard.progress import wake_workers
from dashboard.security import viewer
from dashboard.session import commit, current_session
from dashboard.training import Training, training_of

blueprint = APIBlueprint("api_training", __name__, url_prefix="/api/v1/training-jobs", tag="Retraining")


@blueprint.post("")
@blueprint.input(TrainingJobIn)
@blueprint.output(JobOut, status_code=202)
def create(json_data: dict[str, Any]) -> Job:
    """Start retraining on a frozen dataset, for whoever sees its collection.

    Answers 409, with the reason, for data that cannot be learnt from.
    """
    session = current_session()
    dataset = datasets.get(session, json_data.pop("dataset_id"), viewer=viewer())
    name, recipe = json_data.pop("checkpoint"), json_data["recipe"]
    base = checkpoints.by_name(session, name) if name else None
    if base is None and recipe is None:
        base = checkpoints.active(session)
    job = training_jobs.create(session, dataset, base=base, user=viewer(), **json_data)
    commit()
    wake_workers(TRAIN_QUEUE)
    return job


@blueprint.get("/<int:job_id>")
@with_etag
@blueprint.output(TrainingJobOut)
def show(job_id: int) -> Training:
    """Show the stage of a train job, its losses and scores, the time left, and what it learns from."""
    session = current_session()
    return training_of(session, jobs.get(session, job_id, viewer=viewer(), kind=JobKind.TRAIN))
