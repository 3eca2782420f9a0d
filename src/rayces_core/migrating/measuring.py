"""What each statement of a migration does to the tables it finds: measured while it runs, not guessed from its text.

Rule it guards: a statement blocks when a table of the application is locked against writes (SHARE or stronger) while
a whole table is read or rewritten, because that lasts as long as the table is big. What DO blocks, functions and
Python calls do is measured just the same. The server counts the scan of an empty table too, so that rows are needed
only by what a statement does for each row. Made-up ones may be refused by migrations that look at their data, so there
are none unless somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rayces_core.migrating.execution import Execution
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.filling import MadeUpRows
from rayces_core.migrating.places import SUFFIX
from rayces_core.migrating.probe import Probe
from rayces_core.migrations.session import MigrationDatabase
from rayces_core.migrations.steps import OUTSIDE_TRANSACTION, Step

# Weakest first, as pg_locks calls them.
MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
STOPS_WRITES = MODES.index("ShareLock")

TABLES = """
SELECT c.oid::bigint, c.oid::regclass::text, pg_relation_filenode(c.oid)::bigint
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND c.relname <> %s AND c.relpersistence <> 't'
"""
LOCKS = "SELECT relation::bigint, mode FROM pg_locks WHERE locktype = 'relation' AND pid = %s"
# All in one question, as it is asked before and after each statement: whether the table is there, its file, how often
# it was read as a whole and by an index, by this transaction or ever, and what this session holds of it.
_LOOK = """
SELECT f.oid::bigint, c.oid IS NOT NULL, pg_relation_filenode(c.oid)::bigint, coalesce({scans}(c.oid), 0),
       (SELECT coalesce(sum({scans}(i.indexrelid)), 0)::bigint FROM pg_index i WHERE i.indrelid = c.oid), l.modes
  FROM unnest(%s::oid[]) AS f (oid) LEFT JOIN pg_class c ON c.oid = f.oid
  LEFT JOIN (SELECT relation, array_agg(mode) AS modes FROM pg_locks
              WHERE locktype = 'relation' AND pid = pg_backend_pid() GROUP BY relation) AS l ON l.relation = f.oid
