"""A real worker and a real web server whose blobs lie in a bucket."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from sqlalchemy import func, select

from catalog import accounts
from catalog.chunks import LEASE
from catalog.object_storage import S3Place
from catalog.schema import Caption, JobItem, JobState, Role
from catalog.settings import child_environment
from tests.catalog.faulty_proxy import Faults, faulty_proxy
from tests.functional.installation import COMMAND, Installation, installed

FOR_EVER = 10**6
JPEG = b"\xff\xd8"


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def installation(s3_server: str, place: S3Place, faults: Faults, tmp_path: Path) -> Iterator[Installation]:
    """A migrated installation over a bucket, which it sees through the faults."""
    with faulty_proxy(s3_server, faults) as endpoint:
        variables = {
            "RECAPTION_HOME": str(tmp_path / "home"),
            "RECAPTION_BLOBS": str(place),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "KEYID",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
        }
        with installed(variables) as installation:
            yield installation


def test_a_worker_waits_for_a_storage_that_is_away_and_charges_nobody(
    installation: Installation, faults: Faults, photos: Callable[[int], Path]
) -> None:
    installation.run("import", "Harbour", str(photos(4)))
    job_id = int(installation.run("job", "caption", "Harbour").stdout.split()[1])
    faults.fault, faults.times = "error", FOR_EVER
    with installation.worker():
        log = installation.settings.home / "worker-one.log"
        deadline = time.monotonic() + LEASE
        while "is given back" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert "does not answer as it should (500 Internal Server Error)" in log.read_text()
        assert "SECRET" not in log.read_text()
        faults.times = 0
        job = installation.wait_for_end(job_id)
    assert (job.state, job.done, job.failed) == (JobState.DONE, 4, 0)
    with installation.database.reading() as session:
        assert session.scalar(select(func.count(Caption.id))) == 4
        assert session.scalars(select(JobItem.error).where(JobItem.error.is_not(None))).all() == []
    assert "0 problems" in installation.run("doctor").stdout


def test_the_web_server_shows_pictures_out_of_a_bucket_and_says_when_it_is_away(
    installation: Installation, faults: Faults, photos: Callable[[int], Path], free_port: int
) -> None:
    installation.run("import", "Harbour", str(photos(1)))
    with installation.database.writing() as session:
        ada = accounts.create_user(session, name="ada", role=Role.ADMIN, password="correct horse battery")
        secret = accounts.create_login_link(session, ada)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    here = f"http://127.0.0.1:{free_port}"
    server = subprocess.Popen(
        [str(COMMAND), "web", "--port", str(free_port)], env=child_environment(**installation.variables)
    )
    try:
        wait_for(f"{here}/healthz")
        browser.open(f"{here}/login/link/{secret}", timeout=30).close()
        with browser.open(f"{here}/items/1/picture", timeout=30) as answer:
            assert answer.read().startswith(JPEG)
        with browser.open(f"{here}/items/1/original", timeout=30) as answer:
            assert answer.read() == (photos(1) / "0000.jpg").read_bytes()
        faults.fault, faults.times = "error", FOR_EVER
        with pytest.raises(urllib.error.HTTPError) as refused:
            browser.open(f"{here}/items/1/picture", timeout=60)
        with refused.value as away:
            assert (away.code, away.headers["Retry-After"]) == (503, "5")
        faults.times = 0
        with browser.open(f"{here}/items/1/picture", timeout=30) as answer:
            assert answer.read().startswith(JPEG)
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, seconds: float = 60.0) -> None:
    """Return once a server answers there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
