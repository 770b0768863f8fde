"""Workers and their devices, as rows with heartbeats."""

from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from catalog.database import database_clock
from catalog.schema import Chunk, ChunkState, Worker, utc_now

ALIVE_FOR = 60.0  # seconds without a heartbeat after which nobody counts on a worker
FORGOTTEN_AFTER = 86_400.0  # seconds without a heartbeat after which its row goes


def register(session: Session, *, name: str, device: str, version: str) -> int:
    """Announce a worker, or announce it anew after a restart; returns its id."""
    session.execute(delete(Worker).where(Worker.heartbeat < database_clock() - FORGOTTEN_AFTER))
    worker = session.scalar(select(Worker).where(Worker.name == name))
    if worker is None:
        worker = Worker(name=name, device=device, version=version, heartbeat=0.0)
        session.add(worker)
    worker.device, worker.version, worker.started_at = device, version, utc_now()
    session.flush()
    beat(session, worker.id)
    return worker.id


def beat(session: Session, worker_id: int) -> None:
    session.execute(update(Worker).where(Worker.id == worker_id).values(heartbeat=database_clock()))


def alive(session: Session) -> Sequence[Worker]:
    """The workers that were heard of lately."""
    lately = Worker.heartbeat > database_clock() - ALIVE_FOR
    return session.scalars(select(Worker).where(lately).order_by(Worker.name)).all()


def bury(session: Session, name: str) -> None:
    """Expire at once what a worker held that is known to be dead, so that nobody waits for its leases."""
    worker_id = session.scalar(select(Worker.id).where(Worker.name == name))
    held = update(Chunk).where(Chunk.worker_id == worker_id, Chunk.state == ChunkState.CLAIMED)
    session.execute(held.values(lease_expires=0.0))
    session.execute(update(Worker).where(Worker.id == worker_id).values(heartbeat=0.0))
