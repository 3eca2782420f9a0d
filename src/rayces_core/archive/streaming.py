"""Rows of a query in batches, held by a cursor of the server: memory stays flat however many there are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg2

from rayces_core.database.binding import current
from rayces_core.database.constraints import translate

BATCH: Final = 2_000
# A cursor is planned for its first rows, and a table that was filled a moment ago is taken for small: both make the
# planner look up joined rows one by one, which is quadratic where all of them are read.
_PLANNING: Final = {"enable_nestloop": "off", "cursor_tuple_fraction": "1"}

_numbers = itertools.count(1)


def stream(sql: str, values: Mapping[str, Any], size: int = BATCH) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of `sql`, `size` at a time; to be used up within the unit of work in which it begins.

    Raises:
        UnsafeSQLError: no unit of work is open. What the statement raises, as any other.
    """
    cursor = current().engine.cursor(f"rayces_stream_{next(_numbers)}")
    try:
        with _planned_for_all():
            cursor.execute(sql, values)
        while rows := cursor.fetchmany(size):
            yield rows
    except psycopg2.Error as error:
        raise translate(error) from error
    finally:
        cursor.close()


@contextmanager
def _planned_for_all() -> Iterator[None]:
    """What is planned within is planned for reading every row; the caller's settings come back after it."""
    run = current().engine.execute_sql
    before = {name: run(f"SHOW {name}").fetchone()[0] for name in _PLANNING}
    run(_set(_PLANNING))
    yield
    run(_set(before))


def _set(settings: Mapping[str, str]) -> str:
    return "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())
