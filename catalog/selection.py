"""What a bulk operation is about: the captions, or the items, of a filter that its kind can change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from catalog.errors import InvalidInput
from catalog.filters import ItemFilter
from catalog.schema import Caption, CaptionKind, CaptionState, Collection, Item, OperationKind

WAITING = (CaptionState.CANDIDATE,)
TEXT_STATES = (CaptionState.CANDIDATE, CaptionState.ACCEPTED)


@dataclass(frozen=True)
class Extent:
    """How many captions or items there are to do, up to which id of an item."""

    total: int
    last_item_id: int


@dataclass(frozen=True)
class Selection:
    """Captions of some states and one kind on the items of a filter.

    What the filter asks of a caption has to hold of the very caption that is changed.
    """

    collection: Collection
    filter: ItemFilter
    states: tuple[CaptionState, ...] = WAITING
    kind: CaptionKind = CaptionKind.CAPTION

    def items(self, session: Session) -> list[ColumnElement[bool]]:
        """What rows of Item have to fulfil."""
        return self.filter.conditions(session, self.collection)

    def of_caption(self) -> list[ColumnElement[bool]]:
        """What rows of Caption have to fulfil."""
        return [Caption.state.in_(self.states), Caption.kind == self.kind, *self.filter.of_caption()]

    def captions(self, session: Session, *, among: Sequence[int] = ()) -> Select[Any]:
        """The query for the ids of captions, to be given other columns and more conditions.

        With `among` it is about the captions of these items only.
        """
        of_item = self.filter.of_item(session, self.collection, among=among)
        query = select(Caption.id).join(Item, Item.id == Caption.item_id)
        return query.where(*of_item, *self.of_caption())

    def extent(self, session: Session, *more: ColumnElement[bool]) -> Extent:
        """How many captions these are; `more` are further conditions on them."""
        counted = (func.count(), func.max(Caption.item_id))
        total, last = session.execute(self.captions(session).with_only_columns(*counted).where(*more)).one()
        return Extent(total=total, last_item_id=last or 0)

    def item_extent(self, session: Session) -> Extent:
        """How many items these are, whatever captions they have."""
        total, last = session.execute(
            select(func.count(), func.max(Item.id)).where(*self.items(session))
        ).one()
        return Extent(total=total, last_item_id=last or 0)


def selection(
    collection: Collection, filter: ItemFilter, kind: OperationKind, options: dict[str, Any]
) -> Selection:
    """What an operation of this kind changes. Raises InvalidInput where filter and options disagree.

    The options `caption_kind` and `states` say which captions change their text; other operations are about
    those that wait.
    """
    of_kind = CaptionKind(options.get("caption_kind") or filter.kind or CaptionKind.CAPTION)
    if filter.kind and filter.kind is not of_kind:
        raise InvalidInput(f"the filter asks for kind {filter.kind}, the operation for {of_kind}; choose one")
    if kind in (OperationKind.ACCEPT, OperationKind.REJECT):
        return Selection(collection, filter, kind=of_kind)
    states = tuple(CaptionState(state) for state in options.get("states") or TEXT_STATES)
    return Selection(collection, filter, states, of_kind)
