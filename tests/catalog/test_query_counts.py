"""What a worker asks of the database and writes for an image, whatever the size of the job."""

from collections.abc import Callable

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from catalog import chunks, jobs, recording, workers
from catalog.chunks import Claim
from catalog.database import Database
from catalog.recording import Written
from catalog.schema import ITEM_COUNTS, Base, Checkpoint, Collection

Filled = Callable[..., tuple[int, list[int], int]]
Outcomes = Callable[[Claim], list[Written]]


def rows_written(session: Session) -> int:
    """Rows that this transaction has written, those of triggers included.

    Left out are SQLite's search index, and the counts of items, whose rows are summed up now and then.
    """
    if session.get_bind().dialect.name == "sqlite":
        return session.scalar(text("SELECT max(number) FROM written")) or 0
    counted = (
        "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables WHERE relname <> :left"
    )
    return int(session.scalar(text(counted), {"left": ITEM_COUNTS.name}) or 0)


def watch(session: Session) -> None:
    """Let SQLite count, in temporary triggers, what PostgreSQL counts by itself."""
    if session.get_bind().dialect.name != "sqlite":
        return
    session.execute(text("CREATE TEMP TABLE IF NOT EXISTS written (number)"))
    session.execute(text("INSERT INTO written VALUES (0)"))
    for table in Base.metadata.tables:
        for verb in ("INSERT", "UPDATE", "DELETE"):
            counting = f"AFTER {verb} ON main.{table} BEGIN UPDATE written SET number = number + 1; END"
            session.execute(text(f"CREATE TEMP TRIGGER IF NOT EXISTS {table}_{verb} {counting}"))


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_chunk_takes_the_same_statements_and_rows_in_a_small_job_and_a_large_one(
    database: Database, filled: Filled, written: Outcomes, mode: str
) -> None:
    taken = {}
    for chunks_in_job in (2, 12):
        with database.writing() as session:
            collection_id, _, checkpoint_id = filled(
                session, chunks_in_job * jobs.CHUNK_SIZE, f"{chunks_in_job}"
            )
            collection = session.get_one(Collection, collection_id)
            checkpoint = session.get_one(Checkpoint, checkpoint_id)
            jobs.create_caption_job(
                session, collection, checkpoint=checkpoint, user=None, mode=mode, priority=chunks_in_job
            )
            worker_id = workers.register(session, name="one", device="cpu", version="0")
        taken[chunks_in_job] = _chunk(database, worker_id, written)
    assert taken[2] == taken[12]
    statements, rows = taken[2]
    assert statements > 5
    assert rows >= 4 * jobs.CHUNK_SIZE


def _chunk(database: Database, worker_id: int, written: Outcomes) -> tuple[int, int]:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with database.writing() as session:
        held = chunks.claim(session, worker_id=worker_id)
        assert held
    with database.writing() as session:
        watch(session)
        before = rows_written(session)
        event.listen(database.engine, "before_cursor_execute", note)
        recording.record(session, held, written(held))
        session.flush()
        event.remove(database.engine, "before_cursor_execute", note)
        return len(statements), rows_written(session) - before
