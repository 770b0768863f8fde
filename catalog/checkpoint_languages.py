"""Languages of checkpoints: which one each writes, as far as anybody here knows."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import languages
from catalog.checkpoints import SHIPPED
from catalog.dataset_languages import primary
from catalog.errors import InvalidInput
from catalog.schema import Checkpoint, Job, TrainingRun

OF_SHIPPED = "en"


def written(session: Session, checkpoint: Checkpoint) -> str | None:
    """The language that a checkpoint writes, without its region; None where nobody here knows it.

    That of the train job that made it, or what its description says of its data. A copy under another name
    writes what the first one does.
    """
    equal = select(Checkpoint).where(Checkpoint.weights_sha256 == checkpoint.weights_sha256)
    same = session.scalars(equal.order_by(Checkpoint.id)).all()
    trained = (
        select(Job.options)
        .join(TrainingRun, TrainingRun.job_id == Job.id)
        .where(TrainingRun.checkpoint_id.in_([one.id for one in same]), TrainingRun.dataset_id.is_not(None))
    )
    told = (options.get("language") for options in session.scalars(trained.order_by(Job.id)))
    if found := next((one for one in told if one), None):
        return str(found)
    if any(one.name.startswith(SHIPPED) for one in same):
        return OF_SHIPPED
    return next((one for one in map(_described, same) if one), None)


def judged_in(session: Session, candidate: Checkpoint, active: Checkpoint) -> str | None:
    """The language of the references that a candidate for the place of the active one is judged by.

    Where nobody knows what the candidate writes, it has to do what the active one does.
    """
    return written(session, candidate) or written(session, active)


def _described(checkpoint: Checkpoint) -> str | None:
    """What a description from elsewhere says, which may be anything."""
    told: Any = checkpoint.description
    for name in ("lineage", "data", "language"):
        told = told.get(name) if isinstance(told, dict) else None
    try:
        return primary(languages.language(told))
    except InvalidInput:
        return None
