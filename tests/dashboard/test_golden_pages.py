"""Pages of golden sets: drawn, captioned blind and frozen, with no text of the model for who writes."""

import re
from collections.abc import Callable

import pytest
from apiflask import APIFlask
from sqlalchemy import select, update

from catalog import datasets
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.schema import (
    Caption,
    CaptionState,
    Dataset,
    DatasetKind,
    GoldenItem,
    GoldenReference,
    Image,
    Membership,
    Split,
    User,
)
from catalog.settings import Settings
from tests.dashboard.conftest import MODEL_TEXT
from tests.dashboard.visitor import Visitor

SIZE = 3


@pytest.fixture(autouse=True)
def photos(
    admin: Visitor,
    reviewer: Visitor,
    database: Database,
    collection: int,
    new_items: Callable[[int], list[int]],
    captioned: Callable[[], int],
) -> list[int]:
    """Three photos that the model has captioned, in a collection that bob may see."""
    ids = new_items(SIZE)
    captioned()
    with database.writing() as session:
        bob = session.scalars(select(User.id).where(User.name == "bob")).one()
        session.add(Membership(collection_id=collection, user_id=bob))
    return ids


@pytest.fixture
def drawn(admin: Visitor, photos: list[int], collection: int) -> int:
    """The id of a golden set of the three photos, with one caption each to write."""
    return draw(admin, collection)


def draw(visitor: Visitor, collection: int, **fields: str) -> int:
    """Draw a golden set through the form, and return its id."""
    said = {"name": "pier-golden", "size": str(SIZE), "references_each": "1", "language": "en", **fields}
    answer = visitor.submit(f"/collections/{collection}/golden-sets", said)
    assert answer.status_code == 303, answer.text
    return int(answer.headers["Location"].rpartition("/")[2])


def shown_item(page: str) -> int:
    """The photo that the blind page shows."""
    found = re.search(r'name="item" value="(\d+)"', page)
    assert found
    return int(found[1])


