"""The fence: ends chunks, so that a worker which still holds one can write for it no more."""

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from catalog.schema import Chunk, ChunkState


def fence(session: Session, condition: ColumnElement[bool]) -> None:
    """Finish the chunks that meet the condition, under a token that nobody holds."""
    fenced = update(Chunk).where(condition, Chunk.state != ChunkState.FINISHED)
    session.execute(fenced.values(state=ChunkState.FINISHED, token=Chunk.token + 1, lease_expires=None))
