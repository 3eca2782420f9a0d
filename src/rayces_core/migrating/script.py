"""A run of migrations as a script for psql, for a DBA who wants to see and run each statement.

Rule it guards: run by psql on the database it was made for, it leaves the schema and the history that the runner would
leave, and on any other it stops before its first change. Making it executes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from psycopg2.extensions import adapt

from rayces_core._version import __version__
from rayces_core.errors import MigrationError
from rayces_core.migrating.execution import HARMLESS_LOCK_TIMEOUT_MS, UNLIMITED, limits_of
from rayces_core.migrating.files import MigrationFile, is_atomic
from rayces_core.migrating.history import REVERTING, RUNNING, History, HistoryRow
from rayces_core.migrating.roles import missing_statements
from rayces_core.migrating.squashing import TakenOver, originals
from rayces_core.migrating.unsafe import inspected, refuse_unsafe
from rayces_core.migrations.session import MigrationDatabase, lock_key, quote_identifier
from rayces_core.migrations.settings import pinning
from rayces_core.migrations.steps import Migrator, Step, backfill, backfill_sql

CALLS_SETTING = "rayces.calls_done"

_HEAD = """-- Migrations of schema {schema} by rayces-core {version}.
-- Run it with psql, not in a transaction, as {login} or as a superuser: the tables become the former's either way. It
-- stops at the first error; then make a new script, which goes on where this one stopped.
\\set ON_ERROR_STOP on
SET client_encoding TO 'UTF8';
"""
_GUARD = """DO $guard$
BEGIN
    IF current_schema() IS DISTINCT FROM {schema} THEN
        RAISE EXCEPTION 'this script is for the schema %, not for %', {schema}, current_schema();
    END IF;
    IF NOT pg_has_role({login}, {privilege}) THEN
        RAISE EXCEPTION 'this script makes tables for the login %, which % cannot become; run it as the former or as a '
                        'superuser, or make a new script with the URL of the latter', {login}, current_user;
    END IF;
    IF {changed} THEN
        RAISE EXCEPTION 'the history of migrations is not the one that this script was made for; make a new script';
    END IF;
    IF NOT pg_try_advisory_lock({key}) THEN
        RAISE EXCEPTION 'another run of migrations holds the lock; run the script once it is done';
    END IF;
END
$guard$;"""
_CALL = """-- {name}() is Python and not in this script.
DO $call$
BEGIN
    IF current_setting('{setting}', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '{name}() of {migration} is Python: run that migration with rayces, or do what it does by hand '
                        'and start psql with PGOPTIONS=''-c {setting}=on''';
    END IF;
END
$call$;"""
_VALID = """DO $valid$
BEGIN
    IF EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE NOT i.indisvalid AND c.relname = {name}
                  AND c.relnamespace = quote_ident(current_schema())::regnamespace) THEN
        RAISE EXCEPTION 'the index % is not valid; drop it and run its statement again', {name};
    END IF;
