"""What people read while something is broken: in plain words, within half a minute, with what to do."""

import time
from pathlib import Path

import pytest

from catalog import reconciler
from tests.disks import fill_up, mounted
from tests.faults.conftest import Injected, MakeBench
from tests.faults.processes import wait_until
from tests.faults.servers import Redis
from tests.faults.web import Web

SEEN = "a dead worker, a broker that is away, a full disk: said on the jobs page within 30 s"
WITHIN = 30.0  # seconds
AS_IN_PRODUCTION = {"RECAPTION_STUB_PERIOD": "{} {}".format(*reconciler.PERIOD)}


def wait_to_read(web: Web, *words: str) -> None:
    """Return once the jobs page says all these words. Fails when it does not within half a minute."""
    deadline = time.monotonic() + WITHIN
    said = ""
    while time.monotonic() < deadline:
        answer = web.call("GET", "/troubles")
        said = " ".join(f"{one['what']} {one['remedy']}" for one in answer.body["troubles"])
        if all(word in said for word in words):
            assert all(word in web.page("/jobs") for word in words)
            return
        time.sleep(0.5)
    pytest.fail(f"{words} were not said within {WITHIN:g} s, but: {said}")


@pytest.mark.fault(17, SEEN)
def test_a_dead_worker_and_a_broker_that_is_away_are_said_on_the_page(
    make_bench: MakeBench, redis: Redis, injected: Injected
) -> None:
    bench = make_bench("Redis", **AS_IN_PRODUCTION)
    web = Web(bench)
    web.start()
    web.log_in()
    for name in ("killed", "cut-off"):
        bench.start_worker(name)
    bench.wait_until_alive(2)
    assert web.call("GET", "/troubles").body == {"troubles": []}
    bench.kill("killed")
    injected.one()
    redis.kill()
    injected.one()
    wait_to_read(web, "The worker killed on cpu died", "recaption worker", "The broker (redis://")
    wait_to_read(web, "The worker cut-off cannot work: it cannot reach the broker")
    doctor = bench.run("doctor", "--quick", check=False)
    assert doctor.returncode == 1
    assert "The worker killed on cpu died" in doctor.stdout
    assert "The broker (redis://" in doctor.stdout
    redis.start()
    bench.start_worker("killed")
    mended = {"troubles": []}
    wait_until(lambda: web.call("GET", "/troubles").body == mended, "what is mended is no longer said", 60)


@pytest.mark.fault(17, SEEN)
def test_a_full_disk_is_said_on_the_page(make_bench: MakeBench, tmp_path: Path, injected: Injected) -> None:
    with mounted(tmp_path / "pictures", "100m") as disk:
        bench = make_bench(RECAPTION_BLOBS=str(disk / "blobs"), **AS_IN_PRODUCTION)
        web = Web(bench)
        web.start()
        web.log_in()
        assert web.call("GET", "/troubles").body == {"troubles": []}
        fill_up(disk)
        injected.one()
        wait_to_read(web, "almost full: 0 MB are left", "Free some space there")
        assert "almost full" in bench.run("doctor", "--quick", check=False).stdout
        bench.stop("web")
