"""Golden sets: drawn at random, written blind, frozen, and never learned from."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from catalog import captions, collections, datasets, golden_sets, review_queue
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import Conflict, InvalidInput, NotFound, StorageFull
from catalog.filters import EVERYTHING, ItemFilter
from catalog.item_lists import Order
from catalog.manifests import FrozenItem
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Collection,
    Dataset,
    DatasetImage,
    DatasetKind,
    GoldenItem,
    GoldenReference,
    GoldenSet,
    HistoryEntry,
    Image,
    Item,
    Origin,
    ReviewState,
    Split,
    User,
)

Filled = Callable[..., tuple[int, list[int], int]]
COUNT = 12


@pytest.fixture
def people(database: Database, new_user: Callable[..., User]) -> list[User]:
    with database.writing() as session:
        return [new_user(session, name) for name in ("ada", "grace", "edsger")]


@pytest.fixture
def harbour(database: Database, filled: Filled, people: list[User]) -> int:
    """The id of a collection of ada's, grace's and edsger's with twelve photos whose captions wait."""
    with database.writing() as session:
        collection_id, item_ids, checkpoint_id = filled(session, COUNT)
        for user in people:
            collections.add_member(session, session.get_one(Collection, collection_id), user)
        for item_id in item_ids:
            session.add(
                Caption(item_id=item_id, text="A model's.", origin=Origin.MODEL, checkpoint_id=checkpoint_id)
            )
        session.flush()
        captions.refresh_review_state(session, item_ids)
    return collection_id


def draw(database: Database, collection_id: int, size: int, name: str = "blind", **told: Any) -> GoldenSet:
    with database.writing() as session:
        collection = session.get_one(Collection, collection_id)
        return golden_sets.draw(session, collection, name=name, size=size, user=None, **told)


def members(database: Database, golden_set: GoldenSet) -> list[int]:
    with database.reading() as session:
        query = select(GoldenItem.item_id).where(GoldenItem.golden_set_id == golden_set.id)
        return list(session.scalars(query.order_by(GoldenItem.position)))


def write(database: Database, golden_set: GoldenSet, user: User, text: str = "A boat.") -> int | None:
    """Write a caption for what the user is served; returns the item."""
    with database.writing() as session:
        held = golden_sets.get(session, golden_set.id, viewer=user)
        item = golden_sets.next_blind(session, held, user)
        if item is not None:
            golden_sets.write(session, held, item.id, text, user=user)
        return item.id if item else None


def frozen_items(database: Database, blobs: BlobStore, dataset_id: int) -> list[FrozenItem]:
    with database.reading() as session:
        return list(datasets.items(blobs, datasets.get(session, dataset_id, viewer=None)))


def test_photos_are_drawn_at_random_once_and_kept_from_training(
    database: Database, blobs: BlobStore, harbour: int
) -> None:
    first, second = draw(database, harbour, 4), draw(database, harbour, 4, name="more")
    drawn = members(database, first)
    assert len({*drawn, *members(database, second)}) == 8
    assert drawn != sorted(drawn) or members(database, second) != sorted(members(database, second))
    with database.reading() as session:
        golden = select(func.count()).where(Image.split == Split.GOLDEN)
        assert session.scalar(golden) == 8
    with pytest.raises(Conflict, match="4 photos can be drawn, not 5"):
        draw(database, harbour, 5, name="too many")
    with database.writing() as session:
        session.execute(update(Caption).values(state=CaptionState.ACCEPTED))
    frozen = datasets.freeze(database, blobs, harbour, "boats")
    learned = {item.item_id for item in frozen_items(database, blobs, frozen.dataset_id)}
    assert len(learned) == 4
    assert learned.isdisjoint([*drawn, *members(database, second)])


def test_photos_that_were_learned_from_and_their_like_are_not_drawn(database: Database, harbour: int) -> None:
    with database.writing() as session:
        images = session.scalars(select(Image).order_by(Image.id)).all()
        for image, split in zip(images, (Split.TRAIN, Split.VALIDATION, Split.TEST), strict=False):
            image.split = split
        images[0].dhash, images[3].dhash, images[4].dhash = 0b1 << 20, 0b111 << 20, 0b111111 << 40
        items = session.scalars(select(Item).order_by(Item.id)).all()
        items[5].training_prohibited = True
        wrong = {items[place].id for place in (0, 1, 3, 5)}
    golden_set = draw(database, harbour, COUNT - len(wrong))
    assert wrong.isdisjoint(members(database, golden_set))
    with database.reading() as session:
        splits = session.scalars(select(Image.split).order_by(Image.id)).all()
    assert splits[:4] == [Split.TRAIN, Split.VALIDATION, Split.GOLDEN, None]


