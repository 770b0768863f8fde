"""Brokers that lose messages, are away, hang, or deliver the same message again and again."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from catalog.queue import CAPTION_QUEUE
from catalog.schema import Chunk
from tests.faults.bench import PERIOD, Bench
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.processes import wait_until
from tests.faults.servers import RabbitMQ, Redis, Server
from tests.faults.web import Web

LOST = "the broker restarted (Redis, RabbitMQ), FLUSHALL, the queue files of the embedded broker deleted"
AWAY = "the broker down at submit: one that refuses connections, one that accepts and never answers"
ITEMS = 1200
# Drains are short, so that many messages travel while the job runs.
BUSY = {"RECAPTION_STUB_CHUNK": "0.4", "RECAPTION_STUB_DRAIN_FOR": "0.5"}


def lose_messages(bench: Bench, injected: Injected, fault: Callable[[], object], times: int) -> None:
    """Run a job during which the fault happens a few times; it ends soon after the last one."""
    bench.start_workers(2)
    job_id = bench.submit(bench.fill(ITEMS))
    for _ in range(times):
        bench.wait_for_some(job_id, bench.job(job_id).done + 1)
        fault()
        injected.one()
    bench.wait(job_id, lambda job: job.finished_at is not None, PERIOD[1] + 30)
    assert invariant(bench.database, job_id) == {"done": ITEMS}


@pytest.mark.fault(3, LOST)
def test_a_job_outlives_a_redis_that_is_restarted_or_emptied(
    make_bench: MakeBench, redis: Redis, injected: Injected
) -> None:
    faults = iter([redis.restart, redis.empty, redis.restart, redis.empty, redis.kill_and_start])
    lose_messages(make_bench("Redis", **BUSY), injected, lambda: next(faults)(), 5)


@pytest.mark.fault(3, LOST)
def test_a_job_outlives_a_rabbitmq_that_is_restarted(
    make_bench: MakeBench, rabbitmq: RabbitMQ, injected: Injected
) -> None:
    lose_messages(make_bench("RabbitMQ", **BUSY), injected, rabbitmq.restart, 1)


@pytest.mark.fault(3, LOST)
def test_a_job_outlives_the_files_of_its_queue(make_bench: MakeBench, injected: Injected) -> None:
    bench = make_bench(**BUSY)

    def delete() -> None:
        for path in bench.settings.broker_folder.rglob("*"):
            if path.is_file():
                path.unlink(missing_ok=True)

    lose_messages(bench, injected, delete, 5)


@pytest.mark.fault(3, LOST)
def test_a_message_that_was_cut_short_ends_no_worker(make_bench: MakeBench, injected: Injected) -> None:
    bench = make_bench()
    process = bench.start_worker("one")
    bench.wait_until_alive()
    folder = bench.settings.broker_folder / "messages"
    for number in range(3):
        # As a full disk leaves it, or a machine that lost its power.
        (folder / f"{number}_{uuid4()}.{CAPTION_QUEUE}.msg").touch()
        injected.one()
    wait_until(lambda: not list(folder.glob("*.msg")), "the messages are fetched")
    job_id = bench.submit(bench.fill(200))
    bench.wait(job_id, lambda job: job.finished_at is not None, PERIOD[1] + 30)
    assert process.poll() is None
    assert invariant(bench.database, job_id) == {"done": 200}


@pytest.mark.fault(4, AWAY)
@pytest.mark.parametrize("broker", ["Redis", "RabbitMQ"])
@pytest.mark.parametrize("fault", ["refusing", "silent"])
def test_a_job_is_accepted_in_under_a_second_while_the_broker_is_down(
    make_bench: MakeBench, request: pytest.FixtureRequest, injected: Injected, broker: str, fault: str
) -> None:
    bench, server = make_bench(broker), request.getfixturevalue(broker.lower())
    web, collection_id = Web(bench), bench.fill(200)
    web.start()
    web.log_in()
    bench.start_workers(1)
    away, back = way_to_be_away(server, fault)
    away()
    try:
        injected.one()
        answer = web.call("POST", "/jobs", collection_id=collection_id)
        assert answer.status == 202
        assert answer.seconds < 1.0
        assert web.call("GET", f"/jobs/{answer.body['id']}").status == 200
    finally:
        back()
    job_id = answer.body["id"]
    bench.wait(job_id, lambda job: job.finished_at is not None, PERIOD[1] + 60)
    assert invariant(bench.database, job_id) == {"done": 200}


def way_to_be_away(server: Server, fault: str) -> tuple[Callable[[], None], Callable[[], None]]:
    return (server.kill, server.start) if fault == "refusing" else (server.freeze, server.thaw)


@pytest.mark.fault(5, "one wake-up delivered fifty times")
def test_a_wake_up_that_arrives_fifty_times_works_as_one(installation: Bench, injected: Injected) -> None:
    # Nobody's lease runs out here: whatever is claimed twice is claimed because of the messages.
    installation.variables["RECAPTION_STUB_LEASE"] = "60"
    installation.start_workers(3)
    job_id = installation.submit(installation.fill(1000), wake=False)
    assert installation.queue.wake(50)
    injected.one()
    installation.wait_for_end(job_id)
    time.sleep(1.0)  # What is left of the messages arrives.
    assert invariant(installation.database, job_id) == {"done": 1000}
    with installation.database.reading() as session:
        assert session.scalar(select(func.max(Chunk.token))) == 1
