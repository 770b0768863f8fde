"""Text search: the same on both databases, kept in step by the database itself."""

from collections.abc import Callable
from itertools import combinations, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from catalog import captions, collections, item_lists, items, search
from catalog.database import Database
from catalog.filters import ItemFilter
from catalog.schema import Caption, CaptionKind, CaptionState, Collection, Item, Origin, ReviewState
from catalog.search import Search

Filled = Callable[..., tuple[int, list[int], int]]
TEXTS = (
    "A brown dog runs along the harbour.",
    "Zwei Boote am Café, O'Brien's; boats_and_piers",
    "क हिन्दी वाक्य",
    "港口的船",
    "Порт и лодки",
    "THE HARBOUR, seen from a boat/ship at 10.30",
)


@pytest.fixture
def collection(session: Session, filled: Filled) -> Collection:
    """An item for each of TEXTS, and one without a caption."""
    collection_id, item_ids, _ = filled(session, len(TEXTS) + 1)
    for item_id, said in zip(item_ids, TEXTS, strict=False):
        session.add(Caption(item_id=item_id, text=said, origin=Origin.MODEL))
    session.flush()
    captions.refresh_review_state(session, item_ids)
    return session.get_one(Collection, collection_id)


def found(session: Session, collection: Collection, q: str, **options: ReviewState) -> list[int]:
    """The numbers of the texts that are found."""
    first = session.scalars(
        select(Item.id).where(Item.collection_id == collection.id).order_by(Item.id)
    ).first()
    page = item_lists.page(session, collection, ItemFilter(q=q, **options))
    assert Search(collection, q, **options).count(session) == len(page.items)
    return [listed.item.id - (first or 0) for listed in page.items]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("harbour", [0, 5]),
        ("HARBOUR dog", [0]),
        ("dog boat", []),
        ("har*", [0, 5]),
        ("harbo*", [0, 5]),
        ("harbours*", []),
        ("h*", [0, 5]),
        ("bo*", [1, 5]),
        ('"brown dog"', [0]),
        ('"dog brown"', []),
        ('"brown dog', [0]),
        ('"the harb"*', [0, 5]),
        ("cafe", [1]),
        ("CAFÉ", [1]),
        ("cafe\u0301", [1]),
        ("o'brien", [1]),
        ("o'br*", [1]),
        ("piers", [1]),
        ("ship", [5]),
        ("10.30", [5]),
        ("हिन्दी", [2]),
        ("हिन्*", [2]),
        ("港口*", [3]),
        ("ЛОДКИ", [4]),
        ("nothing", []),
        ("pending", []),
        ("c1", []),
        ("!!!", []),
        ('"', []),
        ("*", []),
    ],
)
def test_words_are_found(session: Session, collection: Collection, q: str, expected: list[int]) -> None:
    assert found(session, collection, q) == expected


@pytest.mark.parametrize(
    "q",
    [
        "AND",
        "dog OR",
        "NOT dog",
        "text:dog",
        "^dog",
        "(dog",
        "dog)",
        "a:*",
        "'",
        "\\",
        "dog & | !",
        "NEAR(a b)",
        "\x00dog",
        "<->",
        "%s %(query)s :query",
        "{text} : dog",
        "--",
        "; DROP TABLE items",
        "½ ﷺ*",
        "²",
        "😀",
    ],
)
def test_whatever_people_type_is_no_error(session: Session, collection: Collection, q: str) -> None:
    found(session, collection, q)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(q=st.text(min_size=1, max_size=30))
def test_nothing_at_all_is_an_error(session: Session, collection: Collection, q: str) -> None:
    found(session, collection, q)


def test_a_search_stays_in_its_collection_and_state(
    session: Session, collection: Collection, filled: Filled
) -> None:
    other_id, (elsewhere,), _ = filled(session, 1, "Elsewhere")
    session.add(Caption(item_id=elsewhere, text=TEXTS[0], origin=Origin.MODEL, state=CaptionState.ACCEPTED))
    session.flush()
    assert found(session, collection, "harbour") == [0, 5]
    assert found(session, collection, "harbour", state=ReviewState.PENDING) == [0, 5]
    assert found(session, collection, "harbour", state=ReviewState.ACCEPTED) == []
    other = session.get_one(Collection, other_id)
    assert found(session, other, "harbour", state=ReviewState.ACCEPTED) == [0]


