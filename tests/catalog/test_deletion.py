"""What deleting an item or a collection takes along, row by row and blob by blob, and what it leaves."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from catalog import captions, chunks, collections, items, jobs, recording, tokens, workers
from catalog.blobs import BlobStore
from catalog.blobs.local import LocalBlobs
from catalog.chunks import Claim
from catalog.commands import delete_command, import_command
from catalog.database import Database
from catalog.ingest import Removal, ingest, pictures_of, remove_blobs
from catalog.recording import Written
from catalog.schema import (
    Base,
    Caption,
    CaptionState,
    Checkpoint,
    Collection,
    Image,
    ImportedFile,
    Item,
    Job,
    JobKind,
    Operation,
    OperationItem,
    OperationKind,
    Redecoding,
    RedecodingKind,
    Scope,
    SpotCheck,
    Tombstone,
    Upload,
    UploadPart,
    User,
    utc_now,
)
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]
KEPT = {"users", "api_tokens", "login_links", "checkpoints", "workers", "tombstones"}


@pytest.fixture
def user(database: Database, new_user: Callable[..., User]) -> User:
    with database.writing() as session:
        user = new_user(session, "ada")
        tokens.create(session, user, name="cron", scope=Scope.READ, days=30)
    return user


@pytest.fixture
def collection_id(
    database: Database,
    blobs: BlobStore,
    decoder: DecodingProcess,
    user: User,
    written: Callable[[Claim], list[Written]],
    photo: Photo,
    tmp_path: Path,
) -> int:
    """Two photos with everything that a photo can have: captions of people and a job, drafts, reports."""
    for number, name in enumerate(("boats.jpg", "mill.jpg")):
        photo(tmp_path / "photos" / name, number)
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=user).id
    list(ingest(database, blobs, decoder, collection_id, pictures_of(tmp_path / "photos")))
    with database.writing() as session:
        collection = session.get_one(Collection, collection_id)
        checkpoint = Checkpoint(
            name="starter",
            weights_sha256=blobs.put(b"weights"),
            description_sha256=blobs.put(b"description"),
            description={},
        )
        session.add(checkpoint)
        session.flush()
        jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=user)
        worker_id = workers.register(session, name="test", device="cpu", version="0")
        claim = chunks.claim(session, worker_id=worker_id)
        assert claim
        recording.record(session, claim, written(claim))
        for item in session.scalars(select(Item)):
            caption = session.scalars(select(Caption).where(Caption.item_id == item.id)).one()
            captions.revise(session, caption, version=1, user=user, text="A", state=CaptionState.ACCEPTED)
            captions.save_draft(session, item, user=user, caption=caption, text="B", version=2)
            item.twins_kept = True
        jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=user, mode="add")
        _report(session, collection_id, blobs)
        _review(session, collection_id, checkpoint, user)
    return collection_id


def _review(session: Session, collection_id: int, checkpoint: Checkpoint, user: User) -> None:
    """What reviewing leaves: a spot check, an operation on both photos, and a question about each."""
    check = SpotCheck(collection_id=collection_id, filter={}, total=2, captions=[])
    session.add(check)
    session.flush()
    operation = Operation(
        collection_id=collection_id, kind=OperationKind.ASSIGN, user_id=user.id, spot_check_id=check.id
    )
    session.add(operation)
    session.flush()
    for item in session.scalars(select(Item)):
        session.add(OperationItem(operation_id=operation.id, item_id=item.id, assignee_id=user.id))
        session.add(
            Redecoding(
                item_id=item.id,
                user_id=user.id,
                checkpoint_id=checkpoint.id,
                kind=RedecodingKind.CONTINUATION,
                question={"prefix": "A"},
            )
        )


def _report(session: Session, collection_id: int, blobs: BlobStore) -> None:
    """An import of one file, and one that is still being received."""
    job = Job(kind=JobKind.IMPORT, collection_id=collection_id)
    session.add(job)
    session.flush()
    upload = Upload(
        key="u" * 32, job_id=job.id, path="pier.jpg", length=9, expires_at=utc_now() + timedelta(days=1)
    )
    session.add(upload)
    session.flush()
    session.add(UploadPart(upload_id=upload.id, offset=0, sha256=blobs.put(b"half of a pier")))
    for item in session.scalars(select(Item)):
        session.add(
            ImportedFile(
                job_id=job.id, path=item.path, status="imported", stored=True, detail="", item_id=item.id
            )
        )


def rows(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def test_a_collection_takes_everything_along_but_a_tombstone(
    database: Database, blobs: BlobStore, collection_id: int, user: User
) -> None:
    before = rows(database)
    assert [name for name, count in before.items() if not count] == ["login_links", "tombstones"]
    with database.writing() as session:
        keys = collections.remove(session, session.get_one(Collection, collection_id), user=user)
    assert remove_blobs(database, blobs, keys) == Removal(gone=5, kept=0)
    after = rows(database)
    assert {name for name, count in after.items() if count} == KEPT - {"login_links"}
    with database.reading() as session:
        checkpoint = session.scalars(select(Checkpoint)).one()
        stone = session.scalars(select(Tombstone)).one()
    assert (stone.kind, stone.name, stone.user_id) == ("collection", "Harbour", user.id)
    assert sorted(blobs.keys()) == sorted([checkpoint.weights_sha256, checkpoint.description_sha256])


def test_an_item_takes_along_what_is_its_own_and_reports_forget_it(
    database: Database, blobs: BlobStore, collection_id: int, user: User
) -> None:
    before = rows(database)
    with database.writing() as session:
        item = session.scalars(select(Item).order_by(Item.id)).first()
        assert item
        image = session.get_one(Image, item.image_id)
        keys = items.remove(session, item, user=user)
    assert sorted(keys) == sorted([image.sha256, image.rendition])
    assert remove_blobs(database, blobs, keys) == Removal(gone=2, kept=0)
    tables = [table for table in Base.metadata.sorted_tables if "item_id" in table.columns]
    assert len(tables) == 7
    with database.reading() as session:
        for table in tables:
            assert session.scalar(select(func.count()).where(table.c.item_id == item.id)) == 0
        reports = session.execute(select(ImportedFile.path, ImportedFile.item_id).order_by(ImportedFile.id))
        assert [row.item_id is None for row in reports] == [True, False]
        stone = session.scalars(select(Tombstone)).one()
        waiting = session.scalars(select(Job).where(Job.kind == JobKind.CAPTION).order_by(Job.id)).all()[1]
    assert (stone.kind, stone.name, stone.sha256, stone.user_id) == (
        "item",
        "boats.jpg",
        image.sha256,
        user.id,
    )
    assert (waiting.total, waiting.skipped) == (2, 1)
    after = rows(database)
    half = {"items", "images", "captions", "caption_details", "drafts", "redecodings", "operation_items"}
    assert {name for name in half if after[name] * 2 != before[name]} == set()
    assert {name for name in after if after[name] > before[name]} == {"tombstones"}


def test_what_another_collection_holds_stays_and_is_counted_by_the_command(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))

    def said(command: object, *arguments: object) -> str:
        return CliRunner().invoke(command, [str(one) for one in arguments]).output  # type: ignore[arg-type]

    photo(tmp_path / "photos" / "boats.jpg", 1)
    shared = photo(tmp_path / "photos" / "mill.jpg", 2)
    said(import_command, "Harbour", tmp_path / "photos")
    said(import_command, "Mills", shared)
    blobs = LocalBlobs(tmp_path / "home" / "blobs")
    assert "is deleted; 2 stored files were removed with it" in said(delete_command, "Harbour", "--yes")
    assert len(list(blobs.keys())) == 2
    with blobs.kept():
        output = said(delete_command, "Mills", "--yes")
    assert "0 stored files were removed with it; 2 stay for now" in output
    assert len(list(blobs.keys())) == 2


def test_an_import_under_way_ends_before_its_collection_goes(database: Database, collection_id: int) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    key, found = "a" * 64, []

    def remove() -> None:
        with database.writing() as session:
            found.extend(collections.remove(session, session.get_one(Collection, collection_id), user=None))

    removal = threading.Thread(target=remove)
    with database.writing() as importing:
        importing.get(Collection, collection_id, with_for_update={"key_share": True})
        removal.start()
        _wait_until_somebody_waits(database)
        image = Image(sha256=key, rendition=key, format="JPEG", bytes=9, width=9, height=9)
        importing.add(image)
        importing.flush()
        importing.add(Item(collection_id=collection_id, image_id=image.id, path="pier.jpg", position=9))
    removal.join()
    assert key in found
    assert rows(database)["images"] == 0


def _wait_until_somebody_waits(database: Database) -> None:
    deadline = time.monotonic() + 20
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while time.monotonic() < deadline:
        with database.reading() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.02)
    pytest.fail("the deletion waited for nobody")