"""
_BY_TRANSACTION, _EVER = (_LOOK.format(scans=name) for name in ("pg_stat_get_xact_numscans", "pg_stat_get_numscans"))

Locks = dict[int, int]
Scans = dict[int, tuple[int, int]]
# Migration, step, SQL, the Python function that runs it.
Subject = tuple[str, int, str, str]


@dataclass(frozen=True, slots=True)
class _Look:
    """How the tables that a migration found are at one moment, by oid."""

    files: dict[int, int]
    scans: Scans
    locks: Locks


@dataclass(frozen=True, slots=True)
class Measurement:
    """One statement as it ran.

    `migration` and `step` say where it stands (steps count from 1; a Python call's statements share its step), `sql`
    is its text, `call` the Python function that ran it (empty: none); `lock` the strongest lock on a table that the
    migration found, as SQL calls it (None: none), held by the transaction at its end; `locked` the tables under that
    lock; `scanned` and `rewritten` the found tables that it read as a whole or wrote anew; `reason` why it blocks,
    empty when it does not; `history` is whose migration it is.
    """

    migration: str
    step: int
    sql: str
    call: str
    lock: str | None
    locked: tuple[str, ...]
    scanned: tuple[str, ...]
    rewritten: tuple[str, ...]
    reason: str
    history: str = "rayces"

    @property
    def blocks(self) -> bool:
        """Whether the application would have to wait for as long as a whole table takes."""
        return bool(self.reason)


class MeasuredDatabase(MigrationDatabase):
    """A migration database that hands each statement of a step to `measure`, which runs it."""

    measure: Callable[[str, Callable[[], Any]], Any] | None = None

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run SQL, measured within a step."""
        run = super().execute_sql
        if self.measure is None:
            return run(sql, params)
        return self.measure(sql, lambda: run(sql, params))

    def unmeasured(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query that is not a step's own."""
        rows: list[tuple[Any, ...]] = super().execute_sql(sql, values).fetchall()
        return rows


class MeasuredExecution(Execution):
    """Runs migrations as they are run, and notes of each statement what it did."""

    database: MeasuredDatabase

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.measurements: list[Measurement] = []
        self.made_up_rows: MadeUpRows | None = None
        self._found: dict[int, str] = {}

    def run(self, file: MigrationFile, *, back: bool) -> None:
        """Apply or undo `file`, measured; tables that are empty get their made-up rows before."""
        if self.made_up_rows is not None:
            self.made_up_rows.fill()
        rows = self.database.unmeasured(TABLES, self.history.table)
        self._found = {oid: name for oid, name, _ in rows}
        super().run(file, back=back)

    def _perform(self, file: MigrationFile, position: int, step: Step) -> None:
        def measure(sql: str, run: Callable[[], Any]) -> Any:
            subject = (file.name, position, sql, step.text) if step.is_call else (file.name, position, step.text, "")
            with self._undisturbed():
                return self._measured(subject, run)

        self.database.measure = measure
        try:
            step()
        finally:
            self.database.measure = None

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        measure, self.database.measure = self.database.measure, None
        try:
            yield
        finally:
            self.database.measure = measure

    def _measured(self, subject: Subject, run: Callable[[], Any]) -> Any:
        if self.database.in_transaction():
            return self._within(subject, run)
        if OUTSIDE_TRANSACTION.search(subject[2]):
            return self._outside(subject, run)
        with self.database.atomic():
            return self._within(subject, run)

    def _within(self, subject: Subject, run: Callable[[], Any]) -> Any:
        before = self._look(_BY_TRANSACTION)
        result = run()
        after = self._look(_BY_TRANSACTION)
        was = before.locks
        taken = {oid for oid, mode in after.locks.items() if mode >= STOPS_WRITES and was.get(oid, -1) < STOPS_WRITES}
        self._note(subject, after.locks, self._scanned(before.scans, after.scans, taken), before, after)
        return result

    def _outside(self, subject: Subject, run: Callable[[], Any]) -> Any:
        before = self._flushed_look()
        probe = Probe(self.database, LOCKS, self._found)
        with probe.sampling():
            result = run()
        after = self._flushed_look()
        locks = _strongest(probe.rows, self._found)
        self._note(subject, locks, self._scanned(before.scans, after.scans, set()), before, after)
        return result

    def _note(self, subject: Subject, locks: Locks, scanned: set[int], before: _Look, after: _Look) -> None:
        migration, step, sql, call = subject
        now = after.files
        rewritten = {oid for oid, node in before.files.items() if oid in now and now[oid] != node}
        strongest = max(locks.values(), default=None)
        held = {oid for oid, mode in locks.items() if mode >= STOPS_WRITES}
        self.measurements.append(
            Measurement(
                migration,
                step,
                " ".join(sql.split()),
                call,
                None if strongest is None else mode_name(strongest),
                self._names(oid for oid, mode in locks.items() if mode == strongest),
                self._names(scanned),
                self._names(rewritten),
                self._reason(held, scanned, rewritten),
                self.history.table.removesuffix(SUFFIX),
            )
        )

    def _reason(self, held: set[int], scanned: set[int], rewritten: set[int]) -> str:
        if not held or not scanned | rewritten:
            return ""
        what = []
        if rewritten:
            what.append(f"writes {_listed(self._names(rewritten))} anew")
        if scanned - rewritten:
            what.append(f"reads all of {_listed(self._names(scanned - rewritten))}")
        return f"{' and '.join(what)} while nobody can write to {_listed(self._names(held))}"

    def _names(self, oids: Any) -> tuple[str, ...]:
        return tuple(sorted(self._found[oid] for oid in oids))

    def _look(self, question: str) -> _Look:
        rows = self.database.unmeasured(question, list(self._found))
        locks = [(oid, mode) for oid, *_, modes in rows for mode in modes or ()]
        return _Look(
            {oid: node for oid, is_there, node, *_ in rows if is_there},
            {oid: (whole, keyed) for oid, _, _, whole, keyed, _ in rows},
            _strongest(locks, self._found),
        )

    def _flushed_look(self) -> _Look:
        self.database.unmeasured("SELECT pg_stat_force_next_flush()")
        return self._look(_EVER)

    @staticmethod
    def _scanned(before: Scans, after: Scans, taken: set[int]) -> set[int]:
        """Tables read as a whole; where the statement locked the table itself, also by way of an index.

        Checking a foreign key reads all rows, and on a small table the planner may take an index for it.
        """
        nothing = (0, 0)
        return {
            oid
            for oid, (whole, keyed) in after.items()
            if whole > before.get(oid, nothing)[0] or (oid in taken and keyed > before.get(oid, nothing)[1])
        }


def mode_name(mode: int) -> str:
    """The name of a lock as SQL has it: SHARE ROW EXCLUSIVE."""
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in MODES[mode].removesuffix("Lock"))
    return words.strip().upper()


def _strongest(rows: list[tuple[Any, ...]], found: dict[int, str]) -> Locks:
    locks: Locks = {}
    for oid, mode in rows:
        if oid in found and mode in MODES:
            locks[oid] = max(locks.get(oid, 0), MODES.index(mode))
    return locks


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
