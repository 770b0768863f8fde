"""Jobs: started, waiting, watched, cancelled."""

import time
from dataclasses import replace

from catalog import chunks, recording, workers
from catalog.database import Database
from catalog.recording import Unreadable
from catalog.settings import Settings
from dashboard.app import create_app
from tests.dashboard.visitor import Visitor

DEAD_BROKER = "redis://127.0.0.1:1/0"


def test_starting_a_job_from_the_page_leads_to_its_own(
    admin: Visitor, collection: int, item: int, checkpoint: int
) -> None:
    answer = admin.submit(f"/collections/{collection}/jobs", {"mode": "fill"})
    assert answer.status_code == 303
    page = admin.get(answer.location).text
    assert "Captions for Harbour" in page
    assert "mode fill" in page


def test_a_mode_that_is_none_is_refused(admin: Visitor, collection: int, item: int, checkpoint: int) -> None:
    assert admin.submit(f"/collections/{collection}/jobs", {"mode": "burn"}).status_code == 422
    body = {"collection_id": collection, "mode": "burn"}
    assert admin.call("POST", "/jobs", json=body).status_code == 422


def test_without_a_checkpoint_no_job_starts_and_the_page_says_why(
    admin: Visitor, collection: int, item: int
) -> None:
    answer = admin.submit(f"/collections/{collection}/jobs", {"mode": "fill"})
    assert answer.status_code == 404
    assert "no checkpoint is active" in answer.text


def test_a_job_starts_within_a_second_though_the_broker_is_down(
    settings: Settings, admin: Visitor, collection: int, item: int, checkpoint: int
) -> None:
    app = create_app(replace(settings, broker_url=DEAD_BROKER), reconcile=False)
    app.test_client_class = Visitor
    visitor = app.test_client()
    visitor.log_in("ada")
    token = visitor.token()
    began = time.monotonic()
    answer = visitor.post("/api/v1/jobs", json={"collection_id": collection}, headers={"X-CSRFToken": token})
    assert time.monotonic() - began < 1.0
    assert answer.status_code == 202
    assert answer.json["state"] == "queued"
    page = visitor.get(f"/jobs/{answer.json['id']}").text
    assert "Waiting for a worker" in page
    app.extensions["recaption"].database.close()


def test_a_job_without_a_worker_says_that_it_waits(admin: Visitor, job: int, database: Database) -> None:
    assert admin.call("GET", f"/jobs/{job}").json["waiting_for_a_worker"] is True
    with database.writing() as session:
        workers.register(session, name="one", device="cpu", version="0")
    shown = admin.call("GET", f"/jobs/{job}").json
    assert shown["waiting_for_a_worker"] is False
    (one,) = shown["workers"]
    assert (one["name"], one["device"], one["version"], one["job_id"]) == ("one", "cpu", "0", None)


def test_polling_gets_304_until_something_happens(admin: Visitor, job: int, database: Database) -> None:
    first = admin.call("GET", f"/jobs/{job}")
    unchanged = {"If-None-Match": first.headers["ETag"]}
    again = admin.get(f"/api/v1/jobs/{job}", headers=unchanged)
    assert again.status_code == 304
    assert again.data == b""
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        assert chunks.claim(session, worker_id=worker_id)
    changed = admin.get(f"/api/v1/jobs/{job}", headers=unchanged)
    assert changed.status_code == 200
    assert changed.json["job"]["state"] == "running"


def test_failures_are_shown_with_their_reasons(admin: Visitor, job: int, database: Database) -> None:
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        claim = chunks.claim(session, worker_id=worker_id)
        assert claim
        recording.record(
            session, claim, [Unreadable(one.item_id, "the picture is gone") for one in claim.items]
        )
    page = admin.get(f"/jobs/{job}").text
    assert "0002.png" in page
    assert page.count("the picture is gone") == 3
    shown = admin.call("GET", f"/jobs/{job}").json
    assert shown["job"]["failed"] == 3
    assert shown["failures"][0]["error"] == "the picture is gone"


def test_cancelling_ends_a_job_once(admin: Visitor, job: int) -> None:
    assert admin.submit(f"/jobs/{job}/cancel", {}).status_code == 303
    assert admin.call("GET", f"/jobs/{job}").json["job"]["state"] == "cancelled"
    again = admin.call("POST", f"/jobs/{job}/cancel")
    assert again.status_code == 409
    assert "ended already" in again.json["detail"]


def test_the_list_shows_every_job_with_its_state(admin: Visitor, job: int) -> None:
    page = admin.get("/jobs").text
    assert "Caption · Harbour" in page
    assert "0 of 3" in page
    assert "No worker is running" in page
    assert [one["id"] for one in admin.call("GET", "/jobs").json] == [job]


def test_the_list_says_what_to_do_while_it_is_empty(admin: Visitor) -> None:
    assert "No jobs yet" in admin.get("/jobs").text
