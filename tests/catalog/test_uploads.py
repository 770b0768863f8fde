"""Uploads: received in parts, kept through breaks, imported once, and collected when nobody goes on."""

import errno
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog import collections, job_control, uploads
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import (
    CatalogError,
    Conflict,
    NotFound,
    StorageFull,
    StorageUnavailable,
    UploadOverrun,
)
from catalog.imports import arrivals, reports, staging, uploaded
from catalog.imports.claims import claim, retry
from catalog.imports.uploaded import Importing, import_next
from catalog.schema import (
    Caption,
    Collection,
    Image,
    ImportedFile,
    Item,
    Job,
    JobState,
    Upload,
    UploadPart,
    UploadState,
    User,
    utc_now,
)
from pictures.sandbox import DecodingProcess
from tests.pictures.blocks import alt, xmp

Photo = Callable[..., Path]


class Client:
    """Somebody who uploads into one collection."""

    def __init__(self, database: Database, blobs: BlobStore, decoder: DecodingProcess, staging: Path) -> None:
        self.database, self.blobs, self.decoder, self.staging = database, blobs, decoder, staging
        with database.writing() as session:
            self.collection_id = collections.create(session, name="Harbour", owner=None).id

    def start(self, **options: object) -> int:
        with self.database.writing() as session:
            collection = session.get_one(Collection, self.collection_id)
            return uploads.start_import(session, collection, user=None, **options).id  # type: ignore[arg-type]

    def begin(self, job_id: int, path: str, length: int) -> str:
        with self.database.writing() as session:
            return uploads.begin(session, session.get_one(Job, job_id), path=path, length=length).key

    def send(self, key: str, offset: int, content: bytes) -> int:
        return uploads.receive(
            self.database, self.blobs, key, user=None, offset=offset, stream=io.BytesIO(content)
        )

    def upload(self, job_id: int, path: str, content: bytes) -> str:
        key = self.begin(job_id, path, len(content))
        self.send(key, 0, content)
        return key

    def close(self, job_id: int) -> None:
        with self.database.writing() as session:
            uploads.close(session, session.get_one(Job, job_id))

    def retry(self, job_id: int) -> int:
        with self.database.writing() as session:
            return retry(session, session.get_one(Job, job_id))

    def import_all(self) -> int:
        count = 0
        while import_next(self.database, self.blobs, self.decoder, self.staging):
            count += 1
        return count

    def job(self, job_id: int) -> tuple[JobState, int, int, int]:
        with self.database.reading() as session:
            job = session.get_one(Job, job_id)
            return job.state, job.total, job.done, job.failed

    def reports(self, job_id: int) -> dict[str, str]:
        with self.database.reading() as session:
            page = reports.page(session, session.get_one(Job, job_id), limit=500)
            return {file.path: file.status for file in page.files}

    def count(self, table: type) -> int:
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def left_over_blobs(self) -> set[str]:
        with self.database.reading() as session:
            return set(self.blobs.keys()) - collections.used_blobs(session, list(self.blobs.keys()))


@pytest.fixture
def client(database: Database, blobs: BlobStore, decoder: DecodingProcess, tmp_path: Path) -> Client:
    return Client(database, blobs, decoder, tmp_path / "staging")


@pytest.fixture
def picture(photo: Photo, tmp_path: Path) -> Callable[..., bytes]:
    """A function that returns the bytes of a small picture, different for every seed."""

    def make(seed: int = 0) -> bytes:
        return photo(tmp_path / "pictures" / f"{seed}.jpg", seed).read_bytes()

    return make


Picture = Callable[..., bytes]


def test_a_file_received_in_pieces_is_imported_whole(client: Client, picture: Picture) -> None:
    content, job_id = picture(), client.start()
    key = client.begin(job_id, "pier.jpg", len(content))
    assert client.send(key, 0, content[:100]) == 100
    assert client.import_all() == 0  # nothing is imported before all is here
    assert client.send(key, 100, content[100:]) == len(content)
    client.close(job_id)
    assert client.import_all() == 1
    assert client.job(job_id) == (JobState.DONE, 1, 1, 0)
    assert client.reports(job_id) == {"pier.jpg": "imported"}
    with client.database.reading() as session:
        assert client.blobs.read(session.scalars(select(Image.sha256)).one()) == content
    assert client.count(UploadPart) == 0
    assert client.left_over_blobs() == set()


