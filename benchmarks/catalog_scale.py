"""How long the dashboard's answers and the worker's transactions take on a large catalog; prints JSON.

    python -m benchmarks.catalog_scale > benchmarks/results/catalog_scale.json

Everything is made in a throw-away database and folder, measured through the application as a browser would
ask it, and removed again. Times are in milliseconds.
"""

import argparse
import io
import json
import os
import platform
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, text, update
from sqlalchemy.orm import Session

from benchmarks.catalog_seed import LATE, RARE, Seed, Seeded, fill
from catalog import accounts, chunks, exports, jobs, recording, workers
from catalog.database import Database, migrate
from catalog.recording import Written
from catalog.schema import (
    ITEM_COUNTS,
    Base,
    Checkpoint,
    CheckpointState,
    Chunk,
    ChunkState,
    Collection,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobState,
    ReviewState,
    Role,
)
from catalog.settings import load_settings
from dashboard.app import create_app

SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"
CHUNKS = 15  # a job of 1,000 items has that many whole ones


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", default=SERVER, help="a server on which databases may be created")
    parser.add_argument("--postgresql-items", type=int, default=1_000_000, help="0: leave PostgreSQL out")
    parser.add_argument("--sqlite-items", type=int, default=100_000, help="0: leave SQLite out")
    parser.add_argument("--job-sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}}
    for name, count in (("sqlite", options.sqlite_items), ("postgresql", options.postgresql_items)):
        if count:
            with tempfile.TemporaryDirectory() as home, _database(name, options.postgresql, home) as url:
                result[name] = _measured(url, Path(home), count, options.job_sizes, options.runs)
    print(json.dumps(result, indent=1))


@contextmanager
def _database(name: str, server: str, home: str) -> Iterator[str]:
    """The address of a new database, which goes at the end."""
    if name == "sqlite":
        yield f"sqlite:///{home}/recaption.sqlite"
        return
    made = f"recaption_benchmark_{uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{made}"')
        try:
            yield f"{server.rpartition('/')[0]}/{made}"
        finally:
            connection.execute(f'DROP DATABASE "{made}" WITH (FORCE)')


def _measured(url: str, home: Path, count: int, job_sizes: list[int], runs: int) -> dict[str, Any]:
    database = Database(url)
    seed = Seed(count, job_sizes)
    seeding = _seconds(lambda: fill(database, seed))
    migrating = _seconds(lambda: migrate(url))
    _analyze(database)
    settings = load_settings({"RECAPTION_HOME": str(home), "RECAPTION_DATABASE_URL": url})
    settings.prepare_home()
    app = create_app(settings, reconcile=False)
    measured = {
        "version": _version(database),
        "items": count,
        "seeded_in_seconds": seeding,
        "migrated_to_search_in_seconds": migrating,
        "answers": _answers(database, app.test_client(), seed.made(), runs),
        "worker": {str(size): _worker(database, made) for size, made in seed.made().jobs.items()},
        "export": {str(size): _export(database, made) for size, made in seed.made().jobs.items()},
    }
    app.extensions["recaption"].database.close()
    database.close()
    return measured


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 1)


def _analyze(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if database.is_sqlite else "VACUUM ANALYZE"))


def _version(database: Database) -> str:
    with database.reading() as session:
        query = "SELECT sqlite_version()" if database.is_sqlite else "SHOW server_version"
        return str(session.scalar(text(query)))


