"""Golden sets: photos drawn at random and captioned blind, to judge captioners by and never to teach them."""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import SystemRandom

import numpy as np
from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.orm import Session

from catalog import collections, frozen_rows, items, languages, leaks, splits
from catalog.blind_captions import next_blind as next_blind
from catalog.blind_captions import write as write
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.filters import EVERYTHING, ItemFilter
from catalog.freezing import Line, check_line, named
from catalog.golden_freezing import freeze as freeze
from catalog.golden_freezing import freeze_imported as freeze_imported
from catalog.schema import (
    Collection,
    DatasetImage,
    DatasetKind,
    GoldenItem,
    GoldenReference,
    GoldenSet,
    Image,
    Item,
    Split,
    User,
)

MOST_PHOTOS = 10_000
MOST_REFERENCES = 10  # of a photo


@dataclass(frozen=True)
class Standing:
    """How far a golden set is: `written` of the `wanted` references, and `people` with how many each wrote.

    A reference more than a photo needs is not counted as written.
    """

    items: int
    wanted: int
    written: int
    done: int
    people: Sequence[tuple[str, int]]


def draw(
    session: Session,
    collection: Collection,
    *,
    name: str,
    size: int,
    references_each: int = 1,
    language: str = "en",
    wanted: ItemFilter = EVERYTHING,
    user: User | None,
) -> GoldenSet:
    """Draw photos at random from a filter, and keep them from training for good.

    Left out are those that were frozen to be learned from, and what looks like them. Raises InvalidInput for
    numbers and names out of reach, Conflict where the name is taken or fewer photos are there.
    """
    golden_set = GoldenSet(
        collection_id=collection.id,
        name=named(name),
        language=languages.language(language),
        references_each=references_each,
        user_id=user.id if user else None,
    )
    # One after the other, so that a name is taken once.
    session.execute(
        select(Collection.id).where(Collection.id == collection.id).with_for_update(key_share=True)
    )
    _check(session, golden_set, size)
    drawn = _drawn(session, collection, wanted, size)
    if splits.reserve(session, [image_id for _, image_id in drawn]) < size:
        raise Conflict("photos were frozen to be learned from meanwhile; draw again")
    session.add(golden_set)
    session.flush()
    session.execute(
        insert(GoldenItem),
        [
            {"golden_set_id": golden_set.id, "item_id": item_id, "position": position}
            for position, (item_id, _) in enumerate(drawn, 1)
        ],
    )
    return golden_set


def remove(session: Session, golden_set: GoldenSet) -> None:
    """Give up an open set: its photos may be reviewed and learned from again, and captions stay theirs.

    Raises Conflict for one that is frozen.
    """
    session.refresh(golden_set, with_for_update=True)
    if golden_set.dataset_id is not None:
        raise Conflict(f"the golden set {golden_set.name!r} is frozen; what captioners are judged by is kept")
    its_images = select(Item.image_id).join(GoldenItem, GoldenItem.item_id == Item.id)
    image_ids = session.scalars(its_images.where(GoldenItem.golden_set_id == golden_set.id)).all()
    judging = select(DatasetImage.image_id).where(DatasetImage.split == Split.GOLDEN)
    judged = {
        image_id
        for some in splits.pages(image_ids)
        for image_id in session.scalars(judging.where(DatasetImage.image_id.in_(some)))
    }
    splits.release(session, [image_id for image_id in image_ids if image_id not in judged])
    session.execute(delete(GoldenSet).where(GoldenSet.id == golden_set.id))


def get(session: Session, golden_set_id: int, *, viewer: User | None) -> GoldenSet:
    """Raises NotFound for a set that is gone or in a collection that the viewer may not see."""
    golden_set = session.get(GoldenSet, golden_set_id)
    if golden_set is None:
        raise NotFound(f"there is no golden set {golden_set_id}")
    collections.get(session, golden_set.collection_id, viewer=viewer)
    return golden_set


def by_name(session: Session, collection: Collection, name: str) -> GoldenSet:
    query = select(GoldenSet).where(GoldenSet.collection_id == collection.id, GoldenSet.name == name)
    golden_set = session.scalar(query)
    if golden_set is None:
        raise NotFound(
            f"{collection.name!r} has no golden set called {name[:80]!r}; `recaption golden list` names them"
        )
    return golden_set


def of_collection(session: Session, collection: Collection) -> Sequence[GoldenSet]:
    """The golden sets of a collection, newest first."""
    query = select(GoldenSet).where(GoldenSet.collection_id == collection.id)
    return session.scalars(query.order_by(GoldenSet.id.desc())).all()


def standing(session: Session, golden_set: GoldenSet) -> Standing:
    """How far a set is."""
    of_set = GoldenReference.golden_set_id == golden_set.id
    counts = session.scalars(
        select(func.count(GoldenReference.id))
        .select_from(GoldenItem)
        .outerjoin(GoldenReference, (GoldenReference.item_id == GoldenItem.item_id) & of_set)
        .where(GoldenItem.golden_set_id == golden_set.id)
        .group_by(GoldenItem.item_id)
    ).all()
    number = func.count()
    people = session.execute(
        select(User.name, number)
        .join(GoldenReference, GoldenReference.user_id == User.id)
        .where(of_set)
        .group_by(User.id, User.name)
        .order_by(number.desc(), User.name)
    )
    each = golden_set.references_each
    return Standing(
        items=len(counts),
        wanted=len(counts) * each,
        written=sum(min(count, each) for count in counts),
        done=sum(count >= each for count in counts),
        people=[(name, count) for name, count in people],
    )


def _check(session: Session, golden_set: GoldenSet, size: int) -> None:
    if not 1 <= size <= MOST_PHOTOS:
        raise InvalidInput(f"a golden set of {size} photos cannot be drawn; give 1 to {MOST_PHOTOS}")
    if not 1 <= golden_set.references_each <= MOST_REFERENCES:
        raise InvalidInput(
            f"{golden_set.references_each} references for each photo are out of reach; "
            f"give 1 to {MOST_REFERENCES}"
        )
    collection_id, name = golden_set.collection_id, golden_set.name
    held = select(GoldenSet.id).where(GoldenSet.collection_id == collection_id, GoldenSet.name == name)
    if session.scalar(held):
        raise Conflict(f"a golden set called {name!r} exists already; choose another name")
    check_line(session, Line(name=name, kind=DatasetKind.GOLDEN, collection_id=collection_id))


def _drawn(session: Session, collection: Collection, wanted: ItemFilter, size: int) -> list[tuple[int, int]]:
    """Items with their images, each image once, in the order in which they were drawn."""
    conditions = (*wanted.conditions(session, collection), items.may_train(), _may_be_golden())
    found = frozen_rows.table(session, *conditions)
    found = found[np.sort(np.unique(found["image"], return_index=True)[1])]
    found = found[~leaks.near(session, found["dhash"], splits.LEARNED_FROM)]
    if len(found) < size:
        raise Conflict(
            f"{len(found)} photos can be drawn, not {size}: the others were frozen to be learned from, look "
            "like such ones, are golden already, forbid training or are none of this filter; draw fewer"
        )
    pairs = list(zip(found["id"].tolist(), found["image"].tolist(), strict=True))
    return SystemRandom().sample(pairs, size)


def _may_be_golden() -> ColumnElement[bool]:
    """The images that nothing learned from, and that are in no golden set yet."""
    return or_(Image.split.is_(None), Image.split == Split.TEST)
