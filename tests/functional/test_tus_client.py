"""A tus client that somebody else wrote, against a real server that is killed again and again."""

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import requests
from sqlalchemy import select
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader import Uploader

from catalog import accounts, collections
from catalog.schema import ImportedFile, Item, Job, JobState, Role, Upload
from dashboard.installation import answers
from tests.serving import Server, serving

# Bytes of the upload. The promise is for a gigabyte; a part of it says as much in less time.
SIZE = int(os.environ.get("RECAPTION_TEST_UPLOAD", 48 << 20))
KILLS = 3
MEMBER = 16 << 20  # bytes
PASSWORD = "correct horse battery"
UNREACHABLE = (TusCommunicationError, requests.RequestException)


@pytest.mark.timeout(1800)
def test_an_upload_outlives_three_kills_of_the_server(
    migrated_sqlite: Path, photo: Callable[..., Path], tmp_path: Path, free_port: int
) -> None:
    archive = _archive(tmp_path, photo)
    with serving(tmp_path / "home", migrated_sqlite, free_port, "--no-worker") as server:
        collection_id = _collection(server)
        killed = _killer(server, archive.stat().st_size)
        client = TusClient(
            f"{server.address}/api/v1/collections/{collection_id}/tus", headers=_logged_in(server)
        )
        with archive.open("rb") as file:
            uploader = client.uploader(
                file_stream=file, chunk_size=8 << 20, metadata={"filename": "photos.zip"}
            )
            sent_again = _send(uploader, free_port)
        killed.join(timeout=60)
        job = _ended(server)
        with server.database.reading() as session:
            paths = set(session.scalars(select(Item.path)))
            statuses = session.scalars(select(ImportedFile.status)).all()
    assert not killed.is_alive()
    assert paths == {"first.jpg", "last.jpg"}
    assert (job.state, job.done, job.failed) == (JobState.DONE, 2, len(statuses) - 2)
    # Each kill costs a piece at most.
    assert sent_again <= KILLS * (8 << 20)


def _archive(tmp_path: Path, photo: Callable[..., Path]) -> Path:
    """A zip of SIZE with a photo at both ends and noise between them."""
    noise = np.random.default_rng(1)
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(photo(tmp_path / "first.jpg", 1), "first.jpg")
        for number in range(SIZE // MEMBER):
            archive.writestr(f"{number}.bin", noise.bytes(MEMBER))
        archive.write(photo(tmp_path / "last.jpg", 2), "last.jpg")
    return tmp_path / "photos.zip"


def _collection(server: Server) -> int:
    with server.database.writing() as session:
        ada = accounts.create_user(session, name="ada", role=Role.ADMIN, password=PASSWORD)
        return collections.create(session, name="Harbour", owner=ada).id


def _logged_in(server: Server) -> dict[str, str]:
    """The headers that a script needs: the cookie of a login, and its token."""
    browser = requests.Session()
    form = browser.get(f"{server.address}/login", timeout=30).text
    fields = {"name": "ada", "password": PASSWORD, "csrf_token": _token(form)}
    page = browser.post(f"{server.address}/login", data=fields, timeout=30).text
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return {"Cookie": cookies, "X-CSRFToken": _token(page)}


def _token(page: str) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found
    return found[1]


def _killer(server: Server, length: int) -> threading.Thread:
    """Kills the web process each time that another quarter of the upload is here."""

    def kill() -> None:
        for quarter in range(1, KILLS + 1):
            while _received(server) < quarter * length // (KILLS + 1):
                time.sleep(0.01)
            server.kill_web_process()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def _received(server: Server) -> int:
    with server.database.reading() as session:
        return session.scalar(select(Upload.received)) or 0


def _send(uploader: Uploader, port: int) -> int:
    """Send all of it, going on whenever the server is back; returns how many bytes were sent twice."""
    furthest = again = 0
    while True:
        try:
            while uploader.url is None or uploader.offset < uploader.get_file_size():
                uploader.upload_chunk()
                furthest = max(furthest, uploader.offset)
            return again
        except UNREACHABLE:
            while not answers("127.0.0.1", port):
                time.sleep(0.2)
            uploader.offset = uploader.get_offset()
            again += max(0, furthest - uploader.offset)


def _ended(server: Server) -> Job:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with server.database.reading() as session:
            job = session.scalars(select(Job)).one()
        if job.state is not JobState.RUNNING:
            return job
        time.sleep(0.2)
    pytest.fail(f"the import is still {job.state}")