def _answers(database: Database, client: FlaskClient, made: Seeded, runs: int) -> dict[str, Any]:
    with database.writing() as session:
        secret = accounts.create_login_link(
            session, accounts.create_user(session, name="ada", role=Role.ADMIN, password=None)
        )
        job = _running_job(session, made.jobs[max(made.jobs)])
        deep = _in_the_middle(session, made.huge, None)
        middle = _in_the_middle(session, made.huge, ReviewState.PENDING)
    client.get(f"/login/link/{secret}")
    huge, common, second = f"/collections/{made.huge}", made.common, made.second
    addresses = {
        "list of collections": "/",
        "first page": huge,
        "deep page": f"{huge}?after={deep}",
        "pending": f"{huge}?state=pending",
        "deep page of pending": f"{huge}?state=pending&after={middle}",
        "20 rejected": f"{huge}?state=rejected",
        "search, rare word": f"{huge}?q={RARE}",
        "search, word of the last tenth": f"{huge}?q={LATE}",
        "search, most common word": f"{huge}?q={common}",
        "search, most common word, deep page": f"{huge}?q={common}&after={deep}",
        "search, two common words": f"{huge}?q={common}+{second}",
        "search, rare and common word": f"{huge}?q={common}+{RARE}",
        "search, phrase": f"{huge}?q=%22{common}+{second}%22",
        "search, common word in pending": f"{huge}?state=pending&q={common}",
        "search, common word in 20 rejected": f"{huge}?state=rejected&q={common}",
        "search, beginning of one letter": f"{huge}?q={common[0]}*",
        "search, long beginning": f"{huge}?q=lightho*",
        "search, word of nobody": f"{huge}?q=xylograph",
        "search, small collection": f"/collections/2?q={common}",
        "review: first pending": f"{huge}/review?state=pending",
        "review: first hit in pending": f"{huge}/review?state=pending&q={common}",
        "review: an item with its neighbours": f"/items/{middle}?state=pending",
        "review: neighbours among 20 rejected": f"/items/{middle}?state=rejected",
        "review: neighbours among hits": f"/items/{middle}?state=pending&q={common}",
        "review: neighbours among few hits": f"/items/{middle}?q={RARE}",
        "jobs": "/jobs",
        "progress of a job": f"/api/v1/jobs/{job}",
        "page of a job": f"/jobs/{job}",
        "API: first page": f"/api/v1{huge}/items",
    }
    return {name: _times(client, address, runs) for name, address in addresses.items()}


def _times(client: FlaskClient, address: str, runs: int) -> dict[str, float]:
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        answer = client.get(address, buffered=True)
        times.append(1000 * (time.perf_counter() - start))
        if answer.status_code not in (200, 302):
            raise RuntimeError(f"{address} answered {answer.status}")
    print(f"{median(times[2:]):8.1f} ms  {address}", file=sys.stderr)
    return {"median": round(median(times[2:]), 1), "worst": round(max(times[2:]), 1)}


def _in_the_middle(session: Session, collection_id: int, state: ReviewState | None) -> int:
    highest = session.scalar(select(func.max(Item.position)).where(Item.collection_id == collection_id)) or 0
    query = select(Item.id).where(Item.collection_id == collection_id, Item.position >= highest // 2)
    query = query.where(Item.review_state == state) if state else query
    return session.scalars(query.order_by(Item.position).limit(1)).one()


def _job(session: Session, collection_id: int) -> Job:
    checkpoint = session.scalar(select(Checkpoint).limit(1))
    if checkpoint is None:
        checkpoint = Checkpoint(
            name="benchmark",
            state=CheckpointState.ACTIVE,
            weights_sha256="0" * 64,
            description_sha256="1" * 64,
            description={"name": "benchmark"},
        )
        session.add(checkpoint)
        session.flush()
    collection = session.get_one(Collection, collection_id)
    return jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None, mode="add")


def _running_job(session: Session, collection_id: int) -> int:
    """A job in its middle, with some failures."""
    job = _job(session, collection_id)
    done = update(JobItem).where(JobItem.job_id == job.id)
    half = job.total // jobs.CHUNK_SIZE // 2
    session.execute(done.where(JobItem.chunk_number < half).values(state=JobItemState.DONE))
    failed = done.where(JobItem.item_id % 100 == 0, JobItem.chunk_number < half)
    session.execute(failed.values(state=JobItemState.FAILED, error="the picture cannot be decoded"))
    job.failed = (
        session.scalar(
            select(func.count()).where(JobItem.job_id == job.id, JobItem.state == JobItemState.FAILED)
        )
        or 0
    )
    job.done = half * jobs.CHUNK_SIZE - job.failed
    # Paused, so that the workers measured later leave it alone.
    job.state = JobState.PAUSED
    return job.id


