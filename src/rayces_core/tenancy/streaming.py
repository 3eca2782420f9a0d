"""Rows that stay on the server until they are asked for: what playhouse's ServerSide(query) reads.

Rule it guards: a stream is read in the block and the unit of work that it was begun in, and nowhere after.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2

from rayces_core.database.binding import Binding, bound_here, current
from rayces_core.database.constraints import translate
from rayces_core.errors import CrossTenantError, TenantNotSetError, TransactionFailedError
from rayces_core.tenancy.hydration import CHUNK_ROWS, Build


class ServerCursor:
    """A cursor of the server's, fetched from in pieces; ends with its unit of work."""

    def __init__(self, query: Any, size: int | None) -> None:
        """Open it for `query` in the open unit of work, and fetch the first `size` rows.

        Raises:
            UnsafeSQLError: no unit of work is open; use `with db.atomic():`.
        """
        engine = current().engine
        sql, params = engine.get_sql_context().sql(query).query()
        self._size, self._ended = size or CHUNK_ROWS, False
        self._cursor = engine.cursor(named_cursor=f"stream_{uuid.uuid4().hex}")
        self._cursor.run(sql, params)
        engine.after_commit(self._end)
        engine.restore_if_undone(self._end)
        self._fetched = self._fetch()
        self.description = self._cursor.description  # known once something was fetched

    def pieces(self) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, as many at a time as were asked for."""
        try:
            while self._fetched:
                yield self._fetched
                self._fetched = self._fetch()
        finally:
            self.close()

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, for a wrapper of Peewee's own."""
        self._rows = getattr(self, "_rows", None) or (row for piece in self.pieces() for row in piece)
        return next(self._rows, None)

    def close(self) -> None:
        """Give it up on the server, unless it went with its unit of work, where others may be at work by now."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(psycopg2.Error):
                self._cursor.close()

    def _fetch(self) -> list[tuple[Any, ...]]:
        if self._ended:
            raise TransactionFailedError(
                "the unit of work in which this result was read from the server has ended; read it inside the block"
            )
        try:
            rows: list[tuple[Any, ...]] = self._cursor.fetchmany(self._size)
        except psycopg2.Error as error:
            raise translate(error) from error
        return rows

    def _end(self) -> None:
        self._ended = True


class Stream:
    """What ServerSide() iterates over: rows that are built as they come, and refused to any other block."""

    def __init__(self, rows: Callable[[], Iterator[Any]], cursor: ServerCursor) -> None:
        self._rows, self.cursor, self._binding = rows, cursor, current()

    def iterator(self) -> Iterator[Any]:
        """The rows, once."""
        return held(self._rows(), self._binding)


def built(cursor: ServerCursor, build: Build, tenant: int | None, home: Any) -> Iterator[Any]:
    """The rows of `cursor` as the objects that `build` makes of them."""
    for rows in cursor.pieces():
        yield from build(rows, tenant, home)


def held(rows: Iterator[Any], binding: Binding) -> Iterator[Any]:
    """The same rows, which raise when they are read on after the tenant's block."""
    while True:
        now = bound_here()
        if now is not binding:
            if now is None:
                raise TenantNotSetError("the tenant's block has ended; read the iterator inside it")
            raise CrossTenantError(
                "this iterator was begun under another tenant; read it inside that block",
                bound=now.organization_id,
                found=binding.organization_id,
            )
        try:
            row = next(rows)
        except StopIteration:
            return
        yield row
