"""Alembic's entry: runs the revisions on the database that the caller named."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from catalog.database import Database
from catalog.schema import Base, Moment, is_derived


def run() -> None:
    """Run the revisions in one transaction on a connection of the catalog's own engine."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _run_on(connection)
        return
    database = Database(context.config.attributes["url"])
    with database.engine.connect() as connection:
        _run_on(connection)
        connection.commit()
    database.close()


def _run_on(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=_render,
        include_name=_include,
    )
    with context.begin_transaction():
        context.run_migrations()


def _include(name: str | None, kind: str, parents: Any) -> bool:
    return not (kind == "table" and name is not None and is_derived(name))


def _render(kind: str, element: Any, autogenerate: Any) -> str | Literal[False]:
    # A revision must not change its meaning when our own column type does.
    return "sa.DateTime(timezone=True)" if isinstance(element, Moment) else False


run()
