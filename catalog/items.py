"""Items: found, stepped through, flagged and deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, delete, func, select, tuple_, update
from sqlalchemy.orm import Session, joinedload

from catalog.collections import remove_unused_images, visible_to
from catalog.errors import NotFound
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Collection,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    ReviewState,
    Tombstone,
    User,
)
from catalog.search import Search

PAGE_SIZE = 60


@dataclass(frozen=True)
class ListedItem:
    """An item as lists show it: with its picture's row and its leading caption, if it has one."""

    item: Item
    caption: Caption | None


@dataclass(frozen=True)
class Page:
    """Some items in order; `after` is the item to continue behind, None on the last page."""

    items: Sequence[ListedItem]
    after: int | None


def get(session: Session, item_id: int, *, viewer: User | None) -> Item:
    """The item with its image and collection. Raises NotFound as `collections.get` does."""
    item = session.scalar(
        select(Item)
        .join(Collection, Collection.id == Item.collection_id)
        .where(Item.id == item_id, visible_to(viewer))
        .options(joinedload(Item.image), joinedload(Item.collection))
    )
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    return item


def lock(session: Session, item_id: int) -> None:
    """Hold the item's row, and so its captions, until the transaction ends. Raises NotFound if it is gone."""
    if session.scalar(select(Item.id).where(Item.id == item_id).with_for_update()) is None:
        raise NotFound(f"item {item_id} was deleted meanwhile; reload the page")


def page(
    session: Session,
    collection: Collection,
    *,
    state: ReviewState | None = None,
    q: str = "",
    after: int | None = None,
    limit: int = PAGE_SIZE,
) -> Page:
    """One page of a collection in its order, found by key so that the last costs what the first does.

    With `q`, the page holds the items whose captions hold its words, in the order of their ids.
    """
    if q:
        ids = Search(collection, q, state).after(session, after or 0, limit=limit + 1)
        query = select(Item).where(Item.id.in_(ids)).order_by(Item.id)
    else:
        query = _in_order(collection, state).limit(limit + 1)
        if after is not None:
            query = query.where(tuple_(Item.position, Item.id) > _place(session, after))
    items = session.scalars(query.options(joinedload(Item.image))).all()
    captions = leading_captions(session, [item.id for item in items[:limit]])
    listed = [ListedItem(item, captions.get(item.id)) for item in items[:limit]]
    return Page(items=listed, after=items[limit - 1].id if len(items) > limit else None)


def neighbours(
    session: Session, item: Item, *, state: ReviewState | None = None, q: str = ""
) -> tuple[int | None, int | None]:
    """The ids before and behind an item among those that `page` finds, in the same order."""
    if q:
        search = Search(item.collection, q, state)
        before, behind = search.before(session, item.id, limit=1), search.after(session, item.id, limit=1)
        return next(iter(before), None), next(iter(behind), None)
    place = (item.position, item.id)
    ids = _in_order(item.collection, state).with_only_columns(Item.id).limit(1)
    here = tuple_(Item.position, Item.id)
    backwards = ids.where(here < place).order_by(None).order_by(Item.position.desc(), Item.id.desc())
    return session.scalar(backwards), session.scalar(ids.where(here > place))


def hits(
    session: Session, collection: Collection, *, state: ReviewState | None = None, q: str = ""
) -> int | None:
    """How many items a search finds, as `Search.count` says it; None where nothing is searched for."""
    return Search(collection, q, state).count(session) if q else None


def leading_captions(session: Session, item_ids: Sequence[int]) -> dict[int, Caption]:
    """The caption that stands for each item: accepted before candidate before rejected, newest first.

    Alt texts and descriptions stand for an item that has no caption.
    """
    captions = session.scalars(select(Caption).where(Caption.item_id.in_(item_ids)).order_by(Caption.id))
    leading: dict[int, Caption] = {}
    for caption in captions:
        held = leading.get(caption.item_id)
        if held is None or _rank(caption) >= _rank(held):
            leading[caption.item_id] = caption
    return leading


def _rank(caption: Caption) -> tuple[bool, int]:
    states = (CaptionState.REJECTED, CaptionState.CANDIDATE, CaptionState.ACCEPTED)
    return caption.kind is CaptionKind.CAPTION, states.index(caption.state)


def may_train() -> ColumnElement[bool]:
    """The condition under which an Item row may be learnt from: every dataset is made of these only.

    Its picture's plus:DataMining does not prohibit it, nor did it in a file that was imported before.
    """
    return Item.training_prohibited.is_(False)


def flag(session: Session, item: Item, *, flagged: bool) -> None:
    lock(session, item.id)
    item.flagged = flagged


def remove(session: Session, item: Item, *, user: User | None) -> list[str]:
    """Delete an item with its captions and leave a tombstone.

    Jobs that still had to do it count it as skipped. Returns blob keys as `collections.remove` does.
    """
    lock(session, item.id)
    waiting = update(JobItem).where(JobItem.item_id == item.id, JobItem.state == JobItemState.QUEUED)
    job_ids = session.scalars(waiting.values(state=JobItemState.SKIPPED).returning(JobItem.job_id)).all()
    session.execute(update(Job).where(Job.id.in_(job_ids)).values(skipped=Job.skipped + 1))
    sha256 = session.scalar(select(Image.sha256).where(Image.id == item.image_id))
    user_id = user.id if user else None
    session.add(Tombstone(kind="item", name=item.path, sha256=sha256, user_id=user_id))
    session.execute(delete(Item).where(Item.id == item.id))
    return remove_unused_images(session, [item.image_id])


def next_position(session: Session, collection_id: int) -> int:
    highest = select(func.max(Item.position)).where(Item.collection_id == collection_id)
    return (session.scalar(highest) or 0) + 1


def _in_order(collection: Collection, state: ReviewState | None) -> Select[Item]:
    query = select(Item).where(Item.collection_id == collection.id).order_by(Item.position, Item.id)
    return query.where(Item.review_state == state) if state else query


def _place(session: Session, item_id: int) -> tuple[int, int]:
    position = session.scalar(select(Item.position).where(Item.id == item_id))
    if position is None:
        raise NotFound(f"item {item_id}, where this page begins, was deleted; load the list again")
    return position, item_id
