"""The queue of reviewers: nobody gets what somebody else is at, and nothing is left out."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from catalog import captions, collections, items, review_queue
from catalog.database import Database, database_clock
from catalog.filters import ItemFilter
from catalog.item_lists import Order
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionState,
    Collection,
    Item,
    Origin,
    ReviewState,
    Role,
    User,
)

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]

PENDING = ItemFilter(state=ReviewState.PENDING)
ROUNDS = 60
REVIEWERS = 4


class Desk:
    """Somebody who reviews a collection."""

    def __init__(self, session: Session, collection: Collection, user: User, filter: ItemFilter = PENDING):
        self.session, self.collection, self.user, self.filter = session, collection, user, filter

    def next(
        self, behind: int | None = None, *, order: Order = Order.IMPORT, skip: tuple[int, ...] = ()
    ) -> int | None:
        given = review_queue.next_item(
            self.session,
            self.collection,
            self.filter,
            order=order,
            reviewer=self.user,
            behind=behind,
            skip=skip,
        )
        return given.id if given else None

    def item(self, item_id: int) -> Item:
        return items.get(self.session, item_id, viewer=None)


def suggest(session: Session, item_ids: list[int], confidences: list[float] | None = None) -> None:
    """A caption of the model that waits, for each of the items."""
    for number, item_id in enumerate(item_ids):
        caption = Caption(item_id=item_id, text="A boat.", origin=Origin.MODEL)
        session.add(caption)
        session.flush()
        if confidences:
            said = {"score": -1.0, "tokens": [], "token_probabilities": [], "alternatives": []}
            detail = CaptionDetail(
                caption_id=caption.id, model_text="A boat.", confidence=confidences[number], **said
            )
            session.add(detail)
    session.flush()
    captions.refresh_review_state(session, item_ids)


def accept(session: Session, item_id: int, user: User) -> None:
    caption = session.scalars(select(Caption).where(Caption.item_id == item_id)).one()
    captions.revise(session, caption, version=caption.version, user=user, state=CaptionState.ACCEPTED)


@pytest.fixture
def collection(session: Session, filled: Filled) -> Collection:
    """A collection of five items, each with a caption that waits."""
    collection_id, ids, _ = filled(session, 5)
    suggest(session, ids, [0.9, 0.2, 0.5, 0.4, 0.7])
    return session.get_one(Collection, collection_id)


@pytest.fixture
def ids(session: Session, collection: Collection) -> list[int]:
    return list(session.scalars(select(Item.id).order_by(Item.position)))


@pytest.fixture
def ada(session: Session, collection: Collection, new_user: NewUser) -> Desk:
    user = new_user(session, "Ada")
    collections.add_member(session, collection, user)
    return Desk(session, collection, user)


@pytest.fixture
def bob(session: Session, collection: Collection, new_user: NewUser) -> Desk:
    user = new_user(session, "Bob")
    collections.add_member(session, collection, user)
    return Desk(session, collection, user)


def test_two_reviewers_get_different_items(ada: Desk, bob: Desk, ids: list[int]) -> None:
    assert [ada.next(), bob.next(), ada.next(ids[0]), bob.next(ids[1])] == ids[:4]
    assert ada.next() == ids[0], "what is mine I get again"


def test_each_order_begins_with_its_own_first(session: Session, ada: Desk, ids: list[int]) -> None:
    session.execute(update(Item).values(shuffle=Item.id))
    session.execute(update(Item).where(Item.id == ids[3]).values(shuffle=0, path="0.jpg"))
    first = {order: ada.next(order=order) for order in Order}
    assert first == {
        Order.IMPORT: ids[0],
        Order.NEWEST: ids[4],
        Order.UNCERTAIN: ids[1],
        Order.RANDOM: ids[3],
        Order.NAME: ids[3],
    }


@pytest.mark.parametrize("order", Order)
def test_whoever_accepts_and_goes_on_sees_every_item_once(
    session: Session, ada: Desk, ids: list[int], order: Order
) -> None:
    seen: list[int] = []
    while (given := ada.next(seen[-1] if seen else None, order=order)) is not None:
        accept(session, given, ada.user)
        seen.append(given)
    assert sorted(seen) == ids


def test_among_the_doubtful_a_skipped_one_comes_last_and_not_next(
    session: Session, ada: Desk, ids: list[int]
) -> None:
    doubtful = [ids[1], ids[3], ids[2], ids[4], ids[0]]
    skipped = ada.next(order=Order.UNCERTAIN)
    given = ada.next(skipped, order=Order.UNCERTAIN)
    seen = [skipped, given]
    while given is not None and len(seen) < 7:
        accept(session, given, ada.user)
        given = ada.next(given, order=Order.UNCERTAIN)
        seen.append(given)
    assert seen == [*doubtful, doubtful[0], None]


def test_at_the_end_it_begins_again_with_what_was_skipped_but_for_what_the_reviewer_names(
    ada: Desk, ids: list[int]
) -> None:
    assert ada.next(ids[-1]) == ids[0]
    assert ada.next(ids[-1], skip=tuple(ids[:2])) == ids[2]
    assert ada.next(ids[-1], skip=tuple(ids[:4])) is None, "the one that is shown is not the next one"


def test_a_place_counts_although_its_item_is_decided_and_is_the_start_once_it_is_deleted(
    session: Session, ada: Desk, ids: list[int]
) -> None:
    accept(session, ids[2], ada.user)
    assert ada.next(ids[2]) == ids[3]
    items.remove(session, ada.item(ids[2]), user=None)
    assert ada.next(ids[2]) == ids[0]


def test_what_others_let_go_of_or_left_too_long_comes_round(
    session: Session, ada: Desk, bob: Desk, ids: list[int]
) -> None:
    assert [bob.next(), bob.next(ids[0])] == ids[:2]
    assert ada.next() == ids[2]
    review_queue.release(session, ids[0], bob.user)
    assert ada.next() == ids[0]
    session.execute(update(Item).where(Item.id == ids[1]).values(review_lease_expires=database_clock() - 1))
    assert ada.next(ids[0]) == ids[1]


def test_a_lease_from_a_clock_that_jumped_holds_nobody_up(
    session: Session, ada: Desk, bob: Desk, ids: list[int]
) -> None:
    bob.next()
    ahead = database_clock() + 100 * review_queue.LEASE
    session.execute(update(Item).where(Item.id == ids[0]).values(review_lease_expires=ahead))
    assert review_queue.holder(session, ada.item(ids[0]), ada.user) is None
    assert ada.next() == ids[0]


def test_what_is_assigned_to_others_is_not_given_unless_it_is_asked_for(
    session: Session, ada: Desk, bob: Desk, ids: list[int]
) -> None:
    session.execute(update(Item).where(Item.id.in_(ids[:2])).values(assignee_id=bob.user.id))
    assert ada.next() == ids[2]
    assert bob.next() == ids[0]
    ada.filter = ItemFilter(state=ReviewState.PENDING, assignee="Bob")
    assert ada.next() == ids[1]


def test_what_is_assigned_to_somebody_who_cannot_review_it_any_more_is_given_to_everybody(
    session: Session, collection: Collection, ada: Desk, bob: Desk, ids: list[int], new_user: NewUser
) -> None:
    carl = new_user(session, "Carl", Role.ADMIN)
    session.execute(update(Item).where(Item.id == ids[0]).values(assignee_id=bob.user.id))
    session.execute(update(Item).where(Item.id == ids[1]).values(assignee_id=carl.id))
    assert ada.next() == ids[2], "an admin needs no membership"
    collections.remove_member(session, collection, bob.user)
    assert ada.next() == ids[0]
    carl.active = False
    session.flush()
    assert ada.next(ids[0]) == ids[1]


def test_whoever_opens_what_another_has_is_told_who_and_takes_nothing(
    session: Session, ada: Desk, bob: Desk, ids: list[int]
) -> None:
    item = ada.item(ids[0])
    assert review_queue.hold(session, item, bob.user) is None
    other = review_queue.hold(session, item, ada.user)
    assert other is not None
    assert other.name == "Bob"
    review_queue.release(session, item.id, ada.user)
    assert review_queue.holder(session, item, ada.user) == bob.user
    assert review_queue.holder(session, item, bob.user) is None
    review_queue.release(session, item.id, bob.user)
    assert review_queue.hold(session, item, ada.user) is None


def test_four_reviewers_at_once_get_every_item_exactly_once(
    database: Database, filled: Filled, new_user: NewUser
) -> None:
    with database.writing() as session:
        collection_id, ids, _ = filled(session, ROUNDS * REVIEWERS)
        suggest(session, ids)
        users = [new_user(session, f"Reviewer {number}") for number in range(REVIEWERS)]
    given: dict[int, list[int]] = {user.id: [] for user in users}
    together = threading.Barrier(REVIEWERS)

    def review(user: User, decides: bool) -> None:
        mine = given[user.id]
        together.wait()
        while True:
            with database.writing() as session:
                collection = collections.get(session, collection_id, viewer=None)
                skip = () if decides else mine
                item = review_queue.next_item(
                    session, collection, PENDING, order=Order.IMPORT, reviewer=user, skip=skip
                )
                if item is None:
                    return
                if decides:
                    accept(session, item.id, user)
                mine.append(item.id)

    threads = [
        threading.Thread(target=review, args=(user, number % 2 == 0)) for number, user in enumerate(users)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(item_id for mine in given.values() for item_id in mine) == ids
