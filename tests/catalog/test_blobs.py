"""What every store of blobs does, and what is the local disk's alone."""

import hashlib
import io
import time
from pathlib import Path

import pytest

from catalog.blobs import BlobStore
from catalog.blobs.local import LocalBlobs
from catalog.blobs.s3 import S3Blobs
from catalog.errors import InvalidInput, MissingBlob
from catalog.object_storage import PART

LARGE = bytes(range(256)) * (PART // 100)  # over two parts


@pytest.fixture(params=["local disk", "bucket"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    name = "blobs" if request.param == "local disk" else "s3_blobs"
    found: BlobStore = request.getfixturevalue(name)
    return found


def spoil(store: BlobStore, key: str, content: bytes) -> None:
    """Change the stored bytes as no program of ours would."""
    if isinstance(store, S3Blobs):
        store.bucket.remove(f"{key[:2]}/{key}")
        store.bucket.create(f"{key[:2]}/{key}", content)
    else:
        assert isinstance(store, LocalBlobs)
        store.path(key).write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"scan", LARGE], ids=["empty", "small", "large"])
def test_bytes_files_and_streams_lie_under_their_hash_once(
    store: BlobStore, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    key = store.put(content)
    assert key == hashlib.sha256(content).hexdigest() == store.put(file) == store.put(io.BytesIO(content))
    assert store.exists(key)
    assert store.read(key) == content
    assert list(store.keys()) == [key]
    assert abs(store.stored_at(key) - time.time()) < 60


def test_a_blob_is_a_file_while_somebody_reads_it(store: BlobStore, tmp_path: Path) -> None:
    key = store.put(LARGE)
    with store.local(key) as file:
        assert file.read_bytes() == LARGE
    store.copy_to(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert list((tmp_path / "staging").glob("*")) == []


def test_missing_and_damaged_blobs_are_named_however_they_are_read(store: BlobStore, tmp_path: Path) -> None:
    key = store.put(b"scan")
    spoil(store, key, b"rot!")
    assert not store.is_whole(key)
    for problem in (f"{key} is damaged", f"{key} is missing"):
        with pytest.raises(MissingBlob, match=problem):
            store.read(key)
        with pytest.raises(MissingBlob, match=problem), store.local(key):
            pass
        with pytest.raises(MissingBlob, match=problem):
            store.copy_to(key, tmp_path / "copy")
        store.delete(key)
    assert not store.exists(key)
    assert not store.is_whole(key)
    store.delete(key)


def test_damaged_bytes_are_set_aside_and_the_place_is_free(store: BlobStore) -> None:
    key = store.put(b"scan")
    spoil(store, key, b"rot!")
    assert store.put(b"scan") == key
    assert not store.is_whole(key), "bytes already there are left as they are"
    assert store.set_aside(key).endswith(f"damaged/{key}")
    assert not store.exists(key)
    assert list(store.keys()) == []
    store.put(b"scan")
    assert store.read(key) == b"scan"


def test_nothing_is_deleted_while_blobs_are_kept(store: BlobStore) -> None:
    key = store.put(b"scan")
    with store.kept():
        store.delete(key)
        assert store.exists(key)
        assert list(store.keys()) == [key]
    store.delete(key)
    assert not store.exists(key)


@pytest.mark.parametrize("key", ["../../etc/passwd", "A" * 64, "", "0" * 63])
def test_only_hashes_are_keys(store: BlobStore, key: str) -> None:
    for method in (store.read, store.exists, store.delete, store.set_aside, store.is_whole):
        with pytest.raises(InvalidInput):
            method(key)


def test_a_source_that_vanishes_leaves_nothing_behind(blobs: LocalBlobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.put(tmp_path / "gone")
    assert list(blobs.folder.iterdir()) == []


def test_what_a_killed_process_left_on_this_disk_is_found(s3_blobs: S3Blobs) -> None:
    key = s3_blobs.put(b"scan")
    local = s3_blobs.local(key)
    file = local.__enter__()
    assert list(s3_blobs.left_overs(older_than=60)) == []
    (found,) = s3_blobs.left_overs(older_than=-60)
    found.remove()
    assert not file.exists()
    assert list(s3_blobs.staging.iterdir()) == []
    local.__exit__(None, None, None)
