"""The runner's own connection: never the application's pool, with settings of its own, held by one runner at a time."""

from __future__ import annotations

import hashlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, TypeVar

import peewee
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extensions import parse_dsn

from rayces_core.errors import ConfigurationError, MigrationError, ServerTooOldError
from rayces_core.errors.connection import unreachable
from rayces_core.migrations.fitness import refuse_unfit
from rayces_core.migrations.settings import connect, pin_session

logger = logging.getLogger("rayces_core.migrations")

OLDEST_SERVER = 15
CLIENT_CHECK_SECONDS = 5
POLL_SECONDS = 0.1

# What belongs to the application's connections and would change how this one behaves.
_NOT_OURS = ("connection_factory", "cursor_factory", "async_", "application_name")


# What is being done, how much of it is done, and how much there is to do.
Progress = Callable[[str, int, int], None]


class MigrationDatabase(peewee.PostgresqlDatabase):
    """The database that migrations are given.

    Attributes:
        app_role, admin_role: names of the roles to grant to, unquoted. reader_role, auditor_role: those that read only.
        schema: name of the schema that unqualified names resolve to, unquoted; known once connected.
        retry_seconds: how long to go on asking for the locks of one migration or batch.
        on_progress: called with (what is being done, done, total) by backfills and while an index is built, then from
            another thread.
    """

    app_role: str = ""
    admin_role: str = ""
    schema: str = ""
    retry_seconds: float = 120.0
    on_progress: Progress | None = None
    # Asked about each SQL of a step before it is sent; raises where the runner cannot let it pass.
    inspect: Callable[[str], None] | None = None

    @property
    def reader_role(self) -> str:
        """The role that reads the bound organization, and writes nothing."""
        return reader_of(self.admin_role)

    @property
    def auditor_role(self) -> str:
        """The role that reads every organization, and writes nothing."""
        return auditor_of(self.admin_role)

    @property
    def roles(self) -> list[str]:
        """All four: those that write, then those that read."""
        return [self.app_role, self.admin_role, self.reader_role, self.auditor_role]

    def _connect(self) -> Any:
        connection = connect(dbname=self.database, **self.connect_params)
        connection.autocommit = True
        return connection

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run SQL, in which a literal % has to be doubled, and return the cursor."""
        if self.inspect is not None:
            self.inspect(sql)
        return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]

    def commit(self) -> None:
        """Commit; refused to a step within the runner's transaction."""
        if self.inspect is not None:
            self.inspect("COMMIT")
        super().commit()

    def rollback(self) -> None:
        """Roll back; refused to a step within the runner's transaction."""
        if self.inspect is not None:
            self.inspect("ROLLBACK")
        super().rollback()

    def command(self, sql: str) -> None:
        """Run SQL as it is written, `%` included."""
        self.execute_sql(sql.replace("%", "%%"))

    def one(self, sql: str, *values: object) -> Any:
        """Run a query and return the first column of its first row, or None; without `values`, as it is written."""
        row = self.execute_sql(sql if values else sql.replace("%", "%%"), values).fetchone()
        return row[0] if row else None

    @cached_property
    def has_citus(self) -> bool:
        """Whether its tables may be on other nodes, which are told of each statement by itself."""
        cursor: Any = self.server.cursor()
        cursor.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")
        return bool(cursor.fetchone()[0])

    @property
    def server(self) -> Connection:
        """The open connection itself."""
        connection: Connection = self.connection()  # type: ignore[no-untyped-call]
        return connection


