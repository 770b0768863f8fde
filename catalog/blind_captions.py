"""Blind captions: what people write for photos of a golden set without having seen a text of the model."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Integer, cast, exists, func, select
from sqlalchemy.orm import Session, joinedload

from catalog import captions, items
from catalog.blind_items import knows
from catalog.errors import Conflict, NotFound
from catalog.schema import (
    Caption,
    GoldenItem,
    GoldenReference,
    GoldenSet,
    Item,
    Origin,
    User,
    utc_now,
)

STEP = 7919  # a prime: photos between the places where two people begin


def next_blind(
    session: Session, golden_set: GoldenSet, user: User, *, skip: Sequence[int] = ()
) -> Item | None:
    """The item, with its image, that the user captions next; None when nothing is left for them.

    Those with the fewest references come first. Nobody gets an item twice, nor one on whose captions they
    worked. Two people who write at once begin at different places.
    """
    written = (
        select(func.count())
        .where(GoldenReference.golden_set_id == GoldenItem.golden_set_id)
        .where(GoldenReference.item_id == GoldenItem.item_id)
        .scalar_subquery()
    )
    size = select(func.count()).where(GoldenItem.golden_set_id == golden_set.id).scalar_subquery()
    turn = (GoldenItem.position + user.id * STEP) % func.nullif(cast(size, Integer), 0)
    query = (
        select(Item)
        .join(GoldenItem, GoldenItem.item_id == Item.id)
        .where(GoldenItem.golden_set_id == golden_set.id, written < golden_set.references_each)
        .where(~_wrote(golden_set, user), ~knows(user), Item.id.not_in(skip))
        .options(joinedload(Item.image))
        .order_by(written, turn, GoldenItem.position)
    )
    return session.scalar(query.limit(1))


def write(session: Session, golden_set: GoldenSet, item_id: int, text: str, *, user: User) -> GoldenReference:
    """Keep what the user wrote blind, also as an accepted caption of the item; the last text counts.

    Raises InvalidInput for a text that says nothing, NotFound for an item that is not in the set, Conflict
    once the set is frozen, or where the user saw the captions of this item before.
    """
    text = captions.clean(text)
    item = _held(session, golden_set, item_id)
    reference = session.scalar(
        select(GoldenReference).where(
            GoldenReference.golden_set_id == golden_set.id,
            GoldenReference.item_id == item_id,
            GoldenReference.user_id == user.id,
        )
    )
    if reference:
        return _rewrite(session, reference, text, user)
    if session.scalar(select(Item.id).where(Item.id == item_id, knows(user))):
        raise Conflict(
            f"you worked on the captions of item {item_id} before, so yours would not be blind; "
            "go on with the next one"
        )
    captions.write(session, item, text=text, user=user, language=golden_set.language)
    reference = GoldenReference(golden_set_id=golden_set.id, item_id=item_id, user_id=user.id, text=text)
    session.add(reference)
    session.flush()
    return reference


def _held(session: Session, golden_set: GoldenSet, item_id: int) -> Item:
    """Lock an item of an open set."""
    items.lock(session, item_id)
    session.refresh(golden_set, with_for_update={"read": True})
    if golden_set.dataset_id is not None:
        raise Conflict(f"the golden set {golden_set.name!r} is frozen; nothing more can be written for it")
    if session.get(GoldenItem, (golden_set.id, item_id)) is None:
        raise NotFound(f"item {item_id} is none of the golden set {golden_set.name!r}")
    return session.get_one(Item, item_id)


def _rewrite(session: Session, reference: GoldenReference, text: str, user: User) -> GoldenReference:
    """Give a reference another text, and so the caption that came of it, unless somebody changed that."""
    mine = select(Caption).where(
        Caption.item_id == reference.item_id,
        Caption.author_id == user.id,
        Caption.origin == Origin.WRITTEN,
        Caption.text == reference.text,
    )
    if caption := session.scalar(mine.order_by(Caption.id).limit(1)):
        captions.revise(session, caption, version=caption.version, text=text, user=user)
    reference.text, reference.updated_at = text, utc_now()
    session.flush()
    return reference


def _wrote(golden_set: GoldenSet, user: User) -> ColumnElement[bool]:
    """Whether the user captioned a row of Item for the set."""
    return exists().where(
        GoldenReference.golden_set_id == golden_set.id,
        GoldenReference.item_id == Item.id,
        GoldenReference.user_id == user.id,
    )
