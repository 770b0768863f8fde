from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import func, inspect, select, text

from catalog import collections, item_lists
from catalog.database import Database, alembic_config, migrate
from catalog.errors import SchemaOutOfDate
from catalog.filters import ItemFilter
from catalog.schema import Base, CaptionDetail, Item, ReviewState

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


def test_captions_from_before_confidence_keep_what_the_network_said(
    new_postgresql: Callable[[], str], tmp_path: Path
) -> None:
    for url in (f"sqlite:///{tmp_path}/recaption.sqlite", new_postgresql()):
        config = alembic_config(url)
        command.upgrade(config, "0001")
        database = Database(url)
        with database.writing() as session:
            session.execute(text("INSERT INTO collections VALUES (1, 'Harbour', '', '2026-01-01')"))
            session.execute(text("INSERT INTO images VALUES (1, 'a', 'a', 'JPEG', 1, 1, 1, 1, '2026-01-01')"))
            session.execute(
                text(
                    "INSERT INTO items (id, collection_id, image_id, path, metadata, position, flagged,"
                    " review_state, created_at)"
                    " VALUES (1, 1, 1, 'a.jpg', '{}', 1, false, 'pending', '2026-01-01')"
                )
            )
            session.execute(
                text(
                    "INSERT INTO captions (id, item_id, text, language, kind, state, origin, version,"
                    " created_at, updated_at) VALUES (1, 1, 'A boat.', 'en', 'caption', 'candidate',"
                    " 'model', 1, '2026-01-01', '2026-01-01')"
                )
            )
            session.execute(
                text("INSERT INTO caption_details VALUES (1, 'A boat.', -0.5, '[]', '[]', '[]', NULL)")
            )
        command.upgrade(config, "head")
        command.downgrade(config, "0001")
        command.upgrade(config, "head")
        with database.reading() as session:
            harbour = collections.by_name(session, "Harbour")
            assert item_lists.hits(session, harbour, ItemFilter(q="boat")) == 1
            assert collections.summary(session, harbour).states == {ReviewState.PENDING: 1}
            detail = session.scalars(select(CaptionDetail)).one()
            assert (detail.model_text, detail.score, detail.confidence) == ("A boat.", -0.5, None)
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
