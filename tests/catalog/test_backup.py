"""Backups made while others write, and restored elsewhere."""

import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from click.testing import CliRunner
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog import backup, captions, chunks, collections, datasets, exports, item_lists, items, jobs, workers
from catalog.blobs.local import LocalBlobs
from catalog.commands import backup_command, import_command, restore_command
from catalog.database import Database, alembic_config
from catalog.doctor import Doctor
from catalog.errors import Conflict, InvalidInput
from catalog.export_command import export_command
from catalog.exports.rows import exported_items
from catalog.filters import ItemFilter
from catalog.ingest import ingest, pictures_of, remove_blobs
from catalog.schema import (
    CaptionState,
    Checkpoint,
    Collection,
    HistoryEntry,
    Image,
    Item,
    JobItem,
    ReviewState,
    Worker,
)
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]
Filled = Callable[..., tuple[int, list[int], int]]


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty place to restore into: a database without tables."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/other.sqlite"
    else:
        url = request.getfixturevalue("new_postgresql")()
    database = Database(url)
    yield database
    database.close()


def hits(database: Database, q: str) -> int | None:
    with database.reading() as session:
        return item_lists.hits(session, collections.by_name(session, "Harbour"), ItemFilter(q=q))


@pytest.fixture
def collection_id(
    database: Database, blobs: LocalBlobs, decoder: DecodingProcess, photo: Photo, tmp_path: Path
) -> int:
    """Three photos, the first with an edited caption."""
    for number in range(3):
        photo(tmp_path / "photos" / f"{number}.jpg", number)
    with database.writing() as session:
        collection = collections.create(session, name="Harbour", owner=None)
    list(ingest(database, blobs, decoder, collection.id, pictures_of(tmp_path / "photos")))
    with database.writing() as session:
        item = session.scalars(select(Item).order_by(Item.id)).first()
        assert item
        written = captions.write(session, item, text="Two boats \u201cat rest\u201d", user=None)
        captions.revise(session, written, version=1, user=None, text="Boats", state=CaptionState.ACCEPTED)
    return collection.id


def exported(database: Database) -> list[exports.rows.ExportedItem]:
    with database.reading() as session:
        return list(exported_items(session, collections.by_name(session, "Harbour")))


def test_all_rows_and_blobs_come_back_on_either_database(
    database: Database,
    other: Database,
    blobs: LocalBlobs,
    collection_id: int,
    decoder: DecodingProcess,
    tmp_path: Path,
) -> None:
    file, elsewhere = tmp_path / "backup.tar", LocalBlobs(tmp_path / "elsewhere")
    assert backup.back_up(database, blobs, file) == []
    assert backup.restore(other, elsewhere, file) == len(list(blobs.keys()))
    assert sorted(elsewhere.keys()) == sorted(blobs.keys())
    assert exported(other) == exported(database)
    with database.reading() as here, other.reading() as there:
        entries = select(HistoryEntry.text_before, HistoryEntry.created_at).order_by(HistoryEntry.id)
        assert here.execute(entries).all() == there.execute(entries).all()
    assert list(Doctor(database=other, blobs=elsewhere, decoder=decoder).findings()) == []


def test_a_dataset_comes_back_whole_also_without_its_collection(
    database: Database,
    other: Database,
    blobs: LocalBlobs,
    collection_id: int,
    decoder: DecodingProcess,
    tmp_path: Path,
) -> None:
    frozen = datasets.freeze(database, blobs, collection_id, "boats")
    with database.writing() as session:
        keys = collections.remove(session, collections.get(session, collection_id, viewer=None), user=None)
    assert remove_blobs(database, blobs, keys).held == 2
    file, elsewhere = tmp_path / "backup.tar", LocalBlobs(tmp_path / "elsewhere")
    assert backup.back_up(database, blobs, file) == []
    backup.restore(other, elsewhere, file)
    with database.reading() as here, other.reading() as there:
        one, two = (datasets.get(session, frozen.dataset_id, viewer=None) for session in (here, there))
        assert (one.manifest_sha256, one.card, one.created_at) == (
            two.manifest_sha256,
            two.card,
            two.created_at,
        )
    (item,) = datasets.items(elsewhere, two)
    assert item.captions[0].text == "Boats"
    assert elsewhere.exists(item.rendition)
    assert list(Doctor(database=other, blobs=elsewhere, decoder=decoder).findings()) == []


