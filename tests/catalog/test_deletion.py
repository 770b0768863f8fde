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

from catalog import captions, chunks, collections, datasets, items, jobs, lineage, recording, tokens, workers
from catalog.blobs import BlobStore
from catalog.blobs.local import LocalBlobs
from catalog.chunks import Claim
from catalog.commands import delete_command, import_command
from catalog.database import Database
from catalog.errors import Conflict
from catalog.ingest import Removal, ingest, pictures_of, remove_blobs
from catalog.recording import Written
from catalog.schema import (
    Base,
    Caption,
    CaptionState,
    Checkpoint,
    Collection,
    Comparison,
    Dataset,
    DatasetImage,
    DatasetKind,
    Evaluation,
    GoldenItem,
    GoldenReference,
    GoldenSet,
    Image,
    Impact,
    ImportedFile,
    Item,
    Job,
    JobKind,
    JobState,
    Operation,
    OperationItem,
    OperationKind,
    Promotion,
    Redecoding,
    RedecodingKind,
    Scope,
    Split,
    SpotCheck,
    Tombstone,
    TrainingRun,
    Upload,
    UploadPart,
    User,
    utc_now,
)
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]
KEPT = {"users", "api_tokens", "login_links", "checkpoints", "workers", "tombstones"}
# What was frozen stays with its pictures, and what is known of checkpoints.
KEPT |= {"datasets", "dataset_images", "images", "evaluations", "comparisons", "promotions"}
KEPT |= {"jobs", "training_runs"}


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
        _loop(session, collection_id, checkpoint, blobs)
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


def _loop(session: Session, collection_id: int, checkpoint: Checkpoint, blobs: BlobStore) -> None:
    """What the loop leaves: a frozen photo, a golden set of the other one, a training and what it scored."""
    boats, mill = session.scalars(select(Item).order_by(Item.id)).all()
    manifest = blobs.put(b"manifest")
    dataset = Dataset(
        name="harbour",
        version=1,
        kind=DatasetKind.CURATED,
        collection_id=collection_id,
        manifest_sha256=manifest,
    )
    golden_set = GoldenSet(collection_id=collection_id, name="blind")
    job = Job(kind=JobKind.TRAIN, state=JobState.DONE, collection_id=collection_id)
    session.add_all([dataset, golden_set, job])
    session.flush()
    for item in (boats, mill):
        session.add(GoldenItem(golden_set_id=golden_set.id, item_id=item.id, position=item.position))
    session.flush()
    for item in (boats, mill):
        session.add(GoldenReference(golden_set_id=golden_set.id, item_id=item.id, text="A"))
    of_dataset = {"dataset_id": dataset.id, "split": Split.TEST, "result": {}}
    pair = {"candidate_id": checkpoint.id, "against_id": checkpoint.id}
    predictions = blobs.put(b"predictions")
    session.add_all(
        [
            DatasetImage(dataset_id=dataset.id, image_id=mill.image_id, item_id=mill.id, split=Split.TEST),
            TrainingRun(
                job_id=job.id, dataset_id=dataset.id, line="harbour", files_sha256=blobs.put(b"files")
            ),
            Evaluation(checkpoint_id=checkpoint.id, predictions_sha256=predictions, **of_dataset),
            Comparison(look=1, **of_dataset, **pair),
            Impact(collection_id=collection_id, result={}, **pair),
            Promotion(checkpoint_id=checkpoint.id),
        ]
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
    removal = remove_blobs(database, blobs, keys)
    assert removal == Removal(gone=3, kept=0, held=2)
    assert str(removal) == "3 stored files were removed with it; 2 stay, for datasets hold them"
    after = rows(database)
    assert {name for name, count in after.items() if count} == KEPT - {"login_links"}
    with database.reading() as session:
        checkpoint = session.scalars(select(Checkpoint)).one()
        stone = session.scalars(select(Tombstone)).one()
        image = session.scalars(select(Image)).one()
        held = session.scalars(select(DatasetImage)).one()
        dataset = session.scalars(select(Dataset)).one()
        evaluation = session.scalars(select(Evaluation)).one()
        run = session.scalars(select(TrainingRun)).one()
        job = session.scalars(select(Job)).one()
    assert (job.id, job.collection_id, run.dataset_id) == (run.job_id, None, dataset.id)
    assert (held.image_id, held.item_id, dataset.collection_id) == (image.id, None, None)
    assert (stone.kind, stone.name, stone.user_id) == ("collection", "Harbour", user.id)
    of_checkpoint = [checkpoint.weights_sha256, checkpoint.description_sha256]
    of_dataset = [dataset.manifest_sha256, evaluation.predictions_sha256, image.sha256, image.rendition]
    assert sorted(blobs.keys()) == sorted([*of_checkpoint, *of_dataset, run.files_sha256])


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.PAUSED])
def test_a_collection_stays_while_a_job_trains_on_it(
    database: Database, collection_id: int, user: User, state: JobState
) -> None:
    with database.writing() as session:
        job_id = session.scalars(select(TrainingRun.job_id)).one()
        session.get_one(Job, job_id).state = state
    before = rows(database)
    refused = rf"job {job_id} trains on it \({state}\); cancel the job, or wait"
    with pytest.raises(Conflict, match=refused), database.writing() as session:
        collections.remove(session, session.get_one(Collection, collection_id), user=user)
    assert rows(database) == before


def test_what_was_trained_on_stays_after_its_collection(
    database: Database, collection_id: int, user: User
) -> None:
    with database.writing() as session:
        checkpoint = session.scalars(select(Checkpoint)).one()
        session.scalars(select(TrainingRun)).one().checkpoint_id = checkpoint.id
    with database.writing() as session:
        collections.remove(session, session.get_one(Collection, collection_id), user=user)
    with database.writing() as session:
        dataset = session.scalars(select(Dataset)).one()
        assert lineage.datasets_behind(session, checkpoint) == [dataset.id]
        with pytest.raises(Conflict, match="what a captioner learned from is kept"):
            datasets.remove(session, dataset, user=None)


def test_the_last_dataset_that_holds_a_picture_takes_it_along(
    database: Database, blobs: BlobStore, collection_id: int, user: User
) -> None:
    with database.writing() as session:
        keys = collections.remove(session, session.get_one(Collection, collection_id), user=user)
    remove_blobs(database, blobs, keys)
    with database.writing() as session:
        session.scalars(select(TrainingRun)).one().dataset_id = None
    with database.writing() as session:
        keys = datasets.remove(session, session.scalars(select(Dataset)).one(), user=None)
    assert remove_blobs(database, blobs, keys) == Removal(gone=4, kept=0)
    left = {name for name, count in rows(database).items() if count}
    of_training = {"jobs", "training_runs"}
    assert left == {"users", "api_tokens", "checkpoints", "workers", "tombstones", "promotions"} | of_training


def test_an_item_whose_picture_a_dataset_holds_leaves_it_there(
    database: Database, blobs: BlobStore, collection_id: int, user: User
) -> None:
    with database.writing() as session:
        item = session.scalars(select(Item).order_by(Item.id.desc())).first()
        assert item
        keys = items.remove(session, item, user=user)
    assert remove_blobs(database, blobs, keys) == Removal(gone=0, kept=0, held=2)
    with database.reading() as session:
        held = session.scalars(select(DatasetImage)).one()
        image = session.get_one(Image, held.image_id)
    assert (held.item_id, blobs.exists(image.sha256), blobs.exists(image.rendition)) == (None, True, True)


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
    assert len(tables) == 10
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
    # The one that a dataset holds.
    assert rows(database)["images"] == 1


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
