"""From whom the texts of a photo are kept, and for how long."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from catalog import captions, collections, golden_sets
from catalog.blind_items import require_seen, still_blind, withheld_from
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import NotAllowed
from catalog.schema import Collection, GoldenSet, Item, User

Filled = Callable[..., tuple[int, list[int], int]]


@pytest.fixture
def people(database: Database, new_user: Callable[..., User]) -> list[User]:
    with database.writing() as session:
        return [new_user(session, name) for name in ("ada", "grace", "edsger")]


@pytest.fixture
def item_ids(database: Database, filled: Filled, people: list[User]) -> list[int]:
    """The photos of a collection, all of them in a golden set with two references each."""
    with database.writing() as session:
        collection_id, item_ids, _ = filled(session, 2)
        collection = session.get_one(Collection, collection_id)
        for user in people:
            collections.add_member(session, collection, user)
        golden_sets.draw(session, collection, name="judge", size=2, references_each=2, user=people[0])
    return item_ids


def blind(database: Database, item_ids: list[int], user: User) -> list[int]:
    """The items whose texts are kept from a user, as both forms of the rule have it."""
    with database.reading() as session:
        found = sorted(still_blind(session, item_ids, user))
        query = select(Item.id).where(Item.id.in_(item_ids), withheld_from(user)).order_by(Item.id)
        assert session.scalars(query).all() == found
    return found


def write(database: Database, item_id: int, user: User) -> None:
    with database.writing() as session:
        golden_set = session.scalars(select(GoldenSet)).one()
        golden_sets.write(session, golden_set, item_id, f"A pier, says {user.name}.", user=user)


def test_texts_are_kept_from_everybody_until_they_wrote_or_nothing_is_left_to_write(
    database: Database, item_ids: list[int], people: list[User]
) -> None:
    ada, grace, edsger = people
    assert blind(database, item_ids, ada) == item_ids
    assert blind(database, item_ids[:1], ada) == item_ids[:1]
    write(database, item_ids[0], ada)
    assert blind(database, item_ids, ada) == item_ids[1:]
    assert blind(database, item_ids, grace) == item_ids
    write(database, item_ids[0], grace)
    assert blind(database, item_ids, edsger) == item_ids[1:]


def test_nobody_is_blind_to_what_they_worked_on(
    database: Database, item_ids: list[int], people: list[User]
) -> None:
    with database.writing() as session:
        captions.write(session, session.get_one(Item, item_ids[0]), text="A pier.", user=people[0])
    assert blind(database, item_ids, people[0]) == item_ids[1:]
    assert blind(database, item_ids, people[1]) == item_ids


def test_a_frozen_set_keeps_nothing_from_anybody(
    database: Database, blobs: LocalBlobs, item_ids: list[int], people: list[User]
) -> None:
    write(database, item_ids[0], people[0])
    with database.reading() as session:
        golden_set_id = session.scalars(select(GoldenSet.id)).one()
    golden_sets.freeze(database, blobs, golden_set_id, unfinished=True)
    assert [blind(database, item_ids, user) for user in people] == [[], [], []]


def test_who_would_read_is_told_to_caption_first_and_the_command_line_reads_all(
    database: Database, item_ids: list[int], people: list[User]
) -> None:
    with database.reading() as session:
        with pytest.raises(NotAllowed, match=f"item {item_ids[0]} is in the golden set 'judge'"):
            require_seen(session, item_ids[0], people[0])
        require_seen(session, item_ids[0], None)
        assert still_blind(session, item_ids, None) == {}
