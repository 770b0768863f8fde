"""Several captions an item: added, described, put in order, decided one by one."""

import csv
import io
import json
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from catalog import captions, decisions, exports, history, item_lists, items
from catalog.errors import InvalidInput
from catalog.schema import Caption, CaptionKind, CaptionState, Collection, Item, Origin, ReviewState, User

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]


@pytest.fixture
def item(session: Session, filled: Filled) -> Item:
    _, (item_id,), _ = filled(session, 1)
    return items.get(session, item_id, viewer=None)


@pytest.fixture
def three(session: Session, item: Item) -> list[Caption]:
    """Three captions that wait, one of them a model's."""
    first = Caption(item_id=item.id, text="A boat.", origin=Origin.MODEL)
    session.add(first)
    session.flush()
    waiting = {"user": None, "state": CaptionState.CANDIDATE}
    second = captions.write(session, item, text="Ein Boot.", language="de", **waiting)
    third = captions.write(session, item, text="A ship.", **waiting)
    return [first, second, third]


def exported(session: Session, item: Item, format: str) -> str:
    stream = io.StringIO(newline="")
    exports.write_export(session, session.get_one(Collection, item.collection_id), format, stream)
    return stream.getvalue()


def test_of_three_captions_two_accepted_and_one_rejected_are_exported_as_two_pairs(
    session: Session, item: Item, three: list[Caption]
) -> None:
    states = (CaptionState.ACCEPTED, CaptionState.REJECTED, CaptionState.ACCEPTED)
    seen = []
    for caption, state in zip(three, states, strict=True):
        seen.append(item.review_state)
        captions.revise(session, caption, version=1, user=None, state=state)
    assert seen == [ReviewState.PENDING, ReviewState.ACCEPTED, ReviewState.ACCEPTED]
    assert item.review_state is ReviewState.ACCEPTED
    (row,) = [json.loads(line) for line in exported(session, item, "jsonl").splitlines()]
    accepted = [one["text"] for one in row["captions"] if one["state"] == "accepted"]
    table = csv.DictReader(io.StringIO(exported(session, item, "csv"), newline=""))
    pairs = [(one["path"], one["caption"]) for one in table if one["state"] == "accepted"]
    assert accepted == ["A boat.", "A ship."]
    assert pairs == [("0000.jpg", "A boat."), ("0000.jpg", "A ship.")]
    assert [one["state"] for one in row["captions"]].count("rejected") == 1


def test_captions_stand_in_the_order_that_people_gave_them(
    session: Session, item: Item, three: list[Caption], new_user: NewUser
) -> None:
    first, second, third = (caption.id for caption in three)
    captions.reorder(session, item, [third, first, second], new_user(session, "Ada"))
    assert [held.caption.id for held in captions.of_item(session, item)] == [third, first, second]
    (row,) = [json.loads(line) for line in exported(session, item, "jsonl").splitlines()]
    assert [one["text"] for one in row["captions"]] == ["A ship.", "A boat.", "Ein Boot."]
    assert item_lists.leading_captions(session, [item.id])[item.id].id == third
    newest = history.of_item(session, item.id, limit=3).rows
    assert {(line.who, line.words) for line in newest} == {
        ("Ada", "changed its place 1 to 2"),
        ("Ada", "changed its place 2 to 3"),
        ("Ada", "changed its place 3 to 1"),
    }
    assert [caption.version for caption in three] == [1, 1, 1]


def test_a_caption_that_nobody_ordered_stands_behind(
    session: Session, item: Item, three: list[Caption]
) -> None:
    ids = [caption.id for caption in three]
    captions.reorder(session, item, ids[::-1], None)
    new = captions.write(session, item, text="Another.", user=None)
    assert [held.caption.id for held in captions.of_item(session, item)] == [*ids[::-1], new.id]


@pytest.mark.parametrize("change", [lambda ids: ids[:2], lambda ids: [*ids, ids[0]], lambda ids: [*ids, 999]])
def test_an_order_names_every_caption_once(
    session: Session, item: Item, three: list[Caption], change: Callable[[list[int]], list[int]]
) -> None:
    ids = [caption.id for caption in three]
    with pytest.raises(InvalidInput, match="once"):
        captions.reorder(session, item, change(ids), None)
    assert [caption.position for caption in three] == [None, None, None]


