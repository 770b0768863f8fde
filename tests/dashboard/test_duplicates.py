"""Near-duplicates: the page and the API."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from catalog import near_duplicates
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.schema import Image, Item
from catalog.settings import Settings
from tests.dashboard.visitor import Visitor


@pytest.fixture
def alike(database: Database, new_items: Callable[[int], list[int]]) -> list[int]:
    """The ids of four items: the first and the last two look alike."""
    ids = new_items(4)
    with database.writing() as session:
        for item_id, dhash in zip(ids, (0x1234_5678, 0x1234_5679, -0x7777, -0x7777), strict=True):
            image_id = select(Item.image_id).where(Item.id == item_id).scalar_subquery()
            session.execute(update(Image).where(Image.id == image_id).values(dhash=dhash))
    return ids


def test_the_page_shows_groups_with_what_tells_their_photos_apart(
    admin: Visitor, collection: int, alike: list[int], captioned: Callable[[], int]
) -> None:
    captioned()
    page = admin.get(f"/collections/{collection}/duplicates").text
    assert "2 groups of photos that look alike" in page
    assert page.count("<section") == 2
    assert "PNG · 96 × 64 · 12 Bytes" in page
    assert f'src="/items/{alike[0]}/picture"' in page
    assert page.count("A brown dog runs across a field.") == 4
    assert "recaption doctor" not in page
    assert f'href="/collections/{collection}/duplicates"' in admin.get(f"/collections/{collection}").text


def test_keeping_a_group_takes_it_off_the_page(admin: Visitor, collection: int, alike: list[int]) -> None:
    address = f"/collections/{collection}/duplicates"
    answer = admin.submit(f"{address}/keep", {"item": alike[:2]})
    assert (answer.status_code, answer.location) == (303, address)
    assert "1 group of photos" in admin.get(address).text


def test_skipping_takes_a_photo_and_its_blobs_out(
    admin: Visitor, collection: int, alike: list[int], settings: Settings
) -> None:
    address = f"/collections/{collection}/duplicates"
    answer = admin.submit(f"{address}/skip/{alike[0]}?after=1", {})
    assert (answer.status_code, answer.location) == (303, f"{address}?after=1")
    assert admin.get(f"/items/{alike[0]}").status_code == 404
    assert len(list(open_blobs(settings).keys())) == 6
    assert "1 group of photos" in admin.get(address).text


def test_what_people_wrote_is_only_deleted_when_they_say_so(
    admin: Visitor, collection: int, alike: list[int]
) -> None:
    address = f"/collections/{collection}/duplicates"
    admin.call("POST", f"/items/{alike[0]}/captions", json={"text": "A boat."})
    assert admin.get(address).text.count("Delete what people wrote and decided too") == 1
    refused = admin.submit(f"{address}/skip/{alike[0]}", {})
    assert refused.status_code == 409
    assert "people worked on" in refused.text
    assert admin.call("POST", f"{address}/skip", json={"item_id": alike[0]}).status_code == 409
    assert admin.get(f"/items/{alike[0]}").status_code == 200
    assert admin.submit(f"{address}/skip/{alike[0]}", {"confirmed": "y"}).status_code == 303
    assert admin.get(f"/items/{alike[0]}").status_code == 404


def test_photos_from_before_there_were_hashes_are_mentioned(
    admin: Visitor, collection: int, item: int
) -> None:
    page = admin.get(f"/collections/{collection}/duplicates").text
    assert "1 photo was imported before" in page
    assert "No near-duplicates" in page


def test_the_api_lists_keeps_and_skips_page_by_page(
    admin: Visitor, collection: int, alike: list[int]
) -> None:
    address = f"/collections/{collection}/duplicates"
    first = admin.call("GET", f"{address}?limit=1").json
    assert (first["total"], first["unhashed"], first["after"]) == (2, 0, alike[0])
    (group,) = first["groups"]
    assert (group["id"], group["size"]) == (alike[0], 2)
    assert [twin["item"]["id"] for twin in group["twins"]] == alike[:2]
    twin = group["twins"][0]
    assert (twin["bytes"], twin["identical"], twin["touched"], twin["kept"]) == (12, False, False, False)
    rest = admin.call("GET", f"{address}?after={first['after']}").json
    assert [group["id"] for group in rest["groups"]] == [alike[2]]
    assert admin.call("POST", f"{address}/keep", json={"item_ids": alike[:2]}).json == {"kept": 2}
    assert admin.call("POST", f"{address}/skip", json={"item_id": alike[2]}).status_code == 204
    assert admin.call("GET", address).json["total"] == 0


def test_strangers_see_and_change_nothing(
    reviewer: Visitor, database: Database, collection: int, alike: list[int]
) -> None:
    address = f"/collections/{collection}/duplicates"
    assert reviewer.get(address).status_code == 404
    assert reviewer.call("GET", address).status_code == 404
    assert reviewer.submit(f"{address}/keep", {"item": alike}).status_code == 404
    assert reviewer.submit(f"{address}/skip/{alike[0]}", {}).status_code == 404
    assert reviewer.call("POST", f"{address}/skip", json={"item_id": alike[0]}).status_code == 404
    with database.reading() as session:
        assert not any(session.scalars(select(Item.twins_kept)))
        assert len(session.scalars(select(Item.id)).all()) == 4


def test_an_item_of_another_collection_is_not_skipped(
    admin: Visitor, collection: int, alike: list[int]
) -> None:
    other = admin.call("POST", "/collections", json={"name": "Attic"}).json["id"]
    answer = admin.call("POST", f"/collections/{other}/duplicates/skip", json={"item_id": alike[0]})
    assert answer.status_code == 404
    assert admin.get(f"/items/{alike[0]}").status_code == 200


def test_forms_without_their_token_are_refused(admin: Visitor, collection: int, alike: list[int]) -> None:
    address = f"/collections/{collection}/duplicates"
    assert admin.post(f"{address}/keep", data={"item": alike}).status_code == 400
    assert admin.post(f"{address}/skip/{alike[0]}").status_code == 400
    assert admin.get(f"/items/{alike[0]}").status_code == 200


def test_a_group_too_large_for_the_page_says_how_much_of_it_is_there(
    admin: Visitor, collection: int, alike: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "SHOWN", 1)
    page = admin.get(f"/collections/{collection}/duplicates").text
    assert "2 photos, 1 of them here" in page
    assert "Keep all 1" in page
