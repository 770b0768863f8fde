"""Bulk operations: one thing done to many captions or items, prepared here, and undone as one.

`catalog.operation_runner` does them, step by step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from catalog import assignment, collections, spot_checks
from catalog.errors import Conflict, InvalidInput, NotAllowed, NotFound
from catalog.filters import NOBODY, ItemFilter
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import (
    Collection,
    Operation,
    OperationKind,
    OperationState,
    Role,
    SpotCheck,
    User,
)
from catalog.selection import selection
from catalog.spot_checks import ErrorRate, error_rate
from catalog.text_changes import TEXT_KINDS, text_change


@dataclass(frozen=True)
class Line:
    """An operation as people read it: who did it, what a spot check had found, and what took it back."""

    operation: Operation
    who: str | None
    check: SpotCheck | None
    undone_by: Operation | None

    @property
    def error_rate(self) -> ErrorRate | None:
        return error_rate(self.check) if self.check else None

    def may_undo(self, user: User) -> bool:
        """Whether `user` may take it back now."""
        ended = self.operation.state is not OperationState.RUNNING
        return (
            ended and is_undoable(self.operation) and self.undone_by is None and _owns(user, self.operation)
        )


def prepare(
    session: Session,
    collection: Collection,
    *,
    kind: OperationKind,
    filter: ItemFilter,
    options: Mapping[str, Any],
    user: User,
    spot_check_id: int | None = None,
) -> Operation:
    """An operation on all that the filter finds: add it to a session that writes, and wake the operator.

    This only reads, for counting takes a while. Accepting more than ticked items takes a spot check.
    Raises InvalidInput for options that say nothing, Conflict where there is nothing to do or the spot check
    is no good.
    """
    said = _checked(session, collection, kind, options)
    wanted = selection(collection, filter, kind, said)
    check = None
    if kind is OperationKind.ACCEPT and not filter.ids:
        check = spot_checks.require(session, wanted, spot_check_id, user=user)
    if kind is OperationKind.ASSIGN:
        extent = wanted.item_extent(session)
    else:
        extent = wanted.extent(session, *([spot_checks.covered(check)] if check else []))
    if not extent.total:
        raise Conflict("there is nothing left to do here: the selection holds nothing that this would change")
    return Operation(
        collection_id=collection.id,
        user_id=user.id,
        kind=kind,
        filter=filter.words(),
        options=said,
        spot_check_id=check.id if check else None,
        total=extent.total,
        last_item_id=extent.last_item_id,
    )


def undo(session: Session, operation: Operation, *, user: User) -> Operation:
    """Begin to take an operation back, whenever that was; wake the operator once it is committed.

    Captions that were changed since stay as they are. Raises NotAllowed for somebody else's, Conflict for
    one that still runs, was undone, or is an undo itself.
    """
    session.refresh(operation, with_for_update=True)
    if not _owns(user, operation):
        raise NotAllowed(f"operation {operation.id} is somebody else's; ask whoever did it, or an admin")
    if not is_undoable(operation):
        raise Conflict(f"operation {operation.id} is an undo; do the thing itself again instead")
    if operation.state is OperationState.RUNNING:
        raise Conflict(f"operation {operation.id} is still running; undo it when it has ended")
    if session.scalar(select(Operation.id).where(Operation.undoes_id == operation.id)):
        raise Conflict(f"operation {operation.id} was undone already")
    undoing = Operation(
        collection_id=operation.collection_id,
        user_id=user.id,
        kind=OperationKind.UNDO,
        undoes_id=operation.id,
        filter=operation.filter,
        total=operation.done,
        last_item_id=operation.last_item_id,
    )
    session.add(undoing)
    session.flush()
    return undoing


def get(session: Session, operation_id: int, *, viewer: User | None) -> Line:
    """Raises NotFound for one that is gone or in a collection that the viewer may not see."""
    row = session.execute(_lines().where(Operation.id == operation_id)).first()
    if row is None:
        raise NotFound(f"there is no operation {operation_id}")
    collections.get(session, row[0].collection_id, viewer=viewer)
    return Line(*row)


def recent(
    session: Session, collection: Collection, *, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[Line]:
    """The operations of a collection, newest first."""
    query = _lines().where(Operation.collection_id == collection.id).order_by(Operation.id.desc())
    if after is not None:
        query = query.where(Operation.id < after)
    rows = [Line(*row) for row in session.execute(query.limit(limit + 1))]
    return listing(rows, limit, lambda line: line.operation.id)


def is_undoable(operation: Operation) -> bool:
    return operation.kind is not OperationKind.UNDO


def _lines() -> Any:
    undone_by = aliased(Operation)
    return (
        select(Operation, User.name, SpotCheck, undone_by)
        .outerjoin(User, User.id == Operation.user_id)
        .outerjoin(SpotCheck, SpotCheck.id == Operation.spot_check_id)
        .outerjoin(undone_by, undone_by.undoes_id == Operation.id)
    )


def _owns(user: User, operation: Operation) -> bool:
    return user.role is Role.ADMIN or operation.user_id == user.id


def _checked(
    session: Session, collection: Collection, kind: OperationKind, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options as the operation keeps them."""
    said = dict(options)
    if kind is OperationKind.UNDO:
        raise InvalidInput("an operation is undone by its number, not by a filter")
    if kind in TEXT_KINDS:
        text_change(kind, said)
    if kind is OperationKind.ASSIGN:
        name = said.get("assignee") or ""
        to = None if name == NOBODY else assignment.assignee(session, collection, name)
        said["assignee_id"] = to.id if to else None
    return said
