"""Blobs in a bucket behind a network that errs: what heals is healed, and the rest is said clearly."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import obstore
import pytest

from catalog import object_storage
from catalog.blobs.s3 import S3Blobs
from catalog.errors import CatalogError, Conflict, MissingBlob, StorageFull, StorageUnavailable
from catalog.object_storage import PART, Bucket, S3Account, S3Place
from tests.catalog.faulty_proxy import Faults, faulty_proxy

SCAN = bytes(range(256)) * 4096
FOR_EVER = 10**6
# Stores a file and fetches it again in a process of its own; prints by how many bytes this one grew.
SENDER = """
import resource, sys
from pathlib import Path
from catalog.blobs.s3 import S3Blobs
from catalog.object_storage import Bucket, S3Account, S3Place

_, place, endpoint, file = sys.argv
account = S3Account(endpoint, "us-east-1", "KEYID", "SECRET")
blobs = S3Blobs(Bucket(S3Place.parse(place), account), staging=Path(file).parent / "staging")
blobs.put(b"small")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
with blobs.local(blobs.put(Path(file))) as copy:
    assert copy.stat().st_size == Path(file).stat().st_size
print(peak() - before)
"""


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What goes wrong, while we ask with less patience than usual."""
    backoff = {"init_backoff": timedelta(seconds=0.01), "max_backoff": timedelta(seconds=0.05), "base": 2}
    patience = {"max_retries": 3, "retry_timeout": timedelta(seconds=5), "backoff": backoff}
    monkeypatch.setattr(object_storage, "RETRIES", patience)
    limits = {"connect_timeout": "1s", "read_timeout": "1s", "timeout": "10s"}
    monkeypatch.setattr(object_storage, "READING", limits)
    monkeypatch.setattr(object_storage, "WRITING", {"connect_timeout": "1s", "timeout": "1s"})
    return Faults()


@pytest.fixture
def behind(
    s3_server: str, place: S3Place, account: S3Account, faults: Faults, tmp_path: Path
) -> Iterator[S3Blobs]:
    """The store, seen through the faults."""
    with faulty_proxy(s3_server, faults) as address:
        seen = replace(account, endpoint=address)
        yield S3Blobs(Bucket(place, seen), staging=tmp_path / "staging")


def strike(faults: Faults, fault: str, times: int, method: str, seconds: float = 0.0) -> None:
    faults.fault, faults.times, faults.method, faults.seconds = fault, times, method, seconds
    faults.asked.clear()


def unfinished(s3_server: str, place: S3Place) -> int:
    """The uploads in parts that were neither completed nor aborted."""
    with urlopen(f"{s3_server}/{place.bucket}?uploads") as answer:
        return int(answer.read().count(b"<UploadId>"))


@pytest.mark.parametrize("fault", ["error", "drop", "cut", "flip", "slow"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_read_that_fails_at_first_is_healed(
    behind: S3Blobs, faults: Faults, fault: str, times: int, tmp_path: Path
) -> None:
    key = behind.put(SCAN)
    strike(faults, fault, times, "GET", seconds=1.5)
    assert behind.read(key) == SCAN
    assert faults.times == 0
    strike(faults, fault, times, "GET", seconds=1.5)
    with behind.local(key) as file:
        assert file.read_bytes() == SCAN


@pytest.mark.parametrize("fault", ["error", "drop", "cut", "slow"])
def test_a_read_that_never_succeeds_ends_soon_and_says_that_the_storage_is_away(
    behind: S3Blobs, faults: Faults, fault: str, tmp_path: Path
) -> None:
    key = behind.put(SCAN)
    strike(faults, fault, FOR_EVER, "GET", seconds=1.5)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="does not answer as it should"):
        behind.read(key)
    assert time.monotonic() - began < 20
    assert len(faults.asked) <= 12
    with pytest.raises(StorageUnavailable), behind.local(key):
        pass
    assert list(behind.staging.iterdir()) == []
    with pytest.raises(StorageUnavailable):
        behind.is_whole(key)


def test_bytes_that_are_wrong_each_time_are_damaged(behind: S3Blobs, faults: Faults) -> None:
    key = behind.put(SCAN)
    strike(faults, "flip", FOR_EVER, "GET")
    with pytest.raises(MissingBlob, match=f"{key} is damaged"):
        behind.read(key)
    assert faults.asked == ["GET"] * 3


@pytest.mark.parametrize("fault", ["error", "drop"])
@pytest.mark.parametrize("content", [SCAN, SCAN * 9], ids=["small", "large"])
def test_a_write_that_fails_at_first_is_healed(
    behind: S3Blobs, s3_blobs: S3Blobs, faults: Faults, fault: str, content: bytes
) -> None:
    strike(faults, fault, 2, "PUT")
    key = behind.put(content)
    assert s3_blobs.read(key) == content


@pytest.mark.parametrize("fault", ["error", "slow", "flip"])
@pytest.mark.parametrize("content", [SCAN, SCAN * 9], ids=["small", "large"])
def test_a_write_that_never_succeeds_stores_nothing(
    behind: S3Blobs,
    s3_blobs: S3Blobs,
    s3_server: str,
    place: S3Place,
    faults: Faults,
    fault: str,
    content: bytes,
) -> None:
    strike(faults, fault, FOR_EVER, "PUT", seconds=1.5)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):
        behind.put(content)
    assert time.monotonic() - began < 40
    time.sleep(2 if fault == "slow" else 0)  # What is on its way may yet arrive, and whole.
    stored = list(s3_blobs.keys())
    assert all(s3_blobs.is_whole(key) for key in stored)
    assert stored == [] or fault == "slow"
    assert unfinished(s3_server, place) == 0


