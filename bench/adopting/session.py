"""One session of the old application: every statement timed, every error kept with its text.

It speaks as Active Record does: autocommit, the time zone set to UTC, BEGIN and COMMIT around each write and, if asked
to, each statement prepared once and prepared anew when the server says that its result has changed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NoReturn

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

# What is timed; a statement's kind is its place here.
KINDS = (
    "sign up",
    "sign in",
    "update profile",
    "feed",
    "show post",
    "posts of a user",
    "write post",
    "edit post",
    "delete post",
    "like",
    "unlike",
    "count likes",
    "begin, commit",
)
_FRAME = "begin, commit"
_CHANGED_RESULT = "0A000"


class FailedError(Exception):
    """A statement failed, or gave what it must not; it is recorded already."""


@dataclass
class Record:
    """Every statement of a session: kind, when it began on the machine's monotonic clock, and how many seconds it took.

    `failures` are (began, kind, what happened).
    """

    kinds: array[int] = field(default_factory=lambda: array("B"))
    began: array[float] = field(default_factory=lambda: array("d"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    failures: list[tuple[float, str, str]] = field(default_factory=list)

    def extend(self, other: Record) -> None:
        """Add what another session recorded."""
        self.kinds.extend(other.kinds)
        self.began.extend(other.began)
        self.seconds.extend(other.seconds)
        self.failures.extend(other.failures)


class Session:
    """A long-lived connection."""

    def __init__(self, url: str, *, prepared: bool) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._cursor.execute("SET standard_conforming_strings = on; SET SESSION timezone TO 'UTC'")
        self._prepared: dict[str, str] | None = {} if prepared else None
        self._names = 0
        self.record = Record()

    def run(self, kind: str, sql: str, *values: Any, rows: int | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; raise FailedError if it fails or does not give or touch `rows` rows."""
        began = monotonic()
        try:
            self._execute(sql, values)
            found = self._cursor.fetchall() if self._cursor.description else []
        except psycopg2.Error as error:
            self._fail(began, kind, f"{str(error).strip()} [{error.pgcode}] in: {' '.join(sql.split())}")
        finally:
            self.record.kinds.append(KINDS.index(kind))
            self.record.began.append(began)
            self.record.seconds.append(monotonic() - began)
        if rows is not None and self._cursor.rowcount != rows:
            self._fail(began, kind, f"{self._cursor.rowcount} rows instead of {rows}: {' '.join(sql.split())} {values}")
        return found

    def wrong(self, kind: str, what: str) -> NoReturn:
        """Note that an answer was not what it has to be."""
        self._fail(monotonic(), kind, what)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN and COMMIT around the block; ROLLBACK if it fails."""
        self.run(_FRAME, "BEGIN")
        try:
            yield
        except BaseException:
            self._cursor.execute("ROLLBACK")
            raise
        self.run(_FRAME, "COMMIT")

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _execute(self, sql: str, values: tuple[Any, ...]) -> None:
        if self._prepared is None or sql in ("BEGIN", "COMMIT"):
            self._cursor.execute(sql, values)
            return
        while True:
            try:
                self._execute_prepared(self._prepared, sql, values)
            except psycopg2.Error as error:
                if error.pgcode != _CHANGED_RESULT:
                    raise
                self._prepared.clear()
                if self._connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                    raise  # as Active Record: what was done in the transaction is gone
            else:
                return

    def _execute_prepared(self, prepared: dict[str, str], sql: str, values: tuple[Any, ...]) -> None:
        if sql not in prepared:
            self._names += 1
            parts = sql.split("%s")
            numbered = "".join(f"{part}${place}" for place, part in enumerate(parts[:-1], start=1)) + parts[-1]
            self._cursor.execute(f"PREPARE a{self._names} AS {numbered}")
            prepared[sql] = f"a{self._names}"
        places = f"({', '.join(['%s'] * len(values))})" if values else ""
        self._cursor.execute(f"EXECUTE {prepared[sql]} {places}", values)

    def _fail(self, began: float, kind: str, what: str) -> NoReturn:
        self.record.failures.append((began, kind, what))
        raise FailedError(what)
