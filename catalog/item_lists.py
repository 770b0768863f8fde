"""Items in lists: filtered, in one of several orders, in pages that go on behind an item."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select, tuple_
from sqlalchemy.orm import Session, joinedload

from catalog.blind_items import still_blind
from catalog.errors import NotFound
from catalog.filters import EVERYTHING, ItemFilter
from catalog.schema import (
    ITEM_COUNTS,
    Caption,
    CaptionDetail,
    CaptionKind,
    CaptionState,
    Collection,
    Draft,
    Item,
    User,
)
from catalog.search import Search

PAGE_SIZE = 60
MOST_AT_ONCE = 100_000  # ids


class Order(StrEnum):
    """How items follow each other: as they were imported, the latest first, the doubtful first, and so on."""

    IMPORT = "import"
    NEWEST = "newest"
    UNCERTAIN = "uncertain"
    RANDOM = "random"
    NAME = "name"


# The columns that an order goes by, each time with the id behind them, and whether it goes downwards.
KEYS: dict[Order, tuple[Any, bool]] = {
    Order.IMPORT: (Item.position, False),
    Order.NEWEST: (Item.position, True),
    Order.UNCERTAIN: (Item.doubt, True),
    Order.RANDOM: (Item.shuffle, False),
    Order.NAME: (Item.path, False),
}


@dataclass(frozen=True)
class ListedItem:
    """An item as lists show it: with its picture's row and its leading caption, if it has one."""

    item: Item
    caption: Caption | None


@dataclass(frozen=True)
class Ids:
    """The ids of items in order; `after` is the item to continue behind, None at the end."""

    ids: Sequence[int]
    after: int | None


@dataclass(frozen=True)
class Page:
    """Some items in order; `after` is the item to continue behind, None on the last page."""

    items: Sequence[ListedItem]
    after: int | None


def page(
    session: Session,
    collection: Collection,
    filter: ItemFilter = EVERYTHING,
    *,
    order: Order = Order.IMPORT,
    after: int | None = None,
    limit: int = PAGE_SIZE,
    viewer: User | None = None,
) -> Page:
    """One page of a collection, found by key so that the last costs what the first does.

    Where only a text is searched for, hits come in the order of their ids, whatever `order` says. What the
    viewer still has to caption blind comes without its caption.
    """
    if _by_id(filter, order):
        ids = Search(collection, filter.q, filter.state).after(session, after or 0, limit=limit + 1)
        query = select(Item).where(Item.id.in_(ids)).order_by(Item.id)
    else:
        query = _continued(session, collection, filter, order, after).limit(limit + 1)
    items = session.scalars(query.options(joinedload(Item.image))).all()
    return Page(
        items=listed(session, items[:limit], viewer),
        after=items[limit - 1].id if len(items) > limit else None,
    )


def ids(
    session: Session,
    collection: Collection,
    filter: ItemFilter = EVERYTHING,
    *,
    order: Order = Order.IMPORT,
    after: int | None = None,
    limit: int = MOST_AT_ONCE,
) -> Ids:
    """The ids of what `page` lists, in the same order, for grids that know all their places."""
    found: Sequence[int]
    if _by_id(filter, order):
        found = Search(collection, filter.q, filter.state).after(session, after or 0, limit=limit + 1)
    else:
        query = _continued(session, collection, filter, order, after).with_only_columns(Item.id)
        found = session.scalars(query.limit(limit + 1)).all()
    return Ids(ids=found[:limit], after=found[limit - 1] if len(found) > limit else None)


def some(
    session: Session, collection: Collection, item_ids: Sequence[int], viewer: User | None = None
) -> list[ListedItem]:
    """These items in this order, without those that are not, or no longer, in the collection."""
    query = select(Item).where(Item.id.in_(item_ids), Item.collection_id == collection.id)
    rows = {item.id: item for item in session.scalars(query.options(joinedload(Item.image)))}
    return listed(session, [rows[item_id] for item_id in item_ids if item_id in rows], viewer)


def listed(session: Session, items: Sequence[Item], viewer: User | None = None) -> list[ListedItem]:
    """Items as lists show them."""
    captions = leading_captions(session, [item.id for item in items], viewer)
    return [ListedItem(item, captions.get(item.id)) for item in items]


def neighbours(
    session: Session, item: Item, filter: ItemFilter = EVERYTHING, *, order: Order = Order.IMPORT
) -> tuple[int | None, int | None]:
    """The ids before and behind an item among those that `page` finds, in the same order."""
    if _by_id(filter, order):
        search = Search(item.collection, filter.q, filter.state)
        found = (search.before(session, item.id, limit=1), search.after(session, item.id, limit=1))
        return next(iter(found[0]), None), next(iter(found[1]), None)
    place = place_among(session, item.collection, filter, order, item.id)
    ids = in_order(session, item.collection, filter, order).with_only_columns(Item.id).limit(1)
    column, downwards = KEYS[order]
    backwards = (column, Item.id) if downwards else (column.desc(), Item.id.desc())
    before_it = ids.where(before(order, place)).order_by(None).order_by(*backwards)
    return session.scalar(before_it), session.scalar(ids.where(behind(order, place)))


