"""Errors as people and programs see them, and a server without a database."""

import errno
import io
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from apiflask import APIFlask
from sqlalchemy.exc import IntegrityError

from catalog import errors
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.settings import Settings
from dashboard.app import create_app
from pictures.errors import CorruptPicture
from tests.dashboard.conftest import jpeg
from tests.dashboard.visitor import Visitor
from tests.disks import fill_up

EXPECTED = {
    errors.InvalidInput("no"): 422,
    errors.NotFound("no"): 404,
    errors.NotAllowed("no"): 403,
    errors.Conflict("no"): 409,
    errors.StaleToken("no"): 409,
    errors.MissingBlob("no"): 500,
    errors.StorageUnavailable("no"): 503,
    errors.StorageFull("no"): 507,
    errors.SchemaOutOfDate("no"): 503,
    CorruptPicture("no"): 422,
}


@pytest.fixture
def homeless(settings: Settings) -> APIFlask:
    """An application whose database is not there."""
    url = f"sqlite:///{settings.home / 'missing' / 'recaption.sqlite'}"
    return create_app(replace(settings, database_url=url), reconcile=False)


@pytest.mark.parametrize("error", EXPECTED, ids=lambda error: type(error).__name__)
def test_each_error_of_the_catalog_has_its_status(app: APIFlask, error: Exception) -> None:
    with app.test_request_context("/api/v1/x"):
        response = app.make_response(app.handle_user_exception(error))
    assert response.status_code == EXPECTED[error]
    assert response.mimetype == "application/problem+json"
    assert response.json == {"status": EXPECTED[error], "title": response.json["title"], "detail": "no"} | (
        {"reason": "corrupt"} if isinstance(error, CorruptPicture) else {}
    )


def test_a_storage_that_is_away_says_when_to_come_back(app: APIFlask) -> None:
    with app.test_request_context("/api/v1/x"):
        response = app.make_response(app.handle_user_exception(errors.StorageUnavailable("no")))
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_other_errors_of_the_system(admin: Visitor, number: int) -> None:
    app = admin.application
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def broken() -> str:
        raise OSError(failing, os.strerror(failing), "/somewhere/secret")

    app.view_functions["health.healthz"] = broken
    failing = number
    answer = admin.get("/healthz", headers={"Accept": "application/problem+json"})
    assert answer.status_code == 507
    assert answer.json["detail"].startswith("The server's disk is full")
    failing = errno.EIO
    answer = admin.get("/healthz")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_an_upload_to_a_full_disk_is_507_and_goes_on_when_there_is_room(
    settings: Settings, app: APIFlask, admin: Visitor, collection: int, small_disk: Path
) -> None:
    blobs = LocalBlobs(small_disk / "blobs")
    services = app.extensions["recaption"]
    app.extensions["recaption"] = replace(services, blobs=blobs)
    blobs.put(b"first")
    filler = fill_up(small_disk)
    answer = admin.upload(collection, (io.BytesIO(jpeg(1)), "one.jpg"))
    assert answer.status_code == 507
    assert answer.json["title"] == "Insufficient Storage"
    assert "is full; free some space" in answer.json["detail"]
    assert len(list(blobs.keys())) == 1
    assert admin.call("GET", f"/collections/{collection}").json["total"] == 0
    filler.unlink()
    answer = admin.upload(collection, (io.BytesIO(jpeg(1)), "one.jpg"))
    assert answer.json["files"][0]["status"] == "imported"


def test_an_upload_that_cannot_wait_on_a_full_disk_is_507(
    settings: Settings, admin: Visitor, collection: int, small_disk: Path
) -> None:
    settings.cache.symlink_to(small_disk)
    filler = fill_up(small_disk)
    answer = admin.upload(collection, (io.BytesIO(jpeg(1) + bytes(100_000)), "one.jpg"))
    assert answer.status_code == 507
    assert answer.json["detail"].startswith("The server's disk is full")
    assert list(small_disk.iterdir()) == [filler]
    filler.unlink()
    assert admin.upload(collection, (io.BytesIO(jpeg(1)), "one.jpg")).json["files"][0]["stored"]


def test_a_full_database_is_507(admin: Visitor, database: Database, small_disk: Path) -> None:
    app = admin.application
    with closing(sqlite3.connect(str(database.url.database))) as connection:
        connection.execute("VACUUM INTO ?", [str(small_disk / "recaption.sqlite")])
    services = app.extensions["recaption"]
    full = Database(f"sqlite:///{small_disk}/recaption.sqlite")
    app.extensions["recaption"] = replace(services, database=full)
    assert admin.get("/healthz").status_code == 200
    filler = fill_up(small_disk)
    names = ("x" * 90 + str(number) for number in range(500))
    answers = [admin.call("POST", "/collections", json={"name": name}) for name in names]
    statuses = {answer.status_code for answer in answers}
    assert statuses - {201} == {507}
    assert "the disk of the database" in answers[-1].json["detail"]
    filler.unlink()
    assert admin.call("POST", "/collections", json={"name": "later"}).status_code == 201
    full.close()


def test_two_who_save_the_same_name_in_one_moment_meet_a_conflict(app: APIFlask) -> None:
    refused = IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed"))
    with app.test_request_context("/api/v1/x"):
        response = app.make_response(app.handle_user_exception(refused))
    assert response.status_code == 409
    assert "INSERT" not in response.get_data(as_text=True)


def test_people_get_a_page_and_programs_get_a_problem(admin: Visitor) -> None:
    page = admin.get("/items/777")
    assert page.status_code == 404
    assert page.mimetype == "text/html"
    assert "there is no item 777" in page.text
    problem = admin.call("GET", "/items/777")
    assert problem.json == {"title": "Not Found", "status": 404, "detail": "there is no item 777"}


def test_a_method_that_is_not_there_names_those_that_are(admin: Visitor) -> None:
    answer = admin.call("PUT", "/collections")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_json_that_is_none_is_refused(admin: Visitor) -> None:
    answer = admin.call("POST", "/collections", data="{", content_type="application/json")
    assert answer.status_code in (400, 422)
    assert answer.mimetype == "application/problem+json"


def test_health_is_the_databases(client: Visitor) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json == {"database": "answers"}


def test_without_a_database_the_server_says_503_and_when_to_come_back(homeless: APIFlask) -> None:
    answer = homeless.test_client().get("/healthz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


def test_without_a_database_a_logged_in_page_says_503_too(homeless: APIFlask) -> None:
    visitor = homeless.test_client()
    with visitor.session_transaction() as cookie:
        cookie["_user_id"] = "somebody"
    page = visitor.get("/")
    assert page.status_code == 503
    assert "Nothing was lost" in page.text
    problem = visitor.get("/api/v1/collections")
    assert problem.status_code == 503
    assert problem.mimetype == "application/problem+json"


def test_a_fault_of_ours_tells_nothing_of_our_insides(app: APIFlask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def broken() -> str:
        raise RuntimeError("secret inside")

    app.view_functions["health.healthz"] = broken
    answer = app.test_client().get("/healthz")
    assert answer.status_code == 500
    assert "secret inside" not in answer.text
