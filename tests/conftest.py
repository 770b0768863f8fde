"""Fixtures for all rooms: real servers where they answer, and installations in temporary folders."""

import gc
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from PIL import Image

from catalog.object_storage import S3Account, S3Place
from tests.disks import mounted

POSTGRESQL = os.environ.get("RECAPTION_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
FEW = 512 << 10  # bytes of a table that is emptied row by row
REDIS = os.environ.get("RECAPTION_TEST_REDIS", "redis://127.0.0.1:6379/15")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays to the end, and let it come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000)


def pytest_unconfigure() -> None:
    """Libraries that end in order count what is left of them."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def forgotten_databases() -> Iterator[None]:
    """Let closed databases go: the mappers keep the statements that they compiled for each, and through them
    its engine with all of its statements. The garbage collector would look through ever more of them."""
    yield
    if schema := sys.modules.get("catalog.schema"):
        for mapper in schema.Base.registry.mappers:
            mapper._compiled_cache.clear()


def missing_service(what: str) -> None:
    """Skip the test, or fail it where RECAPTION_REQUIRE_SERVICES=1 promises that everything is there."""
    if os.environ.get("RECAPTION_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what}, and RECAPTION_REQUIRE_SERVICES=1 asks for it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """The address of a PostgreSQL on which tests may create databases."""
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3, autocommit=True).close()
    except psycopg.OperationalError:
        missing_service(f"no PostgreSQL answers at {POSTGRESQL}")
    return POSTGRESQL


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis database that tests may empty."""
    import redis

    client = redis.Redis.from_url(REDIS, socket_connect_timeout=2, socket_timeout=5)
    try:
        client.ping()
    except redis.RedisError:
        missing_service(f"no Redis answers at {REDIS}")
    client.flushdb()
    client.close()
    return REDIS


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing_service("no Chromium is installed")
    assert path
    return path


@pytest.fixture(scope="session")
def new_postgresql(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """A function that creates an empty database and returns its URL; all go at the end."""
    made: list[str] = []
    with psycopg.connect(postgresql_server, autocommit=True) as server:

        def create() -> str:
            name = f"recaption_test_{uuid4().hex[:12]}"
            server.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
            made.append(name)
            # The machine does not crash between two lines of a test, so no commit has to reach the disk.
            server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')  # type: ignore[arg-type]
            return f"{postgresql_server.rpartition('/')[0]}/{name}"

        yield create
        for name in made:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    from catalog.database import migrate

    path = tmp_path_factory.mktemp("migrated") / "recaption.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(new_postgresql: Callable[[], str]) -> str:
    """A migrated PostgreSQL database that all tests share: copying one for each takes a second."""
    from catalog.database import migrate

    url = new_postgresql()
    migrate(url)
    return url


@pytest.fixture
def empty_postgresql(migrated_postgresql: str) -> str:
    """The shared PostgreSQL database without a row in it."""
    from catalog.schema import ITEM_COUNTS, Base

    tables = [f'"{table.name}"' for table in (*reversed(Base.metadata.sorted_tables), ITEM_COUNTS)]
    with psycopg.connect(migrated_postgresql) as server:
        (largest,) = server.execute("SELECT max(pg_relation_size(relid)) FROM pg_stat_user_tables").fetchone()  # type: ignore[misc]
        if largest > FEW:
            server.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")  # type: ignore[arg-type]
        else:
            # Truncating takes thirty times as long: it makes new files for all tables and indexes.
            server.execute("; ".join(f"DELETE FROM {table}" for table in tables))  # type: ignore[arg-type]
            server.execute("SELECT setval(format('%I', sequencename), 1, false) FROM pg_sequences")
    return migrated_postgresql


@pytest.fixture
def photo() -> Callable[..., Path]:
    """A function that writes a small photo-like JPEG, different for every seed."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (96, 64)) -> Path:
        width, height = size
        noise = np.random.default_rng(seed)
        coarse = noise.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)
        return path

    return write


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a storage that speaks S3."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def place(s3_server: str) -> S3Place:
    """A prefix in an empty bucket."""
    name = f"photos-{uuid4().hex}"
    with urlopen(Request(f"{s3_server}/{name}", method="PUT")):
        return S3Place(name, "archive")


@pytest.fixture
def account(s3_server: str) -> S3Account:
    return S3Account(s3_server, "us-east-1", "KEYID", "SECRET", "TOKEN")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with mounted(tmp_path / "small disk", "2m") as folder:
        yield folder


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
