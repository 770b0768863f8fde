import io
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from catalog import checkpoint_intake, checkpoints
from catalog.blobs import BlobStore
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import Conflict, InvalidInput, MissingBlob, NotFound, StorageFull
from catalog.schema import CheckpointState

FILES = ("weights.safetensors", "checkpoint.json")


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


def zipped(path: Path, files: dict[str, bytes], *, link: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, data)
    return path


@pytest.fixture
def sqlite(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Database]:
    """One kind of database: what reads zips and starts processes is the same on both, and slow."""
    shutil.copy(migrated_sqlite, tmp_path / "recaption.sqlite")
    database = Database(f"sqlite:///{tmp_path / 'recaption.sqlite'}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def starter() -> dict[str, bytes]:
    """The files of the checkpoint that is shipped."""
    folder = Path(__file__).parents[2] / "model" / "starter"
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_checkpoint_goes_round_as_a_folder_and_as_a_zip(
    sqlite: Database, blobs: BlobStore, starter: dict[str, bytes], tmp_path: Path
) -> None:
    starter = changed(starter, name="ours")
    added = checkpoints.add(sqlite, blobs, zipped(tmp_path / "in.zip", starter))
    assert (added.name, added.state) == (json.loads(starter[FILES[1]])["name"], CheckpointState.CANDIDATE)
    checkpoints.save_to(blobs, added, tmp_path / "saved")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == starter
    with pytest.raises(Conflict, match="not empty"):
        checkpoints.save_to(blobs, added, tmp_path / "saved")
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        checkpoints.write_zip(blobs, added, file)
    assert first.getvalue() == second.getvalue()
    with zipfile.ZipFile(first) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == starter
    with pytest.raises(Conflict, match="is here already; give this one another name"):
        checkpoints.add(sqlite, blobs, tmp_path / "saved")


def changed(starter: dict[str, bytes], **values: object) -> dict[str, bytes]:
    """The starter with other values in its checkpoint.json."""
    return {**starter, FILES[1]: json.dumps({**json.loads(starter[FILES[1]]), **values}).encode()}


def hostile(starter: dict[str, bytes]) -> dict[str, tuple[dict[str, bytes], str]]:
    """What is to be refused, and what the refusal says."""
    weights, description = FILES
    recipe = json.loads(starter[description])["recipe"]
    larger = {**recipe, "decoder": {**recipe["decoder"], "hidden_size": 400}}
    endless = {**recipe, "decoder": {**recipe["decoder"], "hidden_size": 10**9}}
    other = bytearray(starter[weights])
    other[-1] ^= 1
    return {
        "pickle": ({**starter, "model.pt": b"cos\nsystem\n"}, r"holds 'model\.pt'; pack weights"),
        "twice": ({**starter, f"again/{weights}": b""}, "holds 'again/weights"),
        "no weights": ({description: starter[description]}, r"has no weights\.safetensors"),
        "name of ours": (changed(starter, name="starter-99"), "name of checkpoints that come with Recaption"),
        "no JSON": ({**starter, description: b"{"}, "cannot be read"),
        "deep": ({**starter, description: b"[" * 100_000}, "cannot be read"),
        "a list": ({**starter, description: b"[]"}, "describes no checkpoint"),
        "infinite": ({**starter, description: b'{"name": "x", "scores": 1e999}'}, "cannot be read"),
        "surrogate": ({**starter, description: b'{"name": "x", "licence": "\\ud800"}'}, "cannot be read"),
        "NUL": ({**starter, description: b'{"name": "x", "licence": "\\u0000"}'}, "holds a NUL"),
        "no name": (changed(starter, name=" "), "names no checkpoint"),
        "long name": (changed(starter, name="x" * 256), "names no checkpoint"),
        "newline": (changed(starter, name="x\ny"), "names no checkpoint"),
        "large": ({**starter, description: b" " * (33 << 20)}, "larger than 32 MB"),
        "newer": (changed(starter, name="x", format=99), "written by a newer Recaption"),
        "bounds": (changed(starter, name="x", recipe=endless), "is damaged.*hidden_size"),
        "shapes": (changed(starter, name="x", recipe=larger), "does not fit its recipe"),
        "altered": ({**changed(starter, name="x"), weights: bytes(other)}, "its hash differs"),
    }


def test_a_checkpoint_that_cannot_be_stored_whole_leaves_nothing(
    database: Database, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path) -> str:
        if source.name == "checkpoint.json":
            raise StorageFull("the disk that holds the blobs is full; free some space there and do it again")
        return put(source)

    put = blobs.put
    monkeypatch.setattr(checkpoint_intake, "try_out", lambda folder: None)
    with monkeypatch.context() as patched:
        patched.setattr(blobs, "put", full)
        with pytest.raises(StorageFull):
            checkpoints.add(database, blobs, folder)
    assert list(blobs.keys()) == []
    added = checkpoints.add(database, blobs, folder)
    assert {*blobs.keys()} == {added.weights_sha256, added.description_sha256}


def test_files_that_somebody_removed_before_there_was_a_row_are_stored_again(
    session: Session, blobs: LocalBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = checkpoints.lock_content

    def overtaken(session: Session, *keys: str) -> None:
        lock(session, *keys)
        for key in keys:
            blobs.delete(key)

    monkeypatch.setattr(checkpoints, "lock_content", overtaken)
    checkpoint = checkpoints.register(session, blobs, folder)
    assert {*blobs.keys()} == {checkpoint.weights_sha256, checkpoint.description_sha256}


def test_hostile_checkpoints_are_refused_in_words_and_leave_nothing(
    sqlite: Database, blobs: BlobStore, starter: dict[str, bytes], tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    for name, (files, why) in hostile(starter).items():
        with pytest.raises(InvalidInput, match=rf"(?s){why}"):
            checkpoints.add(sqlite, blobs, zipped(tmp_path / f"{name}.zip", files), staging=staging)
        assert list(staging.iterdir()) == [], name
    assert list(blobs.keys()) == []
    with sqlite.reading() as session:
        assert checkpoints.newest(session).rows == []


def test_what_is_no_zip_of_two_files_is_refused(
    sqlite: Database, blobs: BlobStore, starter: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(InvalidInput, match="cannot be read as a zip"):
        checkpoints.add(sqlite, blobs, tmp_path / "text.zip")
    with pytest.raises(InvalidInput, match=r"there is no .*gone\.zip"):
        checkpoints.add(sqlite, blobs, tmp_path / "gone.zip")
    linked = zipped(tmp_path / "linked.zip", starter, link="weights.safetensors")
    with pytest.raises(InvalidInput, match=r"holds 'weights\.safetensors'; pack"):
        checkpoints.add(sqlite, blobs, linked)
    cut = tmp_path / "cut.zip"
    whole = bytearray(zipped(tmp_path / "whole.zip", starter).read_bytes())
    whole[5000:5100] = bytes(100)
    cut.write_bytes(whole)
    with pytest.raises(InvalidInput, match="cannot be read as a zip"):
        checkpoints.add(sqlite, blobs, cut)
    assert list(blobs.keys()) == []


def test_a_checkpoint_that_never_loads_is_given_up(starter: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in starter.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInput, match=r"took longer than 0\.01 s"):
        checkpoint_intake.try_out(tmp_path, seconds=0.01)


@pytest.mark.parametrize("packed", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_that_is_packed_in_an_unusual_way_is_refused(tmp_path: Path, packed: int) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", packed) as archive:
        archive.writestr("weights.safetensors", b"abc" * 5000)
        archive.writestr("checkpoint.json", "{}")
    with (
        pytest.raises(InvalidInput, match=r"'odd\.zip' is packed in an unusual way"),
        checkpoint_intake.unpacked(tmp_path / "odd.zip"),
    ):
        pass
