"""The queue of reviewers, leases and assignment over the REST API and by the button of the collection."""

from collections.abc import Callable

import pytest

from catalog import collections
from catalog.database import Database
from catalog.schema import Collection, User
from tests.dashboard.visitor import Visitor

Queue = Callable[..., int | None]


@pytest.fixture
def ids(new_items: Callable[[int], list[int]], captioned: Callable[[], int]) -> list[int]:
    """Three photos, each with a caption that waits."""
    ids = new_items(3)
    captioned()
    return ids


@pytest.fixture
def member(database: Database, collection: int, reviewer: Visitor) -> Visitor:
    """Bob, who may see Harbour."""
    with database.writing() as session:
        bob = session.query(User).where(User.name == "bob").one()
        collections.add_member(session, session.get_one(Collection, collection), bob)
    return reviewer


@pytest.fixture
def given(collection: int) -> Callable[..., int | None]:
    """A function that asks the queue for the next photo that waits; None for an answer 204."""

    def ask(visitor: Visitor, query: str = "state=pending", **body: object) -> int | None:
        answer = visitor.call("POST", f"/collections/{collection}/queue/next?{query}", json=body)
        assert answer.status_code in (200, 204), answer.text
        return int(answer.json["item_id"]) if answer.status_code == 200 else None

    return ask


def test_the_queue_gives_two_people_different_photos_and_says_when_nothing_is_left(
    admin: Visitor, member: Visitor, given: Queue, ids: list[int]
) -> None:
    assert [given(admin), given(member), given(admin, behind=ids[0])] == ids
    assert given(member, behind=ids[1]) is None
    assert given(member, skip=[ids[1]]) is None


def test_the_address_of_the_next_photo_keeps_filter_and_order(
    admin: Visitor, collection: int, ids: list[int]
) -> None:
    query = "state=pending&order=newest"
    answer = admin.call("POST", f"/collections/{collection}/queue/next?{query}", json={})
    assert answer.json == {"item_id": ids[2], "url": f"/items/{ids[2]}?{query}"}


def test_the_button_of_the_collection_leads_past_what_others_are_at(
    admin: Visitor, member: Visitor, given: Queue, collection: int, ids: list[int]
) -> None:
    address = f"/collections/{collection}/review?state=pending"
    assert admin.get(address).location == f"/items/{ids[0]}?state=pending"
    assert member.get(address).location == f"/items/{ids[1]}?state=pending"
    assert given(admin, behind=ids[0]) == ids[2]


def test_whoever_opens_a_photo_learns_who_is_at_it_until_it_is_let_go_of(
    admin: Visitor, member: Visitor, ids: list[int]
) -> None:
    lease = f"/items/{ids[0]}/lease"
    assert member.call("PUT", lease).json["holder"] is None
    assert admin.call("PUT", lease).json["holder"] == "bob"
    assert admin.call("DELETE", lease).status_code == 204
    assert admin.call("PUT", lease).json["holder"] == "bob"
    assert member.call("DELETE", lease).status_code == 204
    assert admin.call("PUT", lease).json["holder"] is None
    assert member.call("PUT", lease).json["holder"] == "ada"
    admin.call("DELETE", f"/items/{ids[0]}")
    assert admin.call("DELETE", lease).status_code == 204, "pages that end let go of what they showed"


def test_an_assigned_photo_comes_to_its_assignee_alone(
    admin: Visitor, member: Visitor, given: Queue, ids: list[int]
) -> None:
    assigned = admin.call("PUT", f"/items/{ids[0]}/assignee", json={"name": "Bob"})
    assert assigned.json == {"name": "bob"}
    assert given(admin) == ids[1]
    assert given(member) == ids[0]
    assert member.call("PUT", f"/items/{ids[0]}/assignee", json={"name": None}).json == {"name": None}
    member.call("DELETE", f"/items/{ids[0]}/lease")
    assert given(admin) == ids[0]


@pytest.mark.parametrize("name", ["carl", "nobody"])
def test_only_those_who_may_see_the_collection_are_assigned_its_photos(
    admin: Visitor, new_user: Callable[..., User], ids: list[int], name: str
) -> None:
    new_user("carl")
    refused = admin.call("PUT", f"/items/{ids[0]}/assignee", json={"name": name})
    assert refused.status_code == 422
    assert f"'{name}' is no member of 'Harbour'" in refused.json["detail"]


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/collections/{collection}/queue/next"),
        ("PUT", "/items/{item}/lease"),
        ("PUT", "/items/{item}/assignee"),
    ],
)
def test_what_is_not_for_these_eyes_is_not_there(
    reviewer: Visitor, collection: int, ids: list[int], method: str, address: str
) -> None:
    body = {"json": {"name": "bob"} if "assignee" in address else {}} if "lease" not in address else {}
    answer = reviewer.call(method, address.format(collection=collection, item=ids[0]), **body)
    assert answer.status_code == 404


def test_words_that_say_nothing_are_refused(admin: Visitor, collection: int) -> None:
    for query in ("order=best", "state=good", "above=2"):
        answer = admin.call("POST", f"/collections/{collection}/queue/next?{query}", json={})
        assert answer.status_code == 422, query


def test_progress_is_told_to_the_page_and_to_programs(
    admin: Visitor, member: Visitor, collection: int, ids: list[int]
) -> None:
    for visitor, item_id in ((admin, ids[0]), (member, ids[1])):
        (held,) = visitor.call("GET", f"/items/{item_id}/captions").json
        change = {"version": 1, "state": "accepted"}
        assert visitor.call("PATCH", f"/captions/{held['caption']['id']}", json=change).status_code == 200
    told = admin.call("GET", f"/collections/{collection}/progress").json
    assert (told["left"], told["decisions"]["total"]) == (1, 2)
    assert [one["name"] for one in told["reviewers"]] == ["ada", "bob"]
    mine = member.call("GET", f"/collections/{collection}/progress/mine").json
    assert mine == {"today": 1, "speed": {"median_seconds": None, "photos_an_hour": None}}
    assert "1 decision of yours today" in member.get(f"/items/{ids[1]}/mine").text
    page = member.get(f"/collections/{collection}/progress").text
    assert "bob <small" in page
    assert "ada" not in page
    assert "1 photo waits for review" in page


def test_progress_of_a_collection_of_others_is_not_there(reviewer: Visitor, collection: int) -> None:
    assert reviewer.get(f"/collections/{collection}/progress").status_code == 404
    for address in ("progress", "progress/mine"):
        assert reviewer.call("GET", f"/collections/{collection}/{address}").status_code == 404
