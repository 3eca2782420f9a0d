"""What the rows have to be: the database as it was before, with what the old application did, as plain MyHub keeps it.

The diary is played into a copy of the database that is never adopted and has MyHub's foreign keys, so a like or post
that could not be there is refused by PostgreSQL itself.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from bench.adopting.diary import Diary
from bench.adopting.myhub import TABLES

# MyHub's columns, in a form that adoption keeps: addresses are normalised, moments are UTC with a zone or without.
OLD_COLUMNS = {
    "users": "id, name, lower(btrim(email)), image, uid, provider, username, "
    "created_at::timestamp, updated_at::timestamp",
    "posts": "id, hash_id, user_id, content, source, metadata, filename, created_at::timestamp, updated_at::timestamp",
    "likes": "id, user_id, post_id, created_at::timestamp, updated_at::timestamp",
}
EXAMPLES = 5
_SPAN = 5000

_CHANGES = {"users": ("name", "email", "updated_at"), "posts": ("content", "updated_at")}


@dataclass(frozen=True)
class Sum:
    """The rows of one table: how many, and the sum of their hashes, whatever their order."""

    table: str
    rows: int
    checksum: int


def play(url: str, diary: Diary) -> None:
    """Do in the database of `url` what the diary tells."""
    with closing(_opened(url)) as connection, connection, connection.cursor() as cursor:
        for table in TABLES:
            _write(cursor, table, diary.written[table])
        for table, columns in _CHANGES.items():
            _change(cursor, table, columns, diary.changed[table])
        for table in ("likes", "posts"):
            cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", (diary.deleted[table],))
            if cursor.rowcount != len(diary.deleted[table]):
                raise RuntimeError(f"the old application deleted {table} that it cannot have seen")


def sums(url: str) -> list[Sum]:
    """The sum of each table."""
    with closing(_opened(url)) as connection, connection.cursor() as cursor:
        return [Sum(table, *_sum(cursor, table)) for table in TABLES]


def differing(expected: str, found: str, table: str) -> list[int]:
    """Ids, a few and the lowest, of rows that only one of the databases has, or has otherwise."""
    with closing(_opened(expected)) as one, closing(_opened(found)) as other:
        cursors = (one.cursor(), other.cursor())
        spans = [set(_spans(cursor, table)) for cursor in cursors]
        ids: list[int] = []
        for span in sorted({span for span, *_ in spans[0] ^ spans[1]}):
            rows = [set(_rows(cursor, table, span)) for cursor in cursors]
            ids += sorted({key for key, _ in rows[0] ^ rows[1]})
            if len(ids) >= EXAMPLES:
                break
        return ids[:EXAMPLES]


def strangers(url: str) -> int:
    """How many rows of the adopted database are in no organization or in another than the first user's."""
    counted = " + ".join(
        f"(SELECT count(*) FROM {table} WHERE organization_id IS DISTINCT FROM (SELECT id FROM organizations))"
        for table in TABLES
    )
    with closing(_opened(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {counted}")
        ((found,),) = cursor.fetchall()
        return int(found)


def _opened(url: str) -> Any:
    return psycopg2.connect(url, options="-c timezone=UTC")


def _write(cursor: Any, table: str, rows: dict[int, dict[str, Any]]) -> None:
    if rows:
        columns = ["id", *next(iter(rows.values()))]
        values = [(key, *row.values()) for key, row in rows.items()]
        execute_values(cursor, f"INSERT INTO {table} ({', '.join(columns)}) VALUES %s", values, page_size=1000)


def _change(cursor: Any, table: str, columns: tuple[str, ...], rows: dict[int, dict[str, Any]]) -> None:
    assignments = ", ".join(f"{name} = new.{name}{'::timestamp' if name == 'updated_at' else ''}" for name in columns)
    new = f"(VALUES %s) AS new (id, {', '.join(columns)})"
    values = [(key, *(row[name] for name in columns)) for key, row in rows.items()]
    execute_values(cursor, f"UPDATE {table} SET {assignments} FROM {new} WHERE {table}.id = new.id", values)


def _hashed(table: str) -> str:
    return f"hashtextextended(ROW({OLD_COLUMNS[table]})::text, 0)"


def _sum(cursor: Any, table: str) -> tuple[int, int]:
    cursor.execute(f"SELECT count(*), coalesce(sum({_hashed(table)}::numeric), 0) FROM {table}")
    ((rows, checksum),) = cursor.fetchall()
    return int(rows), int(checksum)


def _spans(cursor: Any, table: str) -> list[tuple[int, int, int]]:
    cursor.execute(f"SELECT id / {_SPAN}, count(*), sum({_hashed(table)}::numeric) FROM {table} GROUP BY 1")
    return list(cursor.fetchall())


def _rows(cursor: Any, table: str, span: int) -> list[tuple[int, int]]:
    cursor.execute(f"SELECT id, {_hashed(table)} FROM {table} WHERE id / {_SPAN} = %s", (span,))
    return list(cursor.fetchall())
