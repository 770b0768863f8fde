"""The database, and all that differs between SQLite and PostgreSQL."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    Float,
    Table,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import FunctionElement

from catalog import space
from catalog.errors import DatabaseFull, InvalidInput, SchemaOutOfDate

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# What waiting may mend: a database that is away, crowded, or in the middle of its recovery.
AWAY = (OperationalError, InterfaceError)
BUSY_TIMEOUT = 30.0  # seconds that a SQLite writer waits for its turn
TURN_PAUSE = 0.005  # seconds after which it looks again whether that has come
# Of a connection to PostgreSQL, so that a cable that was cut is noticed: seconds, but for the last.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
AWAY_FOR = 30.0  # seconds for which a worker goes on asking a database that does not answer
RETRY_PAUSE = 0.5  # seconds
DISK_FULL = "53100"  # a SQLSTATE of PostgreSQL
ROOM = 1 << 20  # bytes that a database with room left can take
# A connection that cannot even grow the index of its log says so with the second.
SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


class database_clock(FunctionElement[float]):
    """Seconds since 1970 by the database's own clock, the one clock that all hosts share."""

    type = Float(53)
    inherit_cache = True


@compiles(database_clock, "sqlite")
def _sqlite_clock(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_clock, "postgresql")
def _postgresql_clock(element: Any, compiler: Any, **options: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::double precision"


class Database:
    """An engine with two doors: `reading` for queries, `writing` for one transaction that commits."""

    def __init__(self, url: str) -> None:
        self.url = _database_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url)
        event.listen(self.engine, "handle_error", self._tell_full)
        self._writing_engine = self.engine.execution_options(sqlite_writes_within=BUSY_TIMEOUT)
        self._impatient_engine = self.engine.execution_options(sqlite_writes_within=0.0)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session whose changes are thrown away."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back when the block raises."""
        with self.writing_session() as session, session.begin():
            yield session

    def insist(self, act: Callable[[Session], Result], *, seconds: float = AWAY_FOR) -> Result:
        """Do a transaction, again and again while the database does not answer; returns what `act` does.

        Whether a commit arrived whose answer was lost is unknown, so `act` has to bear being done twice.
        Raises the database's error when it is away for longer, StorageFull at once.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self.writing() as session:
                    return act(session)
            except AWAY as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("the database did not answer, asking again: %s", error.orig)
            time.sleep(RETRY_PAUSE)

    @contextmanager
    def writing_unless_busy(self) -> Iterator[Session]:
        """Like `writing`, for what may as well be left out: raises OperationalError where it had to wait.

        On PostgreSQL, where writers seldom meet, the statements have to skip locked rows.
        """
        with Session(self._impatient_engine) as session, session.begin():
            yield session

    def writing_session(self) -> Session:
        """A session that holds the write lock from its first statement on; the caller commits and closes.

        SQLite refuses, without waiting, to turn a transaction that has read into one that writes. So
        a transaction that will write says so when it begins.
        """
        return Session(self._writing_engine, expire_on_commit=False)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees all rows as they are when it first reads, whatever is written meanwhile."""
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self.engine.connect().execution_options(**level) as connection:
            yield connection

    def revision(self) -> str | None:
        """The migration that the tables are at; None where there are no tables."""
        from alembic.runtime.migration import MigrationContext

        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def _tell_full(self, context: ExceptionContext) -> None:
        """Whatever is asked of a database without room left raises DatabaseFull."""
        if _is_full(context.original_exception):
            name = self.url.database if self.is_sqlite else self.url.host
            raise DatabaseFull(
                f"the disk of the database {name} is full; free some space there and do it again"
            ) from context.original_exception

    @property
    def breath(self) -> float:
        """Seconds that whoever writes for long leaves to the others between two transactions.

        Long enough for each of several who wait for SQLite to look whether it is free.
        """
        return 4 * TURN_PAUSE if self.is_sqlite else 0.0

    @property
    def folder(self) -> Path | None:
        """The folder of a SQLite file; None for what is in memory or on a server."""
        name = self.url.database
        return Path(name).parent if self.is_sqlite and name and name != ":memory:" else None

    def has_room(self) -> bool:
        """Whether there is room to write again after the disk was full."""
        if self.folder:
            return space.free(self.folder) > 2 * (space.RESERVE + ROOM)
        try:
            with self.engine.begin() as connection:
                # What a temporary table takes is given back when the transaction ends.
                connection.execute(text("CREATE TEMPORARY TABLE room (filler text) ON COMMIT DROP"))
                rows = "INSERT INTO room SELECT md5(n::text) FROM generate_series(1, :rows) AS n"
                connection.execute(text(rows), {"rows": ROOM // 32})
        except DatabaseFull:
            return False
        return True

    def close(self) -> None:
        self.engine.dispose()

    def check_schema(self) -> None:
        """Raise SchemaOutOfDate unless the tables are those of this release."""
        from alembic.script import ScriptDirectory

        found = self.revision()
        wanted = ScriptDirectory(_migrations_folder()).get_current_head()
        if found != wanted:
            raise SchemaOutOfDate(
                f"the database is at revision {found or 'none'}, this release needs {wanted}: "
                "run `recaption migrate`"
            )


def lock_content(session: Session, *keys: str) -> None:
    """Hold off, until the transaction ends, everybody else who stores or removes these blobs.

    SQLite needs nothing: it has one writer at a time.
    """
    if session.get_bind().dialect.name == "postgresql":
        for key in sorted(keys):
            session.execute(select(func.pg_advisory_xact_lock(int(key[:15], 16))))


def last_ids(connection: Connection, tables: Sequence[Table]) -> dict[str, int]:
    """The last id that each table has given out, also where its row is gone."""
    if connection.dialect.name == "sqlite":
        return dict(connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all())
    sequences = {table.name: _sequence(connection, table.name) for table in tables if "id" in table.columns}
    return {
        name: connection.scalar(text(f"SELECT last_value FROM {sequence} WHERE is_called")) or 0
        for name, sequence in sequences.items()
        if sequence
    }


def set_last_ids(connection: Connection, ids: Mapping[str, int]) -> None:
    """Let tables go on behind these ids."""
    for name, last in ids.items():
        if connection.dialect.name == "sqlite":
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            row = {"name": name, "last": last}
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), row)
        elif last and (sequence := _sequence(connection, name)):
            connection.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def _sequence(connection: Connection, table: str) -> str | None:
    """The name of the PostgreSQL sequence behind a table's ids."""
    return connection.scalar(text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table})


