"""Writers of SQLite, which has room for one at a time, each come to their turn."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from catalog.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'turns.db'}")
    with database.writing() as session:
        session.execute(text("CREATE TABLE turns (writer INTEGER)"))
    yield database
    database.close()


def test_nobody_waits_long_beside_writers_who_come_again_and_again(database: Database) -> None:
    """SQLite's own waiting lets somebody wait for more than a second here, 100 times as long as a turn."""
    waits: list[float] = []

    def write(writer: int) -> None:
        for _ in range(30):
            begun = time.monotonic()
            with database.writing() as session:
                session.execute(text("INSERT INTO turns VALUES (:writer)"), {"writer": writer})
                waits.append(time.monotonic() - begun)
                time.sleep(0.01)
            time.sleep(0.01)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM turns")) == len(waits) == 150
    assert max(waits) < 0.7


def test_a_writer_gives_up_in_the_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.database.BUSY_TIMEOUT", 0.2)
    impatient = Database(f"sqlite:///{tmp_path / 'turns.db'}")
    write = text("INSERT INTO turns VALUES (1)")
    with database.writing() as holder:
        holder.execute(write)
        begun = time.monotonic()
        with pytest.raises(OperationalError, match="locked"), impatient.writing() as session:
            session.execute(write)
        assert time.monotonic() - begun > 0.2
    with impatient.writing() as session:
        session.execute(write)
        assert session.scalar(text("SELECT count(*) FROM turns")) == 2
    impatient.close()