END
$valid$;"""


# Whoever may not create in the database cannot install what the appointments need.
_MAY_EXTEND = "SELECT has_database_privilege(current_database(), 'CREATE')"


class Script:
    """Writes scripts for one history on one database.

    Args:
        rows: the history as it stands, by name.
        roles_made: whether the roles are there by the time that the script is run.
    """

    def __init__(
        self, database: MigrationDatabase, history: History, rows: dict[str, HistoryRow], *, roles_made: bool = False
    ) -> None:
        self.database, self.history, self.rows, self._roles_made = database, history, rows, roles_made
        self._table = quote_identifier(history.table)
        self._login = str(database.one("SELECT current_user::text"))

    def text(self, undone: list[MigrationFile], applied: list[MigrationFile]) -> str:
        """The script that undoes the first, then applies the others; MigrationFileError when one does not load."""
        if not undone and not applied and not any(isinstance(row, TakenOver) for row in self.rows.values()):
            return "-- nothing to do\n"
        lines = [*self._head(), *(self._preparation() if applied else []), f"SET ROLE {quote_identifier(self._login)};"]
        lines += self._taking_over()
        lines += [_ended(statement) for statement in (self.history.missing_statements() if applied else ())]
        for file in undone:
            lines += self._migration(file, back=True)
        for file in applied:
            lines += self._migration(file, back=False)
        if undone and len(undone) == len(self.rows) and not applied:
            lines.append(f"DROP TABLE {self._table};")
        lines += ["RESET ROLE;", f"SELECT pg_advisory_unlock({self._key()});"]
        return "\n".join(lines) + "\n"

    def _head(self) -> Iterator[str]:
        schema = _literal(self.database.schema)
        yield _HEAD.format(
            schema=quote_identifier(self.database.schema), version=__version__, login=quote_identifier(self._login)
        )
        # What the login's sessions begin with may read the same text otherwise.
        yield "\n".join(f"{statement};" for statement in pinning(self.database.server.server_version))
        facts = {"schema": schema, "key": self._key(), "changed": self._changed(), "login": _literal(self._login)}
        modern = self.database.server.server_version >= 160_000
        yield _GUARD.format(**facts, privilege="'SET'" if modern else "'MEMBER'")

    def _changed(self) -> str:
        if not self.history.exists:
            return f"to_regclass({_literal(self._table)}) IS NOT NULL"
        rows = [each for row in self.rows.values() for each in originals(row)]
        known = ", ".join(_literal(f"{row.name} {row.state} {row.steps_done}") for row in rows)
        found = f"SELECT array_agg(name || ' ' || state || ' ' || steps_done ORDER BY id) FROM {self._table}"
        return f"({found}) IS DISTINCT FROM {f'ARRAY[{known}]' if known else 'NULL'}"

    def _taking_over(self) -> Iterator[str]:
        for row in self.rows.values():
            if isinstance(row, TakenOver):
                gone = ", ".join(_literal(each.name) for each in row.originals[:-1]) or "NULL"
                yield (
                    f"-- {row.name} takes the place of the files that it replaces\nBEGIN;\n"
                    f"DELETE FROM {self._table} WHERE name IN ({gone});\n"
                    f"UPDATE {self._table} SET name = {_literal(row.name)}, checksum = {_literal(row.checksum)}, "
                    f"duration_ms = {row.duration_ms:d} WHERE name = {_literal(row.originals[-1].name)};\nCOMMIT;"
                )

    def _key(self) -> int:
        return lock_key(self.database.schema, self.history.table)

    def _preparation(self) -> Iterator[str]:
        for statement in () if self._roles_made else missing_statements(self.database):
            yield _ended(statement)
        if not self.database.one(_MAY_EXTEND):
            yield "CREATE EXTENSION IF NOT EXISTS btree_gist;"

    def _migration(self, file: MigrationFile, *, back: bool) -> Iterator[str]:
        module = file.load()
        steps = self._steps(file, module, back=back)
        yield f"\n-- {'undo ' if back else ''}{file.name}: {len(steps)} steps"
        go = self._whole if is_atomic(module) else self._step_by_step
        yield from go(file, module, steps, back)

    def _steps(self, file: MigrationFile, module: ModuleType, *, back: bool) -> list[Step]:
        migrator = Migrator(self.database)
        body = module.rollback if back else module.migrate
        try:
            with inspected(self.database):
                body(migrator, self.database, fake=False)
            refuse_unsafe(migrator.steps)
        except Exception as error:
            raise MigrationError(f"{file.name} cannot be written as a script: {error}") from error
        return migrator.steps

    def _whole(self, file: MigrationFile, module: ModuleType, steps: list[Step], back: bool) -> Iterator[str]:
        yield "BEGIN;"
        yield _limits(limits_of(module), "LOCAL")
        for number, step in enumerate(steps, start=1):
            yield f"-- step {number}"
            yield self._statement(file, step, commit=False)
        yield self._undone(file) if back else self._applied(file)
        yield "COMMIT;"

    def _step_by_step(self, file: MigrationFile, module: ModuleType, steps: list[Step], back: bool) -> Iterator[str]:
        state = REVERTING if back else RUNNING
        row = self.rows.get(file.name)
        done = row.steps_done if row is not None and row.state == state else 0
        yield self._begun(file, state, known=row is not None, done=done)
        for number, step in enumerate(steps[done:], start=done + 1):
            yield f"-- step {number}; a new script goes on after the last checkpoint"
            limits = (HARMLESS_LOCK_TIMEOUT_MS, UNLIMITED) if step.harmless else limits_of(module)
            yield from self._own_transaction(file, step, limits, number)
        yield self._undone(file) if back else self._applied(file)

    def _own_transaction(self, file: MigrationFile, step: Step, limits: tuple[int, int], number: int) -> Iterator[str]:
        checkpoint = f"UPDATE {self._table} SET steps_done = {number:d} WHERE name = {_literal(file.name)};"
        if step.in_transaction:
            yield from ("BEGIN;", _limits(limits, "LOCAL"), self._statement(file, step, commit=False))
            yield from (checkpoint, "COMMIT;")
            return
        yield _limits((limits[0], UNLIMITED), "SESSION")
        yield self._statement(file, step, commit=True)
        yield "RESET lock_timeout; RESET statement_timeout;"
        if step.new_index is not None:
            yield _VALID.format(name=_literal(step.new_index))
        yield checkpoint

    def _statement(self, file: MigrationFile, step: Step, *, commit: bool) -> str:
        if step.call is None:
            if not step.params:
                return _ended(step.text)
            return _ended(self.database.server.cursor().mogrify(step.text, step.params).decode())
        function, arguments, options = step.call
        if function is backfill:
            return _ended(backfill_sql(*arguments[1:], **options, commit=commit, admin_role=self.database.admin_role))
        return _CALL.format(name=step.text, migration=file.name, setting=CALLS_SETTING)

    def _begun(self, file: MigrationFile, state: str, *, known: bool, done: int) -> str:
        if known:
            return (
                f"UPDATE {self._table} SET state = '{state}', steps_done = {done:d}, "
                f"checksum = {_literal(file.checksum)} WHERE name = {_literal(file.name)};"
            )
        return self._inserted(file, state)

    def _inserted(self, file: MigrationFile, state: str) -> str:
        values = ", ".join(_literal(value) for value in (file.name, file.checksum, state, __version__))
        return f"INSERT INTO {self._table} (name, checksum, state, version) VALUES ({values});"

    def _applied(self, file: MigrationFile) -> str:
        values = ", ".join(_literal(value) for value in (file.name, file.checksum, "applied", __version__))
        return (
            f"INSERT INTO {self._table} (name, checksum, state, version, applied_at) "
            f"VALUES ({values}, clock_timestamp())\n"
            "    ON CONFLICT (name) DO UPDATE SET state = excluded.state, steps_done = 0, "
            "applied_at = excluded.applied_at;"
        )

    def _undone(self, file: MigrationFile) -> str:
        return f"DELETE FROM {self._table} WHERE name = {_literal(file.name)};"


def _limits(limits: tuple[int, int], scope: str) -> str:
    lock_ms, statement_ms = limits
    return f"SET {scope} lock_timeout = {lock_ms:d}; SET {scope} statement_timeout = {statement_ms:d};"


def _literal(value: str) -> str:
    quoted = adapt(value)
    quoted.encoding = "utf-8"
    text: str = quoted.getquoted().decode()
    return text.strip()


def _ended(sql: str) -> str:
    """The statement with its semicolon, behind a comment too."""
    text = sql.strip().rstrip(";")
    return f"{text}\n;" if "--" in text.rpartition("\n")[2] else f"{text};"
