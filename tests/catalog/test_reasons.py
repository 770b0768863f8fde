"""Reasons: what was wrong, said after a correction and counted for each checkpoint."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from catalog import captions, collections, decisions, history, items, reasons
from catalog.errors import Conflict
from catalog.schema import Caption, CaptionState, Item, Origin, Reason, Role, User

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]


@pytest.fixture
def item(session: Session, filled: Filled) -> Item:
    _, (item_id,), _ = filled(session, 1)
    return items.get(session, item_id, viewer=None)


@pytest.fixture
def ada(session: Session, new_user: NewUser) -> User:
    return new_user(session, "Ada", Role.ADMIN)


def model_caption(session: Session, item: Item, checkpoint_id: int | None) -> Caption:
    caption = Caption(item_id=item.id, text="A dog.", origin=Origin.MODEL, checkpoint_id=checkpoint_id)
    session.add(caption)
    session.flush()
    return caption


def told(session: Session, item: Item) -> list[Reason | None]:
    """The reasons in the item's history, newest first."""
    session.flush()
    return [line.entry.reason for line in history.of_item(session, item.id).rows]


def test_a_reason_may_come_with_the_correction(session: Session, item: Item, ada: User) -> None:
    caption = model_caption(session, item, None)
    captions.revise(
        session, caption, version=1, user=ada, text="A cat.", language="nl", reason=Reason.SUBJECT
    )
    # Told once, of the text: the change of the language has no reason.
    assert told(session, item) == [None, Reason.SUBJECT]


def test_a_reason_is_given_to_ones_own_last_decision_and_can_be_taken_away(
    session: Session, item: Item, ada: User, new_user: NewUser
) -> None:
    caption, bob = model_caption(session, item, None), new_user(session, "Bob")
    captions.revise(session, caption, version=1, user=ada, text="Two cats.")
    captions.revise(session, caption, version=2, user=bob, state=CaptionState.ACCEPTED)
    captions.revise(session, caption, version=3, user=ada, language="nl")
    reasons.give(session, caption, Reason.NUMBER, user=ada)
    assert told(session, item) == [None, None, Reason.NUMBER]
    assert caption.version == 4
    reasons.give(session, caption, None, user=ada)
    assert told(session, item) == [None, None, None]


def test_a_reason_is_that_of_the_correction_and_not_of_what_took_it_back(
    session: Session, item: Item, ada: User
) -> None:
    caption = model_caption(session, item, None)
    captions.revise(session, caption, version=1, user=ada, text="Two cats.")
    decisions.undo(session, caption, version=2, user=ada)
    reasons.give(session, caption, Reason.NUMBER, user=ada)
    assert told(session, item) == [None, Reason.NUMBER]


def test_who_has_changed_nothing_has_no_reason_to_give(session: Session, item: Item, ada: User) -> None:
    with pytest.raises(Conflict, match="you have not changed caption"):
        reasons.give(session, model_caption(session, item, None), Reason.PLACE, user=ada)


def test_reasons_are_counted_for_each_checkpoint_where_the_viewer_may_see(
    session: Session, filled: Filled, ada: User, new_user: NewUser
) -> None:
    bob = new_user(session, "Bob")
    harbour, harbour_ids, old = filled(session, 3, "Harbour")
    _, mill_ids, new = filled(session, 1, "Mill")
    collections.add_member(session, collections.get(session, harbour, viewer=None), bob)

    def corrected(item_id: int, checkpoint_id: int | None, reason: Reason | None) -> None:
        caption = model_caption(session, session.get_one(Item, item_id), checkpoint_id)
        captions.revise(session, caption, version=1, user=ada, text="A cat.", reason=reason)

    corrected(harbour_ids[0], old, Reason.SUBJECT)
    corrected(harbour_ids[1], old, Reason.SUBJECT)
    corrected(harbour_ids[2], new, Reason.WORDING)
    corrected(harbour_ids[2], old, None)
    corrected(harbour_ids[2], None, Reason.PLACE)
    corrected(mill_ids[0], old, Reason.NUMBER)

    def counts(viewer: User | None) -> list[tuple[int, dict[Reason, int], int]]:
        rows = reasons.per_checkpoint(session, viewer).rows
        return [(row.checkpoint.id, row.reasons, row.total) for row in rows]

    both = {Reason.SUBJECT: 2, Reason.NUMBER: 1}
    assert counts(ada) == [(new, {Reason.WORDING: 1}, 1), (old, both, 3)]
    assert counts(bob) == [(new, {Reason.WORDING: 1}, 1), (old, {Reason.SUBJECT: 2}, 2)]
    assert counts(new_user(session, "Eve")) == [(new, {}, 0), (old, {}, 0)]
    first = reasons.per_checkpoint(session, ada, limit=1)
    assert first.after == new
    rest = reasons.per_checkpoint(session, ada, after=first.after)
    assert [row.checkpoint.id for row in rest.rows] == [old]
