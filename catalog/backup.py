"""Backups: one tar with a snapshot of all rows and every blob they need, made while others go on working.

Rows are lines of JSON, so that what was backed up on SQLite can be restored on PostgreSQL and back.
"""

import base64
import json
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, DateTime, LargeBinary, MetaData, Table, func, insert, select
from sqlalchemy.types import TypeEngine

from catalog import workers
from catalog.blobs import BlobStore
from catalog.database import Database, last_ids, migrate, set_last_ids
from catalog.errors import Conflict, InvalidInput, MissingBlob
from catalog.schema import BLOB_KEYS, Base, Image, Worker, is_derived

FORMAT = 1
ABOUT = "recaption.json"
# A tar that was cut off between two members looks whole.
LAST = "complete"
ROWS_AT_A_TIME = 1000


def back_up(database: Database, blobs: BlobStore, file: Path) -> list[str]:
    """Write the tar, which replaces a file of this name once it is whole; returns the blobs that it lacks.

    Blobs that are deleted meanwhile stay until it is done. Raises InvalidInput where it cannot be written.
    """
    staged = file.with_name(f".{file.name}.part")
    try:
        with blobs.kept(), database.snapshot() as connection, tarfile.open(staged, "w") as archive:
            about = {
                "format": FORMAT,
                "revision": database.revision(),
                "last_ids": last_ids(connection, Base.metadata.sorted_tables),
            }
            _add(archive, ABOUT, json.dumps(about).encode())
            for table in Base.metadata.sorted_tables:
                _add_rows(archive, connection, table)
            missing = [key for key in _keys(connection) if not _add_blob(archive, blobs, key)]
            _add(archive, LAST, b"")
        staged.replace(file)
    except OSError as error:
        raise InvalidInput(f"{str(file)!r} cannot be written: {error.strerror}") from error
    finally:
        staged.unlink(missing_ok=True)
    return missing


def originals_left_out(database: Database) -> int:
    """How many originals no backup holds, for they were left where they are."""
    with database.reading() as session:
        return session.scalar(select(func.count()).where(~Image.stored)) or 0


def restore(database: Database, blobs: BlobStore, file: Path) -> int:
    """Fill an empty database and the blobs from a backup; returns the number of blobs.

    A backup of an older release is brought to this one, and what workers had in hand waits again. Raises
    InvalidInput for what is no whole backup, Conflict where the database holds anything already.
    """
    try:
        with tarfile.open(file) as archive:
            about = _about(archive, file)
            _prepare(database, about["revision"])
            count = _fill(database, blobs, archive, about)
    except (tarfile.TarError, EOFError, ValueError, KeyError, OSError) as error:
        raise InvalidInput(f"{str(file)!r} cannot be restored: {error!r}") from error
    migrate(database.url.render_as_string(hide_password=False))
    _retire_workers(database)
    return count


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, BytesIO(content))


def _add_rows(archive: tarfile.TarFile, connection: Connection, table: Table) -> None:
    query = select(table).order_by(*table.primary_key.columns)
    with tempfile.TemporaryFile() as lines:
        rows = connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query)
        for row in rows.mappings():
            lines.write(json.dumps({name: _plain(value) for name, value in row.items()}).encode() + b"\n")
        info = tarfile.TarInfo(f"tables/{table.name}.jsonl")
        info.size = lines.tell()
        lines.seek(0)
        archive.addfile(info, lines)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _keys(connection: Connection) -> Iterator[str]:
    """The blobs that the rows need, each once."""
    seen: set[str] = set()
    for query in BLOB_KEYS:
        for key in connection.execution_options(yield_per=ROWS_AT_A_TIME).scalars(query):
            if key not in seen:
                seen.add(key)
                yield key


def _add_blob(archive: tarfile.TarFile, blobs: BlobStore, key: str) -> bool:
    try:
        with blobs.local(key) as file:
            archive.add(file, f"blobs/{key}", recursive=False)
    except MissingBlob:
        return False
    return True


def _about(archive: tarfile.TarFile, file: Path) -> dict[str, Any]:
    first = archive.next()
    if first is None or first.name != ABOUT:
        raise InvalidInput(f"{str(file)!r} is no backup of Recaption: it does not begin with {ABOUT}")
    about: dict[str, Any] = json.loads(_content(archive, first).read())
    if about["format"] != FORMAT:
        raise InvalidInput(f"{str(file)!r} has format {about['format']}; this release reads format {FORMAT}")
    return about


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise InvalidInput(f"{member.name} in the backup is no file")
    return content


def _prepare(database: Database, revision: str) -> None:
    """Empty tables as they were in the release that made the backup."""
    migrate(database.url.render_as_string(hide_password=False), revision)
    with database.engine.connect() as connection:
        for table in _tables(connection).values():
            if connection.scalar(select(func.count()).select_from(table)):
                raise Conflict(
                    f"the database holds {table.name} already; restore into an empty one, "
                    "such as that of another RECAPTION_HOME"
                )


def _tables(connection: Connection) -> dict[str, Table]:
    """The tables as they are, which an older release may have made, but for those that triggers fill."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: not is_derived(name))
    return {table.name: table for table in metadata.sorted_tables if table.name != "alembic_version"}


def _fill(database: Database, blobs: BlobStore, archive: tarfile.TarFile, about: dict[str, Any]) -> int:
    count, complete = 0, False
    with database.engine.begin() as connection:
        tables = _tables(connection)
        for member in archive:
            folder, _, name = member.name.partition("/")
            if folder == "tables":
                _insert(connection, tables[name.removesuffix(".jsonl")], _content(archive, member))
            elif folder == "blobs":
                if blobs.put(_content(archive, member)) != name:
                    raise InvalidInput(f"blob {name} is damaged in the backup")
                count += 1
            complete = member.name == LAST
        if not complete:
            raise InvalidInput(f"{str(archive.name)!r} was cut off; take another backup")
        # SQLite remembers the last id of some tables only; PostgreSQL has to be told all of them.
        set_last_ids(connection, _highest_ids(connection, tables) | about["last_ids"])
    return count


def _retire_workers(database: Database) -> None:
    """The workers stayed behind: nobody waits here for what they had in hand, or looks for them."""
    with database.writing() as session:
        for name in session.scalars(select(Worker.name).where(~Worker.stopped)).all():
            workers.bury(session, name, died=False)


def _highest_ids(connection: Connection, tables: dict[str, Table]) -> dict[str, int]:
    named = {name: table for name, table in tables.items() if "id" in table.columns}
    return {name: connection.scalar(select(func.max(table.c.id))) or 0 for name, table in named.items()}


def _insert(connection: Connection, table: Table, lines: IO[bytes]) -> None:
    rows: list[dict[str, Any]] = []
    types = {column.name: column.type for column in table.columns}
    for line in lines:
        rows.append({name: _typed(value, types[name]) for name, value in json.loads(line).items()})
        if len(rows) == ROWS_AT_A_TIME:
            connection.execute(insert(table), rows)
            rows = []
    if rows:
        connection.execute(insert(table), rows)


def _typed(value: Any, type_: TypeEngine[Any]) -> Any:
    if isinstance(value, str) and isinstance(type_, DateTime):
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(value, str) and isinstance(type_, LargeBinary) else value