@pytest.mark.parametrize("language", ["e", "en_US", "en-", "english language", "", "x" * 9, "en" + "-a" * 17])
def test_what_is_no_language_is_refused(session: Session, item: Item, language: str) -> None:
    with pytest.raises(InvalidInput, match=r"the language is .*pt-BR"):
        captions.write(session, item, text="A boat.", user=None, language=language)
    caption = captions.write(session, item, text="A boat.", user=None, language="zh-Hant-TW")
    with pytest.raises(InvalidInput, match="the language is"):
        captions.revise(session, caption, version=1, user=None, language=language)
    assert (caption.language, caption.version) == ("zh-Hant-TW", 1)


def test_a_new_language_and_kind_are_a_new_version_with_history(
    session: Session, item: Item, three: list[Caption]
) -> None:
    alt = CaptionKind.ALT
    changed = captions.revise(session, three[0], version=1, user=None, language="pt-BR", kind=alt)
    assert (changed.language, changed.kind, changed.version) == ("pt-BR", alt, 2)
    assert (changed.origin, changed.text) == (Origin.MODEL, "A boat.")
    lines = history.of_item(session, item.id, limit=2).rows
    assert [line.words for line in lines] == [
        "changed its kind caption to alt",
        "changed its language en to pt-BR",
    ]
    captions.revise(session, changed, version=2, user=None, language="pt-BR", kind=alt)
    assert changed.version == 2


def test_a_long_language_has_its_place_in_the_history(session: Session, item: Item) -> None:
    first, second = "en-" + "aaaaaaa-" * 3 + "bbbbbbb", "de-" + "aaaaaaa-" * 3 + "ccccccc"
    caption = captions.write(session, item, text="A boat.", user=None, language=first)
    captions.revise(session, caption, version=1, user=None, language=second)
    session.flush()
    assert history.of_item(session, item.id).rows[0].words.startswith("changed its language to de-aaaaaaa")


def test_an_alt_text_does_not_stand_in_for_the_caption_that_it_was(session: Session, item: Item) -> None:
    caption = captions.write(session, item, text="A boat.", user=None)
    assert item.review_state is ReviewState.ACCEPTED
    captions.revise(session, caption, version=1, user=None, kind=CaptionKind.ALT)
    assert item.review_state is ReviewState.UNCAPTIONED


def test_deciding_one_caption_keeps_what_was_typed_for_another(
    session: Session, item: Item, three: list[Caption], new_user: NewUser
) -> None:
    user = new_user(session, "Ada")
    captions.save_draft(session, item, user=user, text="Ein rotes Bo", caption=three[1])
    session.flush()
    captions.revise(session, three[0], version=1, user=user, state=CaptionState.ACCEPTED)
    captions.write(session, item, text="A fourth.", user=user)
    session.expire_all()
    draft = captions.draft_of(session, item, user)
    assert draft is not None
    assert draft.text == "Ein rotes Bo"
    captions.revise(session, three[1], version=1, user=user, state=CaptionState.ACCEPTED)
    session.expire_all()
    assert captions.draft_of(session, item, user) is None


def test_rejecting_the_picture_rejects_what_waits_and_can_be_taken_back(
    session: Session, item: Item, three: list[Caption], new_user: NewUser
) -> None:
    user = new_user(session, "Ada")
    captions.revise(session, three[2], version=1, user=user, state=CaptionState.ACCEPTED)
    captions.save_draft(session, item, user=user, text="A wet bo", caption=three[0])
    rejected = decisions.reject_picture(session, item, user)
    assert rejected == three[:2]
    assert [caption.state.value for caption in three] == ["rejected", "rejected", "accepted"]
    assert {line.words for line in history.of_item(session, item.id, limit=2).rows} == {
        "rejected it with the picture"
    }
    assert captions.draft_of(session, item, user) is not None
    assert decisions.reject_picture(session, item, user) == []
    captions.revise(session, three[1], version=2, user=user, text="Ein Schiff.")
    assert decisions.reopen_picture(session, item, user) == [three[0]]
    assert [caption.state.value for caption in three] == ["candidate", "rejected", "accepted"]
    assert (three[0].origin, three[0].version) == (Origin.MODEL, 3)
    assert decisions.reopen_picture(session, item, user) == []


def test_a_rejected_picture_is_rejected_until_it_is_reopened(
    session: Session, item: Item, three: list[Caption]
) -> None:
    decisions.reject_picture(session, item, None)
    assert item.review_state is ReviewState.REJECTED
    decisions.reopen_picture(session, item, None)
    assert item.review_state is ReviewState.PENDING
