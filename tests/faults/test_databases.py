"""Databases that are restarted, crowded, full, or whose clock jumps."""

import errno
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog.schema import Item, JobState
from tests.disks import fill_up, mounted
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.processes import wait_until
from tests.faults.servers import PostgreSQL
from tests.faults.web import Visitors, Web


@pytest.mark.fault(6, "PostgreSQL restarted (`-m immediate`) under load")
def test_a_postgresql_that_crashes_costs_visitors_a_moment_and_jobs_nothing(
    make_bench: MakeBench, postgresql: PostgreSQL, injected: Injected
) -> None:
    bench = make_bench("Redis", "PostgreSQL", RECAPTION_STUB_CHUNK="0.4")
    web = Web(bench)
    web.start()
    web.log_in()
    workers = [bench.started[name] for name in bench.start_workers(2)]
    job_id = bench.submit(bench.fill(2000))
    with Visitors(lambda: web.call("GET", f"/jobs/{job_id}")) as visitors:
        for away in (0.0, 0.0, 3.0):
            bench.wait_for_some(job_id, bench.job(job_id).done + 1)
            postgresql.stop()
            time.sleep(away)
            postgresql.start()
            injected.one()
            wait_until(lambda: web.call("GET", f"/jobs/{job_id}").status == 200, "the web has recovered")
        bench.wait_for_end(job_id)
    assert set(visitors.statuses) == {200, 503}, visitors.unexpected[:3]
    assert visitors.statuses[200] > 20
    assert web.call("GET", f"/jobs/{job_id}").status == 200
    assert [process.poll() for process in workers] == [None, None]
    assert invariant(bench.database, job_id) == {"done": 2000}


@pytest.mark.fault(7, "SQLite with four workers that write, and the web that writes as well")
def test_nobody_sees_that_sqlite_has_one_writer(make_bench: MakeBench, injected: Injected) -> None:
    bench = make_bench(RECAPTION_STUB_LEASE="30", RECAPTION_STUB_CHUNK="0.2")
    web = Web(bench)
    web.start()
    web.log_in()
    bench.start_workers(4)
    collection_id = bench.fill(4000)
    with bench.database.reading() as session:
        ids = session.scalars(select(Item.id).order_by(Item.id).limit(100)).all()
    turn = iter(range(10**9))

    def write() -> object:
        number = next(turn)
        injected.one()
        return web.call("PUT", f"/items/{ids[number % len(ids)]}/flag", flagged=number // len(ids) % 2 == 0)

    job_id = bench.submit(collection_id)
    reader = Web(bench)
    reader.port = web.port
    reader.log_in()
    with Visitors(write) as writing, Visitors(lambda: reader.call("GET", f"/jobs/{job_id}")) as reading:
        bench.wait_for_end(job_id)
    assert writing.unexpected == reading.unexpected == []
    assert min(writing.statuses[200], reading.statuses[200]) > 20
    assert "is locked" not in bench.logs()
    assert invariant(bench.database, job_id) == {"done": 4000}


@pytest.mark.fault(8, "the disk of a SQLite database full")
def test_jobs_pause_while_the_database_has_no_room(
    make_bench: MakeBench, injected: Injected, tmp_path: Path
) -> None:
    with mounted(tmp_path / "small", "40m") as disk:
        places = {"RECAPTION_HOME": str(disk / "home"), "RECAPTION_BLOBS": str(tmp_path / "blobs")}
        bench = make_bench(RECAPTION_STUB_CHUNK="0.3", **places)
        Web(bench).start("--host", "127.0.0.1")
        job_id = bench.submit(bench.fill(2500))
        for _ in range(2):
            bench.wait_for_some(job_id, bench.job(job_id).done + 1)
            filler = fill_up_beside_writers(disk)
            injected.one()
            paused = bench.wait(job_id, lambda job: job.state is JobState.PAUSED, 60)
            assert paused.paused_because
            assert "is full; free some space there" in paused.paused_because
            time.sleep(3.0)
            assert bench.job(job_id).state is JobState.PAUSED
            filler.unlink()
            bench.wait(job_id, lambda job: job.state is not JobState.PAUSED, 30)
        assert bench.wait_for_end(job_id).paused_because is None
        assert bench.started["web"].poll() is None
        assert invariant(bench.database, job_id) == {"done": 2500}
        bench.close()


def fill_up_beside_writers(disk: Path) -> Path:
    """Leave no room on a disk on which others write as well."""
    while True:
        try:
            return fill_up(disk)
        except OSError as error:  # Somebody took a part of what was to be taken.
            if error.errno != errno.ENOSPC:
                raise
