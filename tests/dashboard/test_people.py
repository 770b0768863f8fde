"""Users, as admins see them."""

from catalog import accounts
from catalog.database import Database
from tests.dashboard.visitor import Visitor

NEW = {"name": "eve", "role": "reviewer", "password": "a long password"}


def test_admins_add_users_who_can_log_in(admin: Visitor, client: Visitor) -> None:
    assert admin.submit("/people", NEW).status_code == 303
    assert "eve" in admin.get("/people").text
    assert client.log_in("eve", NEW["password"]).status_code == 302


def test_a_short_password_and_a_taken_name_are_refused(admin: Visitor) -> None:
    assert admin.submit("/people", {**NEW, "password": "short"}).status_code == 422
    assert admin.submit("/people", {**NEW, "name": "ADA"}).status_code == 409
    assert admin.submit("/people", {**NEW, "role": "king"}).status_code == 422


def test_a_script_learns_why_a_form_was_refused(admin: Visitor) -> None:
    headers = {"Accept": "application/problem+json"}
    answer = admin.submit("/people", {**NEW, "password": "short"}, headers=headers)
    assert answer.mimetype == "application/problem+json"
    assert "at least 10 characters" in answer.json["detail"]


def test_reviewers_manage_nobody(reviewer: Visitor) -> None:
    assert reviewer.get("/people").status_code == 403
    assert reviewer.submit("/people", NEW).status_code == 403
    assert 'href="/people"' not in reviewer.get("/").text


def test_users_are_locked_out_and_let_in_again(
    admin: Visitor, reviewer: Visitor, client: Visitor, database: Database
) -> None:
    with database.reading() as session:
        bob = accounts.by_name(session, "bob").id
    admin.submit(f"/people/{bob}/active", {})
    assert "locked out" in admin.get("/people").text
    assert reviewer.get("/").status_code == 302
    admin.submit(f"/people/{bob}/active", {"active": "y"})
    assert client.log_in("bob").status_code == 302


def test_nobody_locks_himself_out(admin: Visitor, database: Database) -> None:
    with database.reading() as session:
        ada = accounts.by_name(session, "ada").id
    assert admin.submit(f"/people/{ada}/active", {}).status_code == 409
    assert admin.get("/").status_code == 200
