"""Before anything is timed: do all contenders return and write the same rows, and how many round trips do they take?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
from tests.wire import wire

from bench.books import Books, UnequalResultsError
from bench.contender import Contender
from bench.contenders.by_hand import BY_ID, UPDATE
from bench.facts import COLUMNS, Facts
from bench.filling import pre_confirmed
from bench.measuring import ready, run
from bench.operations import Operation

Row = tuple[Any, ...]
CALLS = 3


class Table:
    """The table seen from outside: what is in a row now, and how to take back what was written."""

    def __init__(self, url: str, facts: Facts) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        self._facts = facts
        self.books = Books(url, facts)

    def row(self, appointment_id: int) -> dict[str, Any]:
        """The row with this id."""
        with self._connection.cursor() as cursor:
            cursor.execute(BY_ID, (self._facts.organization_id, appointment_id))
            (row,) = cursor.fetchall()
        return dict(zip(COLUMNS, row, strict=True))

    def written(self) -> dict[str, list[dict[str, Any]]]:
        """All that was inserted, without what two contenders cannot have in common: ids and the time of the clock."""
        appointments, changes = (self._inserted(table, last) for table, last in self._last_ids().items())
        ids = [row.pop("id") for row in appointments]
        for change in changes:
            del change["id"]
            change["subject_id"] = ids.index(change["subject_id"])
        return {"appointments": appointments, "state_transitions": changes}

    def _inserted(self, table: str, last_id: int) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} WHERE id > %s ORDER BY id", (last_id,))
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return [{name: value for name, value in row.items() if name != "created_at"} for row in rows]

    def tidy(self) -> None:
        """Delete what was inserted, and the dead rows that updates left; not in the ledger."""
        with self._connection.cursor() as cursor:
            for table, last_id in self._last_ids().items():
                cursor.execute(f"DELETE FROM {table} WHERE id > %s", (last_id,))
                cursor.execute(f"VACUUM {table}")

    def _last_ids(self) -> dict[str, int]:
        return {"appointments": self._facts.last_id, "state_transitions": self._facts.last_transition_id}

    def restore(self, row: dict[str, Any]) -> None:
        """Put back the text and the time of a row that was updated."""
        with self._connection.cursor() as cursor:
            statement = UPDATE.replace("now()", "%s")
            cursor.execute(statement, (row["notes"], row["updated_at"], row["organization_id"], row["id"]))

    def close(self) -> None:
        """Let go of the database."""
        self.books.close()
        self._connection.close()


def check_equal(kinds: list[type[Contender]], operations: list[Operation], url: str, facts: Facts) -> None:
    """Raise UnequalResultsError unless each contender does to the rows what the baseline does."""
    table = Table(url, facts)
    expected: dict[str, object] = {}
    try:
        for kind in kinds:
            with closing(kind(url, facts)) as contender:
                for operation in operations:
                    if contender.offers(operation.method):
                        found = _outcome(contender, operation, table)
                        _compare(contender, operation, expected.setdefault(operation.title, found), found)
    finally:
        table.close()


def _compare(contender: Contender, operation: Operation, expected: Any, found: Any) -> None:
    if found == expected:
        return
    pairs = zip(expected, found, strict=False) if isinstance(expected, list) else [(expected, found)]
    first = next(((e, f) for e, f in pairs if e != f), (len(expected), len(found)))
    raise UnequalResultsError(
        f"{operation.title}: {contender.name} and psycopg2 differ: {first[1]!r} instead of {first[0]!r}"
    )


def _outcome(contender: Contender, operation: Operation, table: Table) -> Any:
    if outcome := _OUTCOMES.get(operation.method):
        return outcome(contender, operation, table)
    with contender.working():
        (given,) = operation.arguments(contender, 1)
        result = getattr(contender, operation.method)(*given)
        rows = [_plain(contender, row) for row in _rows(result)]
    # A scan has no order; a list has.
    return sorted(rows, key=lambda row: row[1]) if operation.scans else rows


def _rows(result: Any) -> Iterable[Any]:
    return result if isinstance(result, list | Iterator) else [result]


def _plain(contender: Contender, row: Any) -> Row:
    named = contender.plain(row)
    return tuple(named[column] for column in COLUMNS)


def _inserted(contender: Contender, operation: Operation, table: Table) -> dict[str, Any]:
    with contender.working():
        row = table.row(getattr(contender, operation.method)(contender.facts.new_appointment(0)))
    table.tidy()
    return {name: value for name, value in row.items() if name not in ("id", "created_at", "updated_at")}


def _updated(contender: Contender, operation: Operation, table: Table) -> dict[str, Any]:
    key = contender.facts.ids[0]
    before = table.row(key)
    with contender.working():
        (loaded,) = contender.load([key]) if operation.method == "save" else [key]
        getattr(contender, operation.method)(loaded, "written by the check")
    after = table.row(key)
    table.restore(before)
    touched = after.pop("updated_at") > before["updated_at"]
    return {**after, "touched": touched}


def _booked(contender: Contender, operation: Operation, table: Table) -> dict[str, Any]:
    with contender.working():
        getattr(contender, operation.method)(contender.facts.new_booking(0))
    written = table.written()
    table.tidy()
    return written


def _confirmed(contender: Contender, operation: Operation, table: Table) -> dict[str, Any]:
    with contender.working():
        (loaded,) = contender.load(pre_confirmed(contender.url, contender.facts, [0]))
        getattr(contender, operation.method)(loaded)
    written = table.written()
    table.tidy()
    return written


def _debited(contender: Contender, operation: Operation, table: Table) -> list[dict[str, Any]]:
    users = contender.facts.ledger.users[:CALLS]
    with contender.working(operation.subdomain(contender.facts)):
        for user_id in users + users:  # the second time from an entry of its own
            getattr(contender, operation.method)(user_id)
    return _taken_back(table)


def _purchased(contender: Contender, operation: Operation, table: Table) -> list[dict[str, Any]]:
    with contender.working(operation.subdomain(contender.facts)):
        for _ in range(2):
            ((*given,),) = operation.arguments(contender, 1)
            getattr(contender, operation.method)(*given)
    return _taken_back(table)


def _taken_back(table: Table) -> list[dict[str, Any]]:
    written = table.books.written()
    table.books.tidy()
    return written


def _slots(contender: Contender, operation: Operation, _: Table) -> list[Row]:
    return [tuple(slot) for slot in getattr(contender, operation.method)()]


def _done(contender: Contender, operation: Operation, _: Table) -> None:
    ((*given,),) = operation.arguments(contender, 1)
    getattr(contender, operation.method)(*given)


_OUTCOMES: dict[str, Callable[[Contender, Operation, Table], Any]] = {
    "open_block": _done,
    "insert": _inserted,
    "save": _updated,
    "update": _updated,
    "confirm": _confirmed,
    "book_to_confirmed": _booked,
    "debit": _debited,
    "purchase_many": _purchased,
    "find_slots": _slots,
    "find_slots_sql": _done,
}


def round_trips(
    kinds: list[type[Contender]], operations: list[Operation], url: str, facts: Facts
) -> dict[tuple[str, str], int]:
    """(operation's title, contender's name) → query messages sent for one call, counted on the wire."""
    counted = {}
    for kind in kinds:
        with wire(url) as proxy, closing(kind(proxy.url, facts)) as contender:
            for operation in operations:
                if contender.offers(operation.method):
                    counted[operation.title, kind.name] = _messages(contender, operation, proxy.sent)
    return counted


def _messages(contender: Contender, operation: Operation, sent: list[str]) -> int:
    calls = 1 if operation.scans else CALLS
    run(contender, operation, calls)
    with ready(contender, operation, calls) as work:
        before = len(sent)
        work()
        return round((len(sent) - before) / calls)
