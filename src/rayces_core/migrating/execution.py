"""Running one migration, forwards or back: in one transaction, or step by step with a checkpoint after each.

Rule it guards: whatever stops a run, the history says exactly which steps were finished, so the next one goes on there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

import peewee
import psycopg2
from psycopg2.errorcodes import ACTIVE_SQL_TRANSACTION, INVALID_TRANSACTION_TERMINATION

from rayces_core.errors import MigrationError
from rayces_core.migrating.blockers import Lookout
from rayces_core.migrating.files import MigrationFile, is_atomic
from rayces_core.migrating.history import REVERTING, RUNNING, History
from rayces_core.migrating.statements import statements_of
from rayces_core.migrating.unsafe import Kept, inspected, kept_session, refuse_unsafe
from rayces_core.migrations.retry import RETRYABLE, retrying, sqlstate
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.steps import Migrator, Step

logger = logging.getLogger("rayces_core.migrations")

# A lock that stops the application is waited for as long as the application may stall, and asked for again later.
LOCK_TIMEOUT_MS = 500
STATEMENT_TIMEOUT_MS = 30_000
HARMLESS_LOCK_TIMEOUT_MS = 300_000
UNLIMITED = 0

# (migration, step counted from 1, number of steps), before each step.
Observer = Callable[[str, int, int], None]

_INVALID_INDEX = """
SELECT c.oid
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT i.indisvalid AND c.relname = %s AND c.relnamespace = quote_ident(current_schema())::regnamespace
"""
_IS_BEING_BUILT = "SELECT true FROM pg_stat_progress_create_index WHERE index_relid = %s"

# What is only known once the server runs it.
_ADVICE = {
    # It has to stand in no transaction, nor be sent together with others.
    ACTIVE_SQL_TRANSACTION: "\nSay ATOMIC = False in the module, and give that statement a migrator.sql of its own.",
    # A DO block or a procedure ends the transaction.
    INVALID_TRANSACTION_TERMINATION: (
        "\nThe transaction around a migration's SQL is the runner's, with ATOMIC = False around each statement; take "
        "COMMIT and ROLLBACK out of the DO block or procedure (`backfill` commits batch by batch)"
    ),
}


class Execution:
    """Runs migrations of one history on one connection."""

    def __init__(self, database: MigrationDatabase, history: History, observer: Observer | None) -> None:
        self.database, self.history = database, history
        self._observer = observer or _unobserved
        self.lookout = Lookout(database)
        self.alone_steps = 0

    def run(self, file: MigrationFile, *, back: bool) -> None:
        """Apply or undo `file` and note it in the history; raises MigrationError with what the server said."""
        started = time.monotonic()
        module = file.load()
        logger.info("%s %s", "undoing" if back else "applying", file.name)
        go = self._in_one_transaction if is_atomic(module) else self._step_by_step
        with self._explained(file.name):
            go(file, module, back, started)

    def run_alone(self, label: str, step: Step) -> None:
        """Run a step that belongs to no migration, watched and retried as any other; it must bear being repeated."""

        def attempt(_number: int) -> None:
            with self.lookout.watching(label):
                self._run_bounded(step, self._limits(None), step, lambda: None)

        self.alone_steps += 1
        self._observer(label, self.alone_steps, self.alone_steps)
        with self._explained(label):
            retrying(attempt, label, self.database.retry_seconds)

    # -- what an adoption does otherwise -----------------------------------------------------------------------

    def _limits(self, module: ModuleType | None) -> tuple[int, int]:
        """The lock timeout and the statement timeout of a migration's statements, in milliseconds."""
        return limits_of(module)

    def _steps(self, file: MigrationFile, module: ModuleType, back: bool) -> list[Step]:  # noqa: ARG002
        migrator = Migrator(self.database)
        body = module.rollback if back else module.migrate
        body(migrator, self.database, fake=False)
        return migrator.steps

    # -- how ---------------------------------------------------------------------------------------------------

    def _safe_steps(self, file: MigrationFile, module: ModuleType, back: bool) -> list[Step]:
        """The steps, none of which ends a transaction of the runner's: that is found before the first one runs."""
        with inspected(self.database):
            steps = self._steps(file, module, back)
        refuse_unsafe(steps)
        return steps

    def _in_one_transaction(self, file: MigrationFile, module: ModuleType, back: bool, started: float) -> None:
        def attempt(number: int) -> None:
            with self.lookout.watching(file.name), self.database.atomic():
                kept = Kept(self.database, _limiting(*self._limits(module)))
                steps = self._safe_steps(file, module, back)
                kept.check_transaction()
                for position, step in enumerate(steps, start=1):
                    self._observer(file.name, position, len(steps))
                    with inspected(self.database):
                        self._perform(file, position, step)
                    if step.is_call:  # SQL that could end it was refused
                        kept.check_transaction()
                kept.check()
                self._finish(file, back, number, started)

        retrying(attempt, file.name, self.database.retry_seconds)

    def _step_by_step(self, file: MigrationFile, module: ModuleType, back: bool, started: float) -> None:
        steps = self._safe_steps(file, module, back)
        done = self.history.begin(file, REVERTING if back else RUNNING)
        attempts = 1
        for position, step in enumerate(steps[done:], start=done + 1):
            self._observer(file.name, position, len(steps))

            label = f"{file.name}, step {position}"

            def attempt(number: int, step: Step = step, position: int = position, label: str = label) -> int:
                with self.lookout.watching(label):
                    self._run_step(file, module, step, position)
                return number

            attempts = max(attempts, retrying(attempt, label, self.database.retry_seconds))
        self._finish(file, back, attempts, started)

    def _run_step(self, file: MigrationFile, module: ModuleType, step: Step, position: int) -> None:
        self._run_bounded(
            step,
            self._limits(module),
            lambda: self._perform(file, position, step),
            lambda: self.history.checkpoint(file, position),
        )

    def _run_bounded(
        self, step: Step, limits: tuple[int, int], perform: Callable[[], None], note: Callable[[], None]
    ) -> None:
        if step.harmless:
            limits = (HARMLESS_LOCK_TIMEOUT_MS, UNLIMITED)
        if step.in_transaction:
            with self.database.atomic():
                kept = Kept(self.database, _limiting(*limits))
                with inspected(self.database):
                    perform()
                kept.check()
                note()
            return
        self.database.command(_limiting(limits[0], UNLIMITED, scope="SESSION"))
        try:
            self._outside_transaction(step, perform)
        finally:
            with suppress(peewee.PeeweeException, psycopg2.Error):
                self.database.command("RESET lock_timeout; SET statement_timeout = 0")
        note()

    def _outside_transaction(self, step: Step, perform: Callable[[], None]) -> None:
        if step.new_index is None:
            with kept_session(self.database):
                perform()
            return
        self._drop_invalid(step.new_index)
        try:
            perform()
        except (peewee.DatabaseError, psycopg2.Error):
            # An INVALID unique index would go on refusing the application's rows.
            with suppress(peewee.PeeweeException, psycopg2.Error):
                self._drop_invalid(step.new_index)
            raise

    def _perform(self, file: MigrationFile, position: int, step: Step) -> None:  # noqa: ARG002 - a rehearsal asks
        parts = statements_of(step)
        if len(parts) < 2 or step.params or not self.database.has_citus:
            step()
            return
        # Citus hands on the text of the whole message, and its other nodes refuse several statements in one.
        for statement in parts:
            self.database.execute_sql(statement.text)

    def _drop_invalid(self, index: str) -> None:
        """Drop what an interrupted build of this index left, or IF NOT EXISTS would take it for the finished one."""
        invalid = self.database.one(_INVALID_INDEX, index)
        if invalid and not self.database.one(_IS_BEING_BUILT, invalid):
            logger.warning("dropping the unfinished index %s", index)
            self.database.command(f"DROP INDEX CONCURRENTLY IF EXISTS {quote_identifier(index)}")

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except MigrationError as error:
            raise type(error)(f"{name}: {error}") from error
        except (peewee.PeeweeException, psycopg2.Error) as error:
            _let_interruption_through(error)
            advice = self._in_the_way() if sqlstate(error) in RETRYABLE else _ADVICE.get(sqlstate(error) or "", "")
            raise MigrationError(f"{name}: {str(error).strip()}{advice}") from error

    def _in_the_way(self) -> str:
        who = "".join(f"\n  {sentence}" for sentence in self.lookout.seen)
        return (
            f"\nAnother session was in the way for {self.database.retry_seconds:g} s; try again once it is done"
            f"{':' if who else '.'}{who}"
        )

    def _finish(self, file: MigrationFile, back: bool, attempts: int, started: float) -> None:
        if back:
            self.history.undone(file)
        else:
            self.history.applied(file, attempts=attempts, duration_ms=round((time.monotonic() - started) * 1000))


def _unobserved(_name: str, _step: int, _steps: int) -> None:
    """Observe nothing."""


def _let_interruption_through(error: BaseException) -> None:
    # A Ctrl-C at an unlucky moment costs the connection, and undoing the transaction then fails over it.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise cause
        cause = cause.__context__


def _limiting(lock_ms: int, statement_ms: int, scope: str = "LOCAL") -> str:
    return f"SET {scope} lock_timeout = {lock_ms:d}; SET {scope} statement_timeout = {statement_ms:d}; "


def limits_of(module: ModuleType | None) -> tuple[int, int]:
    """The lock timeout and the statement timeout of a migration's statements, in milliseconds."""
    return (
        int(getattr(module, "LOCK_TIMEOUT_MS", LOCK_TIMEOUT_MS)),
        int(getattr(module, "STATEMENT_TIMEOUT_MS", STATEMENT_TIMEOUT_MS)),
    )
