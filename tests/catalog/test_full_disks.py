"""Disks and databases that are really full: nothing is half stored, and work goes on when there is room."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text

from catalog import collections
from catalog.blobs.local import LocalBlobs
from catalog.blobs.s3 import S3Blobs
from catalog.database import Database, migrate
from catalog.doctor import Doctor
from catalog.errors import StorageFull
from catalog.imports.archive import members_of
from catalog.ingest import Incoming, ingest, pictures_of
from catalog.schema import Collection
from pictures.sandbox import DecodingProcess
from tests.disks import fill_up

Photo = Callable[..., Path]
BLOCK = b"x" * (64 << 10)


def make_many(database: Database) -> None:
    """Make more collections, in one transaction, than a full disk can take."""
    with database.writing() as session:
        for number in range(500):
            collections.create(session, name=f"{number} " + "x" * 90, owner=None)


def test_a_blob_that_does_not_fit_leaves_nothing_and_fits_later(small_disk: Path) -> None:
    blobs = LocalBlobs(small_disk / "blobs")
    first = blobs.put(b"first")
    filler = fill_up(small_disk, but=len(BLOCK) // 2)
    for _ in range(2):
        with pytest.raises(StorageFull, match=f"the disk that holds '{small_disk}/blobs' is full"):
            blobs.put(BLOCK)
    assert list(blobs.keys()) == [first]
    assert list(blobs.folder.glob("staged-*")) == []
    filler.unlink()
    assert blobs.read(blobs.put(BLOCK)) == BLOCK


def test_a_copy_that_does_not_fit_names_its_folder(blobs: LocalBlobs) -> None:
    key = blobs.put(BLOCK)
    with pytest.raises(StorageFull, match="the disk that holds '/dev' is full"):
        blobs.copy_to(key, Path("/dev/full"))


def test_a_blob_of_a_bucket_that_does_not_fit_on_this_disk_leaves_nothing(
    s3_blobs: S3Blobs, small_disk: Path
) -> None:
    here = S3Blobs(s3_blobs.bucket, staging=small_disk / "staging")
    key = here.put(BLOCK)
    filler = fill_up(small_disk, but=len(BLOCK) // 2)
    with pytest.raises(StorageFull), here.local(key):
        pass
    filler.unlink()
    with here.local(key) as file:
        assert file.read_bytes() == BLOCK
    assert list(here.staging.iterdir()) == []


def test_an_import_without_room_stores_no_half_picture_and_goes_on_later(
    database: Database, decoder: DecodingProcess, photo: Photo, small_disk: Path, tmp_path: Path
) -> None:
    for number in range(4):
        photo(tmp_path / "photos" / f"{number}.jpg", number, (1200, 900))
    files = pictures_of(tmp_path / "photos")
    blobs = LocalBlobs(small_disk / "blobs")
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    reports = ingest(database, blobs, decoder, collection_id, files)
    assert next(reports).stored
    stored = sorted(blobs.keys())
    # The next original fits, its rendition does not.
    filler = fill_up(small_disk, but=files[1].source.stat().st_size + 8192)
    with pytest.raises(StorageFull):
        next(reports)
    assert sorted(blobs.keys()) == stored
    filler.unlink()
    assert all(report.stored for report in ingest(database, blobs, decoder, collection_id, files))
    assert list(Doctor(database=database, blobs=blobs, decoder=decoder).findings()) == []


def test_a_zip_that_cannot_be_unpacked_for_want_of_room_ends_the_import(
    database: Database,
    blobs: LocalBlobs,
    decoder: DecodingProcess,
    photo: Photo,
    small_disk: Path,
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(photo(tmp_path / "large.jpg", 1, (3000, 2000)), "large.jpg")
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    members, _ = members_of(tmp_path / "photos.zip", small_disk / "cache")
    filler = fill_up(small_disk, but=8192)
    with pytest.raises(StorageFull, match="small disk/cache' is full"):
        list(ingest(database, blobs, decoder, collection_id, members))
    filler.unlink()
    assert [one.stored for one in ingest(database, blobs, decoder, collection_id, members)] == [True]
    assert list((small_disk / "cache").iterdir()) == []


class Unstageable(Incoming):
    """A file that waits on a disk without room."""

    @contextmanager
    def local(self) -> Iterator[Path]:
        Path("/dev/full").write_bytes(BLOCK)
        yield self.source


def test_a_file_that_cannot_be_staged_for_want_of_room_ends_the_import(
    database: Database, blobs: LocalBlobs, decoder: DecodingProcess, tmp_path: Path
) -> None:
    files = [Unstageable(tmp_path / f"{number}.jpg", f"{number}.jpg") for number in range(2)]
    with pytest.raises(OSError, match="No space left"):
        list(ingest(database, blobs, decoder, 1, files))


def test_the_command_stops_with_one_sentence_and_goes_on_when_run_again(
    photo: Photo, small_disk: Path, tmp_path: Path
) -> None:
    for number in range(12):
        photo(tmp_path / "photos" / f"{number:02}.jpg", number, (1600, 1200))
    variables = {
        **os.environ,
        "RECAPTION_HOME": str(tmp_path / "home"),
        "RECAPTION_BLOBS": str(small_disk / "blobs"),
    }
    filler = fill_up(small_disk, but=300 << 10)
    program = "import recaption; recaption.main()"
    command = [sys.executable, "-c", program, "import", "Harbour", str(tmp_path / "photos")]
    full = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert full.returncode == 2
    assert full.stderr == (
        f"Error: the disk that holds '{small_disk}/blobs' is full; free some space there and do it again\n"
    )
    done = int(full.stdout.split()[0])
    assert 0 < done < 12
    assert f"{done} of 12 files are in 'Harbour'" in full.stdout
    filler.unlink()
    again = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (0, "12 of 12 files are in 'Harbour'\n")


def test_a_database_that_may_grow_no_more_is_full_and_goes_on_later(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "recaption.sqlite")
    database = Database(f"sqlite:///{tmp_path}/recaption.sqlite")
    with database.reading() as session:
        # One connection is kept open and used again.
        session.execute(text("PRAGMA max_page_count = 1"))
    with pytest.raises(StorageFull, match="the disk of the database"):
        make_many(database)
    with database.reading() as session:
        session.execute(text("PRAGMA max_page_count = 1000000"))
        assert session.scalars(select(Collection)).all() == []
    make_many(database)
    database.close()


def test_a_database_on_a_full_disk_is_full_and_goes_on_later(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'recaption.sqlite'}"
    migrate(url)
    database = Database(url)
    with database.writing() as session:
        collections.create(session, name="first", owner=None)
    filler = fill_up(small_disk)
    with pytest.raises(StorageFull):
        make_many(database)
    database.close()
    newcomer, filler = Database(url), fill_up(small_disk)
    with pytest.raises(StorageFull):
        newcomer.check_schema()
    filler.unlink()
    with database.writing() as session:
        assert collections.by_name(session, "first")
        collections.create(session, name="later", owner=None)
    database.close()


def test_postgresql_says_in_its_own_way_that_its_disk_is_full(empty_postgresql: str) -> None:
    database = Database(empty_postgresql)
    with pytest.raises(StorageFull, match="the disk of the database"), database.writing() as session:
        session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$"))
    database.close()