def test_the_index_knows_the_states_that_items_have(session: Session, filled: Filled) -> None:
    # Whatever kinds of texts in whatever states an item holds, one or two of them.
    one = [*product(CaptionKind, CaptionState)]
    held = [*((text,) for text in one), *combinations(one, 2)]
    collection_id, item_ids, _ = filled(session, len(held))
    for item_id, texts in zip(item_ids, held, strict=True):
        for kind, state in texts:
            caption = Caption(item_id=item_id, text="Boats", kind=kind, state=state, origin=Origin.IMPORTED)
            session.add(caption)
    session.flush()
    captions.refresh_review_state(session, item_ids)
    session.expire_all()
    collection = session.get_one(Collection, collection_id)
    for state in ReviewState:
        expected = session.scalars(select(Item.id).where(Item.review_state == state).order_by(Item.id)).all()
        page = item_lists.page(session, collection, ItemFilter(q="boats", state=state))
        assert [listed.item.id for listed in page.items] == list(expected)
        assert expected


def test_every_way_of_writing_is_noticed(session: Session, collection: Collection) -> None:
    """Statements of any kind, for the index belongs to the database and not to our services."""
    caption = session.scalars(select(Caption).order_by(Caption.id)).first()
    assert caption
    captions.revise(session, caption, version=1, user=None, text="A cat sleeps.", state=CaptionState.ACCEPTED)
    assert found(session, collection, "cat", state=ReviewState.ACCEPTED) == [0]
    assert found(session, collection, "dog") == []
    session.execute(update(Caption).where(Caption.id == caption.id).values(text="A cow."))
    assert found(session, collection, "cow") == [0]
    captions.write(session, items.get(session, caption.item_id, viewer=None), text="A pig.", user=None)
    assert found(session, collection, "cow pig") == [0]
    session.execute(delete(Caption).where(Caption.id == caption.id))
    assert (found(session, collection, "cow"), found(session, collection, "pig")) == ([], [0])
    session.execute(delete(Item).where(Item.id == caption.item_id))
    assert found(session, collection, "pig") == []
    collections.remove(session, collection, user=None)
    assert session.scalar(text("SELECT count(*) FROM item_texts")) == 0


def test_pages_of_hits_and_neighbours_go_on_by_key(
    database: Database, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several of PostgreSQL's blocks of ids."""
    with database.writing() as session:
        collection_id, item_ids, _ = filled(session, 12)
        for number, item_id in enumerate(item_ids):
            later = 100_000 * (number // 4) + item_id
            session.execute(update(Item).where(Item.id == item_id).values(id=later))
            said = "a boat" if number % 2 else "a ship"
            session.add(Caption(item_id=later, text=said, origin=Origin.MODEL))
            session.flush()
    with database.reading() as session:
        collection = session.get_one(Collection, collection_id)
        boats = list(
            session.scalars(select(Caption.item_id).where(Caption.text == "a boat").order_by(Caption.item_id))
        )
        first = item_lists.page(session, collection, ItemFilter(q="boat"), limit=4)
        assert [listed.item.id for listed in first.items] == boats[:4]
        rest = item_lists.page(session, collection, ItemFilter(q="boat"), limit=4, after=first.after)
        assert [listed.item.id for listed in rest.items] == boats[4:]
        assert rest.after is None
        steps = [
            item_lists.neighbours(session, items.get(session, boat, viewer=None), ItemFilter(q="bo*"))
            for boat in boats
        ]
        assert [behind for _, behind in steps] == [*boats[1:], None]
        assert [before for before, _ in steps] == [None, *boats[:-1]]
        monkeypatch.setattr(search, "MOST_COUNTED", 4)
        assert item_lists.hits(session, collection, ItemFilter(q="boat")) == 5


def test_the_longest_caption_is_indexed(session: Session, filled: Filled) -> None:
    collection_id, (item_id,), _ = filled(session, 1)
    for number in range(40):
        said = " ".join(f"w{number}x{word}" for word in range(1200))
        session.add(Caption(item_id=item_id, text=f"{said} {'l' * 3000}", origin=Origin.MODEL))
    session.flush()
    assert item_lists.hits(session, session.get_one(Collection, collection_id), ItemFilter(q="w3x77")) == 1
