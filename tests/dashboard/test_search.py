"""Searching on the page of a collection, in review and in the API."""

import html
from collections.abc import Callable

import pytest

from catalog import items
from catalog import search as catalog_search
from catalog.captions import write
from catalog.database import Database
from dashboard.api import schemas
from tests.dashboard.visitor import Visitor


@pytest.fixture
def boats(database: Database, new_items: Callable[[int], list[int]]) -> list[int]:
    """The ids of 70 photos; every second one has a boat in its caption."""
    ids = new_items(140)
    with database.writing() as session:
        for number, item_id in enumerate(ids):
            said = "A boat." if number % 2 else "A tree."
            write(session, items.get(session, item_id, viewer=None), text=said, user=None)
    return ids[1::2]


def test_the_page_shows_hits_and_keeps_the_words_in_every_link(
    admin: Visitor, collection: int, boats: list[int]
) -> None:
    page = html.unescape(admin.get(f"/collections/{collection}?q=BOAT&state=accepted").text)
    assert page.count('class="tile"') == 60
    assert "70 hits among the accepted" in page
    assert f"/collections/{collection}?after={boats[59]}&state=accepted&q=BOAT" in page
    assert f"/items/{boats[0]}?state=accepted&q=BOAT" in page
    assert f"/collections/{collection}?state=pending&q=BOAT" in page
    assert 'value="BOAT"' in page
    rest = admin.get(f"/collections/{collection}?state=accepted&q=BOAT&after={boats[59]}").text
    assert rest.count('class="tile"') == 10


def test_review_goes_from_hit_to_hit(admin: Visitor, collection: int, boats: list[int]) -> None:
    start = admin.get(f"/collections/{collection}/review?q=boat")
    assert start.location == f"/items/{boats[0]}?q=boat"
    page = html.unescape(admin.get(f"/items/{boats[1]}?q=boat").text)
    assert f'rel="prev" href="/items/{boats[0]}?q=boat"' in page
    assert f'rel="next" href="/items/{boats[2]}?q=boat"' in page
    assert "Captions say: boat" in page
    nothing = admin.get(f"/collections/{collection}/review?q=zebra")
    assert nothing.location == f"/collections/{collection}?q=zebra"


def test_what_is_not_found_is_said_and_signs_do_no_harm(
    admin: Visitor, collection: int, boats: list[int]
) -> None:
    assert "No caption says that" in admin.get(f"/collections/{collection}?q=zebra").text
    answer = admin.get(f"/collections/{collection}", query_string={"q": '"<b> AND (*:'})
    assert answer.status_code == 200
    assert "&lt;b&gt; AND" in answer.text
    assert "hits" not in admin.get(f"/collections/{collection}?q=+").text


def test_the_api_finds_the_same(
    admin: Visitor, collection: int, boats: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = admin.call("GET", f"/collections/{collection}/items?q=boa*&state=accepted&limit=2").json
    assert [one["item"]["id"] for one in found["items"]] == boats[:2]
    assert (found["after"], found["hits"]) == (boats[1], 70)
    assert admin.call("GET", f"/collections/{collection}/items").json["hits"] is None
    too_long = "x" * (schemas.LONGEST_QUERY + 1)
    assert admin.call("GET", f"/collections/{collection}/items?q={too_long}").status_code == 422
    monkeypatch.setattr(catalog_search, "MOST_COUNTED", 50)
    assert admin.call("GET", f"/collections/{collection}/items?q=boat").json["hits"] == 51


def test_lists_of_the_api_lead_to_their_next_page(admin: Visitor, collection: int) -> None:
    for name in ("Lake", "Attic"):
        admin.call("POST", "/collections", json={"name": name})
    first = admin.call("GET", "/collections?limit=2")
    assert [one["name"] for one in first.json] == ["Attic", "Harbour"]
    assert first.headers["Link"] == f'</api/v1/collections?limit=2&after={collection}>; rel="next"'
    rest = admin.call("GET", f"/collections?limit=2&after={collection}")
    assert [one["name"] for one in rest.json] == ["Lake"]
    assert "Link" not in rest.headers
