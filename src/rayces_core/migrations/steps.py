"""What a migration is made of: plain SQL and Python calls, queued by its body and run one by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import peewee_migrate

from rayces_core.errors import MigrationError
from rayces_core.migrations.retry import retrying
from rayces_core.migrations.session import MigrationDatabase

_OUTSIDE_TRANSACTION = re.compile(r"\bCONCURRENTLY\b|^\s*VACUUM\b", re.IGNORECASE)
LOWEST = -(2**63)

_HARMLESS = re.compile(r"\bCONCURRENTLY\b|\bVALIDATE\s+CONSTRAINT\b|^\s*(VACUUM|ANALYZE)\b", re.IGNORECASE)
_NEW_INDEX = re.compile(
    r'^\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"((?:[^"]|"")+)"|(\w+))\s+ON\b',
    re.IGNORECASE,
)


class Step:
    """One statement or one call.

    Attributes:
        text: the SQL, or the name of the function.
        is_call: whether it is a Python function; it commits as it goes when there is no transaction around it.
        in_transaction: whether it may run within a transaction.
        harmless: whether its lock lets the application read and write, so that it can wait long for it.
        new_index: name of the index it builds CONCURRENTLY, or None.
    """

    def __init__(self, text: str, action: Callable[[], object], *, is_call: bool) -> None:
        self.text, self.is_call, self._action = text, is_call, action
        self.in_transaction = not is_call and not _OUTSIDE_TRANSACTION.search(text)
        self.harmless = not is_call and bool(_HARMLESS.search(text))
        self.new_index = None if is_call else _index_name(text)

    def __call__(self) -> None:
        """Run it."""
        self._action()


def _index_name(sql: str) -> str | None:
    found = _NEW_INDEX.match(sql)
    if found is None:
        return None
    quoted, plain = found.groups()
    return quoted.replace('""', '"') if quoted else plain.lower()


class Migrator(peewee_migrate.Migrator):
    """What a migration's body is given: `sql()` and `run()`. The model operations of peewee-migrate are refused."""

    def __init__(self, database: MigrationDatabase) -> None:
        super().__init__(database)
        self.database = database
        self.steps: list[Step] = []

    def __call__(self) -> None:
        """Run the queued steps, once."""
        steps, self.steps = self.steps, []
        for step in steps:
            step()

    def sql(self, sql: str, *params: object) -> None:
        """Queue SQL. Without `params` it is sent as written, `%` included; several statements become one message."""
        # Peewee always hands psycopg2 parameters, so a literal % has to be doubled.
        text = sql if params else sql.replace("%", "%%")
        self.steps.append(Step(sql, lambda: self.database.execute_sql(text, params), is_call=False))

    def run(self, func: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Queue a call; with `ATOMIC = False` it must be harmless to run it twice."""
        name = getattr(func, "__name__", repr(func))
        self.steps.append(Step(name, lambda: func(*args, **kwargs), is_call=True))


def _refused(name: str) -> Callable[..., NoReturn]:
    def refuse(_self: Migrator, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise MigrationError(f"migrator.{name}() is not supported, write plain SQL: migrator.sql('ALTER TABLE ...')")

    return refuse


for _name in vars(peewee_migrate.Migrator):
    if not _name.startswith("_") and _name not in ("sql", "run"):
        setattr(Migrator, _name, _refused(_name))


def backfill(
    database: MigrationDatabase,
    table: str,
    assignments: str,
    condition: str,
    *,
    key: str = "id",
    batch_rows: int = 2000,
) -> int:
    """Update the rows of `table` that meet `condition`, a commit for every `batch_rows` read; returns their number.

    Args:
        table: name of the table, as SQL.
        assignments: what follows SET, as SQL. condition: what follows WHERE; it must no longer hold for an updated row.
        key: a unique, indexed integer column whose values only grow.

    Killed and run again it goes on with the rows that are left.
    """
    changed, last = 0, LOWEST
    window = f"SELECT max(k) FROM (SELECT {key} AS k FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s) AS w"
    update = f"UPDATE {table} SET {assignments} WHERE ({condition})".replace("%", "%%")
    while (end := database.one(window, last, batch_rows)) is not None:
        changed += _update(database, f"{update} AND {key} > %s AND {key} <= %s", (last, end), table)
        last = end
    return changed


def _update(database: MigrationDatabase, sql: str, values: tuple[object, ...], table: str) -> int:
    def batch(_attempt: int) -> int:
        return int(database.execute_sql(sql, values).rowcount)

    return retrying(batch, f"backfill of {table}", database.retry_seconds)
