"""Near-duplicates: photos of one collection that look alike, for people to keep or to skip."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, select, tuple_, update
from sqlalchemy.orm import Session, joinedload

from catalog import hamming, item_lists, items
from catalog.errors import Conflict
from catalog.jobs import holds_work_of_people
from catalog.schema import Caption, Collection, Image, Item, User
from pictures.fingerprint import FLAT

Ids = NDArray[np.int64]

# In bits. Measured in docs/decisions/0011-near-duplicates.md.
DISTANCE = 4
ROWS_AT_A_TIME = 20_000
GROUPS_AT_A_TIME = 20
ITEMS_AT_A_TIME = 500
# Of a larger group so many are shown at a time; what is kept makes room for the next.
SHOWN = 24


@dataclass(frozen=True)
class Twin:
    """One item of a group, with its leading caption.

    `identical`: another item of the group has the very same bytes. `touched`: people worked on it.
    """

    item: Item
    caption: Caption | None
    identical: bool
    touched: bool


@dataclass(frozen=True)
class Group:
    """Items that look alike. `id` is that of its first item, `size` counts also those that are not shown."""

    id: int
    size: int
    twins: Sequence[Twin]


@dataclass(frozen=True)
class Page:
    """Some groups of `total`; `after` is the group to continue behind, None on the last page.

    `unhashed` pictures are from before there were hashes, and only found where their bytes are the same.
    """

    groups: Sequence[Group]
    total: int
    unhashed: int
    after: int | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """All groups of a collection, by their first items' ids.

    `members` are the item ids of each, those that nobody has kept yet before the others.
    """

    firsts: Ids
    members: Sequence[Ids]
    unhashed: int


def find(session: Session, collection: Collection, *, distance: int = DISTANCE) -> Found:
    """Group the items that share a picture, or whose hashes are joined by steps of up to `distance` bits.

    Groups of which every item is kept are left out. One million items take seconds; nothing is stored.
    """
    rows = _rows(session, collection)
    ids, images, kept = rows["id"], rows["image"], rows["kept"]
    labels = np.unique(images, return_inverse=True)[1] - len(ids)  # below zero, apart from the roots
    told = rows["dhash"] != FLAT
    labels[told] = hamming.components(rows["dhash"][told], distance)
    order = np.lexsort((ids, kept, labels))
    starts = np.flatnonzero(np.diff(labels[order], prepend=np.iinfo(np.int64).min))
    ends = np.append(starts[1:], len(order))
    # Whether the first of a group is kept tells whether all are.
    wanted = (ends - starts > 1) & ~kept[order[starts]]
    groups = [ids[order[start:end]] for start, end in zip(starts[wanted], ends[wanted], strict=True)]
    firsts = np.array([group.min() for group in groups], np.int64)
    by_first = np.argsort(firsts)
    return Found(
        firsts=firsts[by_first],
        members=[groups[at] for at in by_first],
        unhashed=int(np.count_nonzero(rows["unhashed"])),
    )


def page(
    session: Session,
    collection: Collection,
    *,
    after: int | None = None,
    limit: int = GROUPS_AT_A_TIME,
    viewer: User | None = None,
) -> Page:
    """One page of the groups, by key: what is kept or skipped meanwhile moves no other group.

    What the viewer still has to caption blind comes without its caption.
    """
    found = find(session, collection)
    start = int(np.searchsorted(found.firsts, after, side="right")) if after is not None else 0
    groups = _described(session, found, start, start + limit, shown=SHOWN, viewer=viewer)
    more = start + limit < len(found.firsts)
    return Page(groups, len(found.firsts), found.unhashed, groups[-1].id if more else None)


def every(session: Session, collection: Collection) -> Iterator[Group]:
    """All groups with all their items."""
    found = find(session, collection)
    for start in range(0, len(found.firsts), GROUPS_AT_A_TIME):
        yield from _described(session, found, start, start + GROUPS_AT_A_TIME, shown=None)


def keep(session: Session, collection: Collection, item_ids: Sequence[int]) -> int:
    """Note that somebody saw these items among their near-duplicates and keeps them; returns how many.

    Their group is not listed again until another near-duplicate comes.
    """
    here = Item.id.in_(item_ids) & (Item.collection_id == collection.id)
    found = session.scalars(select(Item.id).where(here).order_by(Item.id).with_for_update()).all()
    session.execute(update(Item).where(Item.id.in_(found)).values(twins_kept=True))
    return len(found)


def skip(session: Session, item: Item, *, user: User | None, confirmed: bool = False) -> list[str]:
    """Take an item out of its collection, as `items.remove` does, whose blob keys this returns.

    Raises Conflict for an item on which people worked, unless that its captions go too is `confirmed`.
    """
    items.lock(session, item.id)
    if not confirmed and session.scalar(select(Item.id).where(Item.id == item.id, holds_work_of_people())):
        raise Conflict(
            f"people worked on {item.path!r} (item {item.id}); confirm that its captions are deleted with it"
        )
    return items.remove(session, item, user=user)


def _rows(session: Session, collection: Collection) -> NDArray[np.void]:
    """The collection's items as a table: `id`, `image`, `dhash` (FLAT where there is none), `kept`..."""
    fields = [("id", "i8"), ("image", "i8"), ("dhash", "i8"), ("kept", "?"), ("unhashed", "?")]
    pages = [np.array(list(map(_row, rows)), fields) for rows in _read(session, collection)]
    return np.concatenate([np.empty(0, fields), *pages])


