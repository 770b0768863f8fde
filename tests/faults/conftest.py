"""The bench's fixtures, and the table of faults that a run writes with --reliability FILE."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.bench import Bench, bench
from tests.faults.processes import Processes
from tests.faults.reliability import Table, write
from tests.faults.servers import PostgreSQL, RabbitMQ, Redis

LONG = "RECAPTION_LONG_FAULTS"  # set to 1 to run the faults that take minutes
TABLE = pytest.StashKey[Table]()
LEFT_OUT = pytest.StashKey[int]()

MakeBench = Callable[..., Bench]


class Injected:
    """Counts the faults that a test has injected."""

    def __init__(self) -> None:
        self.count = 0

    def one(self) -> None:
        self.count += 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", type=Path, metavar="FILE", help="write the table of faults into FILE")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long faults out of a run that does not ask for them."""
    if os.environ.get(LONG) == "1":
        return
    long = [item for item in items if (mark := item.get_closest_marker("fault")) and mark.kwargs.get("long")]
    if long:
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)
        config.stash[LEFT_OUT] = len(long)


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    if left_out := config.stash.get(LEFT_OUT, 0):
        return f"{left_out} long fault left out; `make faults` runs it ({LONG}=1)"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    mark = item.get_closest_marker("fault")
    if mark:
        table = item.config.stash.setdefault(TABLE, Table())
        row = table.row(*mark.args)
        row.tests[getattr(item, "originalname", item.name)] = None
        row.seconds += report.duration
        expected_to_fail = hasattr(report, "wasxfail")
        if report.when == "call" or report.outcome != "passed":
            row.outcomes.add("failed" if expected_to_fail else report.outcome)
        if expected_to_fail:
            row.reasons.add(report.wasxfail)
        elif report.skipped and isinstance(report.longrepr, tuple):
            row.reasons.add(report.longrepr[2].removeprefix("Skipped: "))
        injected = getattr(item, "funcargs", {}).get("injected")
        if report.when == "call" and injected:
            row.injected += injected.count
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--reliability", None)
    if path and TABLE in session.config.stash:
        write(path, session.config.stash[TABLE])


@pytest.fixture
def injected() -> Injected:
    return Injected()


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.close()


@pytest.fixture(scope="session")
def _redis(processes: Processes) -> Redis:
    return Redis(processes)


@pytest.fixture(scope="session")
def _postgresql(processes: Processes) -> PostgreSQL:
    return PostgreSQL(processes)


@pytest.fixture(scope="session")
def _rabbitmq(processes: Processes) -> RabbitMQ:
    return RabbitMQ(processes)


@pytest.fixture
def redis(_redis: Redis) -> Redis:
    """A Redis of our own, running and empty."""
    _redis.start()
    _redis.empty()
    return _redis


@pytest.fixture
def postgresql(_postgresql: PostgreSQL) -> PostgreSQL:
    """A PostgreSQL of our own, running."""
    _postgresql.start()
    return _postgresql


@pytest.fixture
def rabbitmq(_rabbitmq: RabbitMQ) -> RabbitMQ:
    """A RabbitMQ of our own, running and empty."""
    _rabbitmq.start()
    _rabbitmq.empty()
    return _rabbitmq


@pytest.fixture
def make_bench(
    request: pytest.FixtureRequest, processes: Processes, migrated_sqlite: Path, tmp_path: Path
) -> Iterator[MakeBench]:
    """A function that makes an installation over a broker and a database, with RECAPTION_* variables."""
    with ExitStack() as stack:

        def make(broker: str = "filesystem", database: str = "SQLite", **variables: str) -> Bench:
            home = Path(variables.setdefault("RECAPTION_HOME", str(tmp_path / "home")))
            if broker != "filesystem":
                variables["RECAPTION_BROKER_URL"] = request.getfixturevalue(broker.lower()).url
            if database == "PostgreSQL":
                server: PostgreSQL = request.getfixturevalue("postgresql")
                variables["RECAPTION_DATABASE_URL"] = url = server.new_database()
                stack.callback(server.drop, url)
                stack.callback(server.start)
            else:
                home.mkdir(parents=True, exist_ok=True)
                shutil.copy(migrated_sqlite, home / "recaption.sqlite")
            return stack.enter_context(bench(variables, processes))

        yield make


@pytest.fixture(params=["filesystem and SQLite", "Redis and PostgreSQL"])
def installation(request: pytest.FixtureRequest, make_bench: MakeBench) -> Bench:
    """An installation without a server, and one with all of them."""
    broker, _, database = request.param.partition(" and ")
    return make_bench(broker, database)
