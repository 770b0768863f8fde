"""Items: found, locked, flagged and deleted. `catalog.item_lists` lists them."""

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session, joinedload

from catalog.collections import remove_unused_images, visible_to
from catalog.errors import NotFound
from catalog.schema import (
    Collection,
    GoldenItem,
    GoldenSet,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    Tombstone,
    User,
)


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


def may_train() -> ColumnElement[bool]:
    """The condition under which an Item row may be learnt from: every dataset is made of these only.

    Its picture's plus:DataMining does not prohibit it, nor did it in a file that was imported before.
    """
    return Item.training_prohibited.is_(False)


def in_open_golden_set() -> ColumnElement[bool]:
    """The condition under which an Item row waits for captions that are written without seeing others."""
    open_sets = select(GoldenSet.id).where(GoldenSet.dataset_id.is_(None))
    return exists().where(GoldenItem.item_id == Item.id, GoldenItem.golden_set_id.in_(open_sets))


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
