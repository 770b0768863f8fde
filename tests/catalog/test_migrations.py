from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import func, inspect, select

from catalog.database import Database, alembic_config, migrate
from catalog.errors import SchemaOutOfDate
from catalog.schema import Base, Item

Filled = Callable[..., tuple[int, list[int], int]]


def test_the_migrations_make_the_schema_that_the_code_declares(database: Database) -> None:
    # `check` raises when autogenerate would find a difference.
    command.check(alembic_config(database.url.render_as_string(hide_password=False)))


def test_down_and_up_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/recaption.sqlite"
    migrate(url)
    command.downgrade(alembic_config(url), "base")
    database = Database(url)
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    migrate(url)
    assert set(Base.metadata.tables) <= set(inspect(database.engine).get_table_names())
    database.close()


def test_migrating_again_keeps_the_rows(database: Database, filled: Filled) -> None:
    with database.writing() as session:
        filled(session, 2)
    migrate(database.url.render_as_string(hide_password=False))
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Item)) == 2


def test_an_unmigrated_database_says_what_to_run(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/empty.sqlite")
    with pytest.raises(SchemaOutOfDate, match="recaption migrate"):
        database.check_schema()
    database.close()