def deaf_to_signals() -> None:
    """Leave this thread's signals to the main one: Ctrl-C has to wake it while it waits for the server."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


# PostgreSQL cuts longer names off.
_LONGEST_STEM = 55


def reader_of(admin_role: str) -> str:
    """Name of the role that reads one organization, and writes nothing: rayces_admin → rayces_reader.

    Not named after the application's role, which may be a login where nobody but a DBA makes roles.
    """
    return f"{admin_role.removesuffix('_admin')[:_LONGEST_STEM]}_reader"


def auditor_of(admin_role: str) -> str:
    """Name of the role that reads as `admin_role` does, and writes nothing: rayces_admin → rayces_auditor."""
    return f"{admin_role.removesuffix('_admin')[:_LONGEST_STEM]}_auditor"


def quote_identifier(name: str) -> str:
    """The SQL identifier for a name of any characters."""
    return '"' + name.replace('"', '""') + '"'


Kind = TypeVar("Kind", bound=MigrationDatabase)


def dedicated(source: str | peewee.Database | Any) -> MigrationDatabase:
    """Make a closed, un-pooled database for what `source` names: a URL, a Peewee database or an object with `url`."""
    return dedicated_as(MigrationDatabase, source)


def dedicated_as(kind: type[Kind], source: str | peewee.Database | Any) -> Kind:
    """The same, of a kind of MigrationDatabase."""
    if isinstance(source, peewee.Proxy):
        source = source.obj
    if not isinstance(source, peewee.Database):
        source = getattr(source, "admin_url", None) or getattr(source, "url", source)
    options: dict[str, Any] = {}
    if isinstance(source, peewee.PostgresqlDatabase):
        options = {name: value for name, value in source.connect_params.items() if name not in _NOT_OURS}
        source = options.pop("dsn", None) or str(source.database)
    if not isinstance(source, str):
        raise ConfigurationError(f"migrations need a PostgreSQL URL or a Peewee PostgresqlDatabase, not {source!r}")
    if "://" in source or "=" in source:
        options = {**parse_dsn(source), **options}
        source = str(options.pop("dbname", ""))
    return kind(source, application_name="rayces_core migrations", **options)


@contextmanager
def connected(database: MigrationDatabase) -> Iterator[None]:
    """Hold the connection open for the block; a block inside another shares it."""
    if not database.is_closed():
        yield
        return
    try:
        database.connect()
    except peewee.OperationalError as error:
        raise unreachable(error, "the database cannot be reached") from error
    try:
        _prepare(database)
        yield
    finally:
        database.close()


def _prepare(database: MigrationDatabase) -> None:
    version = database.server.server_version // 10_000
    if version < OLDEST_SERVER:
        raise ServerTooOldError(f"the server is PostgreSQL {version}; version {OLDEST_SERVER} or newer is needed")
    _pin(database)
    database.schema = database.one("SELECT current_schema()") or ""
    if not database.schema:
        raise ConfigurationError("no schema of the search_path exists; create it or change the search_path")


def _pin(database: MigrationDatabase) -> None:
    if database.server.encoding != "UTF8":
        database.server.set_client_encoding("UTF8")
    if is_behind_proxy(database):
        # Its sessions are the application's, and go on with what is set here; a proxy keeps the time zone apart.
        database.command("SET TIME ZONE 'UTC'")
    else:
        pin_session(database.cursor())  # type: ignore[no-untyped-call]


@contextmanager
def single_runner(database: MigrationDatabase, purpose: str, wait_seconds: float) -> Iterator[None]:
    """Hold the connection and the advisory lock of `purpose`.

    Raises MigrationError when another session holds it for longer than `wait_seconds`.
    The lock is polled for: a session that waits inside `pg_advisory_lock` has a snapshot, for which CREATE INDEX
    CONCURRENTLY of the holder waits in turn. It is the session's that runs the DDL, so it ends with it.
    """
    with connected(database):
        refuse_proxy(database)
        refuse_unfit(database)
        _end_with_its_client(database)
        key = lock_key(database.schema, purpose)
        _take(database, key, wait_seconds)
        try:
            yield
        finally:
            # When the connection is lost, so is the lock.
            with suppress(peewee.PeeweeException):
                database.one("SELECT pg_advisory_unlock(%s)", key)


def refuse_proxy(database: MigrationDatabase) -> None:
    """Raise MigrationError behind a pooling proxy: what a session holds or sets would be another client's."""
    if is_behind_proxy(database):
        raise MigrationError(
            "a pooling proxy such as PgBouncer stands before the server, and the locks and settings of a session "
            "do not hold through it; give migrations the server's own URL"
        )


def is_behind_proxy(database: MigrationDatabase) -> bool:
    """Whether a pooling proxy stands before the server: it invents the process id it gives out on connecting."""
    return bool(database.server.get_backend_pid() != database.one("SELECT pg_backend_pid()"))


def _end_with_its_client(database: MigrationDatabase) -> None:
    # Or the server goes on with the statement of a runner that was killed, and holds its locks until that is done.
    with suppress(peewee.DatabaseError):  # the server's system cannot ask
        database.command(f"SET client_connection_check_interval = '{CLIENT_CHECK_SECONDS}s'")


def lock_key(schema: str, purpose: str) -> int:
    """The key of the advisory lock that runners of one history on one schema exclude each other by."""
    digest = hashlib.sha256(f"rayces_core.migrations:{schema}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _take(database: MigrationDatabase, key: int, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    waiting = False
    while not database.one("SELECT pg_try_advisory_lock(%s)", key):
        if time.monotonic() >= deadline:
            raise MigrationError(
                f"another run of migrations (server process {_holder(database, key)}) still holds the lock after "
                f"{wait_seconds:g} s; wait for it, or end it if it is stuck"
            )
        if not waiting:
            logger.info("waiting for another run of migrations (server process %s)", _holder(database, key))
            waiting = True
        time.sleep(POLL_SECONDS)


def _holder(database: MigrationDatabase, key: int) -> object:
    unsigned = key % 2**64
    return database.one(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        "AND classid = %s AND objid = %s "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        unsigned >> 32,
        unsigned % 2**32,
    )
