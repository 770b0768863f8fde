"""Photos that somebody still has to caption blind, and whose other texts are kept from them until then.

Every page and answer that shows texts of photos asks here first; files that are downloaded are whole.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session

from catalog.errors import NotAllowed
from catalog.schema import Draft, GoldenItem, GoldenReference, GoldenSet, HistoryEntry, Item, User


def still_blind(session: Session, item_ids: Sequence[int], user: User | None) -> dict[int, GoldenSet]:
    """Those of the items that `user` still has to caption blind, each with its open golden set.

    An item that has all its references is nobody's work any more, and nobody captions blind what they know.
    From the command line, for which `user` is None, nothing is kept.
    """
    if user is None:
        return {}
    query = _awaited(user).where(GoldenItem.item_id.in_(item_ids))
    return {row.item_id: row.GoldenSet for row in session.execute(query)}


def withheld_from(user: User) -> ColumnElement[bool]:
    """The condition under which a row of Item is one that `still_blind` finds."""
    return Item.id.in_(_awaited(user).with_only_columns(GoldenItem.item_id).correlate(None))


def require_seen(session: Session, item_id: int, user: User | None) -> None:
    """Raises NotAllowed for an item that `still_blind` finds: its texts would be read."""
    if golden_set := still_blind(session, [item_id], user).get(item_id):
        raise NotAllowed(
            f"item {item_id} is in the golden set {golden_set.name!r}: caption it there, without reading "
            "what others or the model wrote; its texts are yours to read from then on"
        )


def knows(user: User) -> ColumnElement[bool]:
    """Whether the user decided, edited or drafted a caption of a row of Item by hand.

    What they imported, or did to many captions at once, they did not read.
    """
    by_hand = (HistoryEntry.operation_id.is_(None), HistoryEntry.action != "imported")
    return or_(
        exists().where(HistoryEntry.item_id == Item.id, HistoryEntry.user_id == user.id, *by_hand),
        exists().where(Draft.item_id == Item.id, Draft.user_id == user.id),
    )


def _awaited(user: User) -> Select[int, GoldenSet]:
    """The items of open golden sets for which the user's caption is awaited."""
    of_item = (
        GoldenReference.golden_set_id == GoldenItem.golden_set_id,
        GoldenReference.item_id == GoldenItem.item_id,
    )
    written = select(func.count()).select_from(GoldenReference).where(*of_item).scalar_subquery()
    mine = select(GoldenReference.id).where(*of_item, GoldenReference.user_id == user.id).exists()
    return (
        select(GoldenItem.item_id, GoldenSet)
        .join(GoldenSet, GoldenSet.id == GoldenItem.golden_set_id)
        .join(Item, Item.id == GoldenItem.item_id)
        .where(GoldenSet.dataset_id.is_(None), written < GoldenSet.references_each, ~mine, ~knows(user))
    )
