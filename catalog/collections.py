"""Collections: made, listed, shared and deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, literal, or_, select, true, union_all
from sqlalchemy.orm import Session

from catalog import collection_trainings, splits
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.fence import fence
from catalog.pages import PAGE_SIZE, Listing, behind, listing
from catalog.schema import (
    BLOB_KEYS,
    ITEM_COUNTS,
    Chunk,
    Collection,
    DatasetImage,
    Image,
    Item,
    Job,
    Membership,
    Operation,
    ReviewState,
    Role,
    Tombstone,
    Upload,
    UploadPart,
    User,
)
from catalog.text import storable

NAME_LENGTH = 255


@dataclass(frozen=True)
class Summary:
    """A collection with its number of items by review state."""

    collection: Collection
    states: dict[ReviewState, int]

    @property
    def total(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True)
class Miscounted:
    """A collection that has `number` items in a state, and counts others."""

    collection_id: int
    collection: str
    state: ReviewState
    number: int
    counted: int


def visible_to(viewer: User | None) -> ColumnElement[bool]:
    """The condition under which `viewer` may see a Collection row. None is the command line."""
    if viewer is None or viewer.role is Role.ADMIN:
        return true()
    return Collection.id.in_(select(Membership.collection_id).where(Membership.user_id == viewer.id))


def create(session: Session, *, name: str, owner: User | None, guidelines: str = "") -> Collection:
    """Make a collection that its owner may see. Raises InvalidInput, or Conflict when the name is taken."""
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InvalidInput(
            f"{name[:60]!r} cannot name a collection; use 1 to {NAME_LENGTH} printable characters"
        )
    if session.scalar(select(Collection.id).where(Collection.name == name)):
        raise Conflict(f"a collection called {name!r} exists already; choose another name")
    collection = Collection(name=name, guidelines=storable(guidelines, keep="\n"))
    session.add(collection)
    session.flush()
    if owner:
        session.add(Membership(collection_id=collection.id, user_id=owner.id))
        session.flush()
    return collection


def get(session: Session, collection_id: int, *, viewer: User | None) -> Collection:
    """Raises NotFound for what is not there and, in the same words, for what the viewer may not see."""
    query = select(Collection).where(Collection.id == collection_id, visible_to(viewer))
    collection = session.scalar(query)
    if collection is None:
        raise NotFound(f"there is no collection {collection_id}")
    return collection


def by_name(session: Session, name: str) -> Collection:
    collection = session.scalar(select(Collection).where(Collection.name == name))
    if collection is None:
        raise NotFound(f"there is no collection called {name!r}; `recaption import NAME FOLDER` makes one")
    return collection


def summaries(
    session: Session, *, viewer: User | None, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[Summary]:
    """The collections that the viewer may see, by name, with their counts in one query."""
    key = (func.lower(Collection.name), Collection.id)
    query = select(Collection).where(visible_to(viewer), behind(session, after, *key))
    found = session.scalars(query.order_by(*key).limit(limit + 1)).all()
    counts = _counts(session, [collection.id for collection in found])
    rows = [Summary(collection, counts.get(collection.id, {})) for collection in found]
    return listing(rows, limit, lambda row: row.collection.id)


def names(session: Session, collection_ids: Iterable[int]) -> dict[int, str]:
    """What the collections are called."""
    rows = session.execute(
        select(Collection.id, Collection.name).where(Collection.id.in_(list(collection_ids)))
    )
    return {row.id: row.name for row in rows}


def summary(session: Session, collection: Collection) -> Summary:
    return Summary(collection, _counts(session, [collection.id]).get(collection.id, {}))


def members(
    session: Session, collection: Collection, *, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[User]:
    """The users who may see the collection by membership; admins are not listed for being admins."""
    key = (User.name, User.id)
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.collection_id == collection.id, behind(session, after, *key))
        .order_by(*key)
    )
    return listing(session.scalars(query.limit(limit + 1)).all(), limit, lambda user: user.id)


def add_member(session: Session, collection: Collection, user: User) -> None:
    session.merge(Membership(collection_id=collection.id, user_id=user.id))


def remove_member(session: Session, collection: Collection, user: User) -> None:
    session.execute(
        delete(Membership).where(Membership.collection_id == collection.id, Membership.user_id == user.id)
    )


def remove(session: Session, collection: Collection, *, user: User | None) -> list[str]:
    """Delete a collection with its items, captions, jobs and uploads, and leave a tombstone.

    Datasets that were frozen from it stay, with their pictures, and so do ended trainings. Raises Conflict
    while a training is at work.
    Returns the keys of blobs that may not be needed any more; `ingest.remove_blobs` takes them after the
    commit.
    """
    # An import under way ends first, so that none of its pictures is overlooked.
    session.execute(select(Collection.id).where(Collection.id == collection.id).with_for_update())
    collection_trainings.let_go(session, collection)
    its_images = select(Item.image_id).where(Item.collection_id == collection.id).distinct()
    image_ids = session.scalars(its_images).all()
    its_jobs = select(Job.id).where(Job.collection_id == collection.id)
    # Workers lock chunks before items: taking the chunks first keeps clear of them.
    fence(session, Chunk.job_id.in_(its_jobs))
    # So do bulk operations with their own row.
    operations = select(Operation.id).where(Operation.collection_id == collection.id)
    session.execute(operations.with_for_update())
    uploads = select(Upload.id).where(Upload.job_id.in_(its_jobs))
    # Held, so that no part comes whose blob would be overlooked.
    session.execute(uploads.with_for_update())
    parts = session.scalars(select(UploadPart.sha256).where(UploadPart.upload_id.in_(uploads))).all()
    session.add(Tombstone(kind="collection", name=collection.name, user_id=user.id if user else None))
    session.execute(delete(Collection).where(Collection.id == collection.id))
    return sorted({*parts, *remove_unused_images(session, image_ids)})


def remove_unused_images(session: Session, image_ids: Sequence[int]) -> list[str]:
    """Delete those of the images that no item uses and no dataset holds; returns the blob keys they leave.

    Among them are those of images that only datasets hold now, so that `ingest.remove_blobs` can count them.
    The splits of those that go are remembered.
    """
    keys: set[str] = set()
    for start in range(0, len(image_ids), 500):
        some = image_ids[start : start + 500]
        without_items = Image.id.in_(some) & ~select(Item.id).where(Item.image_id == Image.id).exists()
        held = select(DatasetImage.image_id).where(DatasetImage.image_id == Image.id).exists()
        for kept in session.execute(
            select(Image.sha256, Image.rendition, Image.stored).where(without_items, held)
        ):
            keys |= _keys(kept)
        unused = without_items & ~held
        rows = session.execute(
            delete(Image).where(unused).returning(Image.sha256, Image.rendition, Image.stored, Image.split),
            execution_options={"synchronize_session": False},
        ).all()
        splits.remember(session, [(row.sha256, row.split) for row in rows])
        for row in rows:
            keys |= _keys(row)
    return sorted(keys)


def _keys(row: Any) -> set[str]:
    """The blobs of an image. An original that was left where it is belongs to somebody else."""
    return {row.sha256, row.rendition} if row.stored else {row.rendition}


def held_by_datasets(session: Session, key: str) -> bool:
    """Whether the blob is a picture that a dataset holds and no item uses."""
    of_image = or_(Image.sha256 == key, Image.rendition == key)
    used = select(Item.id).where(Item.image_id == Image.id).exists()
    held = select(Image.id).join(DatasetImage, DatasetImage.image_id == Image.id).where(of_image, ~used)
    return session.scalar(held.limit(1)) is not None


def used_blobs(session: Session, keys: Iterable[str]) -> set[str]:
    """Those of the blobs that some row still needs."""
    asked = [query.where(query.selected_columns[0].in_(keys)) for query in BLOB_KEYS]
    return {key for query in asked for key in session.scalars(query)}


def blob_is_used(session: Session, key: str) -> bool:
    """Whether some row still needs the blob."""
    return bool(used_blobs(session, [key]))


def miscounted(session: Session) -> Sequence[Miscounted]:
    """Where ITEM_COUNTS does not add up to the items that there are."""
    counted = ITEM_COUNTS.columns
    there_are = select(
        Item.collection_id, Item.review_state, func.count().label("number"), literal(0).label("counted")
    ).group_by(Item.collection_id, Item.review_state)
    sums = select(counted.collection_id, counted.review_state, literal(0), counted["items"])
    both = union_all(there_are, sums).subquery()
    number, sum_ = func.sum(both.c.number), func.sum(both.c.counted)
    rows = session.execute(
        select(Collection.id, Collection.name, both.c.review_state, number, sum_)
        .join(Collection, Collection.id == both.c.collection_id)
        .group_by(Collection.id, Collection.name, both.c.review_state)
        .having(number != sum_)
        .order_by(Collection.id, both.c.review_state)
    )
    return [Miscounted(id, name, state, int(number), int(sum)) for id, name, state, number, sum in rows]


def recount(session: Session, wrong: Sequence[Miscounted]) -> None:
    """Add what is missing from ITEM_COUNTS; what others change meanwhile they add themselves."""
    rows = [
        {"collection_id": one.collection_id, "review_state": one.state, "items": one.number - one.counted}
        for one in wrong
    ]
    session.execute(insert(ITEM_COUNTS), rows)


def _counts(session: Session, collection_ids: Sequence[int]) -> dict[int, dict[ReviewState, int]]:
    columns = ITEM_COUNTS.columns
    rows = session.execute(
        select(columns.collection_id, columns.review_state, func.sum(columns["items"]))
        .where(columns.collection_id.in_(collection_ids))
        .group_by(columns.collection_id, columns.review_state)
    )
    counts: dict[int, dict[ReviewState, int]] = {}
    for collection_id, state, number in rows:
        if number:
            counts.setdefault(collection_id, {})[state] = int(number)
    return counts
