"""Who comes in, and how long they stay."""

import re
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
from apiflask import APIFlask

from catalog import accounts
from catalog.database import Database
from catalog.schema import Role, User
from dashboard.security import PUBLIC
from tests.dashboard.visitor import PASSWORD, Visitor


def test_name_and_password_open_the_collections(client: Visitor, new_user: Callable[..., User]) -> None:
    new_user("ada", Role.ADMIN)
    answer = client.log_in("ada", follow_redirects=True)
    assert answer.request.path == "/"
    assert "Collections" in answer.text


def test_a_password_set_by_the_catalog_logs_in(client: Visitor, database: Database) -> None:
    with database.writing() as session:
        accounts.create_user(session, name="Zoë", role=Role.REVIEWER, password="schöne ﬁsche 2024")
    assert client.log_in("zoë", "schöne ﬁsche 2024").status_code == 302
    assert client.get("/").status_code == 200


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
    client: Visitor, new_user: Callable[..., User]
) -> None:
    new_user("ada")
    known, unknown = (client.log_in(name, "wrong wrong wrong").text for name in ("ada", "eve"))
    assert "The name or the password is wrong." in known
    assert _without_tokens(known).replace('"ada"', '"eve"') == _without_tokens(unknown)
    assert client.get("/").status_code == 302


def test_nobody_is_let_in_without_a_password(client: Visitor, new_user: Callable[..., User]) -> None:
    new_user("ada")
    assert client.log_in("ada", "").status_code == 200
    assert client.get("/").status_code == 302


def test_who_is_locked_out_cannot_log_in(
    client: Visitor, new_user: Callable[..., User], database: Database
) -> None:
    user = new_user("ada")
    with database.writing() as session:
        accounts.set_active(session, session.merge(user), False)
    assert "disabled" in client.log_in("ada").text
    assert client.get("/").status_code == 302


def test_locking_somebody_out_ends_the_open_session(reviewer: Visitor, database: Database) -> None:
    assert reviewer.get("/").status_code == 200
    with database.writing() as session:
        accounts.set_active(session, accounts.by_name(session, "bob"), False)
    assert reviewer.get("/").status_code == 302


def test_the_eleventh_attempt_within_a_minute_is_refused(client: Visitor) -> None:
    token = client.token()
    fields = {"name": "ada", "password": "wrong", "csrf_token": token}
    answers = [client.post("/login", data=fields).status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]


def test_logging_out_closes_the_door(reviewer: Visitor) -> None:
    reviewer.submit("/logout", {})
    assert reviewer.get("/").status_code == 302


def test_login_leads_back_to_the_page_that_was_wanted(client: Visitor, new_user: Callable[..., User]) -> None:
    new_user("ada")
    asked = client.get("/jobs?x=1")
    assert asked.location == "/login?next=/jobs?x%3D1"
    answer = client.submit(asked.location, {"name": "ada", "password": PASSWORD})
    assert answer.location == "/jobs?x=1"


@pytest.mark.parametrize(
    "elsewhere", ["https://example.org/", "//example.org", "///example.org", "\\\\example.org"]
)
def test_login_leads_to_no_other_site(client: Visitor, new_user: Callable[..., User], elsewhere: str) -> None:
    new_user("ada")
    answer = client.submit("/login", {"name": "ada", "password": PASSWORD, "next": elsewhere})
    home = "http://localhost/login"
    assert urlsplit(urljoin(home, answer.location or "")).netloc == "localhost"


def test_the_accounts_librarys_tokens_open_nothing(
    app: APIFlask, client: Visitor, new_user: Callable[..., User]
) -> None:
    new_user("ada")
    answer = client.post(
        "/login?include_auth_token",
        json={"name": "ada", "password": PASSWORD},
        headers={"X-CSRFToken": client.token()},
    )
    token = answer.json["response"]["user"].get("authentication_token", "none")
    stranger = app.test_client()
    headers = {"Authentication-Token": token}
    assert stranger.get("/api/v1/collections", headers=headers).status_code == 401
    assert stranger.get(f"/api/v1/collections?auth_token={token}").status_code == 401


def test_every_page_and_every_route_of_the_api_asks_who_is_there(app: APIFlask, client: Visitor) -> None:
    token = client.token()
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC:
            continue
        url = rule.build({name: "pause" if name == "action" else 1 for name in rule.arguments})
        assert url
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = client.open(url[1], method=method, headers={"X-CSRFToken": token})
            wanted = 401 if url[1].startswith("/api/") else 302
            assert answer.status_code == wanted, f"{method} {rule}"


def _without_tokens(page: str) -> str:
    return re.sub(r'(csrf[_-]token"[^>]*(?:value|content))="[^"]+"', r"\1", page)
