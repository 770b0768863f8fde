"""A database whose clock jumps by an hour, both ways."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.faults.bench import Bench
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.processes import wait_until
from tests.faults.test_killed_workers import chunk_of

ITEMS = 1000
HOUR = 3600.0  # seconds
SetClock = Callable[[float], None]

# Found before PostgreSQL's own, because of the search path.
WRONG_CLOCK = """
    CREATE SCHEMA wrong;
    CREATE TABLE wrong.clock AS SELECT 0.0::double precision AS seconds;
    CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
        'SELECT pg_catalog.clock_timestamp() + (SELECT seconds FROM wrong.clock) * interval ''1 second''';
"""


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def clock(request: pytest.FixtureRequest, make_bench: MakeBench, tmp_path: Path) -> tuple[Bench, SetClock]:
    """An installation, and a function that sets its database's clock wrong by so many seconds."""
    if request.param == "SQLite":
        offset = tmp_path / "offset"
        offset.write_text("0")
        bench = make_bench(RECAPTION_STUB_CLOCK=str(offset))

        def set_file(seconds: float) -> None:
            staged = offset.with_suffix(".new")
            staged.write_text(str(seconds))
            staged.replace(offset)

        return bench, set_file
    bench = make_bench("Redis", "PostgreSQL")
    url = bench.settings.database_url
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(WRONG_CLOCK)  # type: ignore[arg-type]
        server.execute(f'ALTER DATABASE "{name}" SET search_path = wrong, pg_catalog, public')  # type: ignore[arg-type]

    def set_row(seconds: float) -> None:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("UPDATE wrong.clock SET seconds = %s", [seconds])

    bench.database.close()  # Connections keep the search path that they began with.
    return bench, set_row


@pytest.mark.fault(12, "the database's clock jumps by an hour, both ways")
def test_a_clock_that_jumps_sticks_no_lease_and_doubles_no_caption(
    clock: tuple[Bench, SetClock], injected: Injected
) -> None:
    bench, set_clock = clock
    bench.variables["RECAPTION_STUB_CHUNK"] = "0.4"
    job_id = bench.submit(bench.fill(ITEMS))
    for number, jump in enumerate((HOUR, -HOUR, 0.0, -HOUR, HOUR)):
        # One dies over a chunk, with a lease of the clock as it was; one works on.
        name = f"killed-{number}"
        bench.start_worker(name, RECAPTION_STUB_CHUNK="30")
        wait_until(lambda name=name: chunk_of(bench, name) is not None, f"{name} has a chunk", 60)
        bench.kill(name)
        set_clock(jump)
        injected.one()
        if number == 0:
            bench.start_worker("one")
    bench.wait_for_end(job_id)
    assert invariant(bench.database, job_id) == {"done": ITEMS}
