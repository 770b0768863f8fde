"""People who pause, resume and cancel while workers work, and deploys that end everything in order."""

import os
import random
import signal
import time

import pytest
from sqlalchemy import func, select

from catalog import job_control
from catalog.errors import Conflict
from catalog.schema import Caption, Chunk, ChunkState, Job, JobItem, JobState
from tests.faults.bench import Bench, pause_at_random
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.processes import children, wait_until
from tests.faults.web import Visitors, Web

ORDERS = "cancel, pause and resume in mid-job, at random times"
DEPLOY = "SIGTERM to the web and to the workers during work, as in a deploy"
ITEMS = 1200
CHUNK = 0.4  # seconds
GRACE = 15.0  # seconds


def order(bench: Bench, job_id: int, what: str) -> None:
    """Pause, resume or cancel a job, as the dashboard does."""
    with bench.database.writing() as session:
        getattr(job_control, what)(session, session.get_one(Job, job_id), user=None)
    if what == "resume":
        bench.queue.wake()


def captions(bench: Bench, job_id: int) -> int:
    with bench.database.reading() as session:
        return session.scalar(select(func.count()).where(Caption.job_id == job_id)) or 0


def claimed(bench: Bench) -> int:
    with bench.database.reading() as session:
        return session.scalar(select(func.count()).where(Chunk.state == ChunkState.CLAIMED)) or 0


@pytest.mark.fault(10, ORDERS)
def test_a_paused_job_rests_and_loses_nothing(installation: Bench, injected: Injected) -> None:
    installation.variables["RECAPTION_STUB_CHUNK"] = str(2 * CHUNK)
    installation.start_workers(2)
    job_id = installation.submit(installation.fill(ITEMS))
    for _ in range(3):
        pause_at_random(0.0, 0.8)
        order(installation, job_id, "pause")
        injected.one()
        # What workers hold they finish, and begin nothing more.
        wait_until(lambda: claimed(installation) == 0, "the chunks in hand are finished", 30)
        resting = captions(installation, job_id)
        time.sleep(1.0)
        assert captions(installation, job_id) == resting < ITEMS
        assert installation.job(job_id).state is JobState.PAUSED
        order(installation, job_id, "resume")
    installation.wait_for_end(job_id)
    assert invariant(installation.database, job_id) == {"done": ITEMS}


@pytest.mark.fault(10, ORDERS)
def test_pausing_and_resuming_in_haste_loses_nothing(make_bench: MakeBench, injected: Injected) -> None:
    bench = make_bench("Redis", "PostgreSQL", RECAPTION_STUB_CHUNK=str(CHUNK))
    bench.start_workers(3)
    job_id = bench.submit(bench.fill(ITEMS))
    ordered = 0
    while bench.job(job_id).finished_at is None and ordered < 40:
        pause_at_random(0.0, 0.2)
        try:
            order(bench, job_id, random.choice(["pause", "resume"]))
        except Conflict:
            continue
        ordered += 1
        injected.one()
    if bench.job(job_id).state is JobState.PAUSED:
        order(bench, job_id, "resume")
    bench.wait_for_end(job_id)
    assert invariant(bench.database, job_id) == {"done": ITEMS}


@pytest.mark.fault(10, ORDERS)
def test_nothing_is_written_for_a_cancelled_job(installation: Bench, injected: Injected) -> None:
    installation.variables["RECAPTION_STUB_CHUNK"] = str(CHUNK)
    installation.start_workers(2)
    for number in range(3):
        job_id = installation.submit(installation.fill(ITEMS, name=f"Harbour {number}"))
        installation.wait_for_some(job_id)
        pause_at_random(0.0, 1.0)
        order(installation, job_id, "cancel")
        injected.one()
        kept = captions(installation, job_id)
        time.sleep(3 * CHUNK)
        assert captions(installation, job_id) == kept
        states = invariant(installation.database, job_id)
        assert states == {"done": kept, "cancelled": ITEMS - kept}
        assert states["cancelled"] > 0


@pytest.mark.fault(11, DEPLOY)
def test_a_deploy_ends_everything_in_time_and_charges_nobody(installation: Bench, injected: Injected) -> None:
    installation.variables["RECAPTION_STUB_CHUNK"] = "1.0"
    web = Web(installation)
    web.start()
    web.log_in()
    job_id = installation.submit(installation.fill(ITEMS))
    with Visitors(lambda: web.call("GET", f"/jobs/{job_id}")):
        for number in range(2):
            names = [f"worker-{number}-{which}" for which in range(2)]
            for name in names:
                installation.start_worker(name)
            installation.wait_for_some(job_id, installation.job(job_id).done + 1)
            pause_at_random(0.0, 0.5)
            begun = time.monotonic()
            assert installation.stop("web", *names) == [0, 0, 0]
            assert time.monotonic() - begun < GRACE
            injected.one()
            assert claimed(installation) == 0
            web.start()
    with installation.database.reading() as session:
        assert session.scalar(select(func.max(JobItem.found_in_hand))) == 0
        assert not session.scalar(select(func.count()).where(Chunk.one_by_one))
    for name in ("last-1", "last-2"):
        installation.start_worker(name, RECAPTION_STUB_CHUNK="0.05")
    installation.wait_for_end(job_id)
    assert invariant(installation.database, job_id) == {"done": ITEMS}


@pytest.mark.fault(11, DEPLOY)
def test_a_deploy_charges_nobody_for_items_done_one_by_one(make_bench: MakeBench, injected: Injected) -> None:
    bench = make_bench()
    job_id = bench.submit(bench.fill(64))
    bench.start_worker("killed", RECAPTION_STUB_CHUNK="30")
    wait_until(lambda: claimed(bench) == 1, "the worker has a chunk", 60)
    bench.kill("killed")
    for number in range(2):
        name = f"one-by-one-{number}"
        bench.start_worker(name, RECAPTION_STUB_CHUNK="8")
        bench.wait_for_some(job_id, bench.job(job_id).done + 1)
        pause_at_random(0.0, 0.3)
        assert bench.stop(name) == [0]
        injected.one()
    with bench.database.reading() as session:
        assert session.scalar(select(func.count()).where(Chunk.one_by_one)) == 1
        assert session.scalar(select(func.max(JobItem.found_in_hand))) == 0
        assert session.scalar(select(func.count()).where(JobItem.in_hand)) == 0
    bench.start_worker("last")
    bench.wait_for_end(job_id)
    assert invariant(bench.database, job_id) == {"done": 64}


@pytest.mark.fault(11, DEPLOY)
def test_a_worker_ends_in_time_whose_child_was_killed_while_it_rested(
    make_bench: MakeBench, injected: Injected
) -> None:
    # The first child already rests as one does that follows many which died: for half a minute.
    bench = make_bench(RECAPTION_STUB_SETBACKS="-4")
    bench.submit(bench.fill(64))
    process = bench.start_worker("one")
    wait_until(lambda: "recaption.drain" in bench.logs(), "the worker is woken", 60)
    time.sleep(2.0)
    assert claimed(bench) == 0
    (child,) = children(process.pid)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: bool(set(children(process.pid)) - {child}), "another child has come up")
    injected.one()
    assert bench.stop("one", seconds=GRACE) == [0]
