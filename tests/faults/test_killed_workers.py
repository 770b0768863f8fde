"""Workers that are killed, or frozen for longer than their lease, in the middle of a chunk."""

import os
import signal
import sqlite3
import time

import pytest
from sqlalchemy import func, select

from catalog.schema import Chunk, ChunkState, JobItem, JobState, Worker
from tests.faults.bench import LEASE, Bench, pause_at_random
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.processes import arguments, children, signal_session, wait_until
from tests.faults.web import Web

KILLED = "SIGKILL a worker in mid-chunk, five times at random"
KILLS = 5
ITEMS = 800
SLOW = {"RECAPTION_STUB_CHUNK": "0.6"}
LONG_LEASE = 120.0  # seconds; nobody waits for it


def charged(bench: Bench) -> int:
    """How often items were found in the hand of a dead worker."""
    with bench.database.reading() as session:
        return session.scalar(select(func.sum(JobItem.found_in_hand))) or 0


def claimed_again(bench: Bench) -> int:
    """How many chunks were claimed more than once."""
    with bench.database.reading() as session:
        return session.scalar(select(func.count()).where(Chunk.token > 1)) or 0


def chunk_of(bench: Bench, worker: str) -> Chunk | None:
    """The chunk that a worker holds."""
    with bench.database.reading() as session:
        held = select(Chunk).join(Worker).where(Worker.name == worker, Chunk.state == ChunkState.CLAIMED)
        return session.scalar(held)


@pytest.mark.fault(1, KILLED)
def test_killed_workers_lose_nothing_double_nothing_and_charge_no_innocent(
    installation: Bench, injected: Injected
) -> None:
    job_id = installation.submit(installation.fill(ITEMS))
    for number in range(KILLS):
        name = f"killed-{number}"
        installation.start_worker(name, **SLOW)
        wait_until(lambda name=name: chunk_of(installation, name) is not None, "the worker has a chunk", 60)
        pause_at_random(0.0, 0.5)
        installation.kill(name)
        injected.one()
    assert installation.job(job_id).state is JobState.RUNNING
    installation.start_workers(2)
    installation.wait_for_end(job_id)
    assert invariant(installation.database, job_id) == {"done": ITEMS}
    assert claimed_again(installation) > 0
    assert charged(installation) <= KILLS, "an item is found in hand once a kill at most"


@pytest.mark.fault(1, KILLED)
def test_a_supervised_worker_that_is_killed_is_replaced_without_waiting_for_its_lease(
    make_bench: MakeBench, injected: Injected
) -> None:
    bench = make_bench(RECAPTION_STUB_LEASE=str(LONG_LEASE), **SLOW)
    job_id = bench.submit(bench.fill(500))
    Web(bench).start("--host", "127.0.0.1")
    begun = time.monotonic()
    for _ in range(3):
        bench.wait_for_some(job_id, bench.job(job_id).done + 1)
        (worker,) = (pid for pid in children(bench.started["web"].pid) if "caption" in arguments(pid))
        os.killpg(worker, signal.SIGKILL)
        injected.one()
    bench.wait_for_end(job_id)
    assert time.monotonic() - begun < LONG_LEASE / 2
    assert invariant(bench.database, job_id) == {"done": 500}
    assert claimed_again(bench) > 0


@pytest.mark.fault(1, KILLED)
def test_a_working_child_that_is_killed_is_replaced_without_waiting_for_its_lease(
    make_bench: MakeBench, injected: Injected
) -> None:
    bench = make_bench("Redis", "PostgreSQL", RECAPTION_STUB_LEASE=str(LONG_LEASE), **SLOW)
    job_id = bench.submit(bench.fill(500))
    process = bench.start_worker("one")
    begun = time.monotonic()
    for _ in range(3):
        wait_until(lambda: chunk_of(bench, "one") is not None, "the worker has a chunk", 60)
        pause_at_random(0.0, 0.5)
        (child,) = children(process.pid)
        os.kill(child, signal.SIGKILL)
        injected.one()
        wait_until(lambda child=child: child not in children(process.pid), "the child is gone")
        bench.wait_for_some(job_id, bench.job(job_id).done + 1)
    bench.wait_for_end(job_id)
    assert time.monotonic() - begun < LONG_LEASE / 2
    assert invariant(bench.database, job_id) == {"done": 500}


@pytest.mark.fault(2, "SIGSTOP a worker until its lease has run out, then SIGCONT")
def test_what_a_frozen_worker_brings_late_is_refused(installation: Bench, injected: Injected) -> None:
    job_id = installation.submit(installation.fill(500))
    frozen = installation.start_worker("frozen", RECAPTION_STUB_CHUNK="2.0")
    held = freeze_in_mid_chunk(installation, "frozen")
    injected.one()
    installation.start_worker("other")
    wait_until(lambda: token_of(installation, held) > held.token, "the chunk is taken over", LEASE + 30)
    signal_session(frozen, signal.SIGCONT)
    installation.wait_for_end(job_id)
    late = "its results are dropped"
    wait_until(lambda: late in installation.log("frozen").read_text(), "the late write is refused")
    assert installation.stop("frozen") == [0]
    assert invariant(installation.database, job_id) == {"done": 500}


def token_of(bench: Bench, chunk: Chunk) -> int:
    with bench.database.reading() as session:
        return session.get_one(Chunk, (chunk.job_id, chunk.number)).token


def freeze_in_mid_chunk(bench: Bench, name: str) -> Chunk:
    """Stop a worker while it holds a chunk, but no lock of the whole database; returns the chunk."""
    process = bench.started[name]
    for _ in range(50):
        wait_until(lambda: chunk_of(bench, name) is not None, "the worker has a chunk", 60)
        time.sleep(0.1)
        signal_session(process, signal.SIGSTOP)
        held = chunk_of(bench, name)
        if held and is_writable(bench):
            return held
        signal_session(process, signal.SIGCONT)
    pytest.fail("the worker was never caught in mid-chunk")


def is_writable(bench: Bench) -> bool:
    if not bench.database.is_sqlite:
        return True
    connection = sqlite3.connect(bench.settings.home / "recaption.sqlite", timeout=0.5, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True