def migrate(url: str, revision: str = "head") -> None:
    """Bring the tables to this release, or an older one's `revision`, creating them in an empty database."""
    from alembic import command

    command.upgrade(alembic_config(url), revision)


def alembic_config(url: str) -> Any:
    """An Alembic configuration that finds the migrations of the installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _migrations_folder())
    config.attributes["url"] = url
    return config


def _database_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise InvalidInput(
            f"RECAPTION_DATABASE_URL is {url!r}; give sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
        )
    return parsed


def _is_busy(error: BaseException | None) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the bits above tell why


def _is_full(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) in SQLITE_FULL
    return getattr(error, "sqlstate", None) == DISK_FULL


def _migrations_folder() -> str:
    import migrations

    return str(migrations.__path__[0])


def _postgresql_engine(url: str) -> Engine:
    psycopg = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(psycopg, pool_pre_ping=True, pool_size=5, connect_args=PATIENCE)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        # Compiling a search takes longer than the search: its cost is guessed from what it might find.
        connection.execute("SET jit = off")
        connection.commit()

    return engine


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, record: Any) -> None:
        # The driver's own transaction handling begins too late; `begin` below takes its place.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        patience = connection.get_execution_options().get("sqlite_writes_within")
        if patience is None:
            connection.exec_driver_sql("BEGIN DEFERRED")
        else:
            _begin_to_write(connection, patience)

    return engine


def _begin_to_write(connection: Connection, patience: float) -> None:
    """Take SQLite's write lock, waiting for `patience` seconds; raises OperationalError where it is not free.

    SQLite itself would look ten times a second: among several busy writers, one who came a moment ago
    then goes before one who has waited for long. All look often here, so all come to their turn.
    """
    deadline = time.monotonic() + patience
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if not _is_busy(error.orig) or time.monotonic() > deadline:
                    raise
            time.sleep(TURN_PAUSE)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
