"""Collections on pages and in the API: made, seen, shared, deleted."""

from collections.abc import Callable

from catalog import accounts, collections
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.schema import Collection
from catalog.settings import Settings
from tests.dashboard.visitor import Visitor


def join(database: Database, collection_id: int, name: str) -> None:
    with database.writing() as session:
        collection = session.get_one(Collection, collection_id)
        collections.add_member(session, collection, accounts.by_name(session, name))


def test_an_empty_house_says_what_to_do(admin: Visitor) -> None:
    page = admin.get("/").text
    assert "No collections yet" in page
    assert "Create collection" in page


def test_who_makes_a_collection_sees_it(reviewer: Visitor) -> None:
    made = reviewer.submit("/collections", {"name": "Holiday", "guidelines": "Be kind."})
    assert made.status_code == 303
    page = reviewer.get(made.location).text
    assert "Holiday" in page
    assert "Be kind." in page
    assert "Drop photos, folders or zips here" in page


def test_a_name_that_is_taken_is_a_conflict(admin: Visitor, collection: int) -> None:
    answer = admin.call("POST", "/collections", json={"name": "Harbour"})
    assert answer.status_code == 409
    assert "choose another name" in answer.json["detail"]
    assert admin.submit("/collections", {"name": "Harbour"}).status_code == 409


def test_a_name_of_blanks_is_refused(admin: Visitor) -> None:
    assert admin.submit("/collections", {"name": "   "}).status_code == 422
    assert admin.call("POST", "/collections", json={"name": "   "}).status_code == 422


def test_a_field_that_the_api_does_not_know_is_refused(admin: Visitor) -> None:
    answer = admin.call("POST", "/collections", json={"name": "Holiday", "guidlines": "typo"})
    assert answer.status_code == 422
    assert "guidlines" in answer.json["errors"]["json"]


def test_names_are_text_and_never_markup(admin: Visitor) -> None:
    admin.submit("/collections", {"name": "<b>bold</b>"})
    page = admin.get("/").text
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page


def test_counts_by_review_state_are_shown(
    admin: Visitor, collection: int, new_items: Callable[[int], list[int]], captioned: Callable[[], int]
) -> None:
    new_items(3)
    captioned()
    shown = admin.call("GET", f"/collections/{collection}").json
    assert shown["total"] == 3
    assert shown["states"] == {"pending": 3}
    assert "3 pending" in admin.get("/").text


def test_the_grid_goes_on_where_the_page_ended(
    admin: Visitor, collection: int, new_items: Callable[[int], list[int]]
) -> None:
    ids = new_items(65)
    first = admin.get(f"/collections/{collection}").text
    more = f"/collections/{collection}?after={ids[59]}"
    assert first.count('class="tile"') == 60
    assert more in first
    rest = admin.get(more).text
    assert rest.count('class="tile"') == 5
    assert 'id="more"' not in rest


def test_the_filter_of_the_address_holds_for_the_grid(
    admin: Visitor, collection: int, new_items: Callable[[int], list[int]], captioned: Callable[[], int]
) -> None:
    new_items(2)
    captioned()
    address = f"/collections/{collection}?state="
    assert admin.get(address + "pending").text.count('class="tile"') == 2
    assert "No accepted photos" in admin.get(address + "accepted").text
    refused = admin.get(address + "nonsense")
    assert refused.status_code == 422
    assert "use one of uncaptioned, pending" in refused.text


def test_reviewers_see_the_collections_that_they_are_members_of(
    reviewer: Visitor, database: Database, collection: int
) -> None:
    assert "Harbour" not in reviewer.get("/").text
    assert reviewer.call("GET", "/collections").json == []
    join(database, collection, "bob")
    assert "Harbour" in reviewer.get("/").text
    assert reviewer.get(f"/collections/{collection}").status_code == 200


def test_another_users_collection_and_all_in_it_is_not_found(
    reviewer: Visitor, collection: int, item: int, caption: int, captioned: Callable[[], int]
) -> None:
    job = captioned()
    pages = [
        f"/collections/{collection}",
        f"/collections/{collection}/members",
        f"/collections/{collection}/export",
        f"/collections/{collection}/review",
        f"/items/{item}",
        f"/items/{item}/picture",
        f"/items/{item}/original",
        f"/items/{item}/mine",
        f"/jobs/{job}",
    ]
    calls = [
        f"/collections/{collection}",
        f"/collections/{collection}/items",
        f"/collections/{collection}/export",
        f"/items/{item}",
        f"/items/{item}/captions",
        f"/captions/{caption}",
        f"/jobs/{job}",
    ]
    assert [reviewer.get(page).status_code for page in pages] == [404] * len(pages)
    assert [reviewer.call("GET", call).status_code for call in calls] == [404] * len(calls)
    change = reviewer.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "Mine now."})
    assert change.status_code == 404
    assert reviewer.call("DELETE", f"/items/{item}").status_code == 404
    assert reviewer.submit(f"/collections/{collection}/jobs", {"mode": "fill"}).status_code == 404


def test_an_id_of_others_and_one_that_never_was_are_told_apart_by_nothing(
    reviewer: Visitor, item: int
) -> None:
    hidden = reviewer.call("GET", f"/items/{item}").json
    absent = reviewer.call("GET", "/items/777").json
    assert hidden["detail"].replace(str(item), "777") == absent["detail"]


def test_admins_add_and_remove_members(
    admin: Visitor, reviewer: Visitor, database: Database, collection: int
) -> None:
    address = f"/collections/{collection}/members"
    assert admin.submit(address, {"name": "BOB"}).status_code == 303
    assert reviewer.get(f"/collections/{collection}").status_code == 200
    with database.reading() as session:
        bob = accounts.by_name(session, "bob").id
    assert admin.submit(f"{address}/{bob}/remove", {}).status_code == 303
    assert reviewer.get(f"/collections/{collection}").status_code == 404


def test_reviewers_change_no_members_and_delete_no_collection(
    reviewer: Visitor, database: Database, collection: int
) -> None:
    join(database, collection, "bob")
    assert reviewer.submit(f"/collections/{collection}/members", {"name": "bob"}).status_code == 403
    assert reviewer.submit(f"/collections/{collection}/delete", {}).status_code == 403
    assert reviewer.call("DELETE", f"/collections/{collection}").status_code == 403
    assert "Delete…" not in reviewer.get(f"/collections/{collection}").text
    assert reviewer.get(f"/collections/{collection}").status_code == 200


def test_deleting_a_collection_takes_its_blobs_along(
    admin: Visitor, settings: Settings, collection: int, new_items: Callable[[int], list[int]]
) -> None:
    new_items(2)
    assert "2 photos" in admin.get(f"/collections/{collection}/delete").text
    assert admin.submit(f"/collections/{collection}/delete", {}).location == "/"
    assert "“Harbour” is deleted; 4 stored files were removed with it." in admin.get("/").text
    assert "is deleted" not in admin.get("/").text
    assert admin.get(f"/collections/{collection}").status_code == 404
    assert list(open_blobs(settings).keys()) == []
