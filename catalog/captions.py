"""Captions: written, corrected, accepted and rejected by people, under a version that guards each save."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Exists, case, delete, exists, func, select, update
from sqlalchemy.orm import Session

from catalog import history, items
from catalog.errors import InvalidInput, NotFound, StaleCaption
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionKind,
    CaptionState,
    Draft,
    Item,
    Origin,
    Reason,
    ReviewState,
    User,
    utc_now,
)
from catalog.text import storable

TEXT_LENGTH = 10_000  # characters
MACHINE_MADE = {Origin.MODEL, Origin.ACCEPTED_UNCHANGED}


@dataclass(frozen=True)
class Held:
    """A caption beside what the network said about it, when a network wrote it."""

    caption: Caption
    detail: CaptionDetail | None


def of_item(session: Session, item: Item) -> Sequence[Held]:
    """The item's captions in the order that people gave them; those that have none stand behind, captions
    before alt texts and descriptions, oldest first."""
    rows = session.execute(
        select(Caption, CaptionDetail)
        .outerjoin(CaptionDetail, CaptionDetail.caption_id == Caption.id)
        .where(Caption.item_id == item.id)
        .order_by(
            Caption.position.is_(None),
            Caption.position,
            case((Caption.kind == CaptionKind.CAPTION, 0), else_=1),
            Caption.id,
        )
    )
    return [Held(caption, detail) for caption, detail in rows]


def get(session: Session, caption_id: int, *, viewer: User | None) -> Caption:
    """Raises NotFound for a caption that is gone or whose item the viewer may not see."""
    caption = session.get(Caption, caption_id)
    if caption is None:
        raise NotFound(f"there is no caption {caption_id}")
    items.get(session, caption.item_id, viewer=viewer)
    return caption


def write(
    session: Session,
    item: Item,
    *,
    text: str,
    user: User | None,
    language: str = "en",
    kind: CaptionKind = CaptionKind.CAPTION,
    state: CaptionState = CaptionState.ACCEPTED,
    origin: Origin = Origin.WRITTEN,
) -> Caption:
    """Add a caption that a person made. Raises InvalidInput for a text that says nothing."""
    items.lock(session, item.id)
    caption = Caption(
        item_id=item.id,
        text=clean(text),
        language=language,
        kind=kind,
        state=state,
        origin=origin,
        version=1,
        author_id=user.id if user else None,
    )
    session.add(caption)
    session.flush()
    history.append(session, caption, action="written", was=history.NOTHING, user=user)
    _decided(session, caption, user)
    return caption


def revise(
    session: Session,
    caption: Caption,
    *,
    version: int,
    user: User | None,
    text: str | None = None,
    state: CaptionState | None = None,
    reason: Reason | None = None,
) -> Caption:
    """Change a caption's text, its state, or both in one step; `reason` says what was wrong.

    Raises StaleCaption, with both texts, when `version` is no longer the caption's, and InvalidInput for
    an empty text.
    """
    items.lock(session, caption.item_id)
    caption = _as_it_is_now(session, caption.id)
    if caption.version != version:
        raise StaleCaption(caption_id=caption.id, version=caption.version, current=caption.text, yours=text)
    new_text = caption.text if text is None else clean(text)
    new_state = caption.state if state is None else state
    if new_text == caption.text and new_state == caption.state:
        return caption
    was = history.before(caption)
    caption.origin = _origin_after(caption, new_text, new_state)
    caption.text, caption.state = new_text, new_state
    caption.version += 1
    caption.author_id = user.id if user else None
    caption.updated_at = utc_now()
    session.flush()
    history.append(session, caption, action=_action(was, caption), was=was, user=user, reason=reason)
    _decided(session, caption, user)
    return caption


def save_draft(
    session: Session,
    item: Item,
    *,
    user: User,
    text: str,
    caption: Caption | None,
    version: int | None = None,
) -> None:
    """Keep a text that the reviewer has not decided on; an empty one forgets the draft.

    `version` is that of the caption when the reviewer began, by default its present one.
    """
    if caption and caption.item_id != item.id:
        raise InvalidInput(f"caption {caption.id} is none of item {item.id}")
    if not text.strip():
        _forget_draft(session, item.id, user)
        return
    if len(text) > TEXT_LENGTH:
        raise InvalidInput(f"a draft of {len(text)} characters is too long; keep it under {TEXT_LENGTH}")
    draft = Draft(
        item_id=item.id,
        user_id=user.id,
        text=storable(text, keep="\n"),
        caption_id=caption.id if caption else None,
        caption_version=(version or caption.version) if caption else None,
        updated_at=utc_now(),
    )
    session.merge(draft)


def draft_of(session: Session, item: Item, user: User) -> Draft | None:
    return session.get(Draft, (item.id, user.id))


def clean(text: str) -> str:
    """The text as it is stored: no outer blanks, no control characters but ends of lines.

    Raises InvalidInput when nothing is left, or too much.
    """
    kept = storable(text, keep="\n").strip()
    if not any(letter.isprintable() and not letter.isspace() for letter in kept):
        raise InvalidInput("the caption is empty; write some words, or reject it instead")
    if len(kept) > TEXT_LENGTH:
        raise InvalidInput(f"the caption has {len(kept)} characters; keep it under {TEXT_LENGTH}")
    return kept


def words(text: str) -> list[str]:
    """The words that tell an edit from a change of case or punctuation."""
    return re.findall(r"\w+(?:['\u2019]\w+)*", text.casefold())


def derived_review_state() -> ColumnElement[ReviewState]:
    """The review state of an item as its captions have it.

    Alt texts and descriptions that wait make it pending, but decided ones do not stand in for a caption:
    an archive that brings a description of every photo is an archive without captions.
    """

    def any_in(state: CaptionState, *kinds: CaptionKind) -> Exists:
        return exists().where(Caption.item_id == Item.id, Caption.state == state, Caption.kind.in_(kinds))

    return case(
        (any_in(CaptionState.ACCEPTED, CaptionKind.CAPTION), ReviewState.ACCEPTED),
        (any_in(CaptionState.CANDIDATE, *CaptionKind), ReviewState.PENDING),
        (any_in(CaptionState.REJECTED, CaptionKind.CAPTION), ReviewState.REJECTED),
        else_=ReviewState.UNCAPTIONED,
    )


def derived_doubt() -> ColumnElement[float]:
    """The doubt of an item, as its captions have it: that about the least certain one that waits."""
    least = (
        select(func.min(CaptionDetail.confidence))
        .join(Caption, Caption.id == CaptionDetail.caption_id)
        .where(
            Caption.item_id == Item.id,
            Caption.kind == CaptionKind.CAPTION,
            Caption.state == CaptionState.CANDIDATE,
            Caption.origin == Origin.MODEL,
        )
        .scalar_subquery()
    )
    return func.coalesce(1 - least, 0.0)


def refresh_review_state(session: Session, item_ids: Sequence[int]) -> None:
    """Derive the review state and the doubt of items from their captions."""
    derived = {"review_state": derived_review_state(), "doubt": derived_doubt()}
    session.execute(
        update(Item).where(Item.id.in_(item_ids)).values(derived),
        execution_options={"synchronize_session": False},
    )


def _as_it_is_now(session: Session, caption_id: int) -> Caption:
    caption = session.get(Caption, caption_id, populate_existing=True)
    if caption is None:
        raise NotFound(f"caption {caption_id} was replaced or deleted meanwhile; reload the page")
    return caption


def _decided(session: Session, caption: Caption, user: User | None) -> None:
    refresh_review_state(session, [caption.item_id])
    item = session.get(Item, caption.item_id)
    session.refresh(item, ["review_state", "doubt"])
    if user:
        _forget_draft(session, caption.item_id, user)


def _forget_draft(session: Session, item_id: int, user: User) -> None:
    session.execute(delete(Draft).where(Draft.item_id == item_id, Draft.user_id == user.id))


def _origin_after(caption: Caption, text: str, state: CaptionState) -> Origin:
    if words(text) != words(caption.text) and caption.origin is not Origin.WRITTEN:
        return Origin.EDITED
    if caption.origin in MACHINE_MADE:
        return Origin.ACCEPTED_UNCHANGED if state is CaptionState.ACCEPTED else Origin.MODEL
    return caption.origin


def _action(was: history.Before, caption: Caption) -> str:
    if was.state == caption.state:
        return "edited"
    decision = {
        CaptionState.ACCEPTED: "accepted",
        CaptionState.REJECTED: "rejected",
        CaptionState.CANDIDATE: "reopened",
    }[caption.state]
    return decision if was.text == caption.text else f"edited and {decision}"