def write(visitor: Visitor, golden_set: int, text: str = "Two boats lie in the harbour.") -> str:
    """Caption the next photo, and return the page that follows."""
    address = f"/golden-sets/{golden_set}/write"
    item = shown_item(visitor.get(address).text)
    answer = visitor.submit(address, {"item": str(item), "text": text}, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_set_is_captioned_photo_after_photo_and_frozen(
    admin: Visitor, database: Database, collection: int, drawn: int
) -> None:
    address = f"/golden-sets/{drawn}"
    assert "0 of 3 captions" in admin.get(address).text
    early = admin.submit(f"{address}/freeze", {})
    assert early.status_code == 409
    for _ in range(SIZE - 1):
        assert "Save &amp; next" in write(admin, drawn)
    assert "3 of 3 captions" in write(admin, drawn)
    assert "ada" in admin.get(address).text
    frozen = admin.submit(f"{address}/freeze", {}, follow_redirects=True)
    assert frozen.status_code == 200
    assert "pier-golden" in frozen.text
    with database.reading() as session:
        dataset = session.scalars(select(Dataset)).one()
        assert (dataset.kind, dataset.images, dataset.captions) == (DatasetKind.GOLDEN, SIZE, SIZE)
    assert f'href="/datasets/{dataset.id}"' in admin.get(address).text
    assert "frozen" in admin.get(f"/collections/{collection}/golden-sets").text


def test_the_blind_page_and_all_that_it_loads_hold_no_text_of_the_model(admin: Visitor, drawn: int) -> None:
    page = admin.get(f"/golden-sets/{drawn}/write")
    assert page.status_code == 200
    item = shown_item(page.text)
    own = set(re.findall(r'(?:src|href|action|data-[\w-]+)="(/[^"]*)"', page.text))
    loaded = [
        one
        for one in own
        if one.startswith(("/static/", "/bootstrap/", f"/items/{item}", f"/golden-sets/{drawn}"))
    ]
    assert f"/items/{item}/picture" in loaded
    assert not [one for one in own if one.startswith("/api/")]
    for address in loaded:
        answer = admin.get(address.replace("&amp;", "&"), follow_redirects=True)
        assert MODEL_TEXT.encode() not in answer.data, address
        assert b"brown dog" not in answer.data, address
    assert "brown dog" not in page.text
    assert "A dog plays outside" not in page.text


def test_the_review_page_and_the_grid_keep_texts_from_whoever_is_to_be_blind(
    admin: Visitor, reviewer: Visitor, collection: int, drawn: int
) -> None:
    item = shown_item(admin.get(f"/golden-sets/{drawn}/write").text)
    grids = (f"/collections/{collection}", f"/collections/{collection}/tiles?show={item}")
    for address in (f"/items/{item}", *grids):
        page = admin.get(address).text
        assert "brown dog" not in page, address
        assert "pier-golden" in page, address
    assert f'href="/golden-sets/{drawn}/write"' in admin.get(f"/items/{item}").text
    admin.submit(f"/golden-sets/{drawn}/write", {"item": str(item), "text": "Two boats."})
    # The photo has its one caption, so nobody has to be blind any more.
    for visitor in (admin, reviewer):
        assert MODEL_TEXT in visitor.get(f"/items/{item}").text
        assert "Two boats." in visitor.get(grids[1]).text


def test_with_two_captions_each_the_second_person_stays_blind(
    admin: Visitor, reviewer: Visitor, collection: int
) -> None:
    golden_set = draw(admin, collection, references_each="2")
    address = f"/golden-sets/{golden_set}/write"
    item = shown_item(admin.get(address).text)
    admin.submit(address, {"item": str(item), "text": "Two boats."})
    assert MODEL_TEXT in admin.get(f"/items/{item}").text
    assert MODEL_TEXT not in reviewer.get(f"/items/{item}").text
    for _ in range(SIZE):
        assert "Two boats" not in reviewer.get(address).text
        write(reviewer, golden_set, "A pier.")
    standing = reviewer.get(f"/golden-sets/{golden_set}").text
    assert "4 of 6 captions" in standing
    assert "ada" in standing
    assert "bob" in standing
    assert reviewer.get(address).status_code == 302


def test_a_photo_is_skipped_and_comes_again_at_the_end(admin: Visitor, drawn: int) -> None:
    address = f"/golden-sets/{drawn}/write"
    seen = []
    for _ in range(SIZE):
        page = admin.get(address).text
        seen.append(shown_item(page))
        found = re.search(r'data-skip href="([^"]+)"', page)
        assert found
        address = found[1]
    assert len(set(seen)) == SIZE
    assert shown_item(admin.get(address).text) == seen[0]
    kept = admin.submit(
        f"/golden-sets/{drawn}/write", {"item": str(seen[0]), "text": "A pier.", "skip": str(seen[1])}
    )
    assert kept.headers["Location"].endswith(f"?skip={seen[1]}")


def test_what_cannot_be_written_is_refused_with_the_reason(
    admin: Visitor, database: Database, drawn: int
) -> None:
    address = f"/golden-sets/{drawn}/write"
    item = shown_item(admin.get(address).text)
    assert admin.submit(address, {"item": str(item), "text": "  "}).status_code == 422
    assert admin.submit(address, {"item": "99", "text": "A pier."}).status_code == 404
    assert admin.get(f"{address}?skip=pier").status_code == 422
    with database.reading() as session:
        assert session.scalars(select(GoldenReference)).all() == []


def test_what_cannot_be_drawn_is_refused_with_the_reason(
    admin: Visitor, database: Database, collection: int
) -> None:
    address = f"/collections/{collection}/golden-sets"
    fields = {"name": "pier-golden", "size": "3", "references_each": "1", "language": "en"}
    for wrong, reason in (
        ({"size": "0"}, "Draw at least one photo"),
        ({"size": "many"}, "Draw at least one photo"),
        ({"name": ""}, "Give the golden set a name"),
        ({"references_each": "0"}, "from 1 to 10"),
    ):
        refused = admin.submit(address, fields | wrong)
        assert refused.status_code == 422, wrong
        assert reason in refused.text, wrong
    assert admin.submit(address, fields | {"size": "4"}).status_code in (409, 422)
    with database.reading() as session:
        assert session.scalars(select(GoldenItem)).all() == []


def test_a_golden_set_of_others_is_hidden(
    app: APIFlask, collection: int, drawn: int, new_user: Callable[..., User]
) -> None:
    new_user("grace")
    stranger = app.test_client()
    assert isinstance(stranger, Visitor)
    stranger.log_in("grace")
    for address in (
        f"/collections/{collection}/golden-sets",
        f"/golden-sets/{drawn}",
        f"/golden-sets/{drawn}/write",
    ):
        assert stranger.get(address).status_code == 404
    for action in ("write", "freeze"):
        assert (
            stranger.submit(f"/golden-sets/{drawn}/{action}", {"item": "1", "text": "A"}).status_code == 404
        )


def test_the_dataset_from_before_keeps_texts_from_whoever_is_to_be_blind(
    admin: Visitor, reviewer: Visitor, database: Database, settings: Settings, collection: int
) -> None:
    with database.writing() as session:
        session.execute(update(Caption).values(state=CaptionState.ACCEPTED))
        session.execute(update(Image).values(split=Split.TEST))
    frozen = datasets.freeze(database, open_blobs(settings), collection, "harbour").dataset_id
    assert reviewer.get(f"/datasets/{frozen}").text.count(MODEL_TEXT) == SIZE
    draw(admin, collection)
    page = reviewer.get(f"/datasets/{frozen}").text
    assert MODEL_TEXT not in page
    assert page.count("In the golden set pier-golden: caption it blind") == SIZE
