"""Captions and drafts through the API."""

import pytest

from catalog.captions import TEXT_LENGTH
from tests.dashboard.conftest import MODEL_TEXT
from tests.dashboard.visitor import Visitor


def test_correcting_and_accepting_is_one_step(admin: Visitor, item: int, caption: int) -> None:
    change = {"version": 1, "text": "A wet dog runs.", "state": "accepted"}
    changed = admin.call("PATCH", f"/captions/{caption}", json=change)
    assert changed.status_code == 200
    assert changed.json["version"] == 2
    assert changed.json["origin"] == "edited"
    assert admin.call("GET", f"/items/{item}").json["review_state"] == "accepted"


def test_accepting_as_it_is_is_told_from_an_edit(admin: Visitor, caption: int) -> None:
    changed = admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "state": "accepted"})
    assert changed.json["origin"] == "accepted unchanged"


def test_a_stale_edit_is_refused_with_both_texts(admin: Visitor, caption: int) -> None:
    first = {"version": 1, "text": "A wet dog runs."}
    assert admin.call("PATCH", f"/captions/{caption}", json=first).status_code == 200
    second = admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A cat sleeps."})
    assert second.status_code == 409
    assert second.mimetype == "application/problem+json"
    assert second.json["current"] == "A wet dog runs."
    assert second.json["yours"] == "A cat sleeps."
    assert second.json["version"] == 2
    assert second.json["caption_id"] == caption
    assert admin.call("GET", f"/captions/{caption}").json["text"] == "A wet dog runs."


def test_what_was_refused_as_stale_can_be_saved_on_top(admin: Visitor, caption: int) -> None:
    admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A wet dog runs."})
    stale = admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A cat sleeps."})
    again = {"version": stale.json["version"], "text": "A cat sleeps."}
    assert admin.call("PATCH", f"/captions/{caption}", json=again).json["text"] == "A cat sleeps."


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b", "x" * (TEXT_LENGTH + 1)])
def test_a_text_that_says_nothing_or_too_much_is_refused(
    admin: Visitor, item: int, caption: int, text: str
) -> None:
    changed = admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": text})
    assert changed.status_code == 422
    assert changed.mimetype == "application/problem+json"
    assert admin.call("POST", f"/items/{item}/captions", json={"text": text}).status_code == 422
    assert admin.call("GET", f"/captions/{caption}").json["text"] == MODEL_TEXT


def test_a_change_without_a_version_is_refused(admin: Visitor, caption: int) -> None:
    assert admin.call("PATCH", f"/captions/{caption}", json={"text": "A cat."}).status_code == 422


def test_writing_a_caption_records_its_author(admin: Visitor, item: int) -> None:
    body = {"text": "Un chien court.", "language": "fr", "kind": "alt", "state": "candidate"}
    written = admin.call("POST", f"/items/{item}/captions", json=body)
    assert written.status_code == 201
    assert {key: written.json[key] for key in body} == body
    assert written.json["origin"] == "written"
    assert admin.call("GET", f"/items/{item}").json["review_state"] == "pending"


def test_what_the_model_said_is_listed_with_its_caption(admin: Visitor, item: int, caption: int) -> None:
    held = admin.call("GET", f"/items/{item}/captions").json
    assert [one["caption"]["id"] for one in held] == [caption]
    assert held[0]["detail"]["model_text"] == MODEL_TEXT
    assert held[0]["detail"]["alternatives"][0]["text"] == "A dog plays outside."
    assert (held[0]["detail"]["score"], held[0]["detail"]["confidence"]) == (-0.7, 0.71)


def test_a_draft_waits_in_its_box_for_its_author_alone(
    admin: Visitor, reviewer: Visitor, item: int, caption: int, collection: int
) -> None:
    draft = {"text": "A wet do", "caption_id": caption, "version": 1}
    assert admin.call("PUT", f"/items/{item}/draft", json=draft).status_code == 204
    assert ">A wet do</textarea>" in admin.get(f"/items/{item}").text
    admin.submit(f"/collections/{collection}/members", {"name": "bob"})
    assert "A wet do<" not in reviewer.get(f"/items/{item}").text


def test_an_empty_draft_is_forgotten(admin: Visitor, item: int) -> None:
    admin.call("PUT", f"/items/{item}/draft", json={"text": "A wet do"})
    admin.call("PUT", f"/items/{item}/draft", json={"text": ""})
    assert "A wet do" not in admin.get(f"/items/{item}").text


def test_a_draft_begun_on_an_older_version_cannot_overwrite_the_newer(
    admin: Visitor, reviewer: Visitor, item: int, caption: int, collection: int
) -> None:
    admin.submit(f"/collections/{collection}/members", {"name": "bob"})
    reviewer.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A wet dog runs."})
    draft = {"text": "A cat", "caption_id": caption, "version": 1}
    admin.call("PUT", f"/items/{item}/draft", json=draft)
    assert f'data-caption="{caption}" data-version="1"' in admin.get(f"/items/{item}").text


def test_a_draft_belongs_to_a_caption_of_its_own_item(admin: Visitor, new_items, captioned) -> None:
    one, other = new_items(2)
    captioned()
    foreign = admin.call("GET", f"/items/{other}/captions").json[0]["caption"]["id"]
    draft = {"text": "A cat", "caption_id": foreign, "version": 1}
    assert admin.call("PUT", f"/items/{one}/draft", json=draft).status_code == 422
