"""Decisions through the API: orders, whole pictures, the way back, and why."""

import pytest
from sqlalchemy import update

from catalog.database import Database
from catalog.schema import HistoryEntry, Operation, OperationKind
from tests.dashboard.conftest import MODEL_TEXT
from tests.dashboard.visitor import Visitor


@pytest.fixture
def alt(admin: Visitor, item: int, caption: int) -> int:
    """The id of an alt text that waits beside the model's caption."""
    body = {"text": "Un chien.", "language": "fr", "kind": "alt", "state": "candidate"}
    written: int = admin.call("POST", f"/items/{item}/captions", json=body).json["id"]
    return written


def test_captions_are_put_in_order(admin: Visitor, item: int, caption: int, alt: int) -> None:
    answer = admin.call("PUT", f"/items/{item}/captions/order", json={"caption_ids": [alt, caption]})
    assert [held["caption"]["id"] for held in answer.json] == [alt, caption]
    listed = admin.call("GET", f"/items/{item}/captions").json
    assert [held["caption"]["id"] for held in listed] == [alt, caption]
    page = admin.get(f"/items/{item}").text
    assert page.index("Un chien.</textarea>") < page.index(f"{MODEL_TEXT}</textarea>")


def test_an_order_that_leaves_one_out_is_refused(admin: Visitor, item: int, caption: int, alt: int) -> None:
    answer = admin.call("PUT", f"/items/{item}/captions/order", json={"caption_ids": [alt]})
    assert answer.status_code == 422
    assert f"put [{caption}, {alt}] in order" in answer.json["detail"]


def test_language_and_kind_change_under_the_version(admin: Visitor, item: int, alt: int) -> None:
    change = {"version": 1, "language": "de", "kind": "description"}
    changed = admin.call("PATCH", f"/captions/{alt}", json=change).json
    assert (changed["language"], changed["kind"], changed["version"]) == ("de", "description", 2)
    assert admin.call("PATCH", f"/captions/{alt}", json=change).status_code == 409
    refused = admin.call("PATCH", f"/captions/{alt}", json={"version": 2, "language": "en_US"})
    assert refused.status_code == 422
    assert "'en_US'; give a tag such as en" in refused.json["detail"]
    body = {"text": "A dog.", "language": "English!"}
    assert admin.call("POST", f"/items/{item}/captions", json=body).status_code == 422


def test_a_picture_is_rejected_whole_and_reopened(admin: Visitor, item: int, caption: int, alt: int) -> None:
    rejected = admin.call("POST", f"/items/{item}/reject").json
    assert [(one["id"], one["state"]) for one in rejected["captions"]] == [
        (caption, "rejected"),
        (alt, "rejected"),
    ]
    assert rejected["item"]["review_state"] == "rejected"
    assert admin.call("POST", f"/items/{item}/reject").json["captions"] == []
    reopened = admin.call("POST", f"/items/{item}/reopen").json
    assert [one["state"] for one in reopened["captions"]] == ["candidate", "candidate"]
    assert reopened["item"]["review_state"] == "pending"
    assert admin.call("GET", f"/items/{item}").json["review_state"] == "pending"


def test_history_is_listed_in_pages(admin: Visitor, item: int, caption: int) -> None:
    admin.call(
        "PATCH", f"/captions/{caption}", json={"version": 1, "text": "A wet dog.", "reason": "subject"}
    )
    first = admin.call("GET", f"/items/{item}/history?limit=1")
    (edited,) = first.json
    assert (edited["who"], edited["words"], edited["reason"]) == ("ada", "edited it", "subject")
    assert (edited["text_before"], edited["text_after"]) == (MODEL_TEXT, "A wet dog.")
    assert (edited["origin_before"], edited["origin_after"]) == ("model", "edited")
    address = first.headers["Link"].partition("<")[2].partition(">")[0]
    (captioned,) = admin.get(address).json
    assert (captioned["who"], captioned["checkpoint"]) == (None, "starter-1")
    assert captioned["job_id"]


def test_restoring_and_undoing_carry_the_version(admin: Visitor, item: int, caption: int) -> None:
    admin.call(
        "PATCH", f"/captions/{caption}", json={"version": 1, "text": "A wet dog.", "state": "accepted"}
    )
    entry_id = admin.call("GET", f"/items/{item}/history").json[-1]["id"]
    body = {"entry_id": entry_id, "version": 2}
    restored = admin.call("POST", f"/captions/{caption}/restore", json=body).json
    assert (restored["text"], restored["state"], restored["origin"]) == (MODEL_TEXT, "candidate", "model")
    stale = admin.call("POST", f"/captions/{caption}/restore", json=body)
    assert (stale.status_code, stale.json["current"], stale.json["version"]) == (409, MODEL_TEXT, 3)
    undone = admin.call("POST", f"/captions/{caption}/undo", json={"version": 3}).json
    assert (undone["text"], undone["state"]) == ("A wet dog.", "accepted")
    assert admin.call("POST", f"/captions/{caption}/undo", json={"version": 3}).status_code == 409


def test_a_reason_follows_with_one_key_and_is_counted(admin: Visitor, caption: int) -> None:
    assert admin.call("POST", f"/captions/{caption}/reason", json={"reason": "place"}).status_code == 409
    admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "state": "rejected"})
    assert admin.call("POST", f"/captions/{caption}/reason", json={"reason": "place"}).status_code == 204
    expected = {"checkpoint": "starter-1", "reasons": {"place": 1}, "total": 1}
    assert admin.call("GET", "/checkpoints/reasons").json == [expected]
    admin.call("POST", f"/captions/{caption}/reason", json={"reason": None})
    assert admin.call("GET", "/checkpoints/reasons").json[0]["reasons"] == {}
    assert admin.call("POST", f"/captions/{caption}/reason", json={"reason": "mood"}).status_code == 422


def test_the_page_leads_from_a_change_in_bulk_to_its_operation(
    admin: Visitor, database: Database, item: int, caption: int, collection: int
) -> None:
    with database.writing() as session:
        options = {"find": "dog", "put": "cat"}
        operation = Operation(collection_id=collection, kind=OperationKind.REPLACE, options=options)
        session.add(operation)
        session.flush()
        session.execute(update(HistoryEntry).values(operation_id=operation.id))
    page = admin.get(f"/items/{item}").text
    assert "in bulk (replace 1)" in page
    address = f"/collections/{collection}/operations?after=2"
    assert f'href="{address}"' in page
    assert admin.get(address).status_code == 200


def test_a_stranger_decides_nothing(
    admin: Visitor, reviewer: Visitor, item: int, caption: int, collection: int
) -> None:
    asked: list[tuple[str, str, dict[str, object] | None]] = [
        ("PUT", f"/items/{item}/captions/order", {"caption_ids": [caption]}),
        ("POST", f"/items/{item}/reject", None),
        ("POST", f"/items/{item}/reopen", None),
        ("GET", f"/items/{item}/history", None),
        ("POST", f"/captions/{caption}/restore", {"entry_id": 1, "version": 1}),
        ("POST", f"/captions/{caption}/undo", {"version": 1}),
        ("POST", f"/captions/{caption}/reason", {"reason": "place"}),
    ]
    for method, address, body in asked:
        assert reviewer.call(method, address, json=body).status_code == 404, address
    admin.submit(f"/collections/{collection}/members", {"name": "bob"})
    assert reviewer.call("POST", f"/items/{item}/reject").status_code == 200
