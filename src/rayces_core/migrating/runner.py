"""Runner: applies and undoes the numbered migrations of a directory, one runner at a time, safely on a live database.

Rules it guards: a migration is applied whole or its history says how far it came; nothing that could be skipped,
edited or half done goes unnoticed; no statement that stops the application waits for a lock longer than half a second.

Files are peewee-migrate's: `NNN_slug.py` with `migrate(migrator, database, *, fake=False)` and `rollback(...)`, which
queue plain SQL (`migrator.sql`) and calls (`migrator.run`). A module may also say `ATOMIC = False` (each statement
commits by itself and is a checkpoint; its rollback must then work from any half-done state), `IRREVERSIBLE = "reason"`,
`REQUIRES = "025"`, `LOCK_TIMEOUT_MS` and `STATEMENT_TIMEOUT_MS`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import peewee
from peewee_migrate.router import BaseRouter

from rayces_core.errors import MigrationError
from rayces_core.migrating.execution import Execution, Observer
from rayces_core.migrating.files import MigrationFile, read_directory, refuse_irreversible
from rayces_core.migrating.foreseeing import refuse_unsafe_files
from rayces_core.migrating.history import APPLIED, REVERTING, History, HistoryRow
from rayces_core.migrating.inheriting import warn_inheriting
from rayces_core.migrating.myhub import refuse_half_adopted, refuse_undoing, refuse_untouched
from rayces_core.migrating.owning import refuse_closed_schema, refuse_other_owner
from rayces_core.migrating.places import SUFFIX
from rayces_core.migrating.requirements import refuse_unmet
from rayces_core.migrating.roles import ensure_roles
from rayces_core.migrating.script import Script
from rayces_core.migrating.squashing import newest_number, seen, take_over
from rayces_core.migrating.status import MigrationStatus, refuse_disagreement, refuse_out_of_turn, statuses
from rayces_core.migrating.targets import file_named, number_of, to_apply, to_undo
from rayces_core.migrating.undoing import Undoing, looked_at
from rayces_core.migrations.session import (
    MigrationDatabase,
    Progress,
    connected,
    dedicated_as,
    quote_identifier,
    refuse_proxy,
    single_runner,
)
from rayces_core.migrations.steps import Migrator, backfill

__all__ = [
    "MigrationDatabase",
    "MigrationError",
    "MigrationStatus",
    "Migrator",
    "Runner",
    "backfill",
    "quote_identifier",
]

logger = logging.getLogger("rayces_core.migrations")


class Runner(BaseRouter):
    """Applies and undoes the migrations of one directory on one database, over a connection of its own.

    Args:
        database: a libpq URL, a Peewee PostgresqlDatabase, or an object with `url`. Its connections are not used.
        directory: where the migrations are; None for those of this package.
        app_role, admin_role: roles of tenant work and of privileged work, made if they are missing.
        history_table: what is applied; runners with different tables do not meet.
        lock_wait_seconds: how long to wait for another runner.
        retry_seconds: how long to go on asking for the locks of one migration.
        on_step: called with (migration, step, steps) before each step; what it raises stops the run there.
        on_progress: called with (what, done, total) by backfills and while an index is built, then from another thread.
    """

    # A rehearsal runs the same code, measured.
    _database_kind: type[MigrationDatabase] = MigrationDatabase
    _execution_kind: type[Execution] = Execution
    # An adoption may run where a plain run would stop the old application.
    _is_adoption = False

    def __init__(
        self,
        database: str | peewee.Database | Any,
        directory: str | Path | None = None,
        *,
        app_role: str = "rayces_app",
        admin_role: str = "rayces_admin",
        history_table: str = "rayces_migrations",
        lock_wait_seconds: float = 60.0,
        retry_seconds: float = 120.0,
        on_step: Observer | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        own = dedicated_as(self._database_kind, database)
        own.app_role, own.admin_role, own.retry_seconds = app_role, admin_role, retry_seconds
        own.on_progress = on_progress
        super().__init__(own, migrate_table=history_table, logger=logger, migrator_class=Migrator)
        self.database: MigrationDatabase = own
        self.directory = directory
        self.lock_wait_seconds = lock_wait_seconds
        self.history = History(own, history_table)
        # Name of another history -> the number up to which it will be applied before this one goes on.
        self.planned: dict[str, int] = {}
        self._execution = self._execution_kind(own, self.history, on_step)

    # -- what is usually wanted -------------------------------------------------------------------------------

    def up(self, to: int | str | None = None) -> list[str]:
        """Apply what is pending, up to and including `to` (a number or a name), and finish what was stopped half way.

        Returns the names applied, oldest first.

        Raises:
            MigrationFileError: a file is edited, missing, misnamed, out of order or numbered twice; nothing was run.
            MissingRoleError: the roles are missing and the login may not create them; nothing was run.
            MigrationError: a migration failed, or another runner holds the lock.
        """
        with self._held() as (files, rows):
            reverting, pending = self._upwards(files, rows, to)
            if not pending and not reverting:
                return []
            self._refuse_unsafe(reverting, back=True)
            self._refuse_unsafe(pending, back=False)
            self._ready()
            self._run_all(reverting, back=True)
            return self._run_all(pending, back=False)

    def down(self, to: int | str | None = None, *, count: int | None = None, yes: bool = False) -> list[str]:
        """Undo the migrations newer than `to` (a number or a name; 0 undoes all), or the newest `count` (default 1).

        Tables and columns that they made are dropped with what is in them, but only with `yes`; `undoing` says what.

        Returns the names undone, newest first.

        Raises:
            IrreversibleMigrationError: one of them has no way back; nothing was run.
            MigrationError: rows would be lost and `yes` is not given, something would stop it half way, or the rows of
                several organizations would become one's; nothing was run. Otherwise as for `up`.
            MigrationFileError: as for `up`.
        """
        with self._held() as (files, rows):
            chosen = self._downwards(files, rows, to, count)
            self._refuse_undoing(chosen, yes=yes)
            undone = self._run_all(chosen, back=True)
            self.history.drop_if_empty()
            return undone

    def undoing(self, to: int | str | None = None, *, count: int | None = None) -> Undoing:
        """What `down(to, count=count)` would take away, and what would stop it; nothing is run."""
        with self._looked_at() as (files, rows):
            return looked_at(self.database, self._downwards(files, rows, to, count))

    def up_script(self, to: int | str | None = None, *, roles_made: bool = False) -> str:
        """What `up(to)` would do, as a script for psql; nothing is run. Raises as `up` does.

        `roles_made` leaves out what makes the roles, where a script that runs before does.
        """
        with self._looked_at() as (files, rows):
            reverting, pending = self._upwards(files, rows, to)
            return Script(self.database, self.history, rows, roles_made=roles_made).text(reverting, pending)

    def down_script(self, to: int | str | None = None, *, count: int | None = None) -> str:
        """What `down(to, count=count)` would do, as a script for psql; nothing is run. Raises as `down` does."""
        with self._looked_at() as (files, rows):
            chosen = self._downwards(files, rows, to, count)
            undoing = looked_at(self.database, chosen)
            undoing.refuse(yes=True)
            script = Script(self.database, self.history, rows).text(chosen, [])
            return "".join([*(f"-- gone with it: {line}\n" for line in (*undoing.lines(), *undoing.others)), script])

    def status(self) -> list[MigrationStatus]:
        """Every migration with its state, by number; those whose file is missing come last."""
        files = read_directory(self.directory)
        with connected(self.database):
            return statuses(files, seen(files, self.history.rows()))

    @property
    def name(self) -> str:
        """What its history is called: the table of it without `_migrations`."""
        return self.history.table.removesuffix(SUFFIX)

    def pending(self, to: int | str | None = None) -> list[MigrationFile]:
        """What `up(to)` would apply; raises as `up` does before it runs anything."""
        with self._looked_at() as (files, rows):
            return self._upwards(files, rows, to)[1]

    def newest_applied(self) -> int:
        """The number of the newest migration that is wholly applied; 0 where there is none."""
        return max((status.number for status in self.status() if status.state == "applied"), default=0)

    def left_by(self, to: int | str | None = None, count: int | None = None) -> int:
        """The number of the newest migration that `down(to, count=count)` would leave applied; 0: none."""
        with self._looked_at() as (files, rows):
            chosen = {file.name for file in self._downwards(files, rows, to, count)}
            return max((file.number for file in files if file.name in rows and file.name not in chosen), default=0)

    def refuse_changes(self) -> None:
        """Raise MigrationFileError if a file of an applied migration was edited or is gone, or numbers have gaps."""
        files = read_directory(self.directory)
        with connected(self.database):
            refuse_disagreement(files, seen(files, self.history.rows()))

    def refuse_unsafe(self) -> None:
        """Raise MigrationError if the SQL of a migration or of its way back is none that the runner can let pass."""
        with self._looked_at() as (files, _):
            for back in (False, True):
                refuse_unsafe_files(self.database, files, back=back)

    # -- names that users of peewee-migrate know --------------------------------------------------------------

    @property
    def model(self) -> type[HistoryRow]:  # type: ignore[override]
        """The model of the history table, this runner's own."""
        return self.history.model

    @property
    def migrator(self) -> Migrator:
        """A fresh migrator; applied migrations are not replayed."""
        return Migrator(self.database)

    @property
    def todo(self) -> list[str]:
        """Names of all migrations, by number."""
        return [file.name for file in read_directory(self.directory)]

    @property
    def done(self) -> list[str]:
        """Names of the applied migrations, in the order in which they were applied."""
        files = read_directory(self.directory)
        with connected(self.database):
            return [name for name, row in seen(files, self.history.rows()).items() if row.state == APPLIED]

    @property
    def diff(self) -> list[str]:
        """Names of the migrations that are not applied, by number."""
        done = set(self.done)
        return [name for name in self.todo if name not in done]

    def run(self, name: str | None = None, *, fake: bool = False) -> list[str]:
        """`up(name)`; with `fake` only the history is written."""
        if not fake:
            return self.up(name)
        with self._held() as (files, rows):
            last = number_of(files, name, default=newest_number(files))
            return [self._fake(file) for file in files if file.number <= last and file.name not in rows]

    def rollback(self, *, yes: bool = False) -> list[str]:
        """`down(yes=yes)`: undo the newest migration."""
        return self.down(yes=yes)

    def read(self, name: str) -> tuple[Any, Any]:
        """The functions migrate and rollback (None if there is none) of a migration."""
        module = file_named(read_directory(self.directory), name).load()
        return module.migrate, getattr(module, "rollback", None)

    def run_one(
        self,
        name: str,
        migrator: object = None,  # noqa: ARG002
        *,
        fake: bool = False,
        downgrade: bool = False,
        force: bool = False,
    ) -> str:
        """Apply the next migration or undo the newest one, by name; `fake` writes the history only.

        `force` undoes it though rows are lost; `migrator` is peewee-migrate's and changes nothing.
        """
        with self._held() as (files, rows):
            file = file_named(files, name)
            refuse_out_of_turn(files, rows, file, downgrade=downgrade)
            if downgrade:
                refuse_irreversible(file)
            if fake:
                return self._fake(file, back=downgrade)
            if downgrade:
                self._refuse_undoing([file], yes=force)
            else:
                self._ready()
            self._run_all([file], back=downgrade)
            return name

    def create(self, *_args: object, **_options: object) -> NoReturn:
        """Refused: peewee-migrate would write model operations."""
        raise MigrationError("write the file NNN_what_it_does.py by hand; migrations hold plain SQL")

    def merge(self, *_args: object, **_options: object) -> NoReturn:
        """Refused: peewee-migrate would delete every migration and lose what it cannot express."""
        raise MigrationError("migrations are never merged")

    def clear(self) -> NoReturn:
        """Refused: peewee-migrate would delete the history."""
        raise MigrationError("the history of migrations is never cleared")

    compile = create

    # -- how ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _held(self) -> Iterator[tuple[list[MigrationFile], dict[str, HistoryRow]]]:
        """Hold the lock of the only runner; gives the files and the history, which agree."""
        files = read_directory(self.directory)
        with single_runner(self.database, self.migrate_table, self.lock_wait_seconds):
            rows = self._agreed(files)
            if not self._is_adoption:
                refuse_other_owner(self.database, self.history.table, *(["organizations"] if self._is_guarded else []))
            take_over(self.history, rows)
            with self._execution.lookout.on_duty():
                yield files, rows

    @contextmanager
    def _looked_at(self) -> Iterator[tuple[list[MigrationFile], dict[str, HistoryRow]]]:
        """The files and the history, which agree, on a connection that writes nothing."""
        files = read_directory(self.directory)
        with connected(self.database):
            refuse_proxy(self.database)
            rows = self._agreed(files)
            self.database.command("SET default_transaction_read_only = on")
            try:
                yield files, rows
            finally:
                self.database.command("RESET default_transaction_read_only")

    def _agreed(self, files: list[MigrationFile]) -> dict[str, HistoryRow]:
        rows = seen(files, self.history.rows())
        refuse_disagreement(files, rows)
        if self._is_guarded:
            refuse_half_adopted(self.database)
        return rows

    @property
    def _is_guarded(self) -> bool:
        return self.directory is None and not self._is_adoption

    def _ready(self) -> None:
        if not self.history.exists:
            refuse_closed_schema(self.database)
        ensure_roles(self.database)
        warn_inheriting(self.database)
        self.history.create()

    def _run_all(self, files: list[MigrationFile], *, back: bool) -> list[str]:
        for file in files:
            self._execution.run(file, back=back)
        return [file.name for file in files]

    def _fake(self, file: MigrationFile, *, back: bool = False) -> str:
        if back:
            self.history.undone(file)
        else:
            self._ready()
            self.history.applied(file, attempts=0, duration_ms=0)
        return file.name

    def _upwards(
        self, files: list[MigrationFile], rows: dict[str, HistoryRow], to: int | str | None
    ) -> tuple[list[MigrationFile], list[MigrationFile]]:
        """What has to be undone first, because undoing it was stopped half way, and what has to be applied."""
        if self._is_guarded:
            refuse_untouched(self.database, rows)
        last = number_of(files, to, default=newest_number(files))
        reverting = [file for file in files if file.name in rows and rows[file.name].state == REVERTING]
        pending = to_apply(files, rows, last)
        refuse_unmet(self.database, pending, {self.name: last, **self.planned})
        return reverting, pending

    def _downwards(
        self, files: list[MigrationFile], rows: dict[str, HistoryRow], to: int | str | None, count: int | None
    ) -> list[MigrationFile]:
        """What has to be undone, newest first, all of which can be."""
        chosen = to_undo(files, rows, to, count)
        for file in chosen:
            refuse_irreversible(file)
        if self._is_guarded:
            refuse_undoing(self.database, (file.number for file in chosen))
        return chosen

    def _refuse_unsafe(self, files: list[MigrationFile], *, back: bool) -> None:
        """Before any of them runs. Those of this package are asked by its tests; each is once more before it runs."""
        if self.directory is not None:
            refuse_unsafe_files(self.database, files, back=back)

    def _refuse_undoing(self, files: list[MigrationFile], *, yes: bool) -> None:
        self._refuse_unsafe(files, back=True)
        # An adoption has looked at more than this by now, and goes back to a schema that it has written down.
        if not self._is_adoption:
            looked_at(self.database, files).refuse(yes=yes)
