"""What a bulk operation does to some items: locks them, asks again what still fits, and changes that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, bindparam, insert, select, update
from sqlalchemy.orm import Session, aliased

from catalog import history, spot_checks
from catalog.captions import MACHINE_MADE, refresh_review_state, words
from catalog.filters import ItemFilter
from catalog.schema import (
    Caption,
    CaptionState,
    Collection,
    HistoryEntry,
    Item,
    Operation,
    OperationItem,
    OperationKind,
    Origin,
    SpotCheck,
    utc_now,
)
from catalog.selection import Selection, selection
from catalog.text_changes import TextChange

# Whose words these are stays said, whatever is done to many of them at once.
OF_PERSONS = (Origin.WRITTEN, Origin.EDITED)
DECISIONS = {OperationKind.ACCEPT: CaptionState.ACCEPTED, OperationKind.REJECT: CaptionState.REJECTED}
COLUMNS = (Caption.id, Caption.item_id, Caption.text, Caption.state, Caption.origin, Caption.version)


@dataclass(frozen=True)
class Change:
    """A caption as it is, and what becomes of it."""

    caption: Any
    text: str
    state: CaptionState
    origin: Origin
    author_id: int | None


@dataclass(frozen=True)
class Counts:
    """Captions, or items, that a step changed, and those that it had to leave as they are."""

    done: int
    skipped: int


def selected(session: Session, operation: Operation) -> Selection:
    """What an operation goes through."""
    collection = session.get_one(Collection, operation.collection_id)
    return selection(collection, ItemFilter.read(operation.filter), operation.kind, operation.options)


def items_ahead(session: Session, operation: Operation, limit: int) -> list[int]:
    """The next items behind the operation's cursor that it has something to do on."""
    if operation.kind is OperationKind.UNDO:
        query = _undone_items(session.get_one(Operation, operation.undoes_id))
    elif operation.kind is OperationKind.ASSIGN:
        query = select(Item.id).where(*selected(session, operation).items(session))
    else:
        query = selected(session, operation).captions(session).with_only_columns(Caption.item_id).distinct()
    (column,) = query.selected_columns
    behind = query.where(column > operation.cursor, column <= operation.last_item_id)
    return list(session.scalars(behind.order_by(column).limit(limit)))


def texts_of(session: Session, operation: Operation, item_ids: Sequence[int]) -> list[tuple[int, str]]:
    """The texts that an operation is to change, each behind its item's id, in the order of these."""
    query = selected(session, operation).captions(session, among=item_ids)
    rows = session.execute(query.with_only_columns(Caption.item_id, Caption.text).order_by(Caption.item_id))
    return [(item_id, text) for item_id, text in rows]


def step(
    session: Session, operation: Operation, item_ids: Sequence[int], change: TextChange | None
) -> Counts:
    """Do the operation on these items; those deleted meanwhile count for nothing."""
    session.execute(select(Item.id).where(Item.id.in_(item_ids)).order_by(Item.id).with_for_update())
    if operation.kind is OperationKind.ASSIGN:
        return _assign(session, operation, item_ids)
    if operation.kind is not OperationKind.UNDO:
        return _write(session, operation, *_changes(session, operation, item_ids, change))
    undone = session.get_one(Operation, operation.undoes_id)
    if undone.kind is OperationKind.ASSIGN:
        return _give_back(session, undone, item_ids)
    return _write(session, operation, *_restorations(session, undone, item_ids))


def _changes(
    session: Session, operation: Operation, item_ids: Sequence[int], change: TextChange | None
) -> tuple[list[Change], int]:
    """The changes that still fit, and how many captions cannot be changed."""
    fitting = selected(session, operation).captions(session, among=item_ids)
    query: Any = fitting.with_only_columns(*COLUMNS).order_by(Caption.id)
    if operation.spot_check_id:
        check = session.get_one(SpotCheck, operation.spot_check_id)
        query = query.where(spot_checks.covered(check), Caption.id.not_in(spot_checks.wrong_ids(check)))
    rows = session.execute(query).all()
    if change is None:
        return [_decided(operation, row) for row in rows], 0
    made = [_worded(operation, row, text) for row in rows if (text := change(row.text)) is not None]
    return made, len(rows) - len(made)


def _decided(operation: Operation, row: Any) -> Change:
    accepts = operation.kind is OperationKind.ACCEPT
    origin = Origin.BULK if accepts and row.origin in MACHINE_MADE else row.origin
    return Change(row, row.text, DECISIONS[operation.kind], origin, operation.user_id)


def _worded(operation: Operation, row: Any, text: str) -> Change:
    keeps = row.origin in OF_PERSONS or words(text) == words(row.text)
    return Change(row, text, row.state, row.origin if keeps else Origin.BULK, operation.user_id)


