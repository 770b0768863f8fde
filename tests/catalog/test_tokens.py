"""API tokens: made, redeemed, revoked, and when they were last used."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.orm import Session

from catalog import accounts, tokens
from catalog.database import Database
from catalog.errors import InvalidInput, NotFound
from catalog.schema import ApiToken, Role, Scope, User, utc_now

NewUser = Callable[..., User]


@pytest.fixture
def user(database: Database, new_user: NewUser) -> User:
    with database.writing() as session:
        return new_user(session, "ada", Role.ADMIN)


def made(database: Database, user: User, name: str = "backup script", days: int = 90) -> tuple[int, str]:
    """The id and the secret of a new token."""
    with database.writing() as session:
        token, secret = tokens.create(session, user, name=name, scope=Scope.READ, days=days)
    return token.id, secret


def last_use(database: Database, token_id: int) -> datetime | None:
    with database.reading() as session:
        return session.get_one(ApiToken, token_id).last_used_at


def used_at(database: Database, token_id: int, when: datetime) -> None:
    with database.writing() as session:
        session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=when))


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that change something."""
    found: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE"):
            found.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield found
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_secret_redeems_its_token_with_its_user(database: Database, user: User) -> None:
    token_id, secret = made(database, user)
    token = tokens.redeem(database, secret)
    assert token is not None
    assert (token.id, token.user.name, token.user.role, token.scope) == (
        token_id,
        "ada",
        Role.ADMIN,
        Scope.READ,
    )
    assert timedelta(days=89) < token.expires_at - utc_now() <= timedelta(days=90)


def test_the_secret_can_be_found_by_scanners_and_is_kept_nowhere(database: Database, user: User) -> None:
    secret = made(database, user)[1]
    assert secret.startswith("rcp_")
    assert len(secret) == len("rcp_") + 43
    with database.reading() as session:
        row = session.execute(select(ApiToken.__table__)).one()
    assert all(secret not in str(value) for value in row)
    assert made(database, user)[1] != secret


def test_a_wrong_secret_redeems_nothing(database: Database, user: User) -> None:
    secret = made(database, user)[1]
    for wrong in ("", "rcp_", secret[:-1], secret + "A", secret.upper(), "rcp_ü"):
        assert tokens.redeem(database, wrong) is None


def test_an_expired_token_redeems_nothing(database: Database, user: User) -> None:
    token_id, secret = made(database, user, days=1)
    with database.writing() as session:
        session.execute(update(ApiToken).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert tokens.redeem(database, secret) is None
    assert last_use(database, token_id) is None


def test_a_user_who_is_locked_out_redeems_nothing_until_let_in_again(database: Database, user: User) -> None:
    secret = made(database, user)[1]
    for active in (False, True):
        with database.writing() as session:
            accounts.set_active(session, accounts.get(session, user.id), active)
        assert (tokens.redeem(database, secret) is not None) is active


def test_a_revoked_token_redeems_nothing_and_its_number_is_not_given_again(
    database: Database, user: User
) -> None:
    token_id, secret = made(database, user)
    with database.writing() as session:
        assert tokens.revoke(session, token_id, user=user).name == "backup script"
    assert tokens.redeem(database, secret) is None
    assert made(database, user)[0] > token_id
    with database.writing() as session, pytest.raises(NotFound, match=f"no token {token_id}"):
        tokens.revoke(session, token_id, user=user)


def test_a_token_of_somebody_else_cannot_be_revoked(
    database: Database, user: User, new_user: NewUser
) -> None:
    token_id, secret = made(database, user)
    with database.writing() as session, pytest.raises(NotFound):
        tokens.revoke(session, token_id, user=new_user(session, "bob"))
    assert tokens.redeem(database, secret)
    with database.writing() as session:
        assert tokens.revoke(session, token_id, user=None).user.name == "ada"


def test_tokens_go_with_their_user(database: Database, user: User) -> None:
    secret = made(database, user)[1]
    with database.writing() as session:
        session.delete(accounts.get(session, user.id))
    assert tokens.redeem(database, secret) is None


def test_a_user_lists_the_newest_tokens_first_and_in_pages(session: Session, new_user: NewUser) -> None:
    ada, bob = new_user(session, "ada"), new_user(session, "bob")
    for owner, name in ((ada, "one"), (bob, "his"), (ada, "two"), (ada, "three")):
        tokens.create(session, owner, name=name, scope=Scope.WRITE, days=30)
    first = tokens.of_user(session, ada, limit=2)
    assert [token.name for token in first.rows] == ["three", "two"]
    rest = tokens.of_user(session, ada, after=first.after, limit=2)
    assert ([token.name for token in rest.rows], rest.after) == (["one"], None)


@pytest.mark.parametrize(
    ("name", "days", "fault"),
    [
        (" ", 30, "cannot name"),
        ("a\nb", 30, "cannot name"),
        ("x" * 256, 30, "cannot name"),
        ("cron", 0, "0 days"),
        ("cron", 366, "366 days"),
    ],
)
def test_bad_names_and_times_are_refused(
    session: Session, new_user: NewUser, name: str, days: int, fault: str
) -> None:
    with pytest.raises(InvalidInput, match=fault):
        tokens.create(session, new_user(session, "ada"), name=name, scope=Scope.READ, days=days)


def test_the_last_use_is_noted_once_a_minute(database: Database, user: User) -> None:
    token_id, secret = made(database, user)
    with counted(database) as writes:
        for _ in range(3):
            assert tokens.redeem(database, secret)
    assert len(writes) == 1
    noted = last_use(database, token_id)
    assert noted is not None
    assert utc_now() - noted < timedelta(minutes=1)
    old = utc_now() - timedelta(seconds=61)
    used_at(database, token_id, old)
    assert tokens.redeem(database, secret)
    assert last_use(database, token_id) != old


@pytest.mark.timeout(60)
def test_a_redemption_waits_for_no_writer(database: Database, user: User) -> None:
    token_id, secret = made(database, user)
    with database.writing() as session:
        # Another request holds the token's row and, on SQLite, the one lock for writing.
        session.execute(update(ApiToken).values(name="renamed"))
        began = time.monotonic()
        assert tokens.redeem(database, secret)
        assert time.monotonic() - began < 2
    assert last_use(database, token_id) is None
    assert tokens.redeem(database, secret)
    assert last_use(database, token_id) is not None


def test_who_gave_up_waiting_once_waits_the_next_time(database: Database, user: User) -> None:
    if not database.is_sqlite:
        pytest.skip("only SQLite has one writer at a time")
    secret = made(database, user)[1]
    with database.writing():
        assert tokens.redeem(database, secret)
    with database.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_database_that_can_only_be_read_still_redeems(database: Database, user: User) -> None:
    token_id, secret = made(database, user)
    read_only = "PRAGMA query_only=ON" if database.is_sqlite else "SET default_transaction_read_only=on"

    def restrict(connection: Any, *_: object) -> None:
        connection.execute(read_only)
        connection.commit()

    event.listen(database.engine, "checkout", restrict)
    with (
        pytest.raises(OperationalError if database.is_sqlite else InternalError),
        database.writing() as session,
    ):
        session.execute(update(ApiToken).values(name="renamed"))
    assert tokens.redeem(database, secret)
    assert last_use(database, token_id) is None