def test_equal_bytes_are_drawn_once(database: Database, harbour: int) -> None:
    with database.writing() as session:
        first, second = session.scalars(select(Item).order_by(Item.id).limit(2)).all()
        second.image_id = first.image_id
    with pytest.raises(Conflict, match=f"{COUNT - 1} photos can be drawn"):
        draw(database, harbour, COUNT)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"size": 0}, "0 photos"),
        ({"size": 10_001}, "10001 photos"),
        ({"size": 2, "references_each": 0}, "0 references"),
        ({"size": 2, "language": "no language!"}, "language"),
        ({"size": 2, "name": "blind@2"}, "cannot name a dataset"),
    ],
)
def test_what_is_out_of_reach_draws_nothing(
    database: Database, harbour: int, told: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        draw(database, harbour, **told)
    with database.reading() as session:
        assert session.scalar(select(func.count()).where(Image.split.is_not(None))) == 0


def test_names_are_taken_by_sets_and_datasets(
    database: Database, blobs: BlobStore, harbour: int, filled: Filled
) -> None:
    draw(database, harbour, 2)
    with pytest.raises(Conflict, match="exists already"):
        draw(database, harbour, 2)
    with database.writing() as session:
        session.execute(update(Caption).values(state=CaptionState.ACCEPTED))
    datasets.freeze(database, blobs, harbour, "boats")
    with pytest.raises(Conflict, match="another kind"):
        draw(database, harbour, 2, name="boats")


def test_nobody_is_served_a_photo_twice_or_one_whose_captions_they_worked_on(
    database: Database, harbour: int, people: list[User]
) -> None:
    ada, grace, edsger = people
    golden_set = draw(database, harbour, 3, references_each=2)
    known, drafted, _ = members(database, golden_set)
    with database.writing() as session:
        caption = session.scalars(select(Caption).where(Caption.item_id == known)).one()
        captions.revise(session, caption, version=1, user=ada, text="A corrected one.")
        captions.save_draft(session, session.get_one(Item, drafted), user=grace, text="A draft", caption=None)
    assert {write(database, golden_set, ada) for _ in range(3)} == {*members(database, golden_set)[1:], None}
    assert {write(database, golden_set, grace) for _ in range(3)} == {
        known,
        golden_last(database, golden_set),
        None,
    }
    # Two photos lack one reference each, and the third has both.
    assert {write(database, golden_set, edsger) for _ in range(3)} == {known, drafted, None}
    with database.writing() as session:
        held = golden_sets.get(session, golden_set.id, viewer=None)
        with pytest.raises(Conflict, match="would not be blind"):
            golden_sets.write(session, held, known, "Seen.", user=session.merge(ada))


def golden_last(database: Database, golden_set: GoldenSet) -> int:
    return members(database, golden_set)[-1]


def test_photos_with_the_fewest_references_come_first_and_skipped_ones_wait(
    database: Database, harbour: int, people: list[User]
) -> None:
    golden_set = draw(database, harbour, 4, references_each=3)
    first = [write(database, golden_set, people[0]) for _ in range(2)]
    second = {write(database, golden_set, people[1]) for _ in range(2)}
    assert second == {*members(database, golden_set)} - {*first}
    with database.reading() as session:
        held = golden_sets.get(session, golden_set.id, viewer=None)
        skipped = [*second]
        item = golden_sets.next_blind(session, held, people[2], skip=[one for one in skipped if one])
        assert item
        assert item.id in first
        assert item.image.sha256


def test_a_blind_caption_is_also_an_accepted_caption_of_the_photo(
    database: Database, harbour: int, people: list[User]
) -> None:
    ada = people[0]
    golden_set = draw(database, harbour, 2, language="pt-BR")
    item_id = write(database, golden_set, ada, "  Um barco \U0001f6a4.  ")
    with database.reading() as session:
        written = session.scalars(select(Caption).where(Caption.author_id == ada.id)).one()
        assert (written.item_id, written.text, written.language) == (item_id, "Um barco \U0001f6a4.", "pt-BR")
        assert (written.origin, written.state) == (Origin.WRITTEN, CaptionState.ACCEPTED)
        assert session.get_one(Item, item_id).review_state is ReviewState.ACCEPTED
        entry = session.scalars(select(HistoryEntry).where(HistoryEntry.caption_id == written.id)).one()
        assert (entry.action, entry.user_id) == ("written", ada.id)
    with database.writing() as session:
        held = golden_sets.get(session, golden_set.id, viewer=None)
        golden_sets.write(session, held, item_id or 0, "Dois barcos.", user=session.merge(ada))
    with database.reading() as session:
        references = session.scalars(select(GoldenReference.text)).all()
        text, version = session.execute(
            select(Caption.text, Caption.version).where(Caption.author_id == ada.id)
        ).one()
    assert (references, text, version) == (["Dois barcos."], "Dois barcos.", 2)


@pytest.mark.parametrize("text", ["", "   ", "\u200b\n", "x" * 10_001])
def test_a_text_that_says_nothing_or_too_much_is_refused(
    database: Database, harbour: int, people: list[User], text: str
) -> None:
    golden_set = draw(database, harbour, 2)
    with pytest.raises(InvalidInput):
        write(database, golden_set, people[0], text)
    with database.writing() as session, pytest.raises(NotFound, match="none of the golden set"):
        golden_sets.write(
            session,
            golden_sets.get(session, golden_set.id, viewer=None),
            next(iter(set(range(1, COUNT)) - {*members(database, golden_set)})),
            "A boat.",
            user=session.merge(people[0]),
        )


def test_the_review_queue_serves_no_photo_of_an_open_set(
    database: Database, blobs: BlobStore, harbour: int, people: list[User]
) -> None:
    golden_set = draw(database, harbour, COUNT - 1)

    def served() -> set[int]:
        """What ada is served until nothing is left."""
        found: list[int] = []
        with database.writing() as session:
            collection = session.get_one(Collection, harbour)
            while item := review_queue.next_item(
                session, collection, EVERYTHING, order=Order.IMPORT, reviewer=people[0], skip=found
            ):
                found.append(item.id)
        return {*found}

    assert len(served()) == 1
    write(database, golden_set, people[1])
    golden_sets.freeze(database, blobs, golden_set.id, unfinished=True)
    assert len(served()) == COUNT


def test_a_finished_set_is_frozen_with_its_references_and_takes_no_more(
    database: Database, blobs: BlobStore, harbour: int, people: list[User]
) -> None:
    golden_set = draw(database, harbour, 3, references_each=2)
    for user in people[:2]:
        for _ in range(2):
            write(database, golden_set, user, f"مركب {user.name}")
    with pytest.raises(Conflict, match="2 photos of the golden set 'blind' lack references"):
        golden_sets.freeze(database, blobs, golden_set.id)
    for user in people[:2]:
        write(database, golden_set, user, f"مركب {user.name}")
    with database.reading() as session:
        stands = golden_sets.standing(session, golden_set)
    assert (stands.items, stands.wanted, stands.written, stands.done) == (3, 6, 6, 3)
    assert stands.people == [("ada", 3), ("grace", 3)]
    frozen = golden_sets.freeze(database, blobs, golden_set.id)
    assert golden_sets.freeze(database, blobs, golden_set.id) == type(frozen)(frozen.dataset_id, 1, False)
    found = frozen_items(database, blobs, frozen.dataset_id)
    assert {item.item_id for item in found} == {*members(database, golden_set)}
    assert {item.split for item in found} == {Split.GOLDEN}
    for item in found:
        assert {one.text for one in item.captions} == {"مركب ada", "مركب grace"}
        assert all(one.blind and one.origin == "written" and one.model is None for one in item.captions)
    with database.reading() as session:
        dataset = datasets.by_name(session, "blind")
        assert (dataset.kind, dataset.images, dataset.captions) == (DatasetKind.GOLDEN, 3, 6)
        assert dataset.card["reviewers"] == {"ada": 3, "grace": 3}
    with database.writing() as session, pytest.raises(Conflict, match="is frozen"):
        golden_sets.write(
            session,
            golden_sets.get(session, golden_set.id, viewer=None),
            found[0].item_id,
            "Late.",
            user=session.merge(people[2]),
        )


def test_an_unfinished_set_is_frozen_with_what_is_there_if_anything(
    database: Database, blobs: BlobStore, harbour: int, people: list[User]
) -> None:
    golden_set = draw(database, harbour, 3)
    with pytest.raises(InvalidInput, match="nobody wrote a caption"):
        golden_sets.freeze(database, blobs, golden_set.id, unfinished=True)
    item_id = write(database, golden_set, people[0])
    frozen = golden_sets.freeze(database, blobs, golden_set.id, unfinished=True)
    assert [item.item_id for item in frozen_items(database, blobs, frozen.dataset_id)] == [item_id]
    with database.reading() as session:
        card = datasets.get(session, frozen.dataset_id, viewer=None).card
        assert card["left_out"] == {"without a reference": 2}
    with pytest.raises(NotFound):
        golden_sets.freeze(database, blobs, 99)


def test_golden_sets_are_seen_by_who_sees_their_collection(
    database: Database, harbour: int, people: list[User], new_user: Callable[..., User]
) -> None:
    golden_set = draw(database, harbour, 3)
    with database.writing() as session:
        stranger = new_user(session, "niklaus")
        with pytest.raises(NotFound):
            golden_sets.get(session, golden_set.id, viewer=stranger)
        assert golden_sets.get(session, golden_set.id, viewer=people[0]).name == "blind"
        collection = session.get_one(Collection, harbour)
        assert [one.id for one in golden_sets.of_collection(session, collection)] == [golden_set.id]
        assert golden_sets.by_name(session, collection, "blind").id == golden_set.id
        with pytest.raises(NotFound, match="no golden set called"):
            golden_sets.by_name(session, collection, "other")


def test_a_set_that_is_given_up_gives_its_photos_back(
    database: Database, blobs: BlobStore, harbour: int, people: list[User]
) -> None:
    with database.writing() as session:
        session.execute(update(Caption).values(state=CaptionState.ACCEPTED))
    datasets.freeze(database, blobs, harbour, "boats")
    with database.writing() as session:
        images = session.scalars(select(Image).order_by(Image.id)).all()
        images[0].split, images[1].split = Split.TEST, None
        for image in images[2:]:
            image.split = Split.TRAIN
        session.execute(delete(DatasetImage).where(DatasetImage.image_id == images[1].id))
    golden_set = draw(database, harbour, 2)
    write(database, golden_set, people[0])
    with database.writing() as session:
        golden_sets.remove(session, golden_sets.get(session, golden_set.id, viewer=None))
    with database.reading() as session:
        splits = session.scalars(select(Image.split).order_by(Image.id).limit(2)).all()
        assert splits == [Split.TEST, None]
        assert session.scalar(select(func.count()).select_from(GoldenReference)) == 0
        assert session.scalar(select(func.count()).where(Caption.author_id == people[0].id)) == 1
    again = draw(database, harbour, 1)
    write(database, again, people[1])
    golden_sets.freeze(database, blobs, again.id)
    with database.writing() as session, pytest.raises(Conflict, match="is frozen"):
        golden_sets.remove(session, golden_sets.get(session, again.id, viewer=None))


def test_who_imported_captions_or_accepted_many_at_once_may_still_write_blind(
    database: Database, harbour: int, people: list[User]
) -> None:
    golden_set = draw(database, harbour, 2)
    imported, bulk = members(database, golden_set)
    with database.writing() as session:
        for item_id, told in ((imported, {"action": "imported"}), (bulk, {"operation_id": 1})):
            entry = {"action": "accepted", "caption_id": 1, "version": 1, "user_id": people[0].id, **told}
            session.add(HistoryEntry(item_id=item_id, **entry))
    assert {write(database, golden_set, people[0]) for _ in range(2)} == {imported, bulk}


def test_imported_captions_of_people_are_frozen_as_references(
    database: Database, blobs: BlobStore, harbour: int
) -> None:
    with database.writing() as session:
        ids = session.scalars(select(Item.id).order_by(Item.id)).all()
        told: list[dict[str, Any]] = [
            {},
            {"version": 2},
            {"model": "blip 1"},
            {"origin": Origin.EDITED},
            {"state": CaptionState.REJECTED},
            {"kind": CaptionKind.ALT},
            {"state": CaptionState.CANDIDATE},
            {},
            {},
        ]
        for item_id, one in zip(ids, told, strict=False):
            whole = {"origin": Origin.IMPORTED, "state": CaptionState.ACCEPTED, **one}
            session.add(Caption(item_id=item_id, text=f"Reference {item_id}.", **whole))
        session.get_one(Image, session.get_one(Item, ids[7]).image_id).split = Split.TRAIN
        session.get_one(Image, session.get_one(Item, ids[8]).image_id).split = Split.TEST
    frozen = golden_sets.freeze_imported(database, blobs, harbour, "flickr")
    found = frozen_items(database, blobs, frozen.dataset_id)
    assert [item.item_id for item in found] == [ids[0], ids[6], ids[8]]
    assert [one.text for one in found[0].captions] == [f"Reference {ids[0]}."]
    assert all(one.blind and one.origin == "imported" for item in found for one in item.captions)
    with database.reading() as session:
        dataset = datasets.by_name(session, "flickr@1")
        assert dataset.card["left_out"] == {"prohibited": 0, "learned from": 1, "like ones learned from": 0}
        splits = session.scalars(select(Image.split).order_by(Image.id)).all()
    golden = [place for place, split in enumerate(splits) if split is Split.GOLDEN]
    assert golden == [0, 6, 8]
    again = golden_sets.freeze_imported(database, blobs, harbour, "flickr")
    assert (again.version, again.is_new) == (1, False)
    only = ItemFilter(ids=(ids[0],))
    fewer = golden_sets.freeze_imported(database, blobs, harbour, "flickr", wanted=only)
    assert (fewer.version, fewer.is_new) == (2, True)
    with pytest.raises(InvalidInput, match="no photo here"):
        golden_sets.freeze_imported(database, blobs, harbour, "none", wanted=ItemFilter(ids=(ids[1],)))


def test_imported_captions_of_several_languages_are_frozen_one_language_at_a_time(
    database: Database, blobs: BlobStore, harbour: int
) -> None:
    with database.writing() as session:
        ids = session.scalars(select(Item.id).order_by(Item.id)).all()
        for item_id, tag in zip(ids, ("pt-BR", "en", "pt"), strict=False):
            told = {"origin": Origin.IMPORTED, "state": CaptionState.ACCEPTED, "language": tag}
            session.add(Caption(item_id=item_id, text="Um barco.", **told))
    with pytest.raises(Conflict, match=r"are in en, pt, pt-BR, and .* such as --filter language=en"):
        golden_sets.freeze_imported(database, blobs, harbour, "flickr")
    with database.reading() as session:
        assert session.scalar(select(func.count()).where(Image.split.is_not(None))) == 0
    only = ItemFilter(language="en")
    frozen = golden_sets.freeze_imported(database, blobs, harbour, "flickr", wanted=only)
    assert [item.item_id for item in frozen_items(database, blobs, frozen.dataset_id)] == [ids[1]]
    only = ItemFilter(ids=(ids[0], ids[2]))
    frozen = golden_sets.freeze_imported(database, blobs, harbour, "flickr", wanted=only)
    assert len(frozen_items(database, blobs, frozen.dataset_id)) == 2


def test_a_golden_set_that_cannot_be_kept_reserves_no_photo(
    database: Database, blobs: BlobStore, harbour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.writing() as session:
        item_id = session.scalars(select(Item.id).order_by(Item.id)).first()
        session.add(
            Caption(item_id=item_id, text="A boat.", origin=Origin.IMPORTED, state=CaptionState.ACCEPTED)
        )

    def full(*arguments: Any) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr("catalog.freezing._add_images", full)
    with pytest.raises(StorageFull):
        golden_sets.freeze_imported(database, blobs, harbour, "flickr")
    with database.reading() as session:
        assert session.scalar(select(func.count()).where(Image.split.is_not(None))) == 0
        assert session.scalar(select(func.count()).select_from(Dataset)) == 0
    assert list(blobs.keys()) == []
