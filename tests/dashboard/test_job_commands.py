"""The lines that start a job again do just that."""

import json
import shlex
from collections.abc import Callable

import pytest
from apiflask import APIFlask
from click.testing import CliRunner
from sqlalchemy import select

from catalog import tokens
from catalog.database import Database
from catalog.schema import Collection, Job, Scope, User
from catalog.settings import Settings
from recaption import cli
from tests.dashboard.visitor import Visitor

NAMES = ["Harbour", "Boats & $HOME's “ships”", "--mode", "two\nlines"]
ALIKE = ("kind", "collection_id", "checkpoint_id", "options", "priority", "total")


@pytest.fixture
def commands(
    admin: Visitor,
    collection: int,
    new_items: Callable[[int], list[int]],
    checkpoint: int,
    database: Database,
) -> Callable[[str], dict[str, str]]:
    """A function that gives the collection a name, starts a job on it and returns its lines."""

    def start(name: str) -> dict[str, str]:
        new_items(3)
        with database.writing() as session:
            session.get_one(Collection, collection).name = name
        body = {"collection_id": collection, "mode": "add", "priority": -7}
        job = admin.call("POST", "/jobs", json=body).json["id"]
        lines: dict[str, str] = admin.call("GET", f"/jobs/{job}").json["commands"]
        return lines

    return start


def two_alike(database: Database) -> None:
    with database.reading() as session:
        first, second = session.scalars(select(Job).order_by(Job.id))
        assert [getattr(second, name) for name in ALIKE] == [getattr(first, name) for name in ALIKE]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_starts_an_equal_job(
    commands: Callable[[str], dict[str, str]], name: str, settings: Settings, database: Database
) -> None:
    program, *arguments = shlex.split(commands(name)["shell"])
    assert program == "recaption"
    said = CliRunner().invoke(cli, arguments, env={"RECAPTION_HOME": str(settings.home)})
    assert said.exit_code == 0, said.output
    two_alike(database)


def test_the_call_starts_an_equal_job(
    commands: Callable[[str], dict[str, str]], app: APIFlask, database: Database
) -> None:
    line = commands("Boats & $HOME's “ships”")["curl"]
    with database.writing() as session:
        ada = session.scalars(select(User)).one()
        secret = tokens.create(session, ada, name="script", scope=Scope.WRITE, days=1)[1]
    program, _, method, address, *rest = shlex.split(line)
    assert (program, method, address) == ("curl", "POST", "http://localhost/api/v1/jobs")
    assert '"Authorization: Bearer $RECAPTION_TOKEN"' in line  # in double quotes, where a shell fills it in
    options = list(zip(rest[::2], rest[1::2], strict=True))
    headers = [
        value.replace("$RECAPTION_TOKEN", secret).split(": ") for name, value in options if name == "-H"
    ]
    (body,) = [value for name, value in options if name == "-d"]
    answer = app.test_client(use_cookies=False).open(address, method=method, headers=headers, data=body)
    assert answer.status_code == 202, answer.text
    assert json.loads(body)["checkpoint"] == "starter-1"
    two_alike(database)
