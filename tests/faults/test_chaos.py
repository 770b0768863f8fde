"""Everything at once: a large job while any process may be killed at any second."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress

import psycopg
import pytest

from catalog.schema import JobState
from tests.faults.bench import Bench
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.processes import arguments, children
from tests.faults.servers import PostgreSQL, Redis
from tests.faults.web import Visitors, Web

WORKERS = int(os.environ.get("RECAPTION_CHAOS_WORKERS", 16))
ITEMS = int(os.environ.get("RECAPTION_CHAOS_ITEMS", 200_000))
SECONDS = int(os.environ.get("RECAPTION_CHAOS_SECONDS", 120))
# Sixteen workers on two cores may not get a turn for seconds.
PATIENT = {"RECAPTION_STUB_LEASE": "15", "RECAPTION_STUB_PERIOD": "3 6"}


class Chaos:
    """Kills a process a second, and starts again what nobody else does."""

    def __init__(self, bench: Bench, web: Web, redis: Redis, postgresql: PostgreSQL) -> None:
        self.bench = bench
        self.web = web
        self.redis = redis
        self.postgresql = postgresql
        self.killed: Counter[str] = Counter()
        self._ways = {
            self.kill_worker: 6,
            self.kill_parent: 3,
            self.kill_child: 6,
            self.kill_web_process: 2,
            self.kill_supervisor: 1,
            self.kill_redis: 2,
            self.kill_backend: 2,
        }

    def strike(self) -> None:
        (way,) = random.choices(list(self._ways), weights=list(self._ways.values()))
        print(f"{time.strftime('%X')} {way.__name__}", flush=True)
        way()
        self.killed[way.__name__] += 1

    def kill_worker(self) -> None:
        name = self._worker()
        self.bench.kill(name)
        self.bench.start_worker(name)

    def kill_parent(self) -> None:
        """Kill the process that supervises; the one that works has to notice."""
        name = self._worker()
        process = self.bench.started.pop(name)
        process.kill()
        process.wait(timeout=10)
        self.bench.start_worker(name)

    def kill_child(self) -> None:
        for child in children(self.bench.started[self._worker()].pid):
            _kill(child)

    def kill_web_process(self) -> None:
        for child in children(self.bench.started["web"].pid):
            if "web" in arguments(child):
                with suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)

    def kill_supervisor(self) -> None:
        """Kill `recaption serve`; its children notice, and make room for those of the next one."""
        for child in children(self.bench.started["web"].pid):
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        self.bench.kill("web")
        self.web.start_without_waiting()

    def kill_redis(self) -> None:
        self.redis.kill_and_start()

    def kill_backend(self) -> None:
        """Kill a process that serves somebody; PostgreSQL then ends all others and recovers."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.postgresql.url()) as server:
            pids = server.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname LIKE 'recaption_%'"
            ).fetchall()
            if pids:
                _kill(random.choice(pids)[0])

    def _worker(self) -> str:
        return random.choice([name for name in self.bench.started if name.startswith("worker")])


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.fault(
    16,
    f"{WORKERS} workers, {ITEMS:,} items, any process killed each second for {SECONDS} seconds "
    "(workers, their children, the web, Redis, PostgreSQL's backends), and started again",
    long=True,
)
@pytest.mark.timeout(3600)
def test_a_large_job_outlives_two_minutes_of_random_kills(
    make_bench: MakeBench, redis: Redis, postgresql: PostgreSQL, injected: Injected
) -> None:
    bench = make_bench("Redis", "PostgreSQL", **PATIENT)
    web = Web(bench)
    web.start()
    web.log_in()
    collection_id = bench.fill(ITEMS)
    bench.start_workers(WORKERS)
    job_id = bench.submit(collection_id)
    chaos = Chaos(bench, web, redis, postgresql)
    end = time.monotonic() + SECONDS
    with Visitors(lambda: web.call("GET", f"/jobs/{job_id}"), pause=0.5) as visitors:
        while time.monotonic() < end:
            begun = time.monotonic()
            chaos.strike()
            injected.one()
            time.sleep(max(0.0, begun + 1.0 - time.monotonic()))
    print(dict(chaos.killed), dict(visitors.statuses))
    assert set(visitors.statuses) <= {0, 200, 503}, visitors.unexpected[:3]
    job = bench.wait(job_id, lambda job: job.finished_at is not None, 2400)
    assert job.state is JobState.DONE
    assert invariant(bench.database, job_id) == {"done": ITEMS}
    web.wait_until_it_answers()
    assert web.call("GET", f"/jobs/{job_id}").status == 200
