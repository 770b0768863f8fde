"""Bulk operations and spot checks: the pages and the API."""

from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import select, update

from catalog import collections
from catalog.database import Database
from catalog.operation_runner import run_all
from catalog.schema import Caption, CaptionState, Item
from dashboard.labels import filter_in_words
from tests.dashboard.conftest import MODEL_TEXT
from tests.dashboard.visitor import Visitor

COUNT = 25


@pytest.fixture
def address(collection: int, new_items: Callable[[int], list[int]], captioned: Callable[[], int]) -> str:
    """The address of a collection of 25 photos whose captions wait."""
    new_items(COUNT)
    captioned()
    return f"/collections/{collection}"


def states(database: Database) -> list[CaptionState]:
    with database.reading() as session:
        return list(session.scalars(select(Caption.state).distinct()))


def checked(visitor: Visitor, address: str, *, wrong: int = 0, **filter: Any) -> int:
    """The number of a finished spot check in which so many were wrong."""
    check = visitor.call("POST", f"{address}/spot-checks", json={"filter": filter})
    assert check.status_code == 201
    for place, one in enumerate(check.json["captions"]):
        verdict = f"/spot-checks/{check.json['id']}/verdicts/{one['id']}"
        assert visitor.call("PUT", verdict, json={"right": place >= wrong}).status_code == 200
    assert visitor.call("POST", f"/spot-checks/{check.json['id']}/finish").status_code == 200
    return int(check.json["id"])


def test_the_api_accepts_all_after_a_spot_check_and_undoes_it(
    admin: Visitor, database: Database, address: str
) -> None:
    refused = admin.call("POST", f"{address}/operations", json={"kind": "accept"})
    assert refused.status_code == 409
    assert "takes a spot check of 20 captions" in refused.json["detail"]
    check_id = checked(admin, address, wrong=2)
    started = admin.call("POST", f"{address}/operations", json={"kind": "accept", "spot_check_id": check_id})
    assert (started.status_code, started.json["state"], started.json["total"]) == (202, "running", COUNT)
    run_all(database)
    done = admin.call("GET", f"/operations/{started.json['id']}").json
    assert (done["state"], done["done"], done["skipped"], done["user"]) == ("done", 23, 2, "ada")
    assert done["error_rate"]["rate"] == 0.1
    assert done["error_rate"]["low"] == pytest.approx(0.028, abs=1e-3)
    undone = admin.call("POST", f"/operations/{done['id']}/undo")
    assert (undone.status_code, undone.json["kind"], undone.json["undoes_id"]) == (202, "undo", done["id"])
    run_all(database)
    assert states(database) == [CaptionState.CANDIDATE]
    assert admin.call("POST", f"/operations/{done['id']}/undo").status_code == 409
    listed = admin.call("GET", f"{address}/operations?limit=1")
    assert [one["id"] for one in listed.json] == [undone.json["id"]]
    assert 'rel="next"' in listed.headers["Link"]


def test_the_api_previews_and_replaces(admin: Visitor, database: Database, address: str) -> None:
    wanted = {"kind": "replace", "filter": {"q": "dog"}, "options": {"find": "Brown dog", "put": "cat"}}
    told = admin.call("POST", f"{address}/operations/preview", json=wanted).json
    assert (told["total"], told["changed"], told["exact"], len(told["examples"])) == (COUNT, COUNT, True, 20)
    assert {"mark": "new", "words": "cat"} in told["examples"][0]["differences"]
    assert admin.call("POST", f"{address}/operations", json=wanted).status_code == 202
    run_all(database)
    with database.reading() as session:
        assert set(session.scalars(select(Caption.text))) == {"A cat runs across a field."}
    wrong = wanted | {"options": {"find": "(", "pattern": True}}
    for call in ("/operations", "/operations/preview"):
        answer = admin.call("POST", f"{address}{call}", json=wrong)
        assert (answer.status_code, "at character 2" in answer.json["detail"]) == (422, True)


def test_the_pages_check_accept_and_undo(admin: Visitor, database: Database, address: str) -> None:
    page = admin.get(f"{address}/bulk").text
    assert f"<strong data-selected>{COUNT}</strong> selected: all photos" in page
    assert "Check 20 captions" in page
    drawn = admin.submit(f"{address}/spot-checks", {})
    assert drawn.status_code == 303
    check = f"/api/v1{drawn.location}"
    for place, one in enumerate(admin.get(check).json["captions"]):
        shown = admin.get(drawn.location).text
        assert f"Caption {place + 1} of 20, drawn at random from 25 captions" in shown
        assert MODEL_TEXT in shown
        judged = {"caption": one["id"], "right": "no" if place == 0 else "yes"}
        assert admin.submit(f"{drawn.location}/verdict", judged).location == drawn.location
    assert (
        "<strong>1 of 20</strong> was wrong: 5&nbsp;%, of all probably 1 to 24&nbsp;%"
        in admin.get(drawn.location).text
    )
    admin.submit(f"{drawn.location}/finish", {})
    back = admin.get(drawn.location).location
    assert "1 of 20" in admin.get(back).text
    check_id = int(drawn.location.rpartition("/")[2])
    started = admin.submit(f"{address}/bulk", {"operation": "accept", "check": check_id})
    assert (started.status_code, started.location) == (303, f"{address}/operations")
    assert "0 of 25 captions changed" in admin.get(started.location).text
    run_all(database)
    listed = admin.get(started.location).text
    assert "24 of 25 captions changed, 1 left as it was" in listed
    assert "1 of 20" in listed
    assert "24 captions go back" in admin.get("/operations/1/undo").text
    assert admin.submit("/operations/1/undo", {}).status_code == 303
    run_all(database)
    assert "Undone by operation 2" in admin.get(started.location).text
    assert admin.get("/operations/1/undo").status_code == 302
    assert states(database) == [CaptionState.CANDIDATE]


