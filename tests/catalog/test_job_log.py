"""The log of a job, on both databases."""

from collections.abc import Callable

from sqlalchemy import event, insert

from catalog import job_events, jobs
from catalog.database import Database
from catalog.schema import Checkpoint, Collection, JobEvent, Severity, User

Filled = Callable[..., tuple[int, list[int], int]]


def test_a_long_log_is_read_in_order_and_in_one_statement(
    database: Database, filled: Filled, new_user: Callable[..., User]
) -> None:
    with database.writing() as session:
        collection_id, _, checkpoint_id = filled(session, 1)
        collection = session.get_one(Collection, collection_id)
        checkpoint = session.get_one(Checkpoint, checkpoint_id)
        ada = new_user(session, "ada")
        job = jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=ada)
        other = jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=ada)
        told = {"job_id": job.id, "action": "broke", "severity": Severity.ERROR, "details": "one\ntwo"}
        rows = [told | {"text": f"number {number}"} for number in range(2 * job_events.LOG_PAGE + 1)]
        session.execute(insert(JobEvent), rows)
        job_events.append(session, other.id, "paused", "of another job")
    statements: list[str] = []
    with database.reading() as session:
        session.connection()
        event.listen(database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
        entries = list(job_events.log(session, job))
    assert len(statements) == 1
    assert entries[0].endswith("UTC  info     created for 1 item (ada)\n")
    assert [entry.splitlines()[0].rpartition(" ")[2] for entry in entries[1:]] == [
        str(number) for number in range(2 * job_events.LOG_PAGE + 1)
    ]
    assert entries[-1].splitlines()[1:] == ["    one", "    two"]
