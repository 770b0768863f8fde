"""Captions: written, corrected, accepted and rejected by people, under a version that guards each save."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Exists, case, delete, exists, func, select, update
from sqlalchemy.orm import Session

from catalog import history, items, languages
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
ACTION_LENGTH = 32  # characters of an action in the history
MACHINE_MADE = {Origin.MODEL, Origin.ACCEPTED_UNCHANGED}
# How the captions of an item follow each other: as people put them; those that nobody put anywhere stand
# behind, oldest first. Pages show captions before alt texts and descriptions there.
AS_PUT = (Caption.position.is_(None), Caption.position)
IN_ORDER = (*AS_PUT, case((Caption.kind == CaptionKind.CAPTION, 0), else_=1), Caption.id)
IN_ORDER_OF_FILES = (*AS_PUT, Caption.id)


@dataclass(frozen=True)
class Held:
    """A caption beside what the network said about it, when a network wrote it."""

    caption: Caption
    detail: CaptionDetail | None


def of_item(session: Session, item: Item) -> Sequence[Held]:
    """The item's captions in their order."""
    rows = session.execute(
        select(Caption, CaptionDetail)
        .outerjoin(CaptionDetail, CaptionDetail.caption_id == Caption.id)
        .where(Caption.item_id == item.id)
        .order_by(*IN_ORDER)
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
    """Add a caption that a person made.

    Raises InvalidInput for a text that says nothing and for what is no language.
    """
    items.lock(session, item.id)
    caption = Caption(
        item_id=item.id,
        text=clean(text),
        language=languages.language(language),
        kind=kind,
        state=state,
        origin=origin,
        version=1,
        author_id=user.id if user else None,
    )
    session.add(caption)
    session.flush()
    history.append(session, caption, action="written", was=history.NOTHING, user=user)
    derive_item(session, caption.item_id)
    forget_draft(session, caption.item_id, user, caption_id=None)
    return caption


def revise(
    session: Session,
    caption: Caption,
    *,
    version: int,
    user: User | None,
    text: str | None = None,
    state: CaptionState | None = None,
    language: str | None = None,
    kind: CaptionKind | None = None,
    reason: Reason | None = None,
) -> Caption:
    """Change a caption's text, state, language and kind in one step; `reason` says what was wrong.

    Raises StaleCaption, with both texts, when `version` is no longer the caption's, and InvalidInput for
    an empty text or what is no language.
    """
    caption = held_at(session, caption, version=version, yours=text)
    new_text = caption.text if text is None else clean(text)
    new_state = caption.state if state is None else state
    actions = _redescribe(caption, language=language, kind=kind)
    if (new_text, new_state) != (caption.text, caption.state):
        actions.insert(0, _action(caption, new_text, new_state))
    if actions:
        origin = origin_after(caption, new_text, new_state)
        change(
            session,
            caption,
            *actions,
            text=new_text,
            state=new_state,
            origin=origin,
            user=user,
            reason=reason,
        )
        derive_item(session, caption.item_id)
        forget_draft(session, caption.item_id, user, caption_id=caption.id)
    return caption


def reorder(session: Session, item: Item, caption_ids: Sequence[int], user: User | None) -> None:
    """Put the item's captions in this order, in which they are shown and exported. Versions stay.

    Raises InvalidInput unless each of them is named once.
    """
    items.lock(session, item.id)
    found = session.scalars(select(Caption).where(Caption.item_id == item.id).order_by(*IN_ORDER)).all()
    there = [caption.id for caption in found]
    if sorted(caption_ids) != sorted(there):
        raise InvalidInput(
            f"the order {list(caption_ids)!r:.200} does not name each caption of item {item.id} once; "
            f"put {there!r:.200} in order"
        )
    for caption in found:
        before, now = there.index(caption.id) + 1, caption_ids.index(caption.id) + 1
        caption.position = now
        if before != now:
            was = history.before(caption)
            history.append(session, caption, action=f"{history.MOVED}{before} to {now}", was=was, user=user)
    session.flush()


def held_at(session: Session, caption: Caption, *, version: int, yours: str | None = None) -> Caption:
    """Lock the caption's item, and give the caption as it is now, to be changed.

    Raises StaleCaption when `version` is not its version any more, NotFound when it is gone.
    """
    items.lock(session, caption.item_id)
    now = session.get(Caption, caption.id, populate_existing=True)
    if now is None:
        raise NotFound(f"caption {caption.id} was replaced or deleted meanwhile; reload the page")
    if now.version != version:
        raise StaleCaption(
            caption_id=now.id, version=now.version, current=now.text, state=now.state, yours=yours
        )
    return now


def change(
    session: Session,
    caption: Caption,
    *actions: str,
    text: str,
    state: CaptionState,
    origin: Origin,
    user: User | None,
    reason: Reason | None = None,
) -> None:
    """Give a caption whose item is locked its next version, with a history entry for each action.

    Whoever calls this derives the item anew with `derive_item`.
    """
    was = history.before(caption)
    caption.text, caption.state, caption.origin = text, state, origin
    caption.version += 1
    caption.author_id = user.id if user else None
    caption.updated_at = utc_now()
    session.flush()
    for action in actions:
        history.append(session, caption, action=action, was=was, user=user, reason=reason)
        was, reason = history.before(caption), None


def save_draft(
    session: Session,
    item: Item,
    *,
    user: User,
    text: str,
    caption: Caption | None,
    version: int | None = None,
) -> None:
    """Keep a text that the reviewer has not decided on; an empty one forgets the draft of this caption.

    `version` is that of the caption when the reviewer began, by default its present one.
    """
    if caption and caption.item_id != item.id:
        raise InvalidInput(f"caption {caption.id} is none of item {item.id}")
    if not text.strip():
        forget_draft(session, item.id, user, caption_id=caption.id if caption else None)
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


def derive_item(session: Session, item_id: int) -> None:
    """Derive one item anew from its captions, also where the session has it loaded."""
    refresh_review_state(session, [item_id])
    session.refresh(session.get_one(Item, item_id), ["review_state", "doubt"])


def forget_draft(session: Session, item_id: int, user: User | None, *, caption_id: int | None) -> None:
    """Forget what the user typed for this caption; what was typed for another one of the item waits on."""
    if user:
        theirs = Draft.caption_id.is_not_distinct_from(caption_id)
        session.execute(delete(Draft).where(Draft.item_id == item_id, Draft.user_id == user.id, theirs))


def origin_after(caption: Caption, text: str, state: CaptionState) -> Origin:
    """Where a caption comes from once it has this text and state."""
    if words(text) != words(caption.text) and caption.origin is not Origin.WRITTEN:
        return Origin.EDITED
    if caption.origin in MACHINE_MADE:
        return Origin.ACCEPTED_UNCHANGED if state is CaptionState.ACCEPTED else Origin.MODEL
    return caption.origin


def _redescribe(caption: Caption, *, language: str | None, kind: CaptionKind | None) -> list[str]:
    """Set language and kind, and say for the history which of them changed."""
    actions = []
    if language is not None and language != caption.language:
        said = f"language {caption.language} to {languages.language(language)}"
        # Tags may be longer than what the history holds of an action.
        actions.append(said if len(said) <= ACTION_LENGTH else f"language to {language}"[:ACTION_LENGTH])
        caption.language = language
    if kind is not None and kind != caption.kind:
        actions.append(f"kind {caption.kind} to {kind}")
        caption.kind = kind
    return actions


def _action(caption: Caption, text: str, state: CaptionState) -> str:
    if state == caption.state:
        return "edited"
    decision = {
        CaptionState.ACCEPTED: "accepted",
        CaptionState.REJECTED: "rejected",
        CaptionState.CANDIDATE: history.AGAIN_OPEN,
    }[state]
    return decision if text == caption.text else f"edited and {decision}"
