"""The link that logs in once."""

import pytest

from catalog import accounts
from catalog.database import Database
from catalog.schema import Role
from tests.dashboard.visitor import Visitor


@pytest.fixture
def link(database: Database) -> str:
    with database.writing() as session:
        user = accounts.create_user(session, name="demo", role=Role.ADMIN, password=None)
        return f"/login/link/{accounts.create_login_link(session, user)}"


def test_opening_the_link_logs_in(client: Visitor, link: str) -> None:
    answer = client.get(link)
    assert answer.location == "/"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "demo" in client.get("/").text


def test_the_link_works_once(client: Visitor, link: str) -> None:
    client.get(link)
    client.submit("/logout", {})
    answer = client.get(link)
    assert answer.status_code == 404
    assert "used already" in answer.text
    assert client.get("/").status_code == 302


def test_opening_the_link_again_while_logged_in_leads_to_the_collections(client: Visitor, link: str) -> None:
    client.get(link)
    assert client.get(link).location == "/"


@pytest.mark.parametrize(
    "from_elsewhere",
    [
        {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}},
        {"headers": {"X-Forwarded-For": "192.0.2.7"}},
        {"headers": {"Forwarded": "for=192.0.2.7"}},
    ],
)
def test_the_link_is_unknown_to_other_machines(client: Visitor, link: str, from_elsewhere: dict) -> None:
    assert client.get(link, **from_elsewhere).status_code == 404
    assert client.get(link).location == "/"


def test_a_preview_does_not_use_the_link_up(client: Visitor, link: str) -> None:
    assert client.head(link).status_code == 204
    assert client.get(link, headers={"Sec-Purpose": "prefetch;prerender"}).status_code == 204
    assert client.get(link).location == "/"


def test_an_invented_secret_is_unknown(client: Visitor, link: str) -> None:
    assert client.get("/login/link/invented").status_code == 404
