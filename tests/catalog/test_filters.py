"""One filter for grids, queues, counts and bulk operations: what it finds, how it is written and refused."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.orm import Session

from catalog import captions, collections, item_lists, items
from catalog.errors import InvalidInput, NotFound
from catalog.filters import EVERYTHING, MOST_IDS, NOBODY, ItemFilter
from catalog.item_lists import Order
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionKind,
    CaptionState,
    Collection,
    Item,
    Origin,
    ReviewState,
    User,
)
from catalog.search import MOST_COUNTED

Filled = Callable[..., tuple[int, list[int], int]]
COUNT = 12
CONDITIONS: dict[str, Any] = {
    "state": ReviewState.PENDING,
    "q": "boat",
    "origin": Origin.MODEL,
    "kind": CaptionKind.CAPTION,
    "language": "de",
    "checkpoint": "starter for Harbour",
    "reviewer": "bob",
    "since": date(2026, 1, 3),
    "until": date(2026, 1, 9),
    "above": 0.2,
    "below": 0.8,
    "path": "000",
    "assignee": "bob",
    "flagged": True,
}


@pytest.fixture
def room(session: Session, filled: Filled, new_user: Callable[..., User]) -> Collection:
    """Twelve photos with a model's caption each, of which no two are alike; one has no caption at all.

    Beside it lies another collection that would fulfil everything.
    """
    bob = new_user(session, "bob")
    for name in ("Harbour", "Lake"):
        _, ids, checkpoint_id = filled(session, COUNT, name)
        for number, item_id in enumerate(ids[:-1]):
            caption = Caption(
                item_id=item_id,
                text="A boat." if number % 2 else "A tree.",
                language="de" if number % 5 == 0 else "en",
                kind=CaptionKind.ALT if number % 7 == 0 else CaptionKind.CAPTION,
                origin=Origin.EDITED if number % 3 == 0 else Origin.MODEL,
                author_id=bob.id if number % 4 else None,
                checkpoint_id=checkpoint_id if number > 2 else None,
                updated_at=datetime(2026, 1, 1 + number, 12, tzinfo=UTC),
            )
            session.add(caption)
            session.flush()
            session.add(_detail(caption.id, None if number == 4 else number / 10))
            values = {"flagged": number % 2 == 1, "assignee_id": bob.id if number % 3 else None}
            session.execute(update(Item).where(Item.id == item_id).values(**values, shuffle=number * 7 % 5))
        accepted = session.get_one(Item, ids[8])
        captions.write(session, accepted, text="A second boat.", user=None, language="fr")
        session.flush()
        captions.refresh_review_state(session, ids)
        session.expire_all()
    return collections.by_name(session, "Harbour")


def _detail(caption_id: int, confidence: float | None) -> CaptionDetail:
    said: dict[str, Any] = {"tokens": [], "token_probabilities": [], "alternatives": []}
    return CaptionDetail(caption_id=caption_id, model_text="", score=-1.0, confidence=confidence, **said)


def numbers(session: Session, room: Collection, filter: ItemFilter) -> list[int]:
    """The numbers of the photos that the filter finds; `count` must say the same."""
    page = item_lists.page(session, room, filter, limit=100)
    assert item_lists.count(session, room, filter) == len(page.items)
    return [int(one.item.path[:4]) for one in page.items]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, list(range(12))),
        ({"state": "pending"}, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10]),
        ({"state": "accepted"}, [8]),
        ({"state": "uncaptioned"}, [11]),
        ({"q": "BOAT"}, [1, 3, 5, 7, 8, 9]),
        ({"origin": "edited"}, [0, 3, 6, 9]),
        ({"origin": "written"}, [8]),
        ({"kind": "alt"}, [0, 7]),
        ({"language": "de"}, [0, 5, 10]),
        ({"language": "fr"}, [8]),
        ({"checkpoint": "starter for Harbour"}, [3, 4, 5, 6, 7, 8, 9, 10]),
        ({"checkpoint": "no such"}, []),
        ({"reviewer": "bob"}, [1, 2, 3, 5, 6, 7, 9, 10]),
        ({"reviewer": "eve"}, []),
        ({"since": "2026-01-10", "until": "2026-01-10"}, [9]),
        ({"until": "2026-01-02"}, [0, 1]),
        ({"above": "0.5", "below": "0.7"}, [5, 6]),
        ({"above": "0"}, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),
        ({"below": "0.1"}, [0]),
        ({"path": "001"}, [1, 10, 11]),
        ({"path": "05.JPG"}, [5]),
        ({"path": "0_5"}, []),
        ({"path": "%"}, []),
        ({"assignee": "bob"}, [1, 2, 4, 5, 7, 8, 10]),
        ({"assignee": NOBODY}, [0, 3, 6, 9, 11]),
        ({"flagged": "yes"}, [1, 3, 5, 7, 9]),
        ({"flagged": "no"}, [0, 2, 4, 6, 8, 10, 11]),
    ],
)
def test_every_condition_finds_what_it_says(
    session: Session, room: Collection, asked: dict[str, str], expected: list[int]
) -> None:
    assert numbers(session, room, ItemFilter.read(asked)) == expected


def test_two_conditions_find_what_both_find(session: Session, room: Collection) -> None:
    """Where an item has but one caption, that is what conditions on one caption come to."""
    alone = {name: set(numbers(session, room, ItemFilter(**{name: CONDITIONS[name]}))) for name in CONDITIONS}
    for one, other in combinations(CONDITIONS, 2):
        both = ItemFilter(**{one: CONDITIONS[one], other: CONDITIONS[other]})
        assert set(numbers(session, room, both)) - {8} == (alone[one] & alone[other]) - {8}, both
    assert numbers(session, room, ItemFilter(**CONDITIONS)) == [5]


def test_conditions_on_captions_hold_of_one_and_the_same(session: Session, room: Collection) -> None:
    # Photo 8 has an English caption by the model and a French one by a person.
    assert numbers(session, room, ItemFilter(language="fr", origin=Origin.WRITTEN)) == [8]
    assert numbers(session, room, ItemFilter(language="fr", origin=Origin.MODEL)) == []
    assert 8 in numbers(session, room, ItemFilter(language="en", origin=Origin.MODEL, above=0.8))
    assert numbers(session, room, ItemFilter(language="fr", above=0.0)) == []


def test_ids_find_items_of_this_collection_only(session: Session, room: Collection) -> None:
    ids = item_lists.ids(session, room).ids
    strangers = item_lists.ids(session, collections.by_name(session, "Lake")).ids
    assert numbers(session, room, ItemFilter(ids=(ids[3], ids[1], strangers[0]))) == [1, 3]
    assert numbers(session, room, ItemFilter(ids=tuple(ids), flagged=True)) == [1, 3, 5, 7, 9]
    shown = item_lists.some(session, room, [ids[3], strangers[0], ids[1]])
    assert [one.item.id for one in shown] == [ids[3], ids[1]]


@given(
    st.builds(
        ItemFilter,
        state=st.none() | st.sampled_from(ReviewState),
        q=st.text("abc* \"'é&=+%", max_size=20).map(str.strip),
        origin=st.none() | st.sampled_from(Origin),
        kind=st.none() | st.sampled_from(CaptionKind),
        language=st.sampled_from(["", "en", "pt-BR"]),
        checkpoint=st.text("ab-1", max_size=10),
        reviewer=st.text("Åß漢 z", max_size=10).map(str.strip),
        since=st.none() | st.dates(date(1970, 1, 1), date(2999, 12, 31)),
        until=st.none() | st.dates(date(1970, 1, 1), date(2999, 12, 31)),
        above=st.none() | st.floats(0, 1),
        below=st.none() | st.floats(0, 1),
        path=st.text("a/.%_\\", max_size=20),
        assignee=st.sampled_from(["", NOBODY, "bob"]),
        flagged=st.none() | st.booleans(),
        ids=st.sets(st.integers(0, 10**17), max_size=20).map(lambda ids: tuple(sorted(ids))),
    )
)
def test_a_filter_comes_back_from_its_own_words(filter: ItemFilter) -> None:
    assert ItemFilter.read(filter.words()) == filter
    assert filter.without(*filter.words()) == EVERYTHING
    assert (filter == EVERYTHING) is (filter.words() == {})


def test_other_words_and_empty_ones_ask_nothing() -> None:
    asked = {"after": "12", "order": "name", "q": "  ", "state": "", "above": None, "checkpoint": "\0"}
    assert ItemFilter.read(asked) == EVERYTHING


@pytest.mark.parametrize(
    ("name", "word", "fix"),
    [
        ("state", "done", "use one of uncaptioned, pending, accepted, rejected"),
        ("origin", "robot", "use one of model"),
        ("kind", "title", "use one of caption, alt, description"),
        ("since", "yesterday", "write it as 2026-01-31"),
        ("until", "2026-02-30", "write it as 2026-01-31"),
        ("until", "9999-12-31", "give a day from 1970-01-01 to 2999-12-31"),
        ("above", "1.5", "give a number from 0 to 1"),
        ("below", "nan", "give a number from 0 to 1"),
        ("below", "-0.1", "give a number from 0 to 1"),
        ("flagged", "true", "use yes or no"),
        ("ids", "1,two", "give numbers of items"),
        ("ids", "1,,2", "give numbers of items"),
        ("ids", "9" * 5000, "give numbers of items"),
        ("ids", "\u0661", "give numbers of items"),
        ("ids", ",".join(map(str, range(MOST_IDS + 1))), f"give {MOST_IDS} at most"),
        ("q", "x" * 201, "use 200 at most"),
        ("path", "x" * 256, "use 255 at most"),
    ],
)
def test_words_that_say_nothing_are_refused_with_the_value_and_the_fix(
    name: str, word: str, fix: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ItemFilter.read({name: word})
    said = str(refused.value)
    assert said.startswith(name)
    assert fix in said
    assert len(said) < 250
    assert len(word) > 60 or word in said or name == "ids"


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("words", [{}, {"q": "boat"}, {"flagged": "no"}, {"q": "tree", "language": "en"}])
def test_every_order_pages_to_the_end_and_steps_the_same_way(
    session: Session, room: Collection, order: Order, words: dict[str, str]
) -> None:
    filter = ItemFilter.read(words)
    found: list[int] = []
    after = None
    while True:
        page = item_lists.page(session, room, filter, order=order, after=after, limit=2)
        found += [one.item.id for one in page.items]
        after = page.after
        if after is None:
            break
        assert after == found[-1]
    whole = item_lists.page(session, room, filter, order=order, limit=100)
    assert found == [one.item.id for one in whole.items]
    assert len(found) == len(set(found)) == item_lists.count(session, room, filter)
    before, behind = [None, *found[:-1]], [*found[1:], None]
    for item_id, *expected in zip(found, before, behind, strict=True):
        item = items.get(session, item_id, viewer=None)
        assert item_lists.neighbours(session, item, filter, order=order) == tuple(expected)
    assert list(item_lists.ids(session, room, filter, order=order).ids) == found
    first = item_lists.ids(session, room, filter, order=order, limit=3)
    rest = item_lists.ids(session, room, filter, order=order, after=first.after)
    assert [*first.ids, *rest.ids] == found
    assert rest.after is None


def test_orders_go_by_what_they_say(session: Session, room: Collection) -> None:
    def listed(order: Order) -> list[Item]:
        return [one.item for one in item_lists.page(session, room, order=order).items]

    positions = [item.position for item in listed(Order.IMPORT)]
    assert positions == sorted(positions)
    assert [item.position for item in listed(Order.NEWEST)] == positions[::-1]
    doubts = [item.doubt for item in listed(Order.UNCERTAIN)]
    assert doubts == sorted(doubts, reverse=True)
    assert doubts[0] == pytest.approx(0.9)
    shuffles = [item.shuffle for item in listed(Order.RANDOM)]
    assert shuffles == sorted(shuffles)
    assert [item.path for item in listed(Order.NAME)] == [f"{n:04}.jpg" for n in range(COUNT)]


def test_an_item_that_the_filter_does_not_find_has_neighbours_all_the_same(
    session: Session, room: Collection
) -> None:
    """Whoever has just accepted a caption stands beside the ones that wait."""
    ids = item_lists.ids(session, room).ids
    item = items.get(session, ids[8], viewer=None)
    assert item_lists.neighbours(session, item, ItemFilter(state=ReviewState.PENDING)) == (ids[7], ids[9])


@pytest.mark.parametrize("order", Order)
def test_no_page_begins_behind_an_item_of_another_collection(
    session: Session, room: Collection, order: Order
) -> None:
    stranger = item_lists.ids(session, collections.by_name(session, "Lake")).ids[0]
    with pytest.raises(NotFound, match="load the list again"):
        item_lists.page(session, room, order=order, after=stranger)


def test_the_number_of_hits_is_exact_where_the_search_alone_says_more_than(
    session: Session, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection_id, ids, _ = filled(session, 5)
    for item_id in ids:
        session.add(Caption(item_id=item_id, text="A boat.", origin=Origin.MODEL))
    session.flush()
    captions.refresh_review_state(session, ids)
    collection = session.get_one(Collection, collection_id)
    monkeypatch.setattr("catalog.search.MOST_COUNTED", 3)
    assert item_lists.hits(session, collection, ItemFilter(q="boat")) == 4
    assert item_lists.count(session, collection, ItemFilter(q="boat")) == 5
    assert item_lists.hits(session, collection, ItemFilter(q="boat", language="en")) == 5
    assert item_lists.hits(session, collection, EVERYTHING) is None
    assert item_lists.count(session, collection, ItemFilter(state=ReviewState.PENDING)) == 5
    assert MOST_COUNTED == 10_000


def test_a_rejected_caption_leaves_no_doubt(session: Session, room: Collection) -> None:
    item = session.get_one(Item, item_lists.ids(session, room, order=Order.UNCERTAIN).ids[0])
    doubtful = session.query(Caption).filter_by(item_id=item.id).one()
    captions.revise(session, doubtful, version=1, user=None, state=CaptionState.REJECTED)
    assert item_lists.ids(session, room, order=Order.UNCERTAIN).ids[0] != item.id
