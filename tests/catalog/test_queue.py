import time
from dataclasses import replace
from pathlib import Path

import pytest

from catalog import workers
from catalog.database import Database
from catalog.queue import Queue
from catalog.reconciler import reconcile
from catalog.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"RECAPTION_HOME": str(tmp_path / "home")})


def messages(settings: Settings) -> int:
    return len(list((settings.broker_folder / "messages").glob("*caption.msg")))


def test_the_embedded_broker_is_a_folder(settings: Settings) -> None:
    assert Queue(settings).wake(2)
    assert messages(settings) == 2


def test_what_was_cut_short_in_the_folder_stops_neither_who_reads_nor_who_writes(settings: Settings) -> None:
    queue = Queue(settings)
    assert queue.wake()
    for path in settings.broker_folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    again = Queue(settings)
    assert again.wake()
    with again.app.connection_for_read() as connection:
        simple = connection.SimpleQueue(again.app.amqp.queues["caption"])
        with pytest.raises(simple.Empty):
            simple.get_nowait()
        assert simple.get_nowait().headers["task"] == "recaption.drain"
        simple.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_dead_broker_is_noticed_within_a_second(settings: Settings, url: str) -> None:
    queue = Queue(replace(settings, broker_url=url))
    started = time.monotonic()
    assert not queue.wake()
    assert time.monotonic() - started < 1.0


def test_nobody_is_woken_without_work_or_workers(
    database: Database, settings: Settings, filled: object
) -> None:
    queue = Queue(settings)
    assert not reconcile(database, queue)
    with database.writing() as session:
        workers.register(session, name="one", device="cpu", version="0")
    assert not reconcile(database, queue)
    assert messages(settings) == 0
