"""Originals that are left where they are: imported, moved, changed, read again, stored later and deleted."""

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Picture
from sqlalchemy import func, select

from catalog import backup, collections, items, originals
from catalog.blobs import BlobStore
from catalog.collections import used_blobs
from catalog.commands import backup_command, delete_command, doctor_command, import_command
from catalog.database import Database
from catalog.doctor import Doctor, Finding
from catalog.errors import InvalidInput, MissingBlob
from catalog.imports.arrivals import arriving
from catalog.ingest import FileReport, Removal, ingest, remove_blobs
from catalog.schema import Image, Item, Role, User
from pictures.intake import Measured
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]
Imported = Callable[..., list[FileReport]]
Examined = Callable[..., list[Finding]]


@pytest.fixture
def imported(database: Database, blobs: BlobStore, decoder: DecodingProcess) -> Imported:
    """A function that imports a folder, whose originals it leaves where they are unless told otherwise."""

    def run(folder: Path, collection: str = "Harbour", *, reference: bool = True) -> list[FileReport]:
        with database.writing() as session:
            held = {
                one.collection.name: one.collection
                for one in collections.summaries(session, viewer=None).rows
            }
            found = held.get(collection) or collections.create(session, name=collection, owner=None)
        arrival = arriving(folder, staging=blobs.folder / "staging", reference=reference)
        return list(ingest(database, blobs, decoder, found.id, arrival.files))

    return run


@pytest.fixture
def examined(database: Database, blobs: BlobStore, decoder: DecodingProcess) -> Examined:
    def run(**options: bool) -> list[Finding]:
        return list(Doctor(database=database, blobs=blobs, decoder=decoder, **options).findings())

    return run


@pytest.fixture
def folder(photo: Photo, tmp_path: Path) -> Path:
    photo(tmp_path / "photos" / "boats.jpg", 1)
    photo(tmp_path / "photos" / "old" / "mill.jpg", 2)
    return tmp_path / "photos"


def scan(path: Path, seed: int, *, dots: bool) -> Path:
    """A large scan that hardly shrinks: noise, or the black dots of a halftone, losslessly kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (1100, 1300, 3), dtype=np.uint8)
    pixels = (noise[:, :, :1] > 127).repeat(3, axis=2) * np.uint8(255) if dots else noise
    Picture.fromarray(pixels).save(path)
    return path


def state_of(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Bytes, modification time and permissions of every file."""
    return {
        str(file): (sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns, file.stat().st_mode)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def stored_bytes(blobs: BlobStore) -> int:
    return sum(file.stat().st_size for file in blobs.folder.rglob("*") if file.is_file())


def the_items(database: Database) -> list[Item]:
    with database.reading() as session:
        return list(session.scalars(select(Item).order_by(Item.id)))


def test_at_most_200_kb_are_stored_of_a_scan_and_the_masters_stay_untouched(
    imported: Imported, database: Database, blobs: BlobStore, examined: Examined, tmp_path: Path
) -> None:
    masters = tmp_path / "masters"
    paths = [scan(masters / "dots.png", 1, dots=True), scan(masters / "deep" / "noise.tif", 2, dots=False)]
    for path in paths:
        path.chmod(0o444)
    before = state_of(masters)
    assert min(path.stat().st_size for path in paths) > 200_000
    assert [report.status for report in imported(masters)] == ["imported"] * 2
    assert examined(repair=True) == examined(every_byte=False) == []
    assert state_of(masters) == before
    assert all(file.stat().st_size <= 200_000 for file in blobs.folder.glob("??/*"))
    assert stored_bytes(blobs) <= 2 * 200_000
    with database.reading() as session:
        images = session.scalars(select(Image)).all()
    assert [image.stored for image in images] == [False, False]
    assert sorted(blobs.keys()) == sorted(image.rendition for image in images)
    assert sorted(item.reference or "" for item in the_items(database)) == sorted(map(str, paths))


def test_twenty_equal_files_share_a_rendition_and_each_is_looked_after(
    imported: Imported, database: Database, blobs: BlobStore, examined: Examined, tmp_path: Path
) -> None:
    masters = tmp_path / "masters"
    first = scan(masters / "00.png", 1, dots=False)
    for number in range(1, 20):
        shutil.copy2(first, masters / f"{number:02}.png")
    before = state_of(masters)
    statuses = [report.status for report in imported(masters)]
    assert statuses == ["imported"] + ["duplicate"] * 19
    assert imported(masters)[3].detail == "imported before"
    assert examined() == []
    assert state_of(masters) == before
    assert stored_bytes(blobs) <= 200_000
    masters = masters.rename(tmp_path / "moved")
    before = state_of(masters)
    assert len(examined(every_byte=False)) == 20
    assert [report.status for report in imported(masters)] == ["already here"] * 20
    assert examined() == []
    assert state_of(masters) == before
    assert {item.reference for item in the_items(database)} == set(before)
    (masters / "00.png").unlink()
    (masters / "07.png").write_bytes(b"another")
    found = [one.problem for one in examined()]
    assert [problem.partition(" (item")[0] for problem in found] == [
        "the original of 00.png",
        "the original of 07.png",
    ]
    with database.reading() as session:
        item = items.get(session, the_items(database)[0].id, viewer=None)
        with originals.open_referenced(session, item, viewer=None) as file:
            assert sha256(file.read()).hexdigest() == item.image.sha256, "another of the twenty does"
    with database.writing() as session:
        keys = collections.remove(session, collections.by_name(session, "Harbour"), user=None)
    assert remove_blobs(database, blobs, keys) == Removal(gone=1, kept=0)
    del before[str(masters / "00.png")]
    before[str(masters / "07.png")] = state_of(masters)[str(masters / "07.png")]
    assert state_of(masters) == before
    assert stored_bytes(blobs) == 0


def test_a_moved_file_is_missed_and_importing_it_from_its_new_place_heals(
    imported: Imported, database: Database, examined: Examined, folder: Path
) -> None:
    imported(folder)
    moved = folder.rename(folder.with_name("archive"))
    for quick in (True, False):
        found = examined(every_byte=not quick)
        assert [one.repaired for one in found] == [False, False]
        assert f"was left at {folder / 'boats.jpg'}, and it is no longer there" in found[0].problem
        assert "with --reference" in found[0].remedy
    reports = {report.path: report for report in imported(moved)}
    assert {report.status for report in reports.values()} == {"already here"}
    place = moved / "old" / "mill.jpg"
    assert reports["old/mill.jpg"].detail == f"imported before; its original is now the one at {place}"
    assert examined() == []
    assert len(the_items(database)) == 2


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_file_is_told_from_what_was_imported(
    imported: Imported, examined: Examined, folder: Path, same_size: bool
) -> None:
    imported(folder)
    file = folder / "boats.jpg"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]) if same_size else good + b"!")
    (found,) = examined()
    assert f"was left at {file}, and it has changed" in found.problem
    assert len(examined(every_byte=False)) == (0 if same_size else 1)
    file.write_bytes(good)
    assert examined() == []


