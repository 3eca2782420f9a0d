"""What an adoption of a rayces Rails database would do, statement by statement, rehearsed on a likeness of it.

Rule it guards: the same code runs there as it would here, and what is listed is what the server was sent. Not listed
are what only asks the catalogue, what begins or ends a transaction or sets something for it, the two roles, and what
the adoption and its migrations note of themselves.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import peewee

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting.finding import CHOICES, Report
from rayces_core.migrating.adopting.planning import Planned
from rayces_core.migrating.adopting.rails.adoption import RailsAdoption
from rayces_core.migrating.adopting.rails.faults import UNABLE
from rayces_core.migrating.adopting.rails.likeness import RailsLikeness
from rayces_core.migrating.adopting.rails.old import TABLES
from rayces_core.migrating.adopting.record import Record
from rayces_core.migrating.measuring import LOCKS, MODES, mode_name
from rayces_core.migrating.myhub import RECORD
from rayces_core.migrating.rehearsal import schema_of, scratch_database
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.session import MigrationDatabase, connected, dedicated, quote_identifier

PREPARATION, EXCHANGE = "preparation", "exchange"
_FRAME = re.compile(r"(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SHOW|SET|RESET|DISCARD)\b", re.IGNORECASE)
_NOTES = re.compile(rf'(INSERT INTO|UPDATE|DELETE FROM) ("?{RECORD}"?|"rayces_migrations")(?=\W)')
_CATALOGUE = re.compile(r"\bFROM pg_", re.IGNORECASE)
# What is read or written row by row: a name of an old table, of its plan, or of ours that takes its rows.
_ROWS = re.compile(rf"\b(?:plan_)?({'|'.join(TABLES)})\b")
_LEDGER = re.compile(r"\bplan_(entries|chain|ends)\b")
_FOUND = """
SELECT oid::bigint, relname::text FROM pg_class
 WHERE relname = ANY (%s) AND relnamespace = quote_ident(current_schema())::regnamespace
"""
_JOURNAL = re.compile(r"\bstate_transitions\b")
_BY_ROWS = re.compile(
    r"(INSERT|UPDATE|DELETE|WITH|SELECT|DO|ANALYZE|CREATE TEMP TABLE|CREATE (UNIQUE )?INDEX)\b"
    r"|ALTER TABLE \S+ ADD (CONSTRAINT|PRIMARY KEY)\b"
)


def is_told(sql: str) -> bool:
    """Whether a statement belongs in the list: it changes something, or goes through rows of the old tables or ours."""
    if all(_FRAME.match(part.strip()) for part in sql.split(";") if part.strip()) or _NOTES.match(sql):
        return False
    if sql.startswith("SELECT"):
        return sql.startswith(("SELECT setval(", "SELECT count(*)")) and not _CATALOGUE.search(sql)
    return True


@dataclass
class Book:
    """What was sent so far; `label` is what it belongs to, empty while nothing is noted.

    `found` are the old tables by their OIDs.
    """

    found: dict[int, str] = field(default_factory=dict)
    label: str = ""
    planned: list[Planned] = field(default_factory=list)

    def note(self, database: MigrationDatabase, sql: str, seconds: float) -> None:
        """Note a statement that was run, and under which lock its transaction is now."""
        if not self.label or not is_told(sql):
            return
        lock, locked = self._locks(database)
        step = 1 + sum(1 for each in self.planned if each.migration == self.label)
        self.planned.append(Planned(self.label, step, sql, lock, locked, seconds))

    def _locks(self, database: MigrationDatabase) -> tuple[str | None, tuple[str, ...]]:
        cursor = database.server.cursor()
        cursor.execute(LOCKS, (database.server.get_backend_pid(),))
        held = [(MODES.index(mode), self.found[oid]) for oid, mode in cursor.fetchall() if oid in self.found]
        if not held:
            return None, ()
        strongest, _ = max(held)
        return mode_name(strongest), tuple(sorted({name for mode, name in held if mode == strongest}))


class NotedDatabase(MigrationDatabase):
    """A migration database that notes in a book what it sends."""

    book: Book | None = None

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run SQL, and note it as it was sent."""
        started = time.monotonic()
        cursor = super().execute_sql(sql, params)
        if self.book is not None and cursor.query is not None:
            self.book.note(self, " ".join(cursor.query.decode().split()), time.monotonic() - started)
        return cursor


class _NotedRunner(Runner):
    _database_kind = NotedDatabase