def test_long_streams_are_kept_part_by_part(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_SIZE", 100)
    key = client.begin(client.start(), "long.bin", 250)
    client.send(key, 0, bytes(range(250)))
    with client.database.reading() as session:
        parts = session.scalars(select(UploadPart).order_by(UploadPart.offset)).all()
    assert [part.offset for part in parts] == [0, 100, 200]
    assert b"".join(client.blobs.read(part.sha256) for part in parts) == bytes(range(250))


def test_what_came_before_the_connection_broke_is_kept(client: Client) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if piece := super().read(size):
                return piece
            raise ConnectionResetError

    key = client.begin(client.start(), "long.bin", 250)
    with pytest.raises(ConnectionResetError):
        uploads.receive(
            client.database, client.blobs, key, user=None, offset=0, stream=Broken(bytes(range(120)))
        )
    with client.database.reading() as session:
        assert uploads.get(session, key, user=None).received == 120
    assert client.send(key, 120, bytes(range(120, 250))) == 250


def test_a_wrong_offset_is_refused_and_nothing_is_kept(client: Client) -> None:
    key = client.begin(client.start(), "pier.jpg", 250)
    client.send(key, 0, bytes(100))
    for offset in (0, 99, 101):
        with pytest.raises(Conflict, match="up to byte 100"):
            client.send(key, offset, b"more")
    assert client.count(UploadPart) == 1


def test_more_bytes_than_announced_are_refused(client: Client) -> None:
    key = client.begin(client.start(), "pier.jpg", 10)
    with pytest.raises(UploadOverrun, match="announced with 10 bytes"):
        client.send(key, 0, bytes(11))
    assert client.left_over_blobs() == set()
    assert client.send(key, 0, bytes(10)) == 10


def test_two_who_send_the_same_bytes_at_once_leave_one_copy(client: Client) -> None:
    # The second one's bytes arrive while the first one's are being kept.
    key = client.begin(client.start(), "pier.jpg", 10)

    class Late(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if piece := super().read(size):
                client.send(key, 0, bytes(10))
                return piece
            return b""

    with pytest.raises(Conflict, match="up to byte 10"):
        uploads.receive(client.database, client.blobs, key, user=None, offset=0, stream=Late(bytes(10)))
    assert client.count(UploadPart) == 1
    assert client.left_over_blobs() == set()


def test_an_empty_file_is_reported(client: Client) -> None:
    job_id = client.start()
    client.begin(job_id, "empty.jpg", 0)
    client.close(job_id)
    client.import_all()
    assert client.job(job_id) == (JobState.DONE, 1, 0, 1)
    assert client.reports(job_id) == {"empty.jpg": "not an image"}


def test_files_stand_in_the_order_in_which_they_were_announced(client: Client, picture: Picture) -> None:
    job_id, content = client.start(), [picture(n) for n in range(4)]
    keys = [client.begin(job_id, f"{n}.jpg", len(content[n])) for n in (0, 1, 2)]
    packed = zipped({"3b.jpg": picture(5), "3a.jpg": picture(6)})
    keys.append(client.begin(job_id, "3.zip", len(packed)))
    for n, sent in ((3, packed), (2, content[2]), (0, content[0]), (1, content[1])):
        client.send(keys[n], 0, sent)
        client.import_all()
    with client.database.reading() as session:
        paths = session.scalars(select(Item.path).order_by(Item.position, Item.id)).all()
    assert paths == ["0.jpg", "1.jpg", "2.jpg", "3b.jpg", "3a.jpg"]


def test_positions_grow_no_faster_than_uploads(client: Client, picture: Picture) -> None:
    for number in range(4):
        job_id = client.start()
        client.upload(job_id, f"{number}.jpg", picture(number))
        client.close(job_id)
        client.import_all()
    with client.database.reading() as session:
        assert session.scalars(select(Item.position).order_by(Item.id)).all() == [1, 2, 3, 4]


def test_an_import_stays_open_until_it_is_closed(client: Client, picture: Picture) -> None:
    job_id = client.start(files=2)
    client.upload(job_id, "one.jpg", picture(1))
    client.import_all()
    assert client.job(job_id) == (JobState.RUNNING, 2, 1, 0)
    client.upload(job_id, "two.jpg", picture(2))
    client.import_all()
    client.close(job_id)
    assert client.job(job_id) == (JobState.DONE, 2, 2, 0)
    with pytest.raises(Conflict, match="has ended already"):
        client.begin(job_id, "three.jpg", 3)


def test_a_client_that_names_no_import_gets_one_that_ends_by_itself(client: Client, picture: Picture) -> None:
    def current() -> int:
        with client.database.writing() as session:
            collection = session.get_one(Collection, client.collection_id)
            return uploads.current_import(session, collection, user=None).id

    first = current()
    assert current() == first
    client.upload(first, "one.jpg", picture(1))
    client.import_all()
    assert client.job(first)[0] is JobState.DONE
    assert current() != first


def test_a_zip_counts_as_what_it_holds(client: Client, picture: Picture) -> None:
    job_id = client.start(files=1)
    client.upload(
        job_id, "photos.zip", zipped({f"{n}.jpg": picture(n) for n in range(3)} | {"bad.jpg": b"x"})
    )
    client.close(job_id)
    client.import_all()
    assert client.job(job_id) == (JobState.DONE, 4, 3, 1)
    assert client.reports(job_id)["bad.jpg"] == "not an image"


def test_captions_sent_after_their_photos_find_them(client: Client, picture: Picture) -> None:
    job_id = client.start(together=True)
    client.upload(job_id, "trip/pier.jpg", picture())
    assert client.import_all() == 0
    client.upload(job_id, "trip/pier.txt", b"Two boats at the pier.")
    client.close(job_id)
    assert client.import_all() == 1
    assert client.job(job_id) == (JobState.DONE, 1, 1, 0)
    with client.database.reading() as session:
        assert session.scalars(select(Caption.text)).all() == ["Two boats at the pier."]


def test_sidecars_sent_after_their_photos_find_them(client: Client, picture: Picture) -> None:
    job_id = client.start(together=True)
    packets = {"old/b.xmp": xmp(alt("dc:description", de="Die M\u00fchle")), "c.xmp": b"no XML"}
    for number, path in enumerate(("a.jpg", "old/b.jpg", "c.jpg")):
        client.upload(job_id, path, picture(number))
    for path, packet in packets.items():
        client.upload(job_id, path, packet)
    client.close(job_id)
    client.import_all()
    assert client.reports(job_id) == {
        "a.jpg": "imported",
        "old/b.jpg": "imported",
        "c.jpg": "imported",
        "c.xmp": "refused",
    }
    with client.database.reading() as session:
        captions = session.execute(select(Item.path, Caption.text, Caption.language).join(Caption)).all()
    assert [tuple(row) for row in captions] == [("old/b.jpg", "Die M\u00fchle", "de")]


def test_files_that_belong_together_are_all_announced_before_the_end(
    client: Client, picture: Picture
) -> None:
    job_id = client.start(together=True)
    client.upload(job_id, "pier.jpg", picture())
    client.close(job_id)
    with pytest.raises(Conflict, match="is closed"):
        client.begin(job_id, "pier.txt", 10)


def test_a_file_of_captions_without_end_is_refused(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "LONGEST_CAPTIONS", 1 << 20)
    job_id = client.start(together=True)
    client.upload(job_id, "pier.jpg", picture())
    client.upload(job_id, "captions.json", b" " * (2 << 20))
    client.close(job_id)
    client.import_all()
    assert client.job(job_id) == (JobState.DONE, 2, 0, 2)
    with client.database.reading() as session:
        details = session.scalars(select(ImportedFile.detail)).all()
    assert all("captions.json has 2 MiB" in detail for detail in details)


def test_what_failed_is_kept_a_day_from_the_import_on(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = client.start()
    client.upload(job_id, "pier.jpg", picture())
    client.close(job_id)
    later(client.database)
    with monkeypatch.context() as patch:
        patch.setattr(client.decoder, "measure", fails)
        client.import_all()
    uploads.expire(client.database, client.blobs)
    assert client.retry(job_id) == 1


def test_retry_failed_touches_only_those(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, refused = client.start(), {"two.jpg"}
    measure = client.decoder.measure

    def measured(path: Path, sidecar: Path | None = None) -> object:
        asked.append(path.name)
        if path.name in refused:
            raise OSError(5, "Input/output error")
        return measure(path)

    asked: list[str] = []
    monkeypatch.setattr(client.decoder, "measure", measured)
    content = {"one.jpg": picture(1), "two.jpg": picture(2), "three.jpg": picture(3)}
    client.upload(job_id, "zipped.zip", zipped(content))
    client.close(job_id)
    client.import_all()
    assert client.job(job_id) == (JobState.DONE, 3, 2, 1)
    refused.clear()
    asked.clear()
    assert client.retry(job_id) == 1
    client.import_all()
    assert asked == ["two.jpg"]
    assert client.job(job_id) == (JobState.DONE, 3, 3, 0)
    assert set(client.reports(job_id).values()) == {"imported"}
    assert client.count(UploadPart) == 0
    with pytest.raises(Conflict, match="upload it again"):
        client.retry(job_id)


def test_photos_tried_again_keep_the_captions_that_came_with_them(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = client.start(together=True)
    with monkeypatch.context() as patch:
        patch.setattr(client.decoder, "measure", fails)
        client.upload(job_id, "pier.jpg", picture())
        client.upload(job_id, "captions.csv", b"path,caption\npier.jpg,Two boats.\n")
        client.close(job_id)
        client.import_all()
    assert client.job(job_id) == (JobState.DONE, 1, 0, 1)
    client.retry(job_id)
    client.import_all()
    with client.database.reading() as session:
        assert session.scalars(select(Caption.text)).all() == ["Two boats."]


def test_a_zip_goes_on_behind_the_last_file_that_was_recorded(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = client.start()
    client.upload(job_id, "photos.zip", zipped({f"{n}.jpg": picture(n) for n in range(4)}))
    client.close(job_id)
    dying(client, monkeypatch, after=2)
    assert client.job(job_id) == (JobState.RUNNING, 4, 2, 0)
    assert client.import_all() == 0  # the lease of the one that died still runs
    with client.database.writing() as session:
        session.execute(update(Upload).values(lease_expires=1.0))
    assert client.import_all() == 1
    assert client.job(job_id) == (JobState.DONE, 4, 4, 0)
    # The third was imported, but its report was lost.
    assert sorted(client.reports(job_id).values()) == ["already here", "imported", "imported", "imported"]
    assert client.count(Item) == 4


def test_a_file_that_ends_every_process_is_given_up(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = client.start()
    client.upload(job_id, "deadly.jpg", picture())
    client.close(job_id)
    measure, asked = client.decoder.measure, []

    def measured(path: Path, *, sidecar: Path | None = None) -> object:
        asked.append(path.name)
        return measure(path, sidecar=sidecar)

    monkeypatch.setattr(client.decoder, "measure", measured)
    for _ in range(uploaded.ATTEMPTS):
        dying(client, monkeypatch, after=0)
        with client.database.writing() as session:
            session.execute(update(Upload).values(lease_expires=1.0))
    assert client.import_all() == 1
    assert client.job(job_id) == (JobState.DONE, 1, 0, 1)
    assert client.reports(job_id) == {"deadly.jpg": "refused"}
    assert len(asked) == uploaded.ATTEMPTS
    client.retry(job_id)  # perhaps somebody mended the server
    client.import_all()
    assert client.job(job_id) == (JobState.DONE, 1, 1, 0)


def test_what_killed_processes_staged_is_swept_away(tmp_path: Path) -> None:
    for name in ("import-old", "import-new", "decisions"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_bytes(b"bytes")
    for name in ("import-old", "decisions"):
        os.utime(tmp_path / name, (1.0, 1.0))
    staging.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decisions", "import-new"]


@pytest.mark.parametrize("error", [StorageFull("no room"), StorageUnavailable("away"), None])
def test_a_storage_that_is_full_or_away_for_long_costs_no_file(
    client: Client, picture: Picture, monkeypatch: pytest.MonkeyPatch, error: CatalogError | None
) -> None:
    job_id = client.start()
    client.upload(job_id, "pier.jpg", picture())
    client.close(job_id)
    with monkeypatch.context() as patch:
        if error:
            patch.setattr(client.blobs, "put", raising(error))
        else:
            patch.setattr(client.blobs, "read", raising(OSError(errno.ENOSPC, "No space left on device")))
        for _ in range(uploaded.ATTEMPTS + 2):
            with pytest.raises((StorageFull, StorageUnavailable)):
                client.import_all()
            with client.database.writing() as session:
                session.execute(update(Upload).values(lease_expires=1.0))
    client.import_all()
    assert client.job(job_id) == (JobState.DONE, 1, 1, 0)


def test_whoever_lost_the_lease_records_nothing_more(client: Client, picture: Picture) -> None:
    job_id = client.start()
    client.upload(job_id, "photos.zip", zipped({f"{n}.jpg": picture(n) for n in range(3)}))
    client.close(job_id)
    with client.database.writing() as session:
        slow = claim(session)
        assert slow
        session.execute(update(Upload).values(lease_expires=1.0))
    assert client.import_all() == 1
    importing = Importing(client.database, client.blobs, client.decoder, client.staging, slow)
    with pytest.raises(Conflict, match="another process"):
        importing.run()
    assert client.job(job_id) == (JobState.DONE, 3, 3, 0)
    assert client.count(ImportedFile) == 3


def test_cancelling_ends_an_import_and_gives_its_bytes_back(client: Client, picture: Picture) -> None:
    job_id = client.start()
    client.upload(job_id, "one.jpg", picture(1))
    key = client.begin(job_id, "two.jpg", 100)
    client.send(key, 0, bytes(50))
    with client.database.writing() as session:
        job_control.cancel(session, session.get_one(Job, job_id), user=None)
    assert client.import_all() == 0
    with pytest.raises(NotFound):
        client.send(key, 50, bytes(50))
    uploads.expire(client.database, client.blobs)
    assert client.count(UploadPart) == 0
    assert list(client.blobs.keys()) == []


def test_what_nobody_went_on_with_expires(client: Client) -> None:
    job_id = client.start(files=2)
    key = client.begin(job_id, "half.jpg", 100)
    client.send(key, 0, bytes(50))
    uploads.expire(client.database, client.blobs)
    assert client.count(UploadPart) == 1
    later(client.database)
    uploads.expire(client.database, client.blobs)
    assert list(client.blobs.keys()) == []
    assert client.reports(job_id) == {"half.jpg": "unfinished"}
    assert client.job(job_id) == (JobState.DONE, 1, 0, 1)
    with pytest.raises(NotFound, match="expired"):
        client.send(key, 50, bytes(50))


def test_an_upload_that_is_given_up_leaves_nothing(client: Client) -> None:
    job_id = client.start()
    key = client.begin(job_id, "half.jpg", 100)
    client.send(key, 0, bytes(50))
    with client.database.writing() as session:
        keys = uploads.give_up(session, uploads.get(session, key, user=None, lock=True))
    uploads.remove_blobs(client.database, client.blobs, keys)
    assert list(client.blobs.keys()) == []
    assert client.job(job_id) == (JobState.RUNNING, 0, 0, 0)


def test_an_upload_is_its_users_alone(
    client: Client, new_user: Callable[..., User], session: Session
) -> None:
    ada, bob = new_user(session, "ada"), new_user(session, "bob")
    collection = session.get_one(Collection, client.collection_id)
    for user in (ada, bob):
        collections.add_member(session, collection, user)
    session.flush()
    upload = uploads.begin(
        session, uploads.current_import(session, collection, user=ada), path="pier.jpg", length=3
    )
    assert uploads.get(session, upload.key, user=ada) is upload
    with pytest.raises(NotFound):
        uploads.get(session, upload.key, user=bob)


def test_deleting_the_collection_takes_what_was_uploaded(client: Client, picture: Picture) -> None:
    job_id = client.start()
    client.upload(job_id, "one.jpg", picture(1))
    with client.database.writing() as session:
        keys = collections.remove(session, session.get_one(Collection, client.collection_id), user=None)
    uploads.remove_blobs(client.database, client.blobs, keys)
    assert client.import_all() == 0
    assert list(client.blobs.keys()) == []


def test_two_imports_of_the_same_zip_keep_one_copy_of_each_picture(client: Client, picture: Picture) -> None:
    content = zipped({f"{n}.jpg": picture(n) for n in range(3)})
    first, second = client.start(), client.start()
    for job_id in (first, second):
        client.upload(job_id, "photos.zip", content)
        client.close(job_id)
    client.import_all()
    assert client.count(Image) == client.count(Item) == 3
    assert set(client.reports(first).values()) == {"imported"}
    assert set(client.reports(second).values()) == {"already here"}


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def raising(error: Exception) -> Callable[..., None]:
    def refuse(*arguments: object) -> None:
        raise error

    return refuse


def fails(path: Path, sidecar: Path | None = None) -> Iterator[None]:
    raise OSError(5, "Input/output error")


def dying(client: Client, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Import until so many files are recorded, then end as a killed process does: nothing is released."""
    record, recorded = uploaded.record, []

    def recording(*arguments: object) -> None:
        if len(recorded) == after:
            raise KeyboardInterrupt
        record(*arguments)  # type: ignore[arg-type]
        recorded.append(arguments)

    with monkeypatch.context() as patch:
        patch.setattr(uploaded, "record", recording)
        with pytest.raises(KeyboardInterrupt):
            client.import_all()


def later(database: Database) -> None:
    """A day and an hour go by."""
    past = utc_now() - timedelta(hours=1)
    with database.writing() as session:
        session.execute(update(Upload).where(Upload.state != UploadState.EXPIRED).values(expires_at=past))
        session.execute(update(Job).values(created_at=utc_now() - timedelta(hours=25)))