@pytest.mark.parametrize("place", ["a pipe", "a folder", "locked"])
def test_what_lies_there_instead_is_not_waited_for(
    imported: Imported, examined: Examined, folder: Path, place: str
) -> None:
    imported(folder)
    file = folder / "boats.jpg"
    if place == "locked":
        if os.geteuid() == 0:
            pytest.skip("root may read everything")
        file.chmod(0)
    else:
        file.unlink()
        (os.mkfifo if place == "a pipe" else os.mkdir)(file)
    (found,) = examined()
    assert "cannot be read" in found.problem


def test_a_lost_rendition_is_made_again_from_the_referenced_file_unless_that_changed(
    imported: Imported, examined: Examined, database: Database, blobs: BlobStore, folder: Path
) -> None:
    imported(folder)
    before = state_of(folder)
    with database.reading() as session:
        keys = session.scalars(select(Image.rendition).order_by(Image.id)).all()
    blobs.delete(keys[0])
    assert [one.repaired for one in examined(repair=True)] == [True]
    assert examined() == []
    assert state_of(folder) == before
    blobs.delete(keys[0])
    (folder / "boats.jpg").write_bytes((folder / "old" / "mill.jpg").read_bytes())
    found = examined(repair=True)
    assert [one.repaired for one in found] == [False, False]
    assert "it cannot be made again" in found[1].remedy
    assert not blobs.exists(keys[0])


def test_a_picture_that_is_stored_stays_stored(
    imported: Imported, database: Database, blobs: BlobStore, examined: Examined, folder: Path
) -> None:
    imported(folder, reference=False)
    imported(folder, "Referenced")
    assert [item.reference for item in the_items(database)] == [None] * 4
    with database.writing() as session:
        keys = collections.remove(session, collections.by_name(session, "Harbour"), user=None)
    remove_blobs(database, blobs, keys)
    shutil.rmtree(folder)
    assert examined() == []
    assert len(list(blobs.keys())) == 4


def test_a_stored_original_that_was_lost_comes_back_from_a_referenced_file(
    imported: Imported, blobs: BlobStore, examined: Examined, folder: Path
) -> None:
    imported(folder, reference=False)
    blobs.delete(sha256((folder / "boats.jpg").read_bytes()).hexdigest())
    assert len(examined()) == 1
    imported(folder)
    assert examined() == []


def test_a_referenced_picture_that_is_imported_later_is_stored_and_no_longer_asked_for(
    imported: Imported, database: Database, blobs: BlobStore, examined: Examined, folder: Path
) -> None:
    imported(folder)
    imported(folder, reference=False)
    with database.reading() as session:
        assert session.scalars(select(Image.stored)).all() == [True, True]
    originals_there = {file: file.read_bytes() for file in folder.rglob("*.jpg")}
    shutil.rmtree(folder)
    assert examined() == []
    for content in originals_there.values():
        assert blobs.read(sha256(content).hexdigest()) == content


