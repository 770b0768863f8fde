"""The API of golden sets."""

from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import select

from catalog import tokens
from catalog.database import Database
from catalog.schema import GoldenReference, Membership, Role, Scope, User
from tests.dashboard.visitor import Visitor

SIZE = 3


@pytest.fixture
def wanted(
    collection: int, new_items: Callable[[int], list[int]], captioned: Callable[[], int]
) -> dict[str, Any]:
    """What draws all of three photos that the model has captioned."""
    new_items(SIZE)
    captioned()
    return {"collection_id": collection, "name": "pier-golden", "size": SIZE}


@pytest.fixture
def drawn(admin: Visitor, wanted: dict[str, Any]) -> str:
    """The address of a golden set of three photos."""
    answer = admin.call("POST", "/golden-sets", json=wanted)
    assert answer.status_code == 201, answer.text
    return f"/golden-sets/{answer.json['id']}"


def test_a_set_is_drawn_written_and_frozen(admin: Visitor, collection: int, drawn: str) -> None:
    assert [one["name"] for one in admin.call("GET", f"/golden-sets?collection_id={collection}").json] == [
        "pier-golden"
    ]
    assert admin.call("POST", f"{drawn}/freeze").status_code == 409
    seen = set()
    while (answer := admin.call("GET", f"{drawn}/next")).status_code == 200:
        seen.add(item := answer.json["item_id"])
        assert "brown dog" not in answer.text
        assert answer.json["picture"] == f"/items/{item}/picture"
        said = {"text": f"Boat {item} lies in the harbour."}
        written = admin.call("PUT", f"{drawn}/items/{item}", json=said)
        assert (written.status_code, written.json["text"]) == (200, said["text"])
    assert (answer.status_code, len(seen)) == (204, SIZE)
    standing = admin.call("GET", drawn).json
    assert (standing["written"], standing["wanted"], standing["done"]) == (SIZE, SIZE, SIZE)
    assert (standing["people"], standing["dataset_id"]) == ([{"name": "ada", "written": SIZE}], None)
    frozen = admin.call("POST", f"{drawn}/freeze")
    assert (frozen.status_code, frozen.json["is_new"]) == (201, True)
    assert (frozen.json["dataset"]["kind"], frozen.json["dataset"]["captions"]) == ("golden", SIZE)
    assert admin.call("GET", drawn).json["dataset_id"] == frozen.json["dataset"]["id"]
    items = admin.call("GET", f"/datasets/{frozen.json['dataset']['id']}/items").json
    assert {one["split"] for one in items} == {"golden"}
    assert all(caption["blind"] for one in items for caption in one["captions"])
    assert "brown dog" not in str(items)


def test_skipped_photos_are_left_out(admin: Visitor, drawn: str) -> None:
    first = admin.call("GET", f"{drawn}/next").json["item_id"]
    second = admin.call("GET", f"{drawn}/next?skip={first}").json["item_id"]
    third = admin.call("GET", f"{drawn}/next?skip={first}&skip={second}").json["item_id"]
    assert len({first, second, third}) == SIZE
    assert admin.call("GET", f"{drawn}/next?skip={first}&skip={second}&skip={third}").status_code == 204
    assert admin.call("GET", f"{drawn}/next?skip=pier").status_code == 422


def test_what_cannot_be_is_refused(admin: Visitor, wanted: dict[str, Any], drawn: str) -> None:
    for wrong in ({"size": 0}, {"name": ""}, {"references_each": 0}, {"colour": "red"}, {"language": "?"}):
        answer = admin.call("POST", "/golden-sets", json=wanted | {"name": "other"} | wrong)
        assert answer.status_code == 422, wrong
    assert admin.call("POST", "/golden-sets", json=wanted | {"collection_id": 99}).status_code == 404
    item = admin.call("GET", f"{drawn}/next").json["item_id"]
    for text in ("", " ", "x" * 10_001):
        assert admin.call("PUT", f"{drawn}/items/{item}", json={"text": text}).status_code == 422
    assert admin.call("PUT", f"{drawn}/items/99", json={"text": "A pier."}).status_code == 404


def test_a_golden_set_of_others_is_hidden(
    admin: Visitor, reviewer: Visitor, database: Database, collection: int, wanted: dict[str, Any], drawn: str
) -> None:
    assert reviewer.call("GET", f"/golden-sets?collection_id={collection}").status_code == 404
    assert reviewer.call("POST", "/golden-sets", json=wanted).status_code == 404
    for part in ("", "/next"):
        assert reviewer.call("GET", f"{drawn}{part}").status_code == 404
    assert reviewer.call("PUT", f"{drawn}/items/1", json={"text": "A pier."}).status_code == 404
    assert reviewer.call("POST", f"{drawn}/freeze").status_code == 404
    with database.writing() as session:
        bob = session.scalars(select(User.id).where(User.name == "bob")).one()
        session.add(Membership(collection_id=collection, user_id=bob))
    assert reviewer.call("GET", drawn).status_code == 200


def test_a_token_that_may_read_writes_nothing(
    app: APIFlask, database: Database, new_user: Callable[..., User], drawn: str, wanted: dict[str, Any]
) -> None:
    grace = new_user("grace", Role.ADMIN)
    with database.writing() as session:
        secret = tokens.create(session, grace, name="cron", scope=Scope.READ, days=30)[1]
    script, headers = app.test_client(use_cookies=False), {"Authorization": f"Bearer {secret}"}
    address = f"/api/v1{drawn}"
    item = script.get(f"{address}/next", headers=headers).json["item_id"]
    said = {"text": "A pier."}
    assert script.put(f"{address}/items/{item}", json=said, headers=headers).status_code == 403
    assert script.post(f"{address}/freeze", headers=headers).status_code == 403
    assert script.post("/api/v1/golden-sets", json=wanted, headers=headers).status_code == 403
    with database.reading() as session:
        assert session.scalars(select(GoldenReference)).all() == []
