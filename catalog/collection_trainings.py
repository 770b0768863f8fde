"""Trainings of a collection: they outlive it, so that what a captioner learned from stays known."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from catalog.errors import Conflict
from catalog.schema import Collection, Job, JobKind, JobState

ENDED = (JobState.DONE, JobState.CANCELLED, JobState.FAILED)


def let_go(session: Session, collection: Collection) -> None:
    """Keep the ended train jobs of a collection that is about to go, without it.

    Lineage, replay and the leaks that the gate looks for are read from their runs. Raises Conflict while one
    is at work.
    """
    its_own = (Job.collection_id == collection.id, Job.kind == JobKind.TRAIN)
    # Ended ones first: what is retried meanwhile is then found at work.
    kept = update(Job).where(*its_own, Job.state.in_(ENDED)).values(collection_id=None)
    session.execute(kept, execution_options={"synchronize_session": False})
    if job := session.execute(select(Job.id, Job.state).where(*its_own).order_by(Job.id).limit(1)).first():
        raise Conflict(
            f"{collection.name!r} cannot be deleted while job {job.id} trains on it ({job.state}); "
            f"cancel the job, or wait until it has ended"
        )