def test_only_files_of_this_disk_can_be_referenced(photo: Photo, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", photo(tmp_path / "in" / "a.jpg").parent)
    with pytest.raises(InvalidInput, match=r"packed\.zip.* cannot be left where they are"):
        arriving(Path(packed), staging=tmp_path, reference=True)


def test_captions_come_along_with_files_that_stay_where_they_are(
    imported: Imported, database: Database, folder: Path
) -> None:
    (folder / "boats.txt").write_text("Two boats.")
    assert [report.detail for report in imported(folder)] == ["1 caption came along", ""]
    assert [item.reference for item in the_items(database)] == [
        str(folder / "boats.jpg"),
        str(folder / "old" / "mill.jpg"),
    ]


def test_a_relative_name_is_remembered_by_its_absolute_path(
    imported: Imported, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "old")
    imported(Path("../boats.jpg"))
    assert [item.reference for item in the_items(database)] == [str(folder / "boats.jpg")]


def test_a_name_that_no_database_can_hold_is_refused_and_the_rest_goes_on(
    imported: Imported, database: Database, folder: Path
) -> None:
    (folder / "boats.jpg").rename(folder / "bo\udce4ts.jpg")
    reports = imported(folder)
    assert [(report.path, report.status) for report in reports] == [
        ("bo\ufffdts.jpg", "refused"),
        ("old/mill.jpg", "imported"),
    ]
    assert "without --reference" in reports[0].detail
    assert len(the_items(database)) == 1


def test_a_file_that_changes_while_it_is_referenced_leaves_nothing_behind(
    database: Database, blobs: BlobStore, photo: Photo, tmp_path: Path
) -> None:
    source = photo(tmp_path / "a.jpg", 1)

    class Slow(DecodingProcess):
        def measure(self, path: Path, *, sidecar: Path | None = None) -> Measured:
            measured = super().measure(path, sidecar=sidecar)
            photo(path, 2)
            return measured

    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    arrival = arriving(source, staging=tmp_path, reference=True)
    with Slow() as decoder:
        (report,) = ingest(database, blobs, decoder, collection_id, arrival.files)
    assert "changed while it was imported" in report.detail
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Item)) == 0


def test_deleting_an_item_never_touches_the_file_that_it_refers_to(
    imported: Imported, database: Database, blobs: BlobStore, folder: Path
) -> None:
    imported(folder)
    before = state_of(folder)
    for item in the_items(database):
        with database.writing() as session:
            keys = items.remove(session, session.get_one(Item, item.id), user=None)
        assert remove_blobs(database, blobs, keys) == Removal(gone=1, kept=0)
    assert state_of(folder) == before
    assert list(blobs.keys()) == []


def test_an_original_that_is_not_stored_is_no_blob_that_a_row_needs(
    imported: Imported, database: Database, blobs: BlobStore, folder: Path
) -> None:
    imported(folder)
    key = blobs.put(folder / "boats.jpg")
    with database.reading() as session:
        image = session.scalars(select(Image).where(Image.sha256 == key)).one()
        assert used_blobs(session, [key, image.rendition]) == {image.rendition}


def test_reviewers_are_told_that_an_original_is_gone_but_not_where_it_was(
    imported: Imported, database: Database, folder: Path
) -> None:
    imported(folder)
    (folder / "boats.jpg").write_bytes(b"something else")
    with database.reading() as session:
        item = items.get(session, the_items(database)[0].id, viewer=None)
        with pytest.raises(MissingBlob, match="was left at") as told:
            originals.open_referenced(session, item, viewer=None)
        assert str(folder / "boats.jpg") in str(told.value)
        bob = User(name="bob", role=Role.REVIEWER)
        with pytest.raises(MissingBlob, match="tell an admin") as told:
            originals.open_referenced(session, item, viewer=bob)
        assert str(folder) not in str(told.value)


def test_a_backup_misses_no_original_that_was_left_where_it_is(
    imported: Imported, database: Database, blobs: BlobStore, folder: Path, tmp_path: Path
) -> None:
    imported(folder)
    assert backup.back_up(database, blobs, tmp_path / "backup.tar") == []
    assert backup.originals_left_out(database) == 2


def test_the_commands_say_what_lies_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))

    def said(command: object, *arguments: object) -> str:
        return CliRunner().invoke(command, [str(one) for one in arguments]).output  # type: ignore[arg-type]

    assert "2 of 2 files are in 'Harbour'" in said(import_command, "Harbour", folder, "--reference")
    assert "0 problems found" in said(doctor_command)
    written = said(backup_command, tmp_path / "backup.tar")
    assert "originals that were left where they are: 2; they are not in it" in written
    (folder / "boats.jpg").unlink()
    assert f"was left at {folder / 'boats.jpg'}, and it is no longer there" in said(doctor_command, "--quick")
    assert "2 stored files were removed with it" in said(delete_command, "Harbour", "--yes")
    assert (folder / "old" / "mill.jpg").exists()
