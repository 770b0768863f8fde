import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from catalog import collections, ingest, items
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import InvalidInput, NotFound
from catalog.ingest import FileReport, Incoming
from catalog.schema import Collection, Image, Item
from pictures.intake import Measured
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]


@pytest.fixture
def collection_id(database: Database) -> int:
    with database.writing() as session:
        return collections.create(session, name="Harbour", owner=None).id


@pytest.fixture
def imported(
    database: Database, blobs: BlobStore, decoder: DecodingProcess, collection_id: int
) -> Callable[[Path], list[FileReport]]:
    def run(folder: Path) -> list[FileReport]:
        return list(ingest.ingest(database, blobs, decoder, collection_id, ingest.pictures_of(folder)))

    return run


def test_good_files_get_in_once_and_bad_ones_are_named(
    database: Database,
    blobs: BlobStore,
    imported: Callable[[Path], list[FileReport]],
    photo: Photo,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    photo(folder / "a.jpg", 1)
    (folder / "sub").mkdir()
    (folder / "sub" / "b.jpg").write_bytes((folder / "a.jpg").read_bytes())
    (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:500])
    (folder / "note.jpg").write_text("not a picture")
    with zipfile.ZipFile(folder / "packed.jpg", "w") as packed:
        packed.writestr("x", "y")
    (folder / ".hidden.jpg").write_bytes(b"")
    (folder / "link.jpg").symlink_to(folder / "a.jpg")
    found = {report.path: report.status for report in imported(folder)}
    assert found == {
        "a.jpg": "imported",
        "sub/b.jpg": "duplicate",
        "cut.jpg": "corrupt",
        "note.jpg": "not an image",
        "packed.jpg": "not an image",
    }
    with database.reading() as session:
        rows = session.execute(select(Item.path, Item.image_id).order_by(Item.position)).all()
        image = session.scalars(select(Image)).one()
    assert [tuple(row) for row in rows] == [("a.jpg", image.id), ("sub/b.jpg", image.id)]
    assert sorted(blobs.keys()) == sorted([image.sha256, image.rendition])
    assert blobs.read(image.sha256) == (folder / "a.jpg").read_bytes()


def test_importing_again_adds_nothing(
    database: Database,
    imported: Callable[[Path], list[FileReport]],
    photo: Photo,
    tmp_path: Path,
) -> None:
    photo(tmp_path / "photos" / "a.jpg")
    imported(tmp_path / "photos")
    photo(tmp_path / "photos" / "b.jpg", 2)
    statuses = [report.status for report in imported(tmp_path / "photos")]
    assert statuses == ["already here", "imported"]
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Item)) == 2


def test_a_deleted_collection_takes_its_bytes_along_and_shared_ones_stay(
    database: Database,
    blobs: BlobStore,
    decoder: DecodingProcess,
    imported: Callable[[Path], list[FileReport]],
    photo: Photo,
    tmp_path: Path,
    collection_id: int,
) -> None:
    photo(tmp_path / "photos" / "own.jpg", 1)
    photo(tmp_path / "photos" / "shared.jpg", 2)
    imported(tmp_path / "photos")
    with database.writing() as session:
        other = collections.create(session, name="Other", owner=None).id
    shared = [Incoming(source=tmp_path / "photos" / "shared.jpg", path="s.jpg")]
    (report,) = ingest.ingest(database, blobs, decoder, other, shared)
    # The twin is in a collection that this one's people may not see: nothing is said of it.
    assert (report.status, report.detail) == ("imported", "")
    with database.writing() as session:
        keys = collections.remove(session, session.get_one(Collection, collection_id), user=None)
    ingest.remove_blobs(database, blobs, keys)
    with database.reading() as session:
        kept = session.scalars(select(Image)).one()
    assert sorted(blobs.keys()) == sorted([kept.sha256, kept.rendition])


def test_a_name_that_is_not_utf8_is_made_readable(
    imported: Callable[[Path], list[FileReport]], photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "photos" / "a.jpg").rename(tmp_path / "photos" / "caf\udce9\n.jpg")
    (report,) = imported(tmp_path / "photos")
    assert (report.path, report.status) == ("caf\ufffd\ufffd.jpg", "imported")


def test_a_picture_stored_again_before_its_removal_survives(
    database: Database,
    blobs: BlobStore,
    imported: Callable[[Path], list[FileReport]],
    photo: Photo,
    tmp_path: Path,
) -> None:
    photo(tmp_path / "photos" / "a.jpg")
    (report,) = imported(tmp_path / "photos")
    assert report.item_id
    with database.writing() as session:
        keys = items.remove(session, items.get(session, report.item_id, viewer=None), user=None)
    imported(tmp_path / "photos")
    ingest.remove_blobs(database, blobs, keys)
    assert len(list(blobs.keys())) == 2


def test_a_picture_keeps_the_rendition_that_it_has(
    database: Database,
    blobs: BlobStore,
    imported: Callable[[Path], list[FileReport]],
    photo: Photo,
    tmp_path: Path,
) -> None:
    photo(tmp_path / "photos" / "a.jpg")
    imported(tmp_path / "photos")
    older = blobs.put(b"a rendition of an older release")
    with database.writing() as session:
        image = session.scalars(select(Image)).one()
        blobs.delete(image.rendition)
        image.rendition = older
    imported(tmp_path / "photos")
    assert set(blobs.keys()) == {image.sha256, older}
    blobs.delete(older)
    imported(tmp_path / "photos")
    with database.reading() as session:
        assert set(blobs.keys()) == {image.sha256, session.scalars(select(Image.rendition)).one()}


def test_a_file_that_changes_while_it_is_imported_leaves_nothing_behind(
    database: Database, blobs: BlobStore, photo: Photo, tmp_path: Path, collection_id: int
) -> None:
    source = photo(tmp_path / "a.jpg", 1)

    class Slow(DecodingProcess):
        def measure(self, path: Path, *, sidecar: Path | None = None) -> Measured:
            measured = super().measure(path, sidecar=sidecar)
            photo(path, 2)
            return measured

    with Slow() as decoder:
        (report,) = ingest.ingest(database, blobs, decoder, collection_id, [Incoming(source, "a.jpg")])
    assert report.status == "corrupt"
    assert "changed while it was imported" in report.detail
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Item)) == 0


def test_an_import_into_a_deleted_collection_keeps_no_bytes(
    database: Database, blobs: BlobStore, decoder: DecodingProcess, photo: Photo, tmp_path: Path
) -> None:
    source = photo(tmp_path / "a.jpg")
    with pytest.raises(NotFound, match="no collection 99"):
        list(ingest.ingest(database, blobs, decoder, 99, [Incoming(source, "a.jpg")]))
    assert list(blobs.keys()) == []


def test_an_unreadable_folder_is_named_and_the_rest_goes_on(
    imported: Callable[[Path], list[FileReport]],
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo(tmp_path / "photos" / "a.jpg")
    (tmp_path / "photos" / "locked").mkdir()
    walk = os.walk

    def refused(folder: Path, onerror: Callable[[OSError], None]) -> Iterator[object]:
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "photos" / "locked")))
        return iter(walk(folder))

    monkeypatch.setattr(os, "walk", refused)
    statuses = {report.path: report.stored for report in imported(tmp_path / "photos")}
    assert statuses == {"a.jpg": True, "locked": False}


def test_folders_without_files_and_paths_without_anything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no files"):
        ingest.pictures_of(tmp_path)
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        ingest.pictures_of(tmp_path / "gone")
