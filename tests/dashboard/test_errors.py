"""Errors as people and programs see them, and a server without a database."""

from dataclasses import replace

import pytest
from apiflask import APIFlask
from sqlalchemy.exc import IntegrityError

from catalog import errors
from catalog.settings import Settings
from dashboard.app import create_app
from pictures.errors import CorruptPicture
from tests.dashboard.visitor import Visitor

EXPECTED = {
    errors.InvalidInput("no"): 422,
    errors.NotFound("no"): 404,
    errors.NotAllowed("no"): 403,
    errors.Conflict("no"): 409,
    errors.StaleToken("no"): 409,
    errors.MissingBlob("no"): 500,
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
