"""A working process for tests that look at it from inside."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import workers
from catalog.database import Database
from catalog.settings import load_settings
from worker.runtime import Runtime
from worker.shared import Flag


@pytest.fixture
def runtime(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Runtime]:
    """A working process on the CPU, the worker "one", over a migrated database."""
    settings = load_settings({"RECAPTION_HOME": str(tmp_path / "home")})
    settings.prepare_home()
    shutil.copy(migrated_sqlite, settings.home / "recaption.sqlite")
    database = Database(settings.database_url)
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
    database.close()
    runtime = Runtime(settings=settings, worker_id=worker_id, name="one", device="cpu", stopping=Flag())
    yield runtime
    runtime.database.close()
