"""Datasets: accepted captions frozen as versions that never change, and nothing half frozen."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from catalog import captions, collections, datasets, freezing, items, splits
from catalog.blobs import BlobStore
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import (
    CatalogError,
    Conflict,
    InvalidInput,
    MissingBlob,
    NotAllowed,
    NotFound,
    StorageFull,
)
from catalog.filters import ItemFilter
from catalog.ingest import Removal, remove_blobs
from catalog.manifests import FrozenItem
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Collection,
    Dataset,
    DatasetImage,
    Image,
    Item,
    Job,
    JobKind,
    Origin,
    Role,
    Split,
    Tombstone,
    TrainingRun,
    User,
)
from tests.disks import fill_up

Add = Callable[..., list[int]]
TENTH = {Split.TRAIN: 3, Split.VALIDATION: 8, Split.TEST: 9}


def sha256_in(split: Split, number: int) -> str:
    """A hash whose picture falls to this split."""
    first = next(one for one in range(number * 10, number * 10 + 10) if one % 10 == TENTH[split])
    return f"{first:08x}{number:056x}"


@pytest.fixture
def harbour(database: Database) -> int:
    """The id of an empty collection."""
    with database.writing() as session:
        return collections.create(session, name="Harbour", owner=None, guidelines="Say what is there.").id


@pytest.fixture
def add(database: Database, harbour: int) -> Add:
    """A function that adds photos of a split, each with an accepted caption; no two look alike."""
    made = 0

    def add(split: Split, *texts: str, dhash: int | None = None, **caption: Any) -> list[int]:
        nonlocal made
        ids = []
        with database.writing() as session:
            for text in texts:
                made += 1
                far = int.from_bytes(hashlib.sha256(str(made).encode()).digest()[:8], signed=True)
                sha256 = sha256_in(split, made)
                image = Image(
                    sha256=sha256,
                    rendition=sha256[::-1],
                    format="JPEG",
                    bytes=9,
                    width=96,
                    height=64,
                    dhash=far if dhash is None else dhash,
                )
                session.add(image)
                session.flush()
                item = Item(
                    collection_id=harbour, image_id=image.id, path=f"quay/{made:03}.jpg", position=made
                )
                session.add(item)
                session.flush()
                told = {"state": CaptionState.ACCEPTED, "origin": Origin.EDITED, **caption}
                session.add(Caption(item_id=item.id, text=text, **told))
                session.flush()
                captions.derive_item(session, item.id)
                ids.append(item.id)
        return ids

    return add


def dataset_of(database: Database, frozen: freezing.Frozen) -> Dataset:
    with database.reading() as session:
        return datasets.get(session, frozen.dataset_id, viewer=None)


def held(database: Database, blobs: BlobStore, frozen: freezing.Frozen) -> list[FrozenItem]:
    return list(datasets.items(blobs, dataset_of(database, frozen)))


def test_a_dataset_holds_the_accepted_captions_in_order_with_origin_model_and_split(
    database: Database, blobs: BlobStore, harbour: int, add: Add, new_user: Callable[..., User]
) -> None:
    train, test = add(Split.TRAIN, "A boat.")[0], add(Split.TEST, "A mill.", origin=Origin.WRITTEN)[0]
    add(Split.TRAIN, "Waits.", state=CaptionState.CANDIDATE)
    with database.writing() as session:
        ada = new_user(session, "ada")
        session.execute(
            update(Caption).where(Caption.item_id == train).values(model="blip 1", author_id=ada.id)
        )
        session.add(Caption(item_id=train, text="Alt", kind=CaptionKind.ALT, origin=Origin.WRITTEN))
        session.execute(
            update(Item).where(Item.id == test).values(position=0, rights="CC0", external_id="x1")
        )
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    first, second = held(database, blobs, frozen)
    assert (first.item_id, first.split, first.rights, first.external_id) == (test, Split.TEST, "CC0", "x1")
    assert [(one.text, one.origin, one.model, one.version) for one in second.captions] == [
        ("A boat.", "edited", "blip 1", 1)
    ]
    assert not second.captions[0].blind
    dataset = dataset_of(database, frozen)
    assert (dataset.name, dataset.version, dataset.images, dataset.captions) == ("boats", 1, 2, 2)
    assert dataset.guidelines == "Say what is there."
    assert dataset.card["reviewers"] == {"ada": 1}
    with database.reading() as session:
        rows = session.execute(
            select(DatasetImage.item_id, DatasetImage.split).order_by(DatasetImage.item_id)
        )
        assert [tuple(row) for row in rows] == [(train, Split.TRAIN), (test, Split.TEST)]


def test_splits_follow_the_hash_are_stored_and_never_move(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    for split in TENTH:
        add(split, "A boat.")
    datasets.freeze(database, blobs, harbour, "boats")
    with database.writing() as session:
        images = session.scalars(select(Image).order_by(Image.id)).all()
        assert [image.split for image in images] == list(TENTH)
        assert all(splits.of_hash(image.sha256) is image.split for image in images)
        images[0].split = Split.TEST
    with database.writing() as session:
        splits.assign(session, [images[0].id])
        assert session.get_one(Image, images[0].id).split is Split.TEST


def test_hashes_fall_eight_to_one_to_one() -> None:
    drawn = [splits.of_hash(hashlib.sha256(str(number).encode()).hexdigest()) for number in range(5000)]
    shares = [drawn.count(split) / len(drawn) for split in TENTH]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_the_same_content_makes_no_new_version_and_a_change_does(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    (item_id,) = add(Split.TRAIN, "A boat.")
    first = datasets.freeze(database, blobs, harbour, "boats")
    again = datasets.freeze(database, blobs, harbour, " boats ")
    assert again == freezing.Frozen(first.dataset_id, 1, is_new=False)
    with database.writing() as session:
        caption = session.scalars(select(Caption).where(Caption.item_id == item_id)).one()
        captions.revise(session, caption, version=1, text="A red boat.", user=None)
    changed = datasets.freeze(database, blobs, harbour, "boats")
    assert (changed.version, changed.is_new) == (2, True)
    with database.reading() as session:
        assert datasets.by_name(session, "boats").version == 2
        assert datasets.by_name(session, "boats@1").id == first.dataset_id
        newest = datasets.newest(session, viewer=None, limit=1)
        assert ([one.version for one in newest.rows], newest.after) == ([2], changed.dataset_id)
        assert [one.version for one in datasets.versions(session, newest.rows[0])] == [2, 1]
        for unknown in ("boats@3", "boats@x", "boats@", "ships", "@1"):
            with pytest.raises(NotFound):
                datasets.by_name(session, unknown)


def test_the_manifest_is_the_same_bytes_in_another_installation(
    database: Database, blobs: BlobStore, harbour: int, add: Add, tmp_path: Path
) -> None:
    add(Split.TRAIN, "A boat.", "مركب في الميناء", "A boat \U0001f6a4\u200d\u2642\ufe0f.\u2028It sails.")
    other = LocalBlobs(tmp_path / "other")
    names = [datasets.freeze(database, store, harbour, name) for store, name in ((blobs, "a"), (other, "b"))]
    one, two = (dataset_of(database, frozen).manifest_sha256 for frozen in names)
    assert one == two
    assert blobs.read(one) == other.read(one)
    assert [item.captions[0].text for item in held(database, blobs, names[0])][2].endswith("\u2028It sails.")


def test_photos_that_look_like_held_out_ones_are_left_out_and_counted(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    kept = add(Split.TRAIN, "A boat.")
    add(Split.TEST, "A mill.", dhash=0b0101 << 40)
    twin = add(Split.TRAIN, "A mill again.", dhash=0b1010 << 40)  # four bits away
    near = add(Split.VALIDATION, "A mill once more.", dhash=0b0111 << 40)
    far = add(Split.TRAIN, "Another mill.", dhash=0b11111 << 50)
    blank = add(Split.TEST, "Nothing.", dhash=0) + add(Split.TRAIN, "Nothing at all.", dhash=0)
    frozen = datasets.freeze(database, blobs, harbour, "mills")
    ids = {item.item_id for item in held(database, blobs, frozen)}
    assert ids.isdisjoint(twin + near)
    assert ids >= {*kept, *far, *blank}
    card = dataset_of(database, frozen).card
    assert card["left_out"] == {"prohibited": 0, "golden": 0, "train": 1, "validation": 1}
    with database.reading() as session:
        left = session.get_one(Item, twin[0])
        assert session.get_one(Image, left.image_id).split is Split.TRAIN


def test_prohibited_and_golden_photos_are_never_frozen_to_learn_from(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    free, prohibited, golden = add(Split.TRAIN, "A boat.", "A ship.", "A raft.")
    with database.writing() as session:
        session.execute(update(Item).where(Item.id == prohibited).values(training_prohibited=True))
        image_id = session.get_one(Item, golden).image_id
        assert splits.reserve(session, [image_id]) == 1
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    assert [item.item_id for item in held(database, blobs, frozen)] == [free]
    left_out = dataset_of(database, frozen).card["left_out"]
    assert (left_out["prohibited"], left_out["golden"]) == (1, 1)
    with database.writing() as session:
        assert session.get_one(Image, session.get_one(Item, prohibited).image_id).split is None
        assert splits.reserve(session, [session.get_one(Item, free).image_id]) == 0


def test_what_a_filter_asks_of_a_caption_holds_of_the_frozen_one(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    (item_id,) = add(Split.TRAIN, "A boat.", origin=Origin.WRITTEN)
    add(Split.TRAIN, "A ship.")
    with database.writing() as session:
        captions.write(session, session.get_one(Item, item_id), text="Ein Boot.", language="de", user=None)
    german = ItemFilter(language="de")
    frozen = datasets.freeze(database, blobs, harbour, "boote", wanted=german)
    assert [[one.text for one in item.captions] for item in held(database, blobs, frozen)] == [["Ein Boot."]]
    assert dataset_of(database, frozen).filter == {"language": "de"}
    with pytest.raises(InvalidInput, match="datasets hold captions"):
        datasets.freeze(database, blobs, harbour, "alt", wanted=ItemFilter(kind=CaptionKind.ALT))


def test_nothing_accepted_is_refused_with_the_reason_and_leaves_nothing(
    database: Database, blobs: LocalBlobs, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, "Waits.", state=CaptionState.CANDIDATE)
    with pytest.raises(InvalidInput, match="no caption in 'Harbour' can be frozen"):
        datasets.freeze(database, blobs, harbour, "boats")
    add(Split.TRAIN, "A boat.")
    with pytest.raises(InvalidInput, match="of this filter"):
        datasets.freeze(database, blobs, harbour, "boats", wanted=ItemFilter(language="de"))
    with pytest.raises(NotFound):
        datasets.freeze(database, blobs, 99, "boats")
    assert count(database, Dataset) == 0
    assert list(blobs.keys()) == []


@pytest.mark.parametrize("name", ["", "  ", "boats@2", "two\nlines", "x" * 201, "\u202egnp.boats", "\ud800"])
def test_what_can_name_no_dataset_is_refused(
    database: Database, blobs: BlobStore, harbour: int, add: Add, name: str
) -> None:
    add(Split.TRAIN, "A boat.")
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        datasets.freeze(database, blobs, harbour, name)


@pytest.mark.parametrize("name", ["قوارب", 'boats of \'24 / "quay"', "\U0001f6a4", "100%_boats", "-boats"])
def test_names_of_any_script_are_names(
    database: Database, blobs: BlobStore, harbour: int, add: Add, name: str
) -> None:
    add(Split.TRAIN, "A boat.")
    frozen = datasets.freeze(database, blobs, harbour, name)
    with database.reading() as session:
        assert datasets.by_name(session, f"{name}@1").id == frozen.dataset_id


def test_one_word_and_five_hundred_words_are_frozen_as_they_are(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    long = " ".join(f"word{number}" for number in range(500))
    add(Split.TRAIN, "Boat")
    one = datasets.freeze(database, blobs, harbour, "word")
    assert dataset_of(database, one).card["vocabulary"] == 1
    add(Split.TRAIN, long)
    frozen = datasets.freeze(database, blobs, harbour, "words")
    assert held(database, blobs, frozen)[1].captions[0].text == long
    words = dataset_of(database, frozen).card["words"]
    assert (words["shortest"], words["longest"], words["total"]) == (1, 500, 501)


def test_a_name_belongs_to_one_collection_for_good(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, "A boat.")
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    with database.writing() as session:
        collections.remove(session, session.get_one(Collection, harbour), user=None)
        other = collections.create(session, name="Other", owner=None).id
    with pytest.raises(Conflict, match="exists already"):
        datasets.freeze(database, blobs, other, "boats")
    assert dataset_of(database, frozen).collection_id is None


def test_datasets_are_seen_by_who_sees_their_collection(
    database: Database, blobs: BlobStore, harbour: int, add: Add, new_user: Callable[..., User]
) -> None:
    add(Split.TRAIN, "A boat.")
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    with database.writing() as session:
        ada, bob = new_user(session, "ada"), new_user(session, "bob")
        admin = new_user(session, "grace", Role.ADMIN)
        collection = session.get_one(Collection, harbour)
        collections.add_member(session, collection, ada)
    with database.writing() as session:
        seen = [len(datasets.newest(session, viewer=user).rows) for user in (ada, bob, admin, None)]
        assert seen == [1, 0, 1, 1]
        with pytest.raises(NotFound):
            datasets.get(session, frozen.dataset_id, viewer=bob)
        with pytest.raises(NotFound):
            datasets.by_name(session, "boats", viewer=bob)
        collections.remove(session, session.get_one(Collection, harbour), user=None)
        seen = [len(datasets.newest(session, viewer=user).rows) for user in (ada, bob, admin, None)]
        assert seen == [0, 0, 1, 1]


def test_two_freezes_at_once_make_one_version_of_one_content(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, *["A boat."] * 20)
    outcomes: list[freezing.Frozen | CatalogError] = []

    def freeze() -> None:
        try:
            outcomes.append(datasets.freeze(database, blobs, harbour, "boats"))
        except CatalogError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=freeze) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frozen = [one for one in outcomes if isinstance(one, freezing.Frozen)]
    assert len(frozen) == 4
    assert sorted(one.is_new for one in frozen) == [False, False, False, True]
    assert count(database, Dataset) == 1


def test_a_photo_that_goes_while_it_is_frozen_is_not_in_the_version(
    database: Database, blobs: BlobStore, harbour: int, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = add(Split.TRAIN, "A boat.", "A ship.")
    check, puts = LocalBlobs.put, []

    def put(self: LocalBlobs, source: Any) -> str:
        if not puts:
            with database.writing() as session:
                items.remove(session, session.get_one(Item, gone), user=None)
        puts.append(source)
        return check(self, source)

    monkeypatch.setattr(LocalBlobs, "put", put)
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    assert [item.item_id for item in held(database, blobs, frozen)] == [kept]
    assert len(puts) == 2
    assert list(blobs.keys()) == [dataset_of(database, frozen).manifest_sha256]


def test_captions_that_change_while_they_are_read_are_frozen_as_they_were(
    database: Database, blobs: BlobStore, harbour: int, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add(Split.TRAIN, "A boat.", "A ship.")
    write = freezing.Written.write

    def late(self: freezing.Written, content: freezing.Content) -> None:
        with database.writing() as session:
            for caption in session.scalars(select(Caption).order_by(Caption.id)).all():
                captions.revise(session, caption, version=caption.version, text="Changed.", user=None)
        write(self, content)

    monkeypatch.setattr(freezing.Written, "write", late)
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    found = held(database, blobs, frozen)
    assert [(item.item_id, item.captions[0].text) for item in found] == list(
        zip(ids, ("A boat.", "A ship."), strict=True)
    )


def test_a_full_disk_freezes_nothing_and_there_is_room_later(
    database: Database, harbour: int, add: Add, small_disk: Path
) -> None:
    add(Split.TRAIN, *["A boat. " * 100] * 40)
    store = LocalBlobs(small_disk / "blobs")
    store.put(b"first")
    filler = fill_up(small_disk, but=8 << 10)
    with pytest.raises(StorageFull):
        datasets.freeze(database, store, harbour, "boats")
    assert count(database, Dataset) == 0
    assert len(list(store.keys())) == 1
    filler.unlink()
    assert datasets.freeze(database, store, harbour, "boats").version == 1


def test_a_full_disk_of_staged_files_freezes_nothing(
    database: Database,
    blobs: LocalBlobs,
    harbour: int,
    add: Add,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(Split.TRAIN, *["A boat. " * 100] * 40)
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    fill_up(small_disk, but=8 << 10)
    with pytest.raises(StorageFull):
        datasets.freeze(database, blobs, harbour, "boats")
    assert (count(database, Dataset), list(blobs.keys())) == (0, [])


def test_a_tampered_or_lost_manifest_is_refused(
    database: Database, blobs: LocalBlobs, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, "A boat.")
    dataset = dataset_of(database, datasets.freeze(database, blobs, harbour, "boats"))
    path = blobs.path(dataset.manifest_sha256)
    path.write_bytes(path.read_bytes().replace(b"A boat.", b"A goat."))
    with pytest.raises(MissingBlob):
        list(datasets.items(blobs, dataset))
    path.unlink()
    with pytest.raises(MissingBlob):
        list(datasets.items(blobs, dataset))
    # What was lost keeps nobody from freezing anew.
    add(Split.TRAIN, "A ship.")
    later = datasets.freeze(database, blobs, harbour, "boats")
    assert (later.version, dataset_of(database, later).card["growth"]) == (2, None)


def test_a_deleted_version_takes_its_blobs_leaves_a_tombstone_and_its_number_is_not_given_again(
    database: Database, blobs: BlobStore, harbour: int, add: Add, new_user: Callable[..., User]
) -> None:
    (item_id,) = add(Split.TRAIN, "A boat.")
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    with database.writing() as session:
        ada = new_user(session, "ada", Role.ADMIN)
        items.remove(session, session.get_one(Item, item_id), user=ada)
        assert session.scalar(select(func.count()).select_from(Image)) == 1
    manifest = dataset_of(database, frozen).manifest_sha256
    with database.writing() as session:
        keys = datasets.remove(
            session, datasets.get(session, frozen.dataset_id, viewer=None), user=session.merge(ada)
        )
        stone = session.scalars(select(Tombstone).where(Tombstone.kind == "dataset")).one()
    assert (stone.name, stone.sha256, stone.user_id) == ("boats@1", manifest, ada.id)
    assert manifest in keys
    assert remove_blobs(database, blobs, [manifest]) == Removal(gone=1, kept=0)
    assert (count(database, Image), count(database, DatasetImage)) == (0, 0)
    add(Split.TRAIN, "A boat.")
    assert datasets.freeze(database, blobs, harbour, "boats").version == 2


def test_a_dataset_that_was_trained_on_is_not_deleted(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, "A boat.")
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    with database.writing() as session:
        job = Job(kind=JobKind.TRAIN, collection_id=harbour)
        session.add(job)
        session.flush()
        session.add(TrainingRun(job_id=job.id, dataset_id=frozen.dataset_id, line="boats"))
    with database.writing() as session, pytest.raises(Conflict, match=f"job {job.id} trains on it"):
        datasets.remove(session, datasets.get(session, frozen.dataset_id, viewer=None), user=None)
    assert count(database, Dataset) == 1


def test_many_photos_need_few_statements(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, *["A boat."] * 20)
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *event: asked.append(event[2]))
    datasets.freeze(database, blobs, harbour, "few")
    few = len(asked)
    add(Split.TRAIN, *["A boat."] * 200)
    asked.clear()
    datasets.freeze(database, blobs, harbour, "many")
    assert len(asked) <= few


def test_a_manifest_is_lines_of_json_with_a_header(
    database: Database, blobs: BlobStore, harbour: int, add: Add
) -> None:
    add(Split.TRAIN, "A boat.")
    dataset = dataset_of(database, datasets.freeze(database, blobs, harbour, "boats"))
    header, line = (json.loads(line) for line in blobs.read(dataset.manifest_sha256).splitlines())
    assert header == {
        "form": 1,
        "kind": "curated",
        "collection": "Harbour",
        "filter": {},
        "guidelines": "Say what is there.",
    }
    assert (line["split"], line["captions"][0]["text"]) == ("train", "A boat.")


def count(database: Database, table: Any) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_dataset_is_deleted_by_who_froze_it_or_by_admins_alone(
    database: Database, blobs: BlobStore, harbour: int, add: Add, new_user: Callable[..., User]
) -> None:
    add(Split.TRAIN, "A boat.")
    with database.writing() as session:
        ada, grace = new_user(session, "ada"), new_user(session, "grace")
    frozen = datasets.freeze(database, blobs, harbour, "boats", user_id=ada.id)
    dataset = dataset_of(database, frozen)
    with database.writing() as session, pytest.raises(NotAllowed, match="by who froze it, or by an admin"):
        datasets.remove(session, dataset, user=grace)
    with database.writing() as session:
        assert dataset.manifest_sha256 in datasets.remove(session, dataset, user=ada)
