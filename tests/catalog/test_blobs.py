import hashlib
from pathlib import Path

import pytest

from catalog.blobs import BlobStore
from catalog.errors import InvalidInput, MissingBlob


def test_bytes_and_files_lie_under_their_hash_once(blobs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"scan")
    key = blobs.put(b"scan")
    assert key == hashlib.sha256(b"scan").hexdigest() == blobs.put(tmp_path / "file")
    assert blobs.read(key) == b"scan"
    assert list(blobs.keys()) == [key]
    assert not list(blobs.folder.glob("staged-*"))


def test_missing_and_damaged_blobs_are_named(blobs: BlobStore) -> None:
    key = blobs.put(b"scan")
    blobs.path(key).write_bytes(b"rot")
    with pytest.raises(MissingBlob, match=f"{key} is damaged"):
        blobs.read(key)
    blobs.delete(key)
    with pytest.raises(MissingBlob, match="missing"):
        blobs.read(key)


@pytest.mark.parametrize("key", ["../../etc/passwd", "A" * 64, "", "0" * 63])
def test_only_hashes_are_keys(blobs: BlobStore, key: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.path(key)


def test_a_source_that_vanishes_leaves_nothing_behind(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.put(tmp_path / "gone")
    assert list(blobs.folder.iterdir()) == []
