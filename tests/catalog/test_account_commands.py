"""The commands that add users, and make, list and revoke their API tokens."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from catalog import tokens
from catalog.account_commands import token_group, user_group
from catalog.database import Database
from catalog.errors import InvalidInput, NotFound
from catalog.schema import ApiToken, Role, Scope, utc_now
from catalog.settings import load_settings


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An installation with the user ada; its database."""
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    told = CliRunner().invoke(user_group, ["add", "ada", "--role", "admin", "--password", "correct horse"])
    assert told.output == "ada can log in as admin\n"
    database = Database(load_settings().database_url)
    yield database
    database.close()


def token(*arguments: str) -> Result:
    return CliRunner().invoke(token_group, arguments)


def test_only_the_secret_goes_to_standard_output(installed: Database) -> None:
    told = token("create", "Ada", "--name", "nightly export")
    assert re.fullmatch(r"rcp_[\w-]{43}\n", told.stdout)
    assert told.stderr.startswith("token 1 of ada may read until ")
    found = tokens.redeem(installed, told.stdout.strip())
    assert found is not None
    assert (found.user.role, found.scope, found.name) == (Role.ADMIN, Scope.READ, "nightly export")
    assert timedelta(days=89) < found.expires_at - utc_now() <= timedelta(days=90)


def test_scope_and_days_are_as_asked(installed: Database) -> None:
    told = token("create", "ada", "--name", "upload", "--scope", "write", "--days", "1")
    found = tokens.redeem(installed, told.stdout.strip())
    assert found is not None
    assert found.scope is Scope.WRITE
    assert found.expires_at - utc_now() <= timedelta(days=1)


def test_a_list_tells_of_every_token_and_no_secret(installed: Database) -> None:
    secrets = [token("create", "ada", "--name", f"script {n}").stdout.strip() for n in range(3)]
    tokens.redeem(installed, secrets[1])
    with installed.writing() as session:
        session.execute(
            update(ApiToken).where(ApiToken.id == 1).values(expires_at=utc_now() - timedelta(days=1))
        )
    lines = token("list", "ada").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert "expired" in lines[2]
    assert "last used" in lines[1]
    assert "never used  script 2" in lines[0]
    assert not any(secret in line for secret in secrets for line in lines)


def test_a_list_of_more_than_a_page_is_whole(installed: Database) -> None:
    with installed.writing() as session:
        rows = [
            ApiToken(user_id=1, name="cron", secret_hash=f"{n:064}", scope=Scope.READ, expires_at=utc_now())
            for n in range(205)
        ]
        session.add_all(rows)
    assert len(token("list", "ada").stdout.splitlines()) == 205


def test_a_token_is_revoked_by_its_id(installed: Database) -> None:
    secret = token("create", "ada", "--name", "upload").stdout.strip()
    assert token("revoke", "1").output == "token 1 of ada, 'upload', is revoked\n"
    assert tokens.redeem(installed, secret) is None
    assert token("list", "ada").output == ""
    assert isinstance(token("revoke", "1").exception, NotFound)


def test_what_cannot_be_is_refused(installed: Database) -> None:
    assert isinstance(token("create", "eve", "--name", "x").exception, NotFound)
    assert isinstance(token("create", "ada", "--name", " ").exception, InvalidInput)
    assert token("create", "ada", "--name", "x", "--days", "400").exit_code == 2
    assert token("create", "ada", "--name", "x", "--scope", "admin").exit_code == 2
    assert token("list", "ada").output == ""