def test_the_workers_of_a_backup_are_not_missed_where_it_is_restored(
    database: Database, other: Database, blobs: LocalBlobs, filled: Filled, tmp_path: Path
) -> None:
    with database.writing() as session:
        collection_id, _, checkpoint_id = filled(session, 3)
        job_id = jobs.create_caption_job(
            session,
            session.get_one(Collection, collection_id),
            checkpoint=session.get_one(Checkpoint, checkpoint_id),
            user=None,
        ).id
        assert chunks.claim(session, worker_id=_registered(session, "one"))
    backup.back_up(database, blobs, tmp_path / "backup.tar")
    backup.restore(other, LocalBlobs(tmp_path / "elsewhere"), tmp_path / "backup.tar")
    with other.writing() as session:
        session.execute(update(Worker).values(heartbeat=Worker.heartbeat - 2 * workers.ALIVE_FOR))
        assert workers.mourned(session) == []
        held = chunks.claim(session, worker_id=_registered(session, "two"))
        assert held
        assert (held.job_id, len(held.items)) == (job_id, 3)
        assert session.scalar(select(func.max(JobItem.found_in_hand))) == 0


def _registered(session: Session, name: str) -> int:
    return workers.register(session, name=name, device="cpu", version="0")


def test_ids_that_were_given_out_stay_used(
    database: Database, other: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    with database.writing() as session:
        last = session.scalars(select(Item).order_by(Item.id.desc())).first()
        assert last
        items.remove(session, last, user=None)
    backup.back_up(database, blobs, tmp_path / "backup.tar")
    backup.restore(other, LocalBlobs(tmp_path / "elsewhere"), tmp_path / "backup.tar")
    with other.writing() as session:
        image_id = session.scalars(select(Item.image_id)).first()
        item = Item(collection_id=collection_id, image_id=image_id, path="new.jpg", position=9)
        session.add(item)
        session.flush()
        assert item.id == last.id + 1


def test_a_backup_made_while_photos_come_and_go_is_whole(
    database: Database,
    other: Database,
    blobs: LocalBlobs,
    collection_id: int,
    decoder: DecodingProcess,
    photo: Photo,
    tmp_path: Path,
) -> None:
    for number in range(30):
        photo(tmp_path / "more" / f"{number}.jpg", 100 + number)
    stop, errors = threading.Event(), []

    def come_and_go() -> None:
        try:
            with DecodingProcess() as mine:
                for _ in ingest(database, blobs, mine, collection_id, pictures_of(tmp_path / "more")):
                    with database.writing() as session:
                        first = session.scalars(select(Item).order_by(Item.id)).first()
                        assert first
                        keys = items.remove(session, first, user=None)
                    remove_blobs(database, blobs, keys)
                    if stop.is_set():
                        return
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    files = []
    while thread.is_alive() and len(files) < 5:
        files.append(tmp_path / f"{len(files)}.tar")
        assert backup.back_up(database, blobs, files[-1]) == []
    stop.set()
    thread.join()
    assert errors == []
    elsewhere = LocalBlobs(tmp_path / "elsewhere")
    backup.restore(other, elsewhere, files[-1])
    assert list(Doctor(database=other, blobs=elsewhere, decoder=decoder).findings()) == []


def test_damaged_and_lost_blobs_are_named(
    database: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    damaged, lost, *_ = sorted(blobs.keys())
    blobs.path(damaged).write_bytes(b"other bytes")
    blobs.delete(lost)
    assert sorted(backup.back_up(database, blobs, tmp_path / "backup.tar")) == [damaged, lost]


def test_deleting_waits_for_the_backup_only(blobs: LocalBlobs) -> None:
    key = blobs.put(b"picture")
    with blobs.kept():
        blobs.delete(key)
        assert blobs.exists(key)
    blobs.delete(key)
    assert not blobs.exists(key)


def test_what_is_there_already_is_not_mixed_with_a_backup(
    database: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    backup.back_up(database, blobs, tmp_path / "backup.tar")
    with pytest.raises(Conflict, match="empty"):
        backup.restore(database, blobs, tmp_path / "backup.tar")
    assert len(exported(database)) == 3


def test_what_is_no_backup_or_half_a_one_changes_nothing(
    database: Database, other: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    whole = tmp_path / "backup.tar"
    backup.back_up(database, blobs, whole)
    half = tmp_path / "half.tar"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    words = tmp_path / "words.tar"
    words.write_text("no tar")
    foreign = tmp_path / "foreign.tar"
    with tarfile.open(foreign, "w") as archive:
        archive.add(words)
    for file in (half, words, foreign):
        with pytest.raises(InvalidInput, match=file.name):
            backup.restore(other, LocalBlobs(tmp_path / "elsewhere"), file)
    assert backup.restore(other, LocalBlobs(tmp_path / "elsewhere"), whole) == 6


def test_a_full_disk_leaves_the_last_backup_as_it_was(
    database: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        backup.back_up(database, blobs, tmp_path / "no folder" / "backup.tar")
    assert not list(blobs.folder.glob("kept-*"))


def test_a_backup_of_an_older_release_is_brought_to_this_one(
    database: Database, other: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    command.downgrade(alembic_config(database.url.render_as_string(hide_password=False)), "0002")
    with database.snapshot() as connection:
        tables = backup._tables(connection)
    old = tmp_path / "old.tar"
    with pytest.MonkeyPatch.context() as patch:
        metadata = next(iter(tables.values())).metadata
        patch.setattr(backup.Base, "metadata", metadata)
        keys = Image.sha256, Image.rendition, Checkpoint.weights_sha256, Checkpoint.description_sha256
        patch.setattr(backup, "BLOB_KEYS", [select(key) for key in keys])
        metadata.remove(metadata.tables["alembic_version"])
        backup.back_up(database, blobs, old)
    command.upgrade(alembic_config(database.url.render_as_string(hide_password=False)), "head")
    backup.restore(other, LocalBlobs(tmp_path / "elsewhere"), old)
    other.check_schema()
    assert [item.captions[0].text for item in exported(other) if item.captions] == ["Boats"]


def test_the_commands_carry_an_installation_to_another_home(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(home: str, command: object, *arguments: str) -> None:
        monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / home))
        said = CliRunner().invoke(command, list(arguments))  # type: ignore[arg-type]
        assert said.exit_code == 0, said.output

    photo(tmp_path / "photos" / "boats.jpg", 1)
    (tmp_path / "photos" / "boats.txt").write_text("Two boats")
    run("first", import_command, "Harbour", str(tmp_path / "photos"))
    run("first", backup_command, str(tmp_path / "backup.tar"))
    shutil.rmtree(tmp_path / "first")
    run("second", restore_command, str(tmp_path / "backup.tar"))
    run("second", export_command, "Harbour", "--format", "jsonl", "--output", str(tmp_path))
    assert '"Two boats"' in (tmp_path / "captions.jsonl").read_text()


def test_what_triggers_keep_is_there_again(
    database: Database, other: Database, blobs: LocalBlobs, collection_id: int, tmp_path: Path
) -> None:
    backup.back_up(database, blobs, tmp_path / "backup.tar")
    backup.restore(other, LocalBlobs(tmp_path / "restored"), tmp_path / "backup.tar")
    assert (hits(other, "boats"), hits(other, "rest")) == (1, 0)
    with other.writing() as session:
        collection = collections.by_name(session, "Harbour")
        assert collections.summary(session, collection) == collections.Summary(
            collection, {ReviewState.ACCEPTED: 1, ReviewState.UNCAPTIONED: 2}
        )
        assert collections.miscounted(session) == []
        captions.write(session, item_lists.page(session, collection).items[1].item, text="A pier", user=None)
    assert hits(other, "pier") == 1
