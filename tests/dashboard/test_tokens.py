"""API tokens before the doors: what they open, for whom, and what they leave closed."""

import base64
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from catalog import accounts, tokens
from catalog.database import Database
from catalog.schema import ApiToken, Collection, Role, Scope, User, utc_now
from tests.dashboard.visitor import Visitor

COLLECTIONS = "/api/v1/collections"
PIER = {"name": "Pier"}


@pytest.fixture
def script(app: APIFlask) -> FlaskClient:
    """Something that calls the API and keeps no cookies."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def new_token(database: Database) -> Callable[..., dict[str, str]]:
    """A function that makes a token for a user, and returns the header in which it is sent."""

    def make(user: User, scope: Scope = Scope.WRITE) -> dict[str, str]:
        with database.writing() as session:
            secret = tokens.create(session, user, name="cron", scope=scope, days=30)[1]
        return {"Authorization": f"Bearer {secret}"}

    return make


@pytest.fixture
def ada(new_user: Callable[..., User]) -> User:
    return new_user("ada", Role.ADMIN)


@pytest.fixture
def bob(new_user: Callable[..., User]) -> User:
    return new_user("bob")


NewToken = Callable[..., dict[str, str]]


def is_refused(answer: TestResponse) -> bool:
    """Whether the answer is a 401 that a program understands."""
    assert "detail" in answer.get_json()
    return (
        answer.status_code == 401
        and answer.mimetype == "application/problem+json"
        and answer.headers["WWW-Authenticate"] == "Bearer"
    )


def test_a_token_needs_neither_cookie_nor_csrf(script: FlaskClient, ada: User, new_token: NewToken) -> None:
    headers = new_token(ada)
    made = script.post(COLLECTIONS, json=PIER, headers=headers)
    assert made.status_code == 201
    assert script.get(COLLECTIONS, headers=headers).get_json()[0]["name"] == "Pier"
    assert "Set-Cookie" not in made.headers


def test_the_scheme_is_known_in_any_case(script: FlaskClient, ada: User, new_token: NewToken) -> None:
    lower = new_token(ada)["Authorization"].replace("Bearer", "bearer")
    assert script.get(COLLECTIONS, headers={"Authorization": lower}).status_code == 200


def test_a_token_over_https_needs_no_referrer(script: FlaskClient, ada: User, new_token: NewToken) -> None:
    answer = script.post(COLLECTIONS, json=PIER, headers=new_token(ada), base_url="https://localhost")
    assert answer.status_code == 201


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_token_for_reading_changes_nothing(
    script: FlaskClient, ada: User, new_token: NewToken, collection: int, item: int, method: str
) -> None:
    headers = new_token(ada, Scope.READ)
    url = {
        "POST": COLLECTIONS,
        "PATCH": "/api/v1/captions/1",
        "PUT": f"/api/v1/items/{item}/draft",
        "DELETE": f"{COLLECTIONS}/{collection}",
    }[method]
    answer = script.open(url, method=method, json={}, headers=headers)
    assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")
    assert "'cron' may only read" in answer.get_json()["detail"]
    assert "scope `write`" in answer.get_json()["detail"]
    for safe in ("GET", "HEAD"):
        assert script.open(f"{COLLECTIONS}/{collection}", method=safe, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer rcp_wrong", "Bearer a=b", "Bearer \xfc", "Bearer rcp_a, b=c"]
)
def test_what_is_no_token_is_refused(script: FlaskClient, value: str) -> None:
    assert is_refused(script.get(COLLECTIONS, headers={"Authorization": value}))


def test_who_brings_nothing_learns_what_to_bring(script: FlaskClient) -> None:
    answer = script.get(COLLECTIONS)
    assert is_refused(answer)
    assert "API token" in answer.get_json()["detail"]


def test_an_expired_token_is_refused(
    script: FlaskClient, ada: User, new_token: NewToken, database: Database
) -> None:
    headers = new_token(ada)
    with database.writing() as session:
        session.execute(update(ApiToken).values(expires_at=utc_now() - timedelta(seconds=1)))
    answer = script.get(COLLECTIONS, headers=headers)
    assert is_refused(answer)
    assert "expired" in answer.get_json()["detail"]


def test_a_revoked_token_is_refused(
    script: FlaskClient, ada: User, new_token: NewToken, database: Database
) -> None:
    headers = new_token(ada)
    with database.writing() as session:
        tokens.revoke(session, session.scalars(select(ApiToken.id)).one(), user=ada)
    assert is_refused(script.get(COLLECTIONS, headers=headers))


def test_a_token_of_somebody_locked_out_is_refused(
    script: FlaskClient, bob: User, new_token: NewToken, database: Database
) -> None:
    headers = new_token(bob)
    assert script.get(COLLECTIONS, headers=headers).status_code == 200
    with database.writing() as session:
        accounts.set_active(session, accounts.get(session, bob.id), False)
    assert is_refused(script.get(COLLECTIONS, headers=headers))


def test_a_session_still_needs_csrf(admin: Visitor) -> None:
    for headers in ({}, {"Authorization": "Basic YWRhOmFkYQ=="}, {"Authorization": "rcp_x"}):
        assert admin.post(COLLECTIONS, json=PIER, headers=headers).status_code == 400
    assert admin.call("POST", "/collections", json=PIER).status_code == 201


def test_a_session_does_not_make_up_for_a_token(
    admin: Visitor, bob: User, new_token: NewToken, collection: int
) -> None:
    assert is_refused(admin.get(COLLECTIONS, headers={"Authorization": "Bearer rcp_wrong"}))
    forged = {"Authorization": "Bearer rcp_wrong", "X-CSRFToken": admin.token()}
    assert is_refused(admin.post(COLLECTIONS, json=PIER, headers=forged))
    # The admin sees this collection, bob does not.
    address = f"{COLLECTIONS}/{collection}"
    assert admin.get(address).status_code == 200
    assert admin.get(address, headers=new_token(bob)).status_code == 404
    assert admin.post(COLLECTIONS, json=PIER, headers=new_token(bob, Scope.READ)).status_code == 403


def test_a_remembered_login_does_not_make_up_for_a_token(
    client: Visitor, ada: User, bob: User, new_token: NewToken, collection: int
) -> None:
    client.submit("/login", {"name": "ada", "password": "correct horse battery", "remember": "y"})
    assert client.get_cookie("remember_token")
    client.delete_cookie("recaption")
    address = f"{COLLECTIONS}/{collection}"
    assert client.get(address).status_code == 200
    client.delete_cookie("recaption")
    assert client.get(address, headers=new_token(bob)).status_code == 404


@pytest.mark.parametrize("address", ["/", "/jobs", "/people", "/login/../api/v1/collections", "/api"])
def test_a_token_opens_nothing_outside_the_api(
    script: FlaskClient, ada: User, new_token: NewToken, address: str
) -> None:
    answer = script.get(address, headers=new_token(ada))
    assert answer.status_code in (302, 404)
    assert "WWW-Authenticate" not in answer.headers


def test_a_page_asks_for_csrf_whatever_token_comes_along(
    admin: Visitor, ada_token: dict[str, str], database: Database
) -> None:
    assert admin.post("/collections", data=PIER, headers=ada_token).status_code == 400
    with database.reading() as session:
        assert session.scalars(select(Collection)).all() == []


@pytest.fixture
def ada_token(admin: Visitor, database: Database, new_token: NewToken) -> dict[str, str]:
    with database.reading() as session:
        return new_token(accounts.by_name(session, "ada"))


def test_a_token_has_the_rights_of_its_user(
    script: FlaskClient, ada: User, bob: User, new_token: NewToken, collection: int
) -> None:
    of_ada, of_bob = new_token(ada), new_token(bob)
    address = f"{COLLECTIONS}/{collection}"
    assert script.get(address, headers=of_bob).status_code == 404
    assert script.get(f"{address}/items", headers=of_bob).status_code == 404
    assert script.get(COLLECTIONS, headers=of_bob).get_json() == []
    assert script.get(address, headers=of_ada).status_code == 200


def test_what_only_admins_may_do_stays_so(
    script: FlaskClient, ada: User, bob: User, new_token: NewToken
) -> None:
    of_bob = new_token(bob)
    made = script.post(COLLECTIONS, json=PIER, headers=of_bob).get_json()["id"]
    assert script.delete(f"{COLLECTIONS}/{made}", headers=of_bob).status_code == 403
    assert script.delete(f"{COLLECTIONS}/{made}", headers=new_token(ada)).status_code in (200, 204)


def test_an_unknown_address_is_not_found_whatever_token_comes_along(script: FlaskClient) -> None:
    headers = {"Authorization": "Bearer rcp_wrong"}
    assert script.get("/api/v1/nothing", headers=headers).status_code == 404
    assert script.get(COLLECTIONS, headers={**headers, "Host": "evil.example"}).status_code == 400


def test_files_are_uploaded_by_tus_with_a_token(
    script: FlaskClient, ada: User, new_token: NewToken, collection: int
) -> None:
    name = base64.b64encode(b"pier.jpg").decode()
    headers = {**new_token(ada), "Tus-Resumable": "1.0.0"}
    begin = {"Upload-Length": "10", "Upload-Metadata": f"filename {name}"}
    created = script.post(f"{COLLECTIONS}/{collection}/tus", headers={**headers, **begin})
    assert created.status_code == 201
    url = created.headers["Location"]
    part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert script.patch(url, data=b"five.", headers={**headers, **part}).headers["Upload-Offset"] == "5"
    assert script.head(url, headers=headers).headers["Upload-Offset"] == "5"
    reader = {**headers, **new_token(ada, Scope.READ)}
    refused = script.patch(url, data=b"more.", headers={**reader, **part, "Upload-Offset": "5"})
    assert (refused.status_code, refused.headers["Tus-Resumable"]) == (403, "1.0.0")
    assert script.head(url, headers=reader).headers["Upload-Offset"] == "5"
    wrong = {**headers, "Authorization": "Bearer rcp_wrong"}
    assert is_refused(script.patch(url, data=b"more.", headers={**wrong, **part}))
    assert script.delete(url, headers=headers).status_code == 204


def test_the_description_names_both_ways_in(client: Visitor) -> None:
    described = client.get("/api/openapi.json").get_json()
    schemes = described["components"]["securitySchemes"]
    assert (schemes["token"]["type"], schemes["token"]["scheme"]) == ("http", "bearer")
    assert schemes["session"]["name"] == client.application.config["SESSION_COOKIE_NAME"]
    assert described["security"] == [{"token": []}, {"session": []}]


NEW = {"name": "cron", "scope": "read", "days": "30"}


def secret_in(page: str) -> str:
    found = re.search(r'id="secret" value="(rcp_[\w-]+)"', page)
    assert found
    return found[1]


def test_the_page_makes_a_token_and_shows_its_secret_once(reviewer: Visitor, script: FlaskClient) -> None:
    answer = reviewer.submit("/tokens", NEW)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    secret = secret_in(answer.text)
    assert secret not in reviewer.get("/tokens").text
    headers = {"Authorization": f"Bearer {secret}"}
    assert script.get(COLLECTIONS, headers=headers).status_code == 200
    assert script.post(COLLECTIONS, json=PIER, headers=headers).status_code == 403


def test_the_page_lists_what_tokens_may_do_and_when_they_were_used(
    reviewer: Visitor, script: FlaskClient, database: Database
) -> None:
    secret = secret_in(reviewer.submit("/tokens", {**NEW, "scope": "write"}).text)
    page = reviewer.get("/tokens").text
    assert "cron" in page
    assert '<span class="badge">write</span>' in page
    assert "never used" in page
    script.get(COLLECTIONS, headers={"Authorization": f"Bearer {secret}"})
    assert "last used <time" in reviewer.get("/tokens").text
    assert "expired" not in page
    with database.writing() as session:
        session.execute(update(ApiToken).values(expires_at=utc_now()))
    assert "expired" in reviewer.get("/tokens").text


@pytest.mark.parametrize("wrong", [{"name": " "}, {"scope": "admin"}, {"days": "10000"}, {"days": "soon"}])
def test_a_token_that_cannot_be_made_is_refused(
    reviewer: Visitor, wrong: dict[str, str], database: Database
) -> None:
    assert reviewer.submit("/tokens", {**NEW, **wrong}).status_code == 422
    with database.reading() as session:
        assert session.scalars(select(ApiToken)).all() == []


def test_the_page_revokes_a_token(reviewer: Visitor, script: FlaskClient) -> None:
    secret = secret_in(reviewer.submit("/tokens", NEW).text)
    answer = reviewer.submit("/tokens/1/revoke", {})
    assert (answer.status_code, answer.location) == (303, "/tokens")
    assert "No tokens yet" in reviewer.get("/tokens").text
    assert is_refused(script.get(COLLECTIONS, headers={"Authorization": f"Bearer {secret}"}))
    assert reviewer.submit("/tokens/1/revoke", {}).status_code == 404


def test_nobody_sees_or_revokes_the_tokens_of_others(
    admin: Visitor, reviewer: Visitor, database: Database
) -> None:
    reviewer.submit("/tokens", {**NEW, "name": "his script"})
    assert "his script" not in admin.get("/tokens").text
    assert admin.submit("/tokens/1/revoke", {}).status_code == 404
    with database.reading() as session:
        assert session.scalars(select(ApiToken.name)).all() == ["his script"]


def test_a_token_is_made_by_a_session_alone(
    script: FlaskClient, reviewer: Visitor, ada: User, new_token: NewToken, database: Database
) -> None:
    assert script.post("/tokens", data=NEW, headers=new_token(ada)).status_code == 302
    assert reviewer.post("/tokens", data=NEW).status_code == 400
    with database.reading() as session:
        assert len(session.scalars(select(ApiToken)).all()) == 1