def test_a_large_blob_comes_and_goes_with_little_memory(
    s3_blobs: S3Blobs, account: S3Account, tmp_path: Path
) -> None:
    file = tmp_path / "large.tif"
    file.write_bytes(SCAN * 200)
    said = subprocess.run(
        [sys.executable, "-c", SENDER, str(s3_blobs.bucket.place), str(account.endpoint), str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(said.stdout) < 10 * PART < len(SCAN) * 200


def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    s3_blobs: S3Blobs, s3_server: str, place: S3Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.tif"
    file.write_bytes(SCAN * 20)
    exists = s3_blobs.exists

    def change_and_ask(key: str) -> bool:
        with file.open("r+b") as open_file:
            open_file.seek(-1, 2)
            open_file.write(b"x")
        return exists(key)

    monkeypatch.setattr(s3_blobs, "exists", change_and_ask)
    with pytest.raises(Conflict, match="changed while it was stored"):
        s3_blobs.put(file)
    assert list(s3_blobs.keys()) == []
    assert unfinished(s3_server, place) == 0


def test_a_storage_without_conditions_is_asked_first(
    s3_blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, modes = obstore.put, []

    def unconditional(*arguments: object, **options: object) -> object:
        modes.append(options.get("mode"))
        if options.get("mode") == "create":
            raise obstore.exceptions.NotSupportedError("501 Not Implemented")
        return put(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "put", unconditional)
    key = s3_blobs.put(b"scan")
    assert s3_blobs.put(b"scan") == key
    assert modes == ["create", None, "create"]
    assert s3_blobs.read(key) == b"scan"


def test_a_full_storage_says_so(behind: S3Blobs, faults: Faults) -> None:
    strike(faults, "full", FOR_EVER, "PUT")
    with pytest.raises(StorageFull, match="/archive is full"):
        behind.put(SCAN)
    strike(faults, "", 0, "PUT")
    assert behind.read(behind.put(SCAN)) == SCAN


def test_a_bucket_that_is_not_there_is_named(account: S3Account, tmp_path: Path) -> None:
    nowhere = S3Blobs(Bucket(S3Place("nowhere-at-all", ""), account), staging=tmp_path)
    calls: list[Callable[[], object]] = [lambda: nowhere.put(b"x"), lambda: list(nowhere.keys())]
    for call in (*calls, lambda: nowhere.read("0" * 64)):
        with pytest.raises(StorageUnavailable, match="no bucket 'nowhere-at-all'"):
            call()


def test_a_storage_that_nobody_serves_is_said_to_be_away(
    place: S3Place, account: S3Account, faults: Faults, free_port: int, tmp_path: Path
) -> None:
    away = replace(account, endpoint=f"http://127.0.0.1:{free_port}")
    blobs = S3Blobs(Bucket(place, away), staging=tmp_path)
    with pytest.raises(StorageUnavailable, match="it cannot be reached"):
        blobs.put(b"scan")


def test_a_refusal_repeats_no_secret_of_ours(behind: S3Blobs, faults: Faults) -> None:
    strike(faults, "error", FOR_EVER, "GET")
    faults.body = (
        b"<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>x-amz-security-token:TOKEN "
        b"KEYID SECRET</CanonicalRequest></Error>"
    )
    with pytest.raises(StorageUnavailable, match="403 Forbidden, SignatureDoesNotMatch") as refused:
        behind.read("0" * 64)
    said: BaseException | None = refused.value
    assert isinstance(said, CatalogError)
    assert said.__suppress_context__, "the storage's own words stay out of tracebacks"
    for secret in ("TOKEN", "KEYID ", "SECRET<"):
        assert secret not in str(said)
