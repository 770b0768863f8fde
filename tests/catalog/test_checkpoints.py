import json
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from catalog import checkpoints
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import InvalidInput, MissingBlob, NotFound
from catalog.schema import CheckpointState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "one", "one")


def written(folder: Path, name: str) -> Path:
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights of " + name.encode())
    (folder / "checkpoint.json").write_text(json.dumps({"name": name}))
    return folder


def test_the_first_starter_is_active_and_a_newer_one_a_candidate(
    database: Database, blobs: BlobStore, folder: Path, tmp_path: Path
) -> None:
    for place in (folder, folder, written(tmp_path / "two", "two")):
        checkpoints.ensure_starter(database, blobs, place)
    with database.reading() as session:
        assert checkpoints.active(session).name == "one"
        states = {one.name: one.state for one in checkpoints.newest(session).rows}
    assert states == {"one": CheckpointState.ACTIVE, "two": CheckpointState.CANDIDATE}


def test_a_worker_fetches_a_checkpoint_once(
    session: Session, blobs: BlobStore, folder: Path, tmp_path: Path
) -> None:
    checkpoint = checkpoints.register(session, blobs, folder)
    cache = tmp_path / "cache"
    fetched = checkpoints.materialise(checkpoint, blobs, cache)
    assert (fetched / "weights.safetensors").read_bytes() == b"weights of one"
    blobs.delete(checkpoint.weights_sha256)
    assert checkpoints.materialise(checkpoint, blobs, cache) == fetched
    with pytest.raises(MissingBlob):
        checkpoints.materialise(checkpoint, blobs, tmp_path / "other cache")
    assert list((tmp_path / "other cache" / "checkpoints").iterdir()) == []


def test_what_is_no_checkpoint_is_refused(session: Session, blobs: BlobStore, folder: Path) -> None:
    with pytest.raises(NotFound, match="no checkpoint is active"):
        checkpoints.active(session)
    with pytest.raises(NotFound, match="'two'"):
        checkpoints.by_name(session, "two")
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(InvalidInput, match="no JSON"):
        checkpoints.register(session, blobs, folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"has no weights\.safetensors"):
        checkpoints.register(session, blobs, folder)
