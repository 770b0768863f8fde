"""The grid's endpoints: ids, tiles, thumbnails, and the filter on the page."""

import html
import io
import re
from collections.abc import Callable

import pytest
from PIL import Image as Picture
from sqlalchemy import update

from catalog import captions, items
from catalog.database import Database
from catalog.schema import Draft, Image, Item, User
from dashboard.api.grid import in_runs
from tests.dashboard.visitor import Visitor

NewItems = Callable[[int], list[int]]


@pytest.mark.parametrize(
    ("ids", "runs"),
    [
        ([], ""),
        ([7], "7"),
        ([7, 8, 9, 10], "7+3"),
        ([7, 6, 5, 4], "7-3"),
        ([7, 8, 7, 6, 9], "7+1,7-1,9"),
        ([1, 3, 5, 4], "1,3,5-1"),
    ],
)
def test_ids_in_a_row_are_written_as_runs(ids: list[int], runs: str) -> None:
    assert in_runs(ids) == runs


def test_the_ids_of_a_filter_come_in_its_order_and_go_on(
    admin: Visitor, collection: int, new_items: NewItems
) -> None:
    ids = new_items(7)
    address = f"/collections/{collection}/item-ids"
    whole = {"runs": f"{ids[0]}+6", "after": None, "total": 7}
    assert admin.call("GET", address).json == whole
    newest = admin.call("GET", f"{address}?order=newest&limit=3").json
    assert newest == {"runs": f"{ids[6]}-2", "after": ids[4], "total": 7}
    rest = admin.call("GET", f"{address}?order=newest&after={ids[4]}").json
    assert rest == {"runs": f"{ids[3]}-3", "after": None, "total": 7}
    assert admin.call("GET", f"{address}?path=0003").json["runs"] == str(ids[3])


def test_ids_that_have_not_changed_are_not_sent_again(
    admin: Visitor, collection: int, new_items: NewItems
) -> None:
    new_items(3)
    address = f"/api/v1/collections/{collection}/item-ids"
    first = admin.get(address)
    again = admin.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_tiles_are_drawn_for_items_of_this_collection_only(
    admin: Visitor, collection: int, new_items: NewItems
) -> None:
    ids = new_items(3)
    other = admin.call("POST", "/collections", json={"name": "Lake"}).json["id"]
    tiles = html.unescape(admin.get(f"/collections/{collection}/tiles?q=boat&show={ids[2]},{ids[0]},99").text)
    assert re.findall(r'data-item="(\d+)"', tiles) == [str(ids[0]), str(ids[2])]
    assert f"/items/{ids[0]}?q=boat" in tiles
    assert "<html" not in tiles
    assert "data-item" not in admin.get(f"/collections/{other}/tiles?show={ids[0]}").text
    refused = admin.get(f"/collections/{collection}/tiles?show=1,x")
    assert refused.status_code == 422
    assert "show has &#39;x&#39; in it" in refused.text


def test_strangers_find_neither_ids_nor_tiles_nor_thumbnails(
    reviewer: Visitor, collection: int, item: int
) -> None:
    for address in (
        f"/collections/{collection}",
        f"/collections/{collection}/tiles?show={item}",
        f"/items/{item}/thumbnail",
        f"/api/v1/collections/{collection}/item-ids",
    ):
        assert reviewer.get(address).status_code == 404, address


def test_nobody_learns_where_a_strangers_photo_stands(reviewer: Visitor, admin: Visitor, item: int) -> None:
    own = reviewer.call("POST", "/collections", json={"name": "Mine"}).json["id"]
    for address in (f"/collections/{own}/item-ids", f"/collections/{own}/items"):
        assert reviewer.call("GET", f"{address}?order=name&after={item}").status_code == 404


