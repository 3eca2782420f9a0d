"""Before anything is timed: do all contenders return and write the same rows, and how many round trips do they take?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
from tests.wire import wire

from bench.contender import Contender
from bench.contenders.by_hand import BY_ID, UPDATE
from bench.facts import COLUMNS, Facts
from bench.measuring import ready, run
from bench.operations import Operation

Row = tuple[Any, ...]


class UnequalResultsError(Exception):
    """A contender did not do the same as the baseline."""


class Table:
    """The table seen from outside: what is in a row now, and how to take back what was written."""

    def __init__(self, url: str, facts: Facts) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        self._facts = facts

    def row(self, appointment_id: int) -> dict[str, Any]:
        """The row with this id."""
        with self._connection.cursor() as cursor:
            cursor.execute(BY_ID, (self._facts.organization_id, appointment_id))
            (row,) = cursor.fetchall()
        return dict(zip(COLUMNS, row, strict=True))

    def tidy(self) -> None:
        """Delete what was inserted, and the dead rows that updates left."""
        with self._connection.cursor() as cursor:
            cursor.execute("DELETE FROM appointments WHERE id > %s", (self._facts.last_id,))
            cursor.execute("VACUUM appointments")

    def restore(self, row: dict[str, Any]) -> None:
        """Put back the text and the time of a row that was updated."""
        with self._connection.cursor() as cursor:
            statement = UPDATE.replace("now()", "%s")
            cursor.execute(statement, (row["notes"], row["updated_at"], row["organization_id"], row["id"]))

    def close(self) -> None:
        """Let go of the database."""
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
    if operation.method == "open_block":
        getattr(contender, operation.method)()
        return None
    if operation.method == "insert":
        return _inserted(contender, operation, table)
    if operation.writes:
        return _updated(contender, operation, table)
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
    calls = 1 if operation.scans else 3
    run(contender, operation, calls)
    with ready(contender, operation, calls) as work:
        before = len(sent)
        work()
        return round((len(sent) - before) / calls)