def _worker(database: Database, collection_id: int) -> dict[str, Any]:
    """CHUNKS chunks at the beginning of a job and as many at its end, each claimed and recorded."""
    with database.writing() as session:
        job = _job(session, collection_id)
        worker_id = workers.register(session, name="benchmark", device="cpu", version="0")
    _analyze(database)
    times, statements = zip(*(_chunk(database, worker_id) for _ in range(CHUNKS - 1)), strict=True)
    rows = _rows_a_chunk(database, worker_id)
    with database.writing() as session:
        last = job.total // jobs.CHUNK_SIZE - CHUNKS - 1
        session.execute(
            update(Chunk).where(Chunk.job_id == job.id, Chunk.number < last).values(state=ChunkState.FINISHED)
        )
    ends: list[float] = []
    while job.total > 2 * CHUNKS * jobs.CHUNK_SIZE and len(ends) < CHUNKS:
        ends.append(_chunk(database, worker_id)[0])
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == job.id).values(state=JobState.DONE))
    return {
        "statements_a_chunk": sorted(set(statements)),
        "rows_written_an_image": round(rows / jobs.CHUNK_SIZE, 2),
        "milliseconds_a_chunk": {"median": round(median(times), 1), "worst": round(max(times), 1)},
        "milliseconds_a_chunk_at_the_end": round(median(ends), 1) if ends else None,
    }


def _chunk(database: Database, worker_id: int) -> tuple[float, int]:
    """Milliseconds and statements for one chunk."""
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(database.engine, "before_cursor_execute", count)
    start = time.perf_counter()
    with database.writing() as session:
        claim = chunks.claim(session, worker_id=worker_id)
    assert claim is not None
    with database.writing() as session:
        recording.record(session, claim, [_outcome(item.item_id) for item in claim.items])
    taken = 1000 * (time.perf_counter() - start)
    event.remove(database.engine, "before_cursor_execute", count)
    return taken, statements


def _rows_a_chunk(database: Database, worker_id: int) -> int:
    """Rows that one chunk writes, those of triggers included; of SQLite's search index, none are counted."""
    with database.writing() as session:
        claim = chunks.claim(session, worker_id=worker_id)
        assert claim is not None
        if database.is_sqlite:
            _count_writes(session)
        before = _rows_written(session)
        recording.record(session, claim, [_outcome(item.item_id) for item in claim.items])
        return _rows_written(session) - before


def _count_writes(session: Session) -> None:
    session.execute(text("CREATE TEMP TABLE IF NOT EXISTS written (number)"))
    session.execute(text("INSERT INTO written VALUES (0)"))
    for table in (*Base.metadata.tables, ITEM_COUNTS.name):
        for verb in ("INSERT", "UPDATE", "DELETE"):
            name = f"IF NOT EXISTS {table}_{verb}"
            counting = "BEGIN UPDATE written SET number = number + 1; END"
            session.execute(text(f"CREATE TEMP TRIGGER {name} AFTER {verb} ON main.{table} {counting}"))


def _rows_written(session: Session) -> int:
    if session.get_bind().dialect.name == "sqlite":
        return int(session.scalar(text("SELECT max(number) FROM written")) or 0)
    counted = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables"
    return int(session.scalar(text(counted)) or 0)


def _outcome(item_id: int) -> Written:
    return Written(
        item_id=item_id,
        text=f"A boat lies in the harbour beside pier {item_id}.",
        score=-0.5,
        tokens=["a", "boat", "lies", "in", "the", "harbour"],
        token_probabilities=[0.9, 0.5, 0.7, 0.9, 0.9, 0.6],
        alternatives=[{"text": "A ship lies in the harbour.", "score": -0.7}] * 4,
        confidence=0.7,
        attention=bytes(49 * 6),
    )


def _export(database: Database, collection_id: int) -> dict[str, float]:
    """Time, and the most memory that Python held beyond what it held before."""

    class Nowhere(io.StringIO):
        def write(self, _: str) -> int:
            return 0

    with database.reading() as session:
        collection = session.get_one(Collection, collection_id)
        seconds = _seconds(lambda: exports.write_export(session, collection, "jsonl", Nowhere()))
    with database.reading() as session:
        collection = session.get_one(Collection, collection_id)
        tracemalloc.start()
        exports.write_export(session, collection, "jsonl", Nowhere())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return {"seconds": seconds, "peak_megabytes": round(peak / 1e6, 1)}


if __name__ == "__main__":
    main()