def _restorations(session: Session, undone: Operation, item_ids: Sequence[int]) -> tuple[list[Change], int]:
    """Captions as they were before, and how many were changed since."""
    entry, before = aliased(HistoryEntry), aliased(HistoryEntry)
    # Who decided it before is told by the first entry of the version that it had then.
    author = (
        select(before.user_id)
        .where(
            before.item_id == entry.item_id,
            before.caption_id == entry.caption_id,
            before.version == entry.version - 1,
        )
        .order_by(before.id)
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            *COLUMNS,
            entry.version.label("left_at"),
            entry.text_before,
            entry.state_before,
            entry.origin_before,
            author.label("author_id"),
        )
        .join(entry, and_(entry.caption_id == Caption.id, entry.item_id == Caption.item_id))
        # The range leads PostgreSQL along the index, where it would read the whole operation for a list.
        .where(entry.operation_id == undone.id, entry.item_id.between(min(item_ids), max(item_ids)))
        .where(entry.item_id.in_(item_ids))
        .order_by(Caption.id)
    )
    rows: Sequence[Any] = session.execute(query).all()
    fitting = [_restored(row) for row in rows if row.version == row.left_at]
    return fitting, len(rows) - len(fitting)


def _restored(row: Any) -> Change:
    return Change(row, row.text_before, row.state_before, row.origin_before, row.author_id)


def _write(session: Session, operation: Operation, changes: Sequence[Change], skipped: int) -> Counts:
    """Change captions and append to their history, many rows a statement."""
    if changes:
        now = utc_now()
        same_texts = all(change.text == change.caption.text for change in changes)
        session.connection().execute(
            _updating("state" if same_texts else "text"),
            [_row(change, now) for change in changes],
        )
        entries = [_entry(operation, change, now) for change in changes]
        session.connection().execute(insert(HistoryEntry.__table__), entries)  # type: ignore[arg-type]
        refresh_review_state(session, sorted({change.caption.item_id for change in changes}))
    return Counts(done=len(changes), skipped=skipped)


def _updating(what: str) -> Any:
    """The statement for one caption; texts that stay are left out, for writing one costs the search index."""
    captions: Any = Caption.__table__
    names = ["state", "origin", "author_id", "updated_at"] + (["text"] if what == "text" else [])
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return (
        update(captions)
        .where(captions.c.id == bindparam("of_id"))
        .values(values | {"version": captions.c.version + 1})
    )


def _row(change: Change, now: Any) -> dict[str, Any]:
    return {
        "of_id": change.caption.id,
        "new_text": change.text,
        "new_state": change.state,
        "new_origin": change.origin,
        "new_author_id": change.author_id,
        "new_updated_at": now,
    }


def _entry(operation: Operation, change: Change, now: Any) -> dict[str, Any]:
    was = change.caption
    return {
        "item_id": was.item_id,
        "caption_id": was.id,
        "action": ACTIONS.get(operation.kind, "edited"),
        "user_id": operation.user_id,
        "job_id": None,
        "version": was.version + 1,
        "text_before": was.text,
        "text_after": change.text,
        "state_before": was.state,
        "state_after": change.state,
        "origin_before": was.origin,
        "origin_after": change.origin,
        "reason": None,
        "operation_id": operation.id,
        "created_at": now,
    }


ACTIONS = {
    OperationKind.ACCEPT: "accepted",
    OperationKind.REJECT: "rejected",
    OperationKind.UNDO: history.RESTORED,
}


def _assign(session: Session, operation: Operation, item_ids: Sequence[int]) -> Counts:
    """Give items to a user, and remember whose they were."""
    to, fits = operation.options["assignee_id"], selected(session, operation).items(session)
    rows = session.execute(
        select(Item.id, Item.assignee_id).where(Item.id.in_(item_ids), *fits).order_by(Item.id)
    ).all()
    moved = [row for row in rows if row.assignee_id != to]
    if moved:
        former = [
            {"operation_id": operation.id, "item_id": row.id, "assignee_id": row.assignee_id} for row in moved
        ]
        session.execute(insert(OperationItem), former)
        _reassign(session, [row.id for row in moved], to)
    return Counts(done=len(moved), skipped=len(rows) - len(moved))


def _give_back(session: Session, undone: Operation, item_ids: Sequence[int]) -> Counts:
    """Items to whom they belonged, but for those that somebody has assigned since."""
    rows = session.execute(
        select(Item.id, Item.assignee_id.label("present"), OperationItem.assignee_id.label("former"))
        .join(OperationItem, OperationItem.item_id == Item.id)
        .where(OperationItem.operation_id == undone.id, Item.id.in_(item_ids))
    ).all()
    fitting = [row for row in rows if row.present == undone.options["assignee_id"]]
    for former in {row.former for row in fitting}:
        _reassign(session, [row.id for row in fitting if row.former == former], former)
    return Counts(done=len(fitting), skipped=len(rows) - len(fitting))


def _reassign(session: Session, item_ids: Sequence[int], user_id: int | None) -> None:
    session.execute(
        update(Item).where(Item.id.in_(item_ids)).values(assignee_id=user_id),
        execution_options={"synchronize_session": False},
    )


def _undone_items(undone: Operation) -> Select[Any]:
    """The query for the items that an operation has touched."""
    if undone.kind is OperationKind.ASSIGN:
        return select(OperationItem.item_id).where(OperationItem.operation_id == undone.id)
    return select(HistoryEntry.item_id).where(HistoryEntry.operation_id == undone.id).distinct()
