"""Rehearsal: pending migrations are run on a scratch copy of the schema, and what each statement does is measured.

The copy is made as the real one was: by the same migrations, up to the state that the real one is in. It is a database
of its own, made for the rehearsal and dropped after it; the real one is only asked for its state.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, cast

import psycopg2
from psycopg2.extensions import make_dsn

from rayces_core.errors import ConfigurationError, MigrationError
from rayces_core.errors.connection import unreachable
from rayces_core.migrating.filling import MadeUpRows
from rayces_core.migrating.measuring import MeasuredDatabase, MeasuredExecution, Measurement
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.session import connected, dedicated, quote_identifier

__all__ = ["Measurement", "applied_number", "rehearse", "scratch_database", "stand_in", "table_sizes"]

_PRIVILEGE = "42501"


class RehearsalRunner(Runner):
    """A runner that measures what it runs."""

    _database_kind = MeasuredDatabase
    _execution_kind = MeasuredExecution

    @property
    def measurements(self) -> list[Measurement]:
        """Of every statement so far, in the order of running."""
        return cast("MeasuredExecution", self._execution).measurements

    def make_up_rows(self, rows: int, besides: Sequence[str] = ()) -> None:
        """From now on give each empty table that many rows before a migration is run, but for these and its history."""
        filling = MadeUpRows(self.database, rows, {self.history.table, *besides}) if rows > 0 else None
        cast("MeasuredExecution", self._execution).made_up_rows = filling


def rehearse(
    runner: Runner | Sequence[Runner],
    scratch_url: str,
    *,
    beneath: Sequence[Runner] = (),
    to: int | str | None = None,
    rows: int = 0,
) -> list[Measurement]:
    """Run what is pending for `runner`, up to and including `to`, on a scratch database; measure each statement.

    Args:
        runner: of the real database, from which nothing but the history is read; or several, one after the other.
        scratch_url: a server to make the scratch database on; its login may create databases.
        beneath: runners of the same database whose migrations come first, as far as they are applied.
        rows: how many made-up rows each empty table gets before a migration is run; which got none is logged.

    A migration that was stopped half way is rehearsed from its beginning.

    Raises:
        MigrationFileError: a file was edited or is missing. MigrationError: a migration fails on the scratch database.
        ConfigurationError: the login of `scratch_url` may not create databases.
    """
    runners = (runner,) if isinstance(runner, Runner) else tuple(runner)
    with scratch_database(scratch_url, schema_of(runners[-1])) as url:
        # What is applied first, of every history: so the real one stands when the pending ones begin.
        for each in (*beneath, *runners):
            stand_in(each, url).up(applied_number(each))
        measurements: list[Measurement] = []
        for each in runners:
            measured = cast("RehearsalRunner", stand_in(each, url, RehearsalRunner))
            measured.make_up_rows(rows, besides=[other.history.table for other in (*beneath, *runners)])
            with _blamed_on(rows):
                measured.up(to)
            measurements += measured.measurements
        return measurements


@contextmanager
def _blamed_on(rows: int) -> Iterator[None]:
    try:
        yield
    except MigrationError as error:
        if not rows or type(error) is not MigrationError:
            raise
        raise MigrationError(
            f"{str(error).rstrip('.')}.\nThe tables held {rows} made-up rows each: if only those cannot pass, "
            "rehearse without them"
        ) from error


def table_sizes(runner: Runner, measurements: Sequence[Measurement]) -> dict[str, int | None]:
    """Table → bytes in the real database, indexes and all, of every table measured; None where it is not there yet."""
    names = sorted({name for each in measurements for name in (*each.locked, *each.scanned, *each.rewritten)})
    with connected(runner.database):
        rows = runner.database.execute_sql(
            "SELECT name, pg_total_relation_size(to_regclass(name)) FROM unnest(%s::text[]) AS name", (names,)
        )
        return dict(rows.fetchall())


def applied_number(runner: Runner) -> int:
    """The number of the newest migration that is wholly applied; raises as `up` does where files were changed."""
    runner.refuse_changes()
    return runner.newest_applied()


def schema_of(runner: Runner) -> str:
    """The schema that the migrations of `runner` make their tables in."""
    with connected(runner.database):
        return runner.database.schema


def stand_in(runner: Runner, url: str, kind: type[Runner] = Runner) -> Runner:
    """A runner of the same migrations on another database."""
    return kind(
        url,
        runner.directory,
        app_role=runner.database.app_role,
        admin_role=runner.database.admin_role,
        history_table=runner.history.table,
        retry_seconds=runner.database.retry_seconds,
    )


@contextmanager
def scratch_database(server_url: str, schema: str = "public") -> Iterator[str]:
    """The URL of a new database on a server, which is dropped at the end of the block; `schema` is its current one."""
    name = f"rayces_rehearsal_{uuid.uuid4().hex[:12]}"
    with closing(_session(server_url)) as session:
        _create(session, name)
        try:
            yield _with_schema(make_dsn(_dsn(server_url), dbname=name), schema)
        finally:
            session.cursor().execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _session(url: str) -> Any:
    try:
        session = psycopg2.connect(_dsn(url))
    except psycopg2.OperationalError as error:
        raise unreachable(error, "the scratch database cannot be reached") from error
    session.autocommit = True
    return session


def _dsn(url: str) -> str:
    database = dedicated(url)
    facts = {name: value for name, value in database.connect_params.items() if name != "application_name"}
    return make_dsn(dbname=database.database or "postgres", **facts)


def _create(session: Any, name: str) -> None:
    try:
        session.cursor().execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    except psycopg2.Error as error:
        if error.pgcode != _PRIVILEGE:
            raise MigrationError(f"the scratch database could not be made: {str(error).strip()}") from error
        cursor = session.cursor()
        cursor.execute("SELECT current_user::text")
        (login,) = cursor.fetchone()
        raise ConfigurationError(
            "a rehearsal makes a database of its own and drops it, which this login may not; a DBA can allow it: "
            f"ALTER ROLE {quote_identifier(login)} CREATEDB;"
        ) from error


def _with_schema(url: str, schema: str) -> str:
    if schema == "public":
        return url
    database = dedicated(url)
    with connected(database):
        database.command(f"CREATE SCHEMA {quote_identifier(schema)}")
    escaped = quote_identifier(schema).replace("\\", "\\\\").replace(" ", "\\ ")
    return make_dsn(url, options=f"-c search_path={escaped}")
