from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog import collections, item_lists, items
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.filters import ItemFilter
from catalog.schema import Collection, Image, Item, ReviewState, Role, Tombstone, User

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]


def test_reviewers_see_what_they_are_members_of_and_admins_everything(
    session: Session, new_user: NewUser
) -> None:
    owner, other = new_user(session, "Owner"), new_user(session, "Other")
    admin = new_user(session, "Admin", Role.ADMIN)
    collection = collections.create(session, name="Harbour", owner=owner)

    def seen(viewer: User | None) -> list[str]:
        return [one.collection.name for one in collections.summaries(session, viewer=viewer).rows]

    assert (seen(owner), seen(other), seen(admin), seen(None)) == (
        ["Harbour"],
        [],
        ["Harbour"],
        ["Harbour"],
    )
    with pytest.raises(NotFound, match="no collection"):
        collections.get(session, collection.id, viewer=other)
    collections.add_member(session, collection, other)
    session.flush()
    assert collections.get(session, collection.id, viewer=other) is collection
    assert [user.name for user in collections.members(session, collection).rows] == ["Other", "Owner"]
    collections.remove_member(session, collection, other)
    assert seen(other) == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "two\nlines"])
def test_a_name_that_cannot_be_read_is_refused(session: Session, name: str) -> None:
    with pytest.raises(InvalidInput):
        collections.create(session, name=name, owner=None)


def test_a_taken_name_is_a_conflict(session: Session) -> None:
    collections.create(session, name="Harbour", owner=None)
    with pytest.raises(Conflict, match="Harbour"):
        collections.create(session, name=" Harbour ", owner=None)


def test_counts_by_state(session: Session, filled: Filled) -> None:
    collection_id, item_ids, _ = filled(session, 3)
    session.get_one(Item, item_ids[0]).review_state = ReviewState.ACCEPTED
    session.flush()
    summary = collections.summary(session, session.get_one(Collection, collection_id))
    assert summary.states == {ReviewState.ACCEPTED: 1, ReviewState.UNCAPTIONED: 2}
    assert summary.total == 3


def test_pages_meet_without_a_gap(session: Session, filled: Filled) -> None:
    collection_id, item_ids, _ = filled(session, 7)
    collection = session.get_one(Collection, collection_id)
    seen: list[int] = []
    after = None
    while True:
        page = item_lists.page(session, collection, after=after, limit=3)
        seen += [listed.item.id for listed in page.items]
        after = page.after
        if after is None:
            break
    assert seen == item_ids


def test_neighbours_keep_to_the_filter(session: Session, filled: Filled) -> None:
    _, item_ids, _ = filled(session, 5)
    for number in (0, 4):
        session.get_one(Item, item_ids[number]).review_state = ReviewState.PENDING
    session.flush()
    middle = items.get(session, item_ids[2], viewer=None)
    assert item_lists.neighbours(session, middle) == (item_ids[1], item_ids[3])
    assert item_lists.neighbours(session, middle, ItemFilter(state=ReviewState.PENDING)) == (
        item_ids[0],
        item_ids[4],
    )
    last = items.get(session, item_ids[4], viewer=None)
    assert item_lists.neighbours(session, last) == (item_ids[3], None)


def test_deleting_an_item_frees_its_picture_only_when_nothing_else_shows_it(
    session: Session, filled: Filled
) -> None:
    _, item_ids, _ = filled(session, 1)
    first = items.get(session, item_ids[0], viewer=None)
    twin = Item(collection_id=first.collection_id, image_id=first.image_id, path="twin.jpg", position=9)
    session.add(twin)
    session.flush()
    sha256 = first.image.sha256
    assert items.remove(session, first, user=None) == []
    assert items.remove(session, items.get(session, twin.id, viewer=None), user=None) == [sha256]
    assert not collections.blob_is_used(session, sha256)
    names = session.execute(select(Tombstone.kind, Tombstone.name).order_by(Tombstone.id)).all()
    assert [tuple(name) for name in names] == [("item", "0000.jpg"), ("item", "twin.jpg")]


def test_deleting_a_collection_leaves_a_tombstone_and_nothing_else(session: Session, filled: Filled) -> None:
    collection_id, _, _ = filled(session, 3)
    kept, _, _ = filled(session, 2, "Kept")
    keys = collections.remove(session, session.get_one(Collection, collection_id), user=None)
    assert len(keys) == 3
    assert session.scalar(select(func.count()).select_from(Item)) == 2
    assert session.scalar(select(func.count()).select_from(Image)) == 2
    assert session.scalars(select(Collection.id)).all() == [kept]
    assert session.scalars(select(Tombstone.name)).all() == ["Harbour"]