def _row(row: Row[int, int, int, int | None, bool]) -> tuple[int, int, int, bool, bool]:
    _, item_id, image_id, dhash, kept = row
    return item_id, image_id, FLAT if dhash is None else dhash, kept, dhash is None


def _read(
    session: Session, collection: Collection
) -> Iterator[Sequence[Row[int, int, int, int | None, bool]]]:
    place = (Item.position, Item.id)
    query = (
        select(*place, Item.image_id, Image.dhash, Item.twins_kept)
        .join(Image, Image.id == Item.image_id)
        .where(Item.collection_id == collection.id)
        .order_by(*place)
        .limit(ROWS_AT_A_TIME)
    )
    rows = session.execute(query).all()
    while rows:
        yield rows
        rows = session.execute(query.where(tuple_(*place) > tuple(rows[-1][:2]))).all()


def _described(
    session: Session,
    found: Found,
    start: int,
    stop: int,
    *,
    shown: int | None,
    viewer: User | None = None,
) -> list[Group]:
    """Groups from `start` to before `stop`, without items that were deleted meanwhile."""
    listed = [group[:shown].tolist() for group in found.members[start:stop]]
    twins = _twins(session, [item_id for item_ids in listed for item_id in item_ids], viewer)
    groups = []
    for at, item_ids in enumerate(listed, start):
        members = [twins[item_id] for item_id in item_ids if item_id in twins]
        times = Counter(twin.item.image_id for twin in members)
        told = [replace(twin, identical=times[twin.item.image_id] > 1) for twin in members]
        groups.append(Group(id=int(found.firsts[at]), size=len(found.members[at]), twins=told))
    return groups


def _twins(session: Session, item_ids: Sequence[int], viewer: User | None) -> dict[int, Twin]:
    """Items by id, each as if it were alone."""
    twins = {}
    for start in range(0, len(item_ids), ITEMS_AT_A_TIME):
        some = item_ids[start : start + ITEMS_AT_A_TIME]
        captions = item_lists.leading_captions(session, some, viewer)
        touched = set(session.scalars(select(Item.id).where(Item.id.in_(some), holds_work_of_people())))
        query = select(Item).where(Item.id.in_(some)).options(joinedload(Item.image))
        for item in session.scalars(query):
            twins[item.id] = Twin(item, captions.get(item.id), identical=False, touched=item.id in touched)
    return twins
