"""Who works: the workers that live, and what each of them is at."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import workers
from catalog.chunks import lapsed
from catalog.jobs import visible
from catalog.schema import Chunk, ChunkState, Job, User, Worker


@dataclass(frozen=True)
class Post:
    """A living worker with the chunk that it has in hand. Which one is told to those who may see the job."""

    worker: Worker
    busy: bool = False
    job_id: int | None = None
    chunk: int | None = None


def roster(session: Session, *, viewer: User | None) -> list[Post]:
    """The living workers, by name."""
    held = (
        select(Chunk.worker_id, Chunk.job_id, Chunk.number, visible(viewer).label("seen"))
        .join(Job, Job.id == Chunk.job_id)
        .where(Chunk.state == ChunkState.CLAIMED, ~lapsed())
    )
    at = {
        worker_id: (True, job_id, number) if seen else (True,)
        for worker_id, job_id, number, seen in session.execute(held)
    }
    return [Post(worker, *at.get(worker.id, ())) for worker in workers.alive(session)]
