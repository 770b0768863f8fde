"""History: every change of a caption, appended and never altered."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import Caption, CaptionState, HistoryEntry, Origin, Reason, User


@dataclass(frozen=True)
class Line:
    """One entry as people read it: `who` is a user's name, or None for a job and the command line."""

    entry: HistoryEntry
    who: str | None


@dataclass(frozen=True)
class Before:
    """A caption as it was before a change."""

    text: str | None
    state: CaptionState | None
    origin: Origin | None


NOTHING = Before(text=None, state=None, origin=None)


def before(caption: Caption) -> Before:
    return Before(text=caption.text, state=caption.state, origin=caption.origin)


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
    """The item's entries, newest first, with the names of the people in them."""
    query = (
        select(HistoryEntry, User.name)
        .outerjoin(User, User.id == HistoryEntry.user_id)
        .where(HistoryEntry.item_id == item_id)
        .order_by(HistoryEntry.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(HistoryEntry.id < after)
    lines = [Line(entry=entry, who=name) for entry, name in session.execute(query)]
    return listing(lines, limit, lambda line: line.entry.id)