def test_a_thumbnail_is_small_and_is_kept(
    admin: Visitor, database: Database, item: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = io.BytesIO()
    Picture.effect_noise((1024, 600), 60).convert("RGB").save(large, "JPEG")
    services = admin.application.extensions["recaption"]
    with database.writing() as session:
        session.execute(update(Image).values(rendition=services.blobs.put(large.getvalue())))
    answer = admin.get(f"/items/{item}/thumbnail")
    with Picture.open(io.BytesIO(answer.data)) as picture:
        assert picture.size == (320, 188)
    assert answer.mimetype == "image/jpeg"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000"
    monkeypatch.setattr(type(services.blobs), "read", None)
    again = admin.get(f"/items/{item}/thumbnail", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_another_rendition_has_another_address(admin: Visitor, collection: int, item: int) -> None:
    page = admin.get(f"/collections/{collection}").text
    assert re.search(rf"/items/{item}/thumbnail\?v=[0-9a-f]{{12}}", page)


def test_a_tile_knows_the_draft_of_whoever_looks(
    admin: Visitor, database: Database, collection: int, item: int
) -> None:
    with database.writing() as session:
        ada = session.query(User).filter_by(name="ada").one()
        held = items.get(session, item, viewer=None)
        caption = captions.write(session, held, text="Two boats.", user=None)
        captions.save_draft(session, held, user=ada, text="Three boats.", caption=caption)
    tile = admin.get(f"/collections/{collection}").text
    assert 'data-draft="Three boats."' in tile
    with database.writing() as session:
        session.execute(update(Draft).values(caption_id=None, caption_version=None))
    tile = admin.get(f"/collections/{collection}").text
    assert "data-drafted-elsewhere" in tile
    assert "Three boats." not in tile


def test_the_filter_stands_in_the_fields_and_each_condition_can_be_taken_away(
    admin: Visitor, collection: int, new_items: NewItems
) -> None:
    new_items(3)
    words = "state=pending&language=en&above=0.5&assignee=-&ids=1,2&order=random"
    page = html.unescape(admin.get(f"/collections/{collection}?{words}").text)
    assert 'name="language" form="filter" value="en"' in page
    assert '<option value="random" selected>' in page
    assert '<input type="hidden" name="ids" value="1,2">' in page
    chips = re.findall(r'<li><a href="([^"]+)"><span class="chip-name">([^<]+)</span> ([^<]+) <', page)
    assert [(name, said) for _, name, said in chips] == [
        ("State", "pending"),
        ("Language", "en"),
        ("Confidence from", "0.5"),
        ("Assigned to", "nobody"),
        ("Ticked", "2 photos"),
    ]
    assert chips[1][0] == f"/collections/{collection}?state=pending&above=0.5&assignee=-&ids=1,2&order=random"
    assert f'href="/collections/{collection}?order=random">Clear all' in page
    assert "No photo is like that" in page


def test_the_filter_goes_along_into_review(admin: Visitor, collection: int, new_items: NewItems) -> None:
    ids = new_items(3)
    page = html.unescape(admin.get(f"/collections/{collection}?path=.png&order=newest").text)
    assert "3 hits" in page
    address = f"/collections/{collection}/review?path=.png&order=newest"
    assert f'href="{address}"' in page
    assert admin.get(address).location == f"/items/{ids[2]}?path=.png&order=newest"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("state=done", "state 'done' is unknown; use one of"),
        ("order=best", "order 'best' is unknown; use one of"),
        ("since=monday", "since 'monday' is no day; write it as 2026-01-31"),
        ("above=2", "above '2' is no confidence; give a number from 0 to 1"),
        ("ids=all", "ids has 'all' in it"),
    ],
)
def test_wrong_words_in_an_address_are_refused_in_a_sentence(
    admin: Visitor, collection: int, item: int, words: str, said: str
) -> None:
    for page in ("", "/review", "/tiles"):
        answer = admin.get(f"/collections/{collection}{page}?{words}&show={item}")
        assert answer.status_code == 422
        assert said in html.unescape(answer.text)


def test_items_that_were_ticked_are_reviewed_in_their_order(
    admin: Visitor, collection: int, new_items: NewItems
) -> None:
    ids = new_items(4)
    start = admin.get(f"/collections/{collection}/review?ids={ids[3]},{ids[1]}")
    assert start.location == f"/items/{ids[1]}?ids={ids[1]},{ids[3]}"
    page = html.unescape(admin.get(start.location).text)
    assert f'rel="next" href="/items/{ids[3]}?ids={ids[1]},{ids[3]}"' in page


def test_items_of_nobody_and_of_somebody_are_told_apart(
    admin: Visitor, database: Database, collection: int, new_items: NewItems
) -> None:
    ids = new_items(2)
    with database.writing() as session:
        ada = session.query(User).filter_by(name="ada").one()
        session.execute(update(Item).where(Item.id == ids[1]).values(assignee_id=ada.id))
    address = f"/collections/{collection}/item-ids?assignee="
    assert admin.call("GET", f"{address}ada").json["runs"] == str(ids[1])
    assert admin.call("GET", f"{address}-").json["runs"] == str(ids[0])
