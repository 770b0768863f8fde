"""Collections: made, listed, shared and deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, true
from sqlalchemy.orm import Session

from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.fence import fence
from catalog.schema import (
    BLOB_KEYS,
    Chunk,
    Collection,
    Image,
    Item,
    Job,
    Membership,
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


def summaries(session: Session, *, viewer: User | None) -> list[Summary]:
    """The collections that the viewer may see, by name, with their counts in one query."""
    found = session.scalars(
        select(Collection).where(visible_to(viewer)).order_by(func.lower(Collection.name))
    ).all()
    counts = _counts(session, [collection.id for collection in found])
    return [Summary(collection, counts.get(collection.id, {})) for collection in found]


def summary(session: Session, collection: Collection) -> Summary:
    return Summary(collection, _counts(session, [collection.id]).get(collection.id, {}))


def members(session: Session, collection: Collection) -> Sequence[User]:
    """The users who may see the collection by membership; admins are not listed for being admins."""
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.collection_id == collection.id)
        .order_by(User.name)
    )
    return session.scalars(query).all()


def add_member(session: Session, collection: Collection, user: User) -> None:
    session.merge(Membership(collection_id=collection.id, user_id=user.id))


def remove_member(session: Session, collection: Collection, user: User) -> None:
    session.execute(
        delete(Membership).where(Membership.collection_id == collection.id, Membership.user_id == user.id)
    )


def remove(session: Session, collection: Collection, *, user: User | None) -> list[str]:
    """Delete a collection with its items, captions, jobs and uploads, and leave a tombstone.

    Returns the keys of blobs that may not be needed any more; `ingest.remove_blobs` takes them after the
    commit.
    """
    # An import under way ends first, so that none of its pictures is overlooked.
    session.execute(select(Collection.id).where(Collection.id == collection.id).with_for_update())
    its_images = select(Item.image_id).where(Item.collection_id == collection.id).distinct()
    image_ids = session.scalars(its_images).all()
    its_jobs = select(Job.id).where(Job.collection_id == collection.id)
    # Workers lock chunks before items: taking the chunks first keeps clear of them.
    fence(session, Chunk.job_id.in_(its_jobs))
    uploads = select(Upload.id).where(Upload.job_id.in_(its_jobs))
    parts = session.scalars(select(UploadPart.sha256).where(UploadPart.upload_id.in_(uploads))).all()
    session.add(Tombstone(kind="collection", name=collection.name, user_id=user.id if user else None))
    session.execute(delete(Collection).where(Collection.id == collection.id))
    return sorted({*parts, *remove_unused_images(session, image_ids)})


def remove_unused_images(session: Session, image_ids: Sequence[int]) -> list[str]:
    """Delete those of the images that no item uses; returns the blob keys they leave behind."""
    keys: set[str] = set()
    for start in range(0, len(image_ids), 500):
        some = image_ids[start : start + 500]
        unused = Image.id.in_(some) & ~select(Item.id).where(Item.image_id == Image.id).exists()
        rows = session.execute(
            delete(Image).where(unused).returning(Image.sha256, Image.rendition, Image.stored),
            execution_options={"synchronize_session": False},
        )
        for row in rows:
            # An original that was left where it is belongs to somebody else.
            keys |= {row.sha256, row.rendition} if row.stored else {row.rendition}
    return sorted(keys)


def used_blobs(session: Session, keys: Iterable[str]) -> set[str]:
    """Those of the blobs that some row still needs."""
    asked = [query.where(query.selected_columns[0].in_(keys)) for query in BLOB_KEYS]
    return {key for query in asked for key in session.scalars(query)}


def blob_is_used(session: Session, key: str) -> bool:
    """Whether some row still needs the blob."""
    return bool(used_blobs(session, [key]))


def _counts(session: Session, collection_ids: Sequence[int]) -> dict[int, dict[ReviewState, int]]:
    rows = session.execute(
        select(Item.collection_id, Item.review_state, func.count())
        .where(Item.collection_id.in_(collection_ids))
        .group_by(Item.collection_id, Item.review_state)
    )
    counts: dict[int, dict[ReviewState, int]] = {}
    for collection_id, state, number in rows:
        counts.setdefault(collection_id, {})[state] = number
    return counts