class RehearsedRailsAdoption(RailsAdoption):
    """An adoption of the likeness; made-up rows that do not fit are dealt with as if that had been chosen."""

    _runner_kind = _NotedRunner

    def __init__(self, database: Any, book: Book, roles: list[str], **options: Any) -> None:
        super().__init__(database, on_step=self._begun_step, **options)
        self.book, self._old_logins = book, roles
        self._noted(self.runner)

    def _noted(self, runner: Runner) -> Runner:
        assert isinstance(runner.database, NotedDatabase)  # noqa: S101 - the kind of the runner
        runner.database.book = self.book
        return runner

    def _begun_step(self, migration: str, _step: int, _steps: int) -> None:
        self.book.label = migration

    def _roles(self) -> list[str]:
        return self._old_logins

    def _refuse_open(self, found: Any, why: str) -> None:
        """Of the likeness's rows nobody has to decide anything."""

    def _remember(self) -> None:
        with self._labelled(PREPARATION):
            super()._remember()

    def _staging_runner(self) -> Runner:
        return self._noted(super()._staging_runner())

    def _make_ours(self) -> list[str]:
        with self._labelled(PREPARATION):
            return super()._make_ours()

    def _exchange(self, record: Record) -> tuple[dict[str, int], list[str], float]:
        with self._labelled(EXCHANGE):
            return super()._exchange(record)

    @contextmanager
    def _labelled(self, label: str) -> Iterator[None]:
        self.book.label = label
        try:
            yield
        finally:
            self.book.label = ""


def plan_of_rails(adoption: RailsAdoption, report: Report, scratch_url: str) -> tuple[Planned, ...]:
    """What `adoption.run()` would do, rehearsed on a scratch database of another server, or of the same.

    For what is not chosen yet the first choice is taken; where something cannot be chosen, or an adoption was begun,
    there is no plan. Where the old application's logins do not exist, roles of their names are made and dropped again.

    Args:
        report: what `adoption.report()` found. scratch_url: a server whose login may create databases and roles.

    Raises:
        MigrationError: it cannot be rehearsed, because something of the old tables could not be made there.
        ConfigurationError: the login of `scratch_url` may not create databases.
    """
    if report.stage is not None or any(finding.severity == "refusal" for finding in report.findings):
        return ()
    choices = {each.kind: _first(each.kind) for each in report.findings if each.severity == "choice"}
    original = adoption.database
    with connected(original):
        roles, likeness = adoption._roles(), RailsLikeness(original, adoption.runner.migrate_table)
        schema = schema_of(adoption.runner)
        with _there(scratch_url, roles), scratch_database(scratch_url, schema) as url:
            book = Book()
            rehearsed = RehearsedRailsAdoption(
                url, book, roles, choices=choices | adoption.choices, app_role=original.app_role,
                admin_role=original.admin_role,
            )  # fmt: skip
            with connected(rehearsed.database):
                likeness.make_on(rehearsed.database)
                book.found = dict(rehearsed.database.execute_sql(_FOUND, (list(likeness.tables),)).fetchall())
                rehearsed.run()
    return tuple(_grown(each, likeness.growth) for each in book.planned)


@contextmanager
def _there(server_url: str, roles: list[str]) -> Iterator[None]:
    """Stand-ins for the old application's logins, for the block; they may do nothing."""
    server = dedicated(server_url)
    with connected(server):
        known = "SELECT true FROM pg_roles WHERE rolname = %s"
        made = [quote_identifier(role) for role in roles if not server.one(known, role)]
        try:
            for role in made:
                server.command(f"CREATE ROLE {role} NOLOGIN")
        except peewee.DatabaseError as error:
            raise MigrationError(f"the login of the scratch server may make no roles: {str(error).strip()}") from error
        try:
            yield
        finally:
            # What they were granted has gone with the scratch database.
            for role in made:
                server.command(f"DROP ROLE {role}")


def _first(kind: str) -> str:
    """The first choice that can be taken as it is written, of a Rails database."""
    return next(word for word in CHOICES[kind] if not word.startswith("<") and word not in UNABLE.get(kind, ()))


def _grown(each: Planned, growth: Mapping[str, float]) -> Planned:
    """With the time that it takes on all rows, where it goes through rows."""
    if each.migration != EXCHANGE or not _BY_ROWS.match(each.sql):
        return each
    names = set(_ROWS.findall(each.sql))
    names |= {"credit_transactions"} if _LEDGER.search(each.sql) else set()
    names |= {"appointments"} if _JOURNAL.search(each.sql) else set()
    factor = max((growth.get(name, 1.0) for name in names), default=1.0)
    return Planned(each.migration, each.step, each.sql, each.lock, each.locked, each.seconds * factor)
