"""Reasons: what was wrong with the captions that people corrected, counted for each checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog import checkpoints, history, items
from catalog.collections import visible_to
from catalog.errors import Conflict
from catalog.pages import PAGE_SIZE, Listing
from catalog.schema import Caption, Checkpoint, CheckpointState, Collection, HistoryEntry, Item, Reason, User


@dataclass(frozen=True)
class Counted:
    """A checkpoint with the number of corrections of its captions by reason."""

    checkpoint: Checkpoint
    reasons: dict[Reason, int]

    @property
    def total(self) -> int:
        return sum(self.reasons.values())


def give(session: Session, caption: Caption, reason: Reason | None, *, user: User) -> None:
    """Say what was wrong, of the user's own last change of the caption; None takes the reason away.

    What takes a change back is no such change. Raises Conflict when the user has not changed the caption.
    """
    items.lock(session, caption.item_id)
    theirs = select(HistoryEntry).where(
        HistoryEntry.caption_id == caption.id,
        HistoryEntry.user_id == user.id,
        HistoryEntry.action.not_in(history.WAYS_BACK),
        history.of_text_or_state(),
    )
    entry = session.scalar(theirs.order_by(HistoryEntry.id.desc()).limit(1))
    if entry is None:
        raise Conflict(f"you have not changed caption {caption.id}; correct or reject it, then say why")
    entry.reason = reason


def per_checkpoint(
    session: Session, viewer: User | None, *, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[Counted]:
    """The checkpoints, newest first, with the reasons in the collections that the viewer may see."""
    found = checkpoints.newest(session, after=after, limit=limit)
    counts = _counts(session, viewer, [checkpoint.id for checkpoint in found.rows])
    rows = [Counted(checkpoint, counts.get(checkpoint.id, {})) for checkpoint in found.rows]
    return Listing(rows=rows, after=found.after)


def of_active(session: Session, viewer: User | None) -> Counted | None:
    """The active checkpoint with the reasons, as `per_checkpoint` gives them; None where none is active."""
    active = session.scalar(select(Checkpoint).where(Checkpoint.state == CheckpointState.ACTIVE))
    return of_checkpoint(session, viewer, active) if active else None


def of_checkpoint(session: Session, viewer: User | None, checkpoint: Checkpoint) -> Counted:
    """One checkpoint with the reasons in the collections that the viewer may see."""
    return Counted(checkpoint, _counts(session, viewer, [checkpoint.id]).get(checkpoint.id, {}))


def _counts(
    session: Session, viewer: User | None, checkpoint_ids: Sequence[int]
) -> dict[int, dict[Reason, int]]:
    rows = session.execute(
        select(Caption.checkpoint_id, HistoryEntry.reason, func.count().label("number"))
        .join(Caption, Caption.id == HistoryEntry.caption_id)
        .join(Item, Item.id == HistoryEntry.item_id)
        .join(Collection, Collection.id == Item.collection_id)
        .where(
            HistoryEntry.reason.is_not(None),
            Caption.checkpoint_id.in_(checkpoint_ids),
            visible_to(viewer),
        )
        .group_by(Caption.checkpoint_id, HistoryEntry.reason)
    )
    counts: dict[int, dict[Reason, int]] = {}
    for row in rows:
        counts.setdefault(row.checkpoint_id, {})[row.reason] = row.number
    return counts
