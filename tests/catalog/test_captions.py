from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import captions, history, items
from catalog.errors import InvalidInput, NotFound, StaleCaption
from catalog.schema import Caption, CaptionState, Item, Origin, ReviewState, User

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]


@pytest.fixture
def item(session: Session, filled: Filled) -> Item:
    _, (item_id,), _ = filled(session, 1)
    return items.get(session, item_id, viewer=None)


@pytest.fixture
def candidate(session: Session, item: Item) -> Caption:
    caption = Caption(item_id=item.id, text="A dog runs.", origin=Origin.MODEL)
    session.add(caption)
    session.flush()
    return caption


def test_a_correction_is_an_edit_with_history(
    session: Session, item: Item, candidate: Caption, new_user: NewUser
) -> None:
    user = new_user(session, "Reviewer")
    captions.revise(
        session, candidate, version=1, user=user, text="A wolf runs.", state=CaptionState.ACCEPTED
    )
    assert (candidate.version, candidate.origin) == (2, Origin.EDITED)
    assert item.review_state is ReviewState.ACCEPTED
    (line,) = history.of_item(session, item.id).rows
    assert (line.who, line.entry.action) == ("Reviewer", "edited and accepted")
    assert (line.entry.text_before, line.entry.text_after) == ("A dog runs.", "A wolf runs.")


@pytest.mark.parametrize("text", [None, "A dog runs.", "a dog runs", "  A dog runs!  "])
def test_case_and_punctuation_are_no_word_edits(
    session: Session, candidate: Caption, text: str | None
) -> None:
    captions.revise(session, candidate, version=1, user=None, text=text, state=CaptionState.ACCEPTED)
    assert candidate.origin is Origin.ACCEPTED_UNCHANGED


def test_a_stale_edit_is_refused_with_both_texts(session: Session, candidate: Caption) -> None:
    captions.revise(session, candidate, version=1, user=None, text="A wolf runs.")
    with pytest.raises(StaleCaption) as refused:
        captions.revise(session, candidate, version=1, user=None, text="A cat runs.")
    error = refused.value
    assert (error.current, error.yours, error.version) == ("A wolf runs.", "A cat runs.", 2)
    assert candidate.text == "A wolf runs."


def test_saving_what_is_there_changes_nothing(session: Session, item: Item, candidate: Caption) -> None:
    captions.revise(session, candidate, version=1, user=None, text="A dog runs.")
    assert candidate.version == 1
    assert history.of_item(session, item.id).rows == []


@pytest.mark.parametrize("text", ["", "  \n ", "\x00\x07", "word " * 3000])
def test_a_text_that_says_nothing_or_too_much_is_refused(session: Session, item: Item, text: str) -> None:
    with pytest.raises(InvalidInput, match="caption"):
        captions.write(session, item, text=text, user=None)


def test_unicode_and_lines_are_kept(session: Session, item: Item) -> None:
    text = "Ein Mädchen\nund ein 🐕, שלום 👩\u200d🚀 می\u200cخواهم 10\u00a0km"
    assert captions.write(session, item, text=text, user=None).text == text
    assert captions.write(session, item, text="run;\ta\x00 dog", user=None).text == "run; a dog"


def test_a_caption_that_vanished_meanwhile_is_not_found(
    session: Session, candidate: Caption, new_user: NewUser
) -> None:
    session.query(Caption).where(Caption.id == candidate.id).delete(synchronize_session=False)
    with pytest.raises(NotFound, match="meanwhile"):
        captions.revise(session, candidate, version=1, user=None, text="Late.")


def test_the_review_state_follows_the_captions(session: Session, item: Item, candidate: Caption) -> None:
    def state_after(version: int, state: CaptionState) -> ReviewState:
        captions.revise(session, candidate, version=version, user=None, state=state)
        return item.review_state

    assert state_after(1, CaptionState.REJECTED) is ReviewState.REJECTED
    assert state_after(2, CaptionState.CANDIDATE) is ReviewState.PENDING
    assert state_after(3, CaptionState.ACCEPTED) is ReviewState.ACCEPTED
    captions.write(session, item, text="Another.", user=None, state=CaptionState.REJECTED)
    assert item.review_state is ReviewState.ACCEPTED


def test_a_draft_belongs_to_its_user_and_ends_with_the_decision(
    session: Session, item: Item, candidate: Caption, new_user: NewUser
) -> None:
    one, two = new_user(session, "One"), new_user(session, "Two")
    captions.save_draft(session, item, user=one, text="A wo", caption=candidate)
    captions.save_draft(session, item, user=one, text="A wolf", caption=candidate)
    captions.save_draft(session, item, user=two, text="A cat", caption=candidate)
    session.flush()
    draft = captions.draft_of(session, item, one)
    assert draft is not None
    assert draft.text == "A wolf"
    captions.revise(session, candidate, version=1, user=one, text="A wolf runs.")
    session.expire_all()
    assert captions.draft_of(session, item, one) is None
    assert captions.draft_of(session, item, two) is not None
    captions.save_draft(session, item, user=two, text=" ", caption=candidate)
    session.expire_all()
    assert captions.draft_of(session, item, two) is None


def test_an_empty_draft_of_one_caption_leaves_that_of_another(
    session: Session, item: Item, candidate: Caption, new_user: NewUser
) -> None:
    one = new_user(session, "One")
    other = captions.write(session, item, text="A second one.", user=None)
    captions.save_draft(session, item, user=one, text="A wolf", caption=candidate)
    session.flush()
    for empty in (other, None):
        captions.save_draft(session, item, user=one, text="", caption=empty)
        session.expire_all()
        draft = captions.draft_of(session, item, one)
        assert draft is not None
        assert draft.text == "A wolf"
    captions.save_draft(session, item, user=one, text="A second", caption=other)
    session.flush()
    captions.save_draft(session, item, user=one, text="", caption=other)
    session.expire_all()
    assert captions.draft_of(session, item, one) is None


def test_a_stranger_finds_no_caption(session: Session, candidate: Caption, new_user: NewUser) -> None:
    with pytest.raises(NotFound):
        captions.get(session, candidate.id, viewer=new_user(session, "Stranger"))
    with pytest.raises(NotFound, match="no caption 999"):
        captions.get(session, 999, viewer=None)


def test_the_model_text_stands_beside_what_people_made_of_it(session: Session, item: Item) -> None:
    captions.write(session, item, text="Written.", user=None)
    (held,) = captions.of_item(session, item)
    assert held.detail is None
    assert session.scalars(select(Caption.state)).one() is CaptionState.ACCEPTED
