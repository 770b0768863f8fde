"""The queue of reviewers: who gets which item next. A lease keeps two of them from the same one.

Leases run on the database's clock. They order who gets what, and guard nothing: captions have versions.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from sqlalchemy import ColumnElement, not_, or_, select, update
from sqlalchemy.orm import Session

from catalog import assignment, item_lists, items
from catalog.database import database_clock
from catalog.errors import NotFound
from catalog.filters import ItemFilter
from catalog.item_lists import Order
from catalog.schema import Collection, Item, User

LEASE = (
    180.0  # seconds; pages renew theirs, also from a tab in the background, whose clock ticks once a minute
)


def free_for(reviewer: User) -> ColumnElement[bool]:
    """The items that nobody else has leased.

    A lease that ends much later than a whole lease from now is a clock that jumped, and counts as run out.
    """
    return or_(
        Item.review_lease_user_id.is_(None),
        Item.review_lease_user_id == reviewer.id,
        not_(_running()),
    )


def next_item(
    session: Session,
    collection: Collection,
    filter: ItemFilter,
    *,
    order: Order,
    reviewer: User,
    behind: int | None = None,
    skip: Sequence[int] = (),
) -> Item | None:
    """Lease the reviewer the next item behind the item `behind`, which may be gone; None when none is left.

    At the end of the order it begins again from its start, once. Left out are those of `skip`, those that
    others have leased, those of open golden sets, which are captioned without seeing a text,
    and, unless the filter names an assignee, those that are assigned to others who can review them.
    """
    asked = item_lists.in_order(session, collection, filter, order)
    asked = asked.where(free_for(reviewer), ~items.in_open_golden_set())
    if not filter.assignee:
        asked = asked.where(or_(_assigned_to_nobody(collection), Item.assignee_id == reviewer.id))
    if skip:
        asked = asked.where(Item.id.not_in(skip))
    for stretch in _stretches(session, collection, filter, order, behind):
        first = asked.where(*stretch).limit(1).with_for_update(of=Item, skip_locked=True)
        if item := session.scalar(first, execution_options={"populate_existing": True}):
            _lend(session, item, reviewer)
            return item
    return None


def hold(session: Session, item: Item, reviewer: User) -> User | None:
    """Lease an item that somebody opened, or renew the lease; returns who else has it, if anybody."""
    if _lend(session, item, reviewer):
        return None
    return holder(session, item, reviewer)


def holder(session: Session, item: Item, reviewer: User) -> User | None:
    """Who else is at this item."""
    held = select(User).join(Item, Item.review_lease_user_id == User.id)
    return session.scalar(held.where(Item.id == item.id, User.id != reviewer.id, _running()))


def release(session: Session, item_id: int, reviewer: User) -> None:
    """Let go of an item; what somebody else has leased, and what was deleted, is left alone."""
    mine = update(Item).where(Item.id == item_id, Item.review_lease_user_id == reviewer.id)
    session.execute(mine.values(review_lease_user_id=None, review_lease_expires=None))


def _assigned_to_nobody(collection: Collection) -> ColumnElement[bool]:
    """Whether an item is nobody's, or that of somebody who may not review it any more."""
    reviewers = select(User.id).where(assignment.may_review(collection))
    return or_(Item.assignee_id.is_(None), Item.assignee_id.not_in(reviewers))


def _running() -> ColumnElement[bool]:
    now = database_clock()
    return Item.review_lease_expires.between(now, now + 2 * LEASE)


def _stretches(
    session: Session, collection: Collection, filter: ItemFilter, order: Order, item_id: int | None
) -> Iterator[list[ColumnElement[bool]]]:
    """The conditions of the stretches of an order in which to look, one after the other."""
    here = None
    if item_id is not None:
        with suppress(NotFound):
            here = item_lists.place_among(session, collection, filter, order, item_id)
    if here is None:
        yield []
    else:
        yield [item_lists.behind(order, here)]
        yield [item_lists.before(order, here)]


def _lend(session: Session, item: Item, reviewer: User) -> bool:
    """Whether the item, which was free or the reviewer's, is leased to the reviewer now."""
    lent = (
        update(Item)
        .where(Item.id == item.id, free_for(reviewer))
        .values(review_lease_user_id=reviewer.id, review_lease_expires=database_clock() + LEASE)
        .returning(Item.id)
    )
    return session.scalar(lent) is not None
