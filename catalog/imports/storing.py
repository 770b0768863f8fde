"""What came along with a photo, kept with its item."""

from dataclasses import replace

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from catalog import captions, history
from catalog.imports.rows import GivenItem
from catalog.schema import Caption, HistoryEntry, Item, User


def keep(session: Session, item: Item, given: GivenItem, *, user: User | None) -> int:
    """Add what the item lacks of it, in the caller's transaction; returns how many captions were added.

    What is there already stays: importing a file twice adds nothing, and what people did since is theirs.
    `user` is who imports, None the command line. Once a prohibition of training was seen, it stays.
    """
    item.external_id = item.external_id or given.external_id
    item.rights = item.rights or given.rights
    item.details = {**given.metadata, **item.details}
    item.flagged = item.flagged or given.flagged
    item.training_prohibited = item.training_prohibited or given.training_prohibited
    query = select(Caption.kind, Caption.language, Caption.text).where(Caption.item_id == item.id)
    held = {(kind, language, text) for kind, language, text in session.execute(query)}
    added = 0
    for one in given.captions:
        if (one.kind, one.language, one.text) in held:
            continue
        held.add((one.kind, one.language, one.text))
        caption = Caption(item_id=item.id, **vars(one))
        session.add(caption)
        session.flush()
        history.append(session, caption, action="imported", was=history.NOTHING, user=user)
        added += 1
    if added:
        session.flush()
        captions.refresh_review_state(session, [item.id])
        session.refresh(item, ["review_state"])
    return added


def keep_embedded(session: Session, item: Item, embedded: GivenItem, *, user: User | None) -> int:
    """Do as `keep` does with what the picture file says itself, but for texts that are known already.

    A text counts as known whatever its language and kind, so that a file of captions wins over the same text
    in the picture, and for ever, so that one which somebody corrected does not come back.
    """
    if embedded.captions:
        held = select(Caption.text).where(Caption.item_id == item.id)
        imported = select(HistoryEntry.text_after).where(
            HistoryEntry.item_id == item.id, HistoryEntry.action == "imported"
        )
        known = set(session.scalars(union_all(held, imported)))
        new = tuple(caption for caption in embedded.captions if caption.text not in known)
        embedded = replace(embedded, captions=new)
    return keep(session, item, embedded, user=user)