def count(session: Session, collection: Collection, filter: ItemFilter = EVERYTHING) -> int:
    """How many items the filter finds, exactly."""
    if filter.only_state:
        counted = select(func.sum(ITEM_COUNTS.c["items"])).where(ITEM_COUNTS.c.collection_id == collection.id)
        if filter.state:
            counted = counted.where(ITEM_COUNTS.c.review_state == filter.state)
        return int(session.scalar(counted) or 0)
    asked = filter.conditions(session, collection)
    return session.scalar(select(func.count()).select_from(Item).where(*asked)) or 0


def hits(session: Session, collection: Collection, filter: ItemFilter) -> int | None:
    """How many items a search finds, as `Search.count` says it; None where nothing is searched for."""
    if filter.only_text:
        return Search(collection, filter.q, filter.state).count(session)
    return None if filter.only_state else count(session, collection, filter)


def drafts(session: Session, items: Sequence[ListedItem], user: User) -> dict[int, Draft]:
    """What the user has not decided on yet, by the ids of these items."""
    ids = [one.item.id for one in items]
    rows = session.scalars(select(Draft).where(Draft.item_id.in_(ids), Draft.user_id == user.id))
    return {draft.item_id: draft for draft in rows}


def leading_captions(
    session: Session, item_ids: Sequence[int], viewer: User | None = None
) -> dict[int, Caption]:
    """The caption that stands for each item: accepted before candidate before rejected, then the first in
    people's order, or the newest.

    Alt texts and descriptions stand for an item that has no caption. Items that the viewer still has to
    caption blind are left out.
    """
    backwards = (Caption.position.is_not(None), Caption.position.desc(), Caption.id)
    captions = session.scalars(select(Caption).where(Caption.item_id.in_(item_ids)).order_by(*backwards))
    leading: dict[int, Caption] = {}
    for caption in captions:
        held = leading.get(caption.item_id)
        if held is None or _rank(caption) >= _rank(held):
            leading[caption.item_id] = caption
    blind = still_blind(session, item_ids, viewer)
    return {item_id: caption for item_id, caption in leading.items() if item_id not in blind}


def in_order(session: Session, collection: Collection, filter: ItemFilter, order: Order) -> Select[Item]:
    """The query for the items of a filter in an order."""
    column, downwards = KEYS[order]
    key = (column.desc(), Item.id.desc()) if downwards else (column, Item.id)
    return select(Item).where(*filter.conditions(session, collection)).order_by(*key)


def _by_id(filter: ItemFilter, order: Order) -> bool:
    return filter.only_text and order is Order.IMPORT


def _continued(
    session: Session, collection: Collection, filter: ItemFilter, order: Order, after: int | None
) -> Select[Item]:
    query = in_order(session, collection, filter, order)
    if after is None:
        return query
    return query.where(behind(order, _place(session, collection, KEYS[order][0], after)))


def _rank(caption: Caption) -> tuple[bool, int]:
    states = (CaptionState.REJECTED, CaptionState.CANDIDATE, CaptionState.ACCEPTED)
    return caption.kind is CaptionKind.CAPTION, states.index(caption.state)


def behind(order: Order, place: tuple[Any, int]) -> ColumnElement[bool]:
    """The rows of Item behind a place in an order."""
    column, downwards = KEYS[order]
    key = tuple_(column, Item.id)
    return key < place if downwards else key > place


def before(order: Order, place: tuple[Any, int]) -> ColumnElement[bool]:
    """The rows of Item before a place in an order."""
    column, downwards = KEYS[order]
    key = tuple_(column, Item.id)
    return key > place if downwards else key < place


def place_among(
    session: Session, collection: Collection, filter: ItemFilter, order: Order, item_id: int
) -> tuple[Any, int]:
    """Where an item stands in an order among the items of a filter, or stood while it was one of them.

    Who decides an item takes the doubt from it, and behind its new place no doubtful one is left.
    Raises NotFound when it was deleted.
    """
    column = KEYS[order][0]
    if order is Order.UNCERTAIN and filter.state:
        column = case((Item.review_state == filter.state, Item.doubt), else_=_doubt_that_was())
    return _place(session, collection, column, item_id)


def _place(session: Session, collection: Collection, column: Any, item_id: int) -> tuple[Any, int]:
    of_item = select(column).where(Item.id == item_id, Item.collection_id == collection.id)
    row = session.execute(of_item).first()
    if row is None:
        raise NotFound(f"item {item_id}, where this page begins, is not here any more; load the list again")
    return row[0], item_id


def _doubt_that_was() -> ColumnElement[float]:
    """The doubt about an item before it was decided, as far as the model's words are kept."""
    least = (
        select(func.min(CaptionDetail.confidence))
        .join(Caption, Caption.id == CaptionDetail.caption_id)
        .where(Caption.item_id == Item.id, Caption.kind == CaptionKind.CAPTION)
        .scalar_subquery()
    )
    return func.coalesce(1 - least, Item.doubt)