def test_the_page_previews_what_the_address_says(admin: Visitor, address: str) -> None:
    page = admin.get(f"{address}/bulk?operation=replace&find=brown&put=black&preview=y&state=pending").text
    assert "<strong>25</strong> of 25 captions would change" in page
    assert "A <del>brown</del><ins>black</ins> dog" in page
    assert "photos in the state pending" in page
    wrong = admin.get(f"{address}/bulk?operation=replace&find=(&pattern=y&preview=y")
    assert wrong.status_code == 422
    assert admin.get(f"{address}/bulk?operation=burn").status_code == 422


def test_ticked_photos_the_filter_and_all_are_counted(admin: Visitor, address: str) -> None:
    page = admin.get(f"{address}/bulk?ids=1,2,3&path=000").text
    assert "<strong data-selected>3</strong> selected: 3 ticked photos with “000” in the file name" in page
    for scope in ("These <span>3</span>", "Filtered <span>10</span>", "All <span>25</span>"):
        assert scope in page
    assert "The 3 captions of the photos that you ticked" in page


def test_photos_are_assigned_from_the_page(admin: Visitor, database: Database, address: str) -> None:
    admin.submit(f"{address}/bulk", {"operation": "assign", "to": "ada", "path": "000"})
    run_all(database)
    with database.reading() as session:
        assert len(session.scalars(select(Item.id).where(Item.assignee_id.is_not(None))).all()) == 10
    assert "Assign to ada" in admin.get(f"{address}/operations").text


def test_a_spot_check_of_another_collection_is_none(admin: Visitor, database: Database, address: str) -> None:
    check_id = checked(admin, address)
    with database.writing() as session:
        other = collections.create(session, name="Mill", owner=None).id
    said = f"Spot check {check_id}:"
    assert said in admin.get(f"{address}/bulk?operation=accept&check={check_id}").text
    assert said not in admin.get(f"/collections/{other}/bulk?operation=accept&check={check_id}").text


def test_a_save_from_before_the_operation_is_stale(admin: Visitor, database: Database, address: str) -> None:
    admin.submit(f"{address}/bulk", {"operation": "append", "text": " Woof.", "states": ["candidate"]})
    run_all(database)
    stale = admin.call("PATCH", "/captions/1", json={"version": 1, "text": "Mine."})
    assert (stale.status_code, stale.json["current"]) == (409, f"{MODEL_TEXT} Woof.")


def test_strangers_find_nothing_and_change_nothing(
    admin: Visitor, reviewer: Visitor, database: Database, address: str
) -> None:
    check_id = checked(admin, address)
    admin.call("POST", f"{address}/operations", json={"kind": "accept", "spot_check_id": check_id})
    run_all(database)
    pages = (f"{address}/bulk", f"{address}/operations", "/operations/1/undo", f"/spot-checks/{check_id}")
    assert [reviewer.get(page).status_code for page in pages] == [404] * 4
    forms = (
        f"{address}/bulk",
        f"{address}/spot-checks",
        "/operations/1/undo",
        f"/spot-checks/{check_id}/verdict",
    )
    assert [reviewer.submit(form, {"operation": "reject"}).status_code for form in forms] == [404] * 4
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"{address}/operations", None),
        ("POST", f"{address}/operations", {"kind": "reject"}),
        ("POST", f"{address}/operations/preview", {"kind": "reject"}),
        ("GET", "/operations/1", None),
        ("POST", "/operations/1/undo", None),
        ("POST", f"{address}/spot-checks", {}),
        ("GET", f"/spot-checks/{check_id}", None),
        ("PUT", f"/spot-checks/{check_id}/verdicts/1", {"right": True}),
        ("POST", f"/spot-checks/{check_id}/finish", None),
    ]
    assert [reviewer.call(*call[:2], json=call[2]).status_code for call in calls] == [404] * len(calls)
    assert states(database) == [CaptionState.ACCEPTED]


def test_a_members_undo_of_somebody_elses_operation_is_refused(
    admin: Visitor, reviewer: Visitor, database: Database, address: str
) -> None:
    admin.submit(f"{address}/members", {"name": "bob"})
    admin.call("POST", f"{address}/operations", json={"kind": "reject"})
    run_all(database)
    assert reviewer.call("POST", "/operations/1/undo").status_code == 403
    assert "Undo…" not in reviewer.get(f"{address}/operations").text
    assert reviewer.get("/operations/1/undo").status_code == 302


def test_the_threads_of_the_application_carry_operations_on(
    app: APIFlask, admin: Visitor, database: Database, address: str
) -> None:
    app.extensions["recaption"].operator.start()
    admin.call("POST", f"{address}/operations", json={"kind": "reject"})
    for _ in range(200):
        if (told := admin.call("GET", "/operations/1").json)["state"] == "done":
            break
    assert told["done"] == COUNT


def test_filters_are_told_in_words() -> None:
    assert filter_in_words({}) == "all photos"
    assert filter_in_words({"ids": "4", "assignee": "-"}) == "1 ticked photo assigned to nobody"
    said = "photos in the state pending, with a confidence of 0.9 at least"
    assert filter_in_words({"above": "0.9", "state": "pending"}) == said


def test_a_failed_operation_says_why(admin: Visitor, database: Database, address: str) -> None:
    with database.writing() as session:
        session.execute(update(Caption).values(text="a" * 5000 + "b"))
    admin.submit(f"{address}/bulk", {"operation": "replace", "find": "(a+)+$", "pattern": "y"})
    run_all(database)
    page = admin.get(f"{address}/operations").text
    assert "takes longer than 0.25 s" in page
    assert "What was changed until then can be undone" in page
