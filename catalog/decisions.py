"""Decisions on a whole picture, and the way back: no step loses what a caption said before it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import captions, history, items
from catalog.errors import Conflict, NotFound
from catalog.schema import Caption, CaptionState, HistoryEntry, Item, User


def reject_picture(session: Session, item: Item, user: User | None) -> list[Caption]:
    """Reject all captions of the item that wait, and return them; decided ones and drafts stay."""
    items.lock(session, item.id)
    waiting = select(Caption).where(Caption.item_id == item.id, Caption.state == CaptionState.CANDIDATE)
    found = session.scalars(waiting.order_by(Caption.id), execution_options={"populate_existing": True}).all()
    for caption in found:
        state = CaptionState.REJECTED
        origin = captions.origin_after(caption, caption.text, state)
        captions.change(
            session, caption, history.WITH_PICTURE, text=caption.text, state=state, origin=origin, user=user
        )
    captions.derive_item(session, item.id)
    return list(found)


def reopen_picture(session: Session, item: Item, user: User | None) -> list[Caption]:
    """Take the rejection of the picture back from the captions that nobody changed since; returns them."""
    items.lock(session, item.id)
    rejected = (
        select(Caption, HistoryEntry)
        .join(HistoryEntry, HistoryEntry.caption_id == Caption.id)
        .where(
            Caption.item_id == item.id,
            HistoryEntry.version == Caption.version,
            HistoryEntry.action == history.WITH_PICTURE,
        )
        .order_by(Caption.id)
    )
    found = session.execute(rejected, execution_options={"populate_existing": True}).all()
    for caption, entry in found:
        _bring_back(session, caption, history.as_before(entry), action=history.REOPENED, user=user)
    captions.derive_item(session, item.id)
    return [caption for caption, _ in found]


def restore(session: Session, caption: Caption, *, entry_id: int, version: int, user: User | None) -> Caption:
    """Give a caption the text and the state that it had after a history entry, as a new version.

    Raises StaleCaption as `captions.revise` does, and NotFound for an entry of another caption.
    """
    caption = captions.held_at(session, caption, version=version)
    entry = session.get(HistoryEntry, entry_id)
    if entry is None or entry.caption_id != caption.id:
        raise NotFound(f"caption {caption.id} has no history entry {entry_id}; reload the page")
    return _settled(session, caption, history.as_after(entry), action=history.RESTORED, user=user)


def undo(session: Session, caption: Caption, *, version: int, user: User | None) -> Caption:
    """Take back the last change of a caption's text or state, as a new version; twice, and it is back.

    Raises StaleCaption as `captions.revise` does, and Conflict where nothing can be taken back.
    """
    caption = captions.held_at(session, caption, version=version)
    last = select(HistoryEntry).where(
        HistoryEntry.caption_id == caption.id,
        HistoryEntry.version == caption.version,
        history.of_text_or_state(),
    )
    entry = session.scalar(last.order_by(HistoryEntry.id.desc()).limit(1))
    if entry is None or entry.text_before is None:
        raise Conflict(
            f"caption {caption.id} has no change of its text or state to take back; reject it if it is wrong"
        )
    return _settled(session, caption, history.as_before(entry), action=history.TAKEN_BACK, user=user)


def _settled(
    session: Session, caption: Caption, then: history.Before, *, action: str, user: User | None
) -> Caption:
    _bring_back(session, caption, then, action=action, user=user)
    captions.derive_item(session, caption.item_id)
    captions.forget_draft(session, caption.item_id, user, caption_id=caption.id)
    return caption


def _bring_back(
    session: Session, caption: Caption, then: history.Before, *, action: str, user: User | None
) -> None:
    if then.text is None or then.state is None:
        raise Conflict(f"caption {caption.id} said nothing then; choose a later entry of its history")
    if (then.text, then.state) == (caption.text, caption.state):
        return
    # Entries of earlier releases do not tell the origin.
    origin = then.origin or captions.origin_after(caption, then.text, then.state)
    captions.change(session, caption, action, text=then.text, state=then.state, origin=origin, user=user)
