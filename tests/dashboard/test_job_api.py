"""Jobs through the API: paused, resumed, tried again, put first; what they tell meanwhile."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from catalog import chunks, collections, job_events, jobs, recording, workers
from catalog.database import Database, database_clock
from catalog.recording import Unreadable
from catalog.schema import Chunk, Collection, Job, JobKind, Severity, User
from tests.dashboard.visitor import Visitor

ACTIONS = ("pause", "resume", "cancel", "retry")


@pytest.fixture
def failed(job: int, database: Database) -> int:
    """The id of a job on three photos, each of which has failed."""
    with database.writing() as session:
        claim = chunks.claim(
            session, worker_id=workers.register(session, name="one", device="cpu", version="0")
        )
        assert claim
        recording.record(session, claim, [Unreadable(one.item_id, "it is gone") for one in claim.items])
    return job


def state(visitor: Visitor, job: int) -> str:
    return str(visitor.call("GET", f"/jobs/{job}").json["job"]["state"])


def test_a_job_is_paused_and_goes_on(admin: Visitor, job: int, database: Database) -> None:
    answer = admin.call("POST", f"/jobs/{job}/pause")
    assert (answer.status_code, answer.json["state"], answer.json["paused_because"]) == (202, "paused", None)
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        assert chunks.claim(session, worker_id=worker_id) is None
    assert admin.call("POST", f"/jobs/{job}/resume").json["state"] == "queued"
    again = admin.call("POST", f"/jobs/{job}/resume")
    assert again.status_code == 409
    assert "only a paused job can be resumed" in again.json["detail"]


def test_why_the_system_paused_a_job_is_told(admin: Visitor, job: int, database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Job).values(state="paused", paused_because="the disk is full"))
    assert admin.call("GET", f"/jobs/{job}").json["job"]["paused_because"] == "the disk is full"
    assert "Paused: the disk is full. The job goes on by itself" in admin.get(f"/jobs/{job}").text
    assert "the disk is full" in admin.get("/jobs").text


def test_only_what_failed_is_done_again(admin: Visitor, failed: int) -> None:
    answer = admin.call("POST", f"/jobs/{failed}/retry")
    assert answer.status_code == 202
    assert (answer.json["state"], answer.json["failed"], answer.json["total"]) == ("queued", 0, 3)
    assert admin.call("POST", f"/jobs/{failed}/retry").status_code == 409


def test_the_priority_of_a_job_can_be_changed_until_it_ends(admin: Visitor, job: int) -> None:
    assert admin.call("PATCH", f"/jobs/{job}", json={"priority": 7}).json["priority"] == 7
    assert admin.call("PATCH", f"/jobs/{job}", json={"priority": 101}).status_code == 422
    assert admin.call("PATCH", f"/jobs/{job}", json={}).status_code == 422
    admin.call("POST", f"/jobs/{job}/cancel")
    assert admin.call("PATCH", f"/jobs/{job}", json={"priority": 1}).status_code == 409


def test_failures_carry_their_picture(admin: Visitor, failed: int) -> None:
    (failure, *_) = admin.call("GET", f"/jobs/{failed}").json["failures"]
    assert failure["sha256"] == admin.call("GET", f"/items/{failure['item_id']}").json["sha256"]
    assert admin.get(failure["picture"]).mimetype == "image/jpeg"


def test_what_happened_is_listed_newest_first_with_names(admin: Visitor, job: int) -> None:
    for action in ("pause", "resume", "cancel"):
        admin.call("POST", f"/jobs/{job}/{action}")
    page = admin.call("GET", f"/jobs/{job}/events?limit=3").json
    assert [one["action"] for one in page["events"]] == ["cancelled", "resumed", "paused"]
    assert {one["user"] for one in page["events"]} == {"ada"}
    rest = admin.call("GET", f"/jobs/{job}/events?after={page['after']}").json
    assert ([one["action"] for one in rest["events"]], rest["after"]) == (["created"], None)


def test_the_log_is_plain_text_with_tracebacks(admin: Visitor, job: int, database: Database) -> None:
    with database.writing() as session:
        job_events.append(
            session,
            job,
            "broke",
            "captioning failed",
            severity=Severity.ERROR,
            details="Traceback:\n  line 1\nValueError",
            worker="one",
        )
    admin.call("POST", f"/jobs/{job}/pause")
    answer = admin.get(f"/api/v1/jobs/{job}/log")
    assert answer.mimetype == "text/plain"
    lines = answer.text.splitlines()
    assert lines[0].endswith("info     created for 3 items (ada)")
    assert lines[1].endswith("error    captioning failed (one)")
    assert lines[2:5] == ["    Traceback:", "      line 1", "    ValueError"]
    assert lines[5].endswith("paused (ada)")


def test_workers_say_what_they_are_at(
    admin: Visitor, reviewer: Visitor, job: int, database: Database
) -> None:
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cuda:0", version="0.1.0")
        workers.register(session, name="two", device="cpu", version="0.1.0")
        assert chunks.claim(session, worker_id=worker_id)
        workers.beat(session, worker_id, trouble="the disk is full")
    one, two = admin.call("GET", "/workers").json
    assert (one["job_id"], one["chunk"], one["trouble"]) == (job, 0, "the disk is full")
    assert (two["job_id"], two["chunk"], two["trouble"]) == (None, None, None)
    assert (one["busy"], two["busy"]) == (True, False)
    assert admin.call("GET", f"/jobs/{job}").json["workers"] == [one, two]
    # The job is of a collection that bob must not know of.
    assert reviewer.call("GET", "/workers").json == [{**one, "job_id": None, "chunk": None}, two]


def test_a_lease_that_ran_out_is_no_work(admin: Visitor, job: int, database: Database) -> None:
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        assert chunks.claim(session, worker_id=worker_id)
        session.execute(update(Chunk).values(lease_expires=0.0))
    assert admin.call("GET", "/workers").json[0]["job_id"] is None


def test_rate_and_time_left_are_told_and_polling_still_gets_304(
    admin: Visitor,
    collection: int,
    new_items: Callable[[int], list[int]],
    checkpoint: int,
    database: Database,
) -> None:
    new_items(3 * jobs.CHUNK_SIZE)
    job = admin.call("POST", "/jobs", json={"collection_id": collection}).json["id"]
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        claim = chunks.claim(session, worker_id=worker_id)
        assert claim
        session.execute(update(Job).values(running_since=database_clock() - 8.0))
        recording.record(session, claim, [Unreadable(one.item_id, "gone") for one in claim.items])
    shown = admin.call("GET", f"/jobs/{job}")
    assert shown.json["items_per_second"] == pytest.approx(8.0, rel=0.1)
    assert shown.json["seconds_left"] == pytest.approx(16.0, rel=0.1)
    listed = admin.call("GET", "/jobs")
    (row,) = listed.json
    assert (row["id"], row["collection"], row["failed"]) == (job, "Harbour", jobs.CHUNK_SIZE)
    assert row["items_per_second"] == shown.json["items_per_second"]
    for address, answer in ((f"/jobs/{job}", shown), ("/jobs", listed)):
        again = admin.get(f"/api/v1{address}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_jobs_of_hidden_collections_do_not_exist(
    reviewer: Visitor, job: int, collection: int, database: Database
) -> None:
    for action in ACTIONS:
        assert reviewer.call("POST", f"/jobs/{job}/{action}").status_code == 404
        assert reviewer.submit(f"/jobs/{job}/{action}", {}).status_code == 404
    assert reviewer.call("PATCH", f"/jobs/{job}", json={"priority": 1}).status_code == 404
    for part in ("", "/events", "/log", "/failures"):
        assert reviewer.call("GET", f"/jobs/{job}{part}").status_code == 404
    assert reviewer.call("GET", "/jobs").json == []
    with database.writing() as session:
        bob = session.query(User).filter_by(name="bob").one()
        collections.add_member(session, session.get_one(Collection, collection), bob)
    assert reviewer.call("POST", f"/jobs/{job}/pause").status_code == 202


def test_an_import_has_no_line_that_starts_it_again(
    admin: Visitor, collection: int, database: Database
) -> None:
    begun = admin.call("POST", f"/collections/{collection}/imports", json={}).json["id"]
    with database.reading() as session:
        assert session.get_one(Job, begun).kind is JobKind.IMPORT
    assert admin.call("GET", f"/jobs/{begun}").json["commands"] is None
    assert admin.call("POST", f"/jobs/{begun}/pause").status_code == 409


def test_an_import_is_cancelled_once_somebody_has_said_so_twice(admin: Visitor, collection: int) -> None:
    begun = admin.call("POST", f"/collections/{collection}/imports", json={"files": 3}).json["id"]
    assert f'href="/jobs/{begun}/cancel"' in admin.get(f"/imports/{begun}").text
    assert "It has not come to 3 of its 3 files yet." in admin.get(f"/jobs/{begun}/cancel").text
    assert admin.submit(f"/jobs/{begun}/cancel", {}).status_code == 303
    assert admin.get(f"/jobs/{begun}/cancel").status_code == 302
    assert "cancelled" in admin.get(f"/imports/{begun}").text
