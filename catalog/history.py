"""History: every change of a caption, appended and never altered."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    HistoryEntry,
    Job,
    Operation,
    OperationKind,
    Origin,
    Reason,
    User,
)

WITH_PICTURE = "rejected with the picture"
REOPENED = "reopened with the picture"
TAKEN_BACK = "took back"
RESTORED = "restored"
AGAIN_OPEN = "reopened"
WAYS_BACK = (REOPENED, TAKEN_BACK, RESTORED, AGAIN_OPEN)
MOVED = "place "
SENTENCES = {
    "written": "wrote it",
    WITH_PICTURE: "rejected it with the picture",
    REOPENED: "reopened it with the picture",
    TAKEN_BACK: "took back its last change",
}
DESCRIBING = ("language ", "kind ", MOVED)


@dataclass(frozen=True)
class Line:
    """One entry as people read it: `who` is a user's name, or None for a job and the command line.

    `caption` is as it is now, None where a job replaced it; `checkpoint` names that of the job.
    """

    entry: HistoryEntry
    who: str | None
    caption: Caption | None
    checkpoint: str | None
    operation: OperationKind | None

    @property
    def words(self) -> str:
        """What happened to the caption, as it goes on behind who did it."""
        action = self.entry.action
        if action.startswith(DESCRIBING):
            return f"changed its {action}"
        return SENTENCES.get(action, f"{action} it")

    @property
    def restorable(self) -> bool:
        """Whether the caption would change if it were brought back to what it was after this entry."""
        then = (self.entry.text_after, self.entry.state_after)
        return bool(self.caption and then[0] and then != (self.caption.text, self.caption.state))

    @property
    def undoable(self) -> bool:
        """Whether this is the caption's last change, and it was something else before."""
        then = (self.entry.text_before, self.entry.state_before)
        is_last = self.caption and self.caption.version == self.entry.version
        return bool(is_last and then[0] and then != (self.entry.text_after, self.entry.state_after))


@dataclass(frozen=True)
class Before:
    """A caption as it was before a change, or after it."""

    text: str | None
    state: CaptionState | None
    origin: Origin | None


NOTHING = Before(text=None, state=None, origin=None)


def before(caption: Caption) -> Before:
    return Before(text=caption.text, state=caption.state, origin=caption.origin)


def as_before(entry: HistoryEntry) -> Before:
    """The caption as it was before the entry."""
    return Before(text=entry.text_before, state=entry.state_before, origin=entry.origin_before)


def as_after(entry: HistoryEntry) -> Before:
    """The caption as it was after the entry."""
    return Before(text=entry.text_after, state=entry.state_after, origin=entry.origin_after)


def of_text_or_state() -> ColumnElement[bool]:
    """Whether an entry changed more than where a caption stands or what is said of it."""
    return or_(
        HistoryEntry.text_before.is_distinct_from(HistoryEntry.text_after),
        HistoryEntry.state_before.is_distinct_from(HistoryEntry.state_after),
    )


def append(
    session: Session,
    caption: Caption,
    *,
    action: str,
    was: Before,
    user: User | None,
    reason: Reason | None = None,
) -> None:
    """Add the entry for a change that the session has just made to `caption`."""
    session.add(
        HistoryEntry(
            item_id=caption.item_id,
            caption_id=caption.id,
            action=action,
            user_id=user.id if user else None,
            job_id=None,
            version=caption.version,
            text_before=was.text,
            text_after=caption.text,
            state_before=was.state,
            state_after=caption.state,
            origin_before=was.origin,
            origin_after=caption.origin,
            reason=reason,
        )
    )


def of_item(
    session: Session, item_id: int, *, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[Line]:
    """The item's entries, newest first, with the names of all that had a part in them."""
    query = (
        select(HistoryEntry, User.name, Caption, Checkpoint.name, Operation.kind)
        .outerjoin(User, User.id == HistoryEntry.user_id)
        .outerjoin(Caption, Caption.id == HistoryEntry.caption_id)
        .outerjoin(Job, Job.id == HistoryEntry.job_id)
        .outerjoin(Checkpoint, Checkpoint.id == Job.checkpoint_id)
        .outerjoin(Operation, Operation.id == HistoryEntry.operation_id)
        .where(HistoryEntry.item_id == item_id)
        .order_by(HistoryEntry.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(HistoryEntry.id < after)
    lines = [Line(*row) for row in session.execute(query)]
    return listing(lines, limit, lambda line: line.entry.id)
