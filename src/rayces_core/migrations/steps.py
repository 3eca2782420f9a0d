"""What a migration is made of: plain SQL and Python calls, queued by its body and run one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

import peewee_migrate

from rayces_core.errors import MigrationError
from rayces_core.migrations.readers import keeping_out, letting_in
from rayces_core.migrations.retry import retrying
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.tenant_columns import column_statements
from rayces_core.migrations.tenant_tables import NUMBERED, Columns, Parent, TenantTable, literal, quoted_table

OUTSIDE_TRANSACTION = re.compile(r"\bCONCURRENTLY\b|^\s*VACUUM\b", re.IGNORECASE)
LOWEST = -(2**63)

_HARMLESS = re.compile(r"\bCONCURRENTLY\b|\bVALIDATE\s+CONSTRAINT\b|^\s*(VACUUM|ANALYZE)\b", re.IGNORECASE)
_NEW_INDEX = re.compile(
    r'^\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"((?:[^"]|"")+)"|(\w+))\s+ON\b',
    re.IGNORECASE,
)


Call = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


class Step:
    """One statement or one call.

    Attributes:
        text: the SQL, or the name of the function.
        is_call: whether it is a Python function; it commits as it goes when there is no transaction around it.
        in_transaction: whether it may run within a transaction.
        harmless: whether its lock lets the application read and write, so that it can wait long for it.
        new_index: name of the index it builds CONCURRENTLY, or None.
        call: the function and its arguments, or None; params: the values of the SQL.
    """

    call: Call | None = None
    params: tuple[object, ...] = ()

    def __init__(self, text: str, action: Callable[[], object], *, is_call: bool) -> None:
        self.text, self.is_call, self._action = text, is_call, action
        self.in_transaction = not is_call and not OUTSIDE_TRANSACTION.search(text)
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
    """What a migration's body is given. The model operations of peewee-migrate are refused."""

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
        step = Step(sql, lambda: self.database.execute_sql(text, params), is_call=False)
        step.params = params
        self.steps.append(step)

    def run(self, func: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Queue a call; with `ATOMIC = False` it must be harmless to run it twice."""
        name = getattr(func, "__name__", repr(func))
        step = Step(name, lambda: func(*args, **kwargs), is_call=True)
        step.call = (func, args, kwargs)
        self.steps.append(step)

    def tenant_table(
        self,
        name: str,
        columns: str = "",
        *,
        parents: Mapping[str, str | Parent] | None = None,
        unique: Sequence[Columns] = (),
        indexes: Sequence[Columns] = (),
        key: str = "id",
        key_type: str = NUMBERED,
        timestamps: bool = True,
        editable: Sequence[str] | None = None,
        deletable: bool = True,
    ) -> None:
        """Queue what makes a table whose rows belong to organizations: columns, keys, indexes, policies and grants.

        Args:
            name: of the table, or schema.table; taken as it is written, capitals too.
            columns: its own columns and CHECKs, as they stand in CREATE TABLE; organization_id, the key, those of
                `parents` and the timestamps are made by themselves.
            parents: column -> the tenants' table that it refers to, or a `Parent` with more to say of it.
            unique: what is unique within an organization: a column, or a tuple of columns, each.
            indexes: the same, for indexes; parents' columns have one by themselves.
            key: name of the column that tells a row within its organization.
            key_type: bigint is numbered by the database; else type and default: "uuid DEFAULT gen_random_uuid()".
            timestamps: whether it has created_at and updated_at, as a TimestampedTenantModel.
            editable: what tenants may change; None: all but organization_id and the key, (): nothing.
            deletable: whether tenants may delete rows.

        Raises:
            MigrationError: an argument names something that cannot be, at once; or, once the table is made, a key in
                `columns` goes over all organizations, and nothing of the migration is kept.
        """
        table = TenantTable(
            name, columns, parents or {}, unique, indexes, key, key_type, timestamps, editable, deletable
        )
        for statement in table.statements(self.database):
            self.sql(statement)

    def let_readers_in(self, table: str) -> None:
        """Queue what lets those who only read (`db.reader()`) see the rows of a tenants' table made by hand.

        A `tenant_table` does so by itself.
        """
        for statement in letting_in(self.database, quoted_table(table)):
            self.sql(statement)

    def keep_readers_out(self, table: str) -> None:
        """Queue what keeps those who only read out of a tenants' table, as one with secrets of its users."""
        for statement in keeping_out(self.database, quoted_table(table)):
            self.sql(statement)

    def drop_tenant_table(self, name: str) -> None:
        """Queue what drops the table with all its rows, if it is there: a way back works from a half-done state too."""
        self.sql(f"DROP TABLE IF EXISTS {quoted_table(name)}")

    def tenant_column(
        self,
        table: str,
        name: str,
        definition: str = "",
        *,
        parent: str | Parent | None = None,
        editable: bool = True,
    ) -> None:
        """Queue what gives a tenants' table another column.

        Args:
            definition: its type and what else stands behind a column in ALTER TABLE; of a `parent` its key's type.
            parent: the tenants' table that it refers to, or a `Parent`; its key and index are made beside the running
                application, so the migration has to say ATOMIC = False.
            editable: whether tenants may change it.
        """
        for statement in column_statements(self.database, table, name, definition, parent, editable=editable):
            self.sql(statement)

    def drop_tenant_column(self, table: str, name: str) -> None:
        """Queue what drops the column with all that is in it, if table and column are there."""
        self.sql(f"ALTER TABLE IF EXISTS {quoted_table(table)} DROP COLUMN IF EXISTS {quote_identifier(name)}")


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

    Killed and run again it goes on with the rows that are left. Where row-level security would hide them from the
    login, as from the owner of a tenants' table, it works as the admin role.
    """
    changed, last = 0, LOWEST
    rows = _as_admin(database, table)
    with rows():
        lowest, highest = _ends(database, table, key) if database.on_progress else (0, 0)
    window = f"SELECT max(k) FROM (SELECT {key} AS k FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s) AS w"
    update = f"UPDATE {table} SET {assignments} WHERE ({condition})".replace("%", "%%")
    while (end := _next(database, rows, window, last, batch_rows)) is not None:
        changed += _update(database, rows, f"{update} AND {key} > %s AND {key} <= %s", (last, end), table)
        last = end
        if database.on_progress:
            # By the key: rows that come in behind the highest one are done, but not counted.
            highest = max(highest, end)
            database.on_progress(f"filling in {table}", end - lowest + 1, highest - lowest + 1)
    if last == LOWEST:
        # Without rows, so that a mistake in it does not wait for the first database that has some.
        _update(database, rows, f"{update} AND {key} > %s AND {key} <= %s", (last, last), table)
    return changed


Rows = Callable[[], AbstractContextManager[None]]


def _as_admin(database: MigrationDatabase, table: str) -> Rows:
    """What gives a block all rows of the table: nothing, or a transaction as the admin role."""

    @contextmanager
    def held() -> Iterator[None]:
        with database.atomic():
            # By the connection itself: it is no statement of the migration's, to be measured.
            database.server.cursor().execute(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
            yield
            database.server.cursor().execute("RESET ROLE")

    # By the connection itself, as above.
    cursor: Any = database.server.cursor()
    cursor.execute("SELECT row_security_active(%s)", (table,))
    return held if cursor.fetchone()[0] else nullcontext


def _next(database: MigrationDatabase, rows: Rows, window: str, last: int, batch_rows: int) -> int | None:
    with rows():
        end: int | None = database.one(window, last, batch_rows)
        return end


def _ends(database: MigrationDatabase, table: str, key: str) -> tuple[int, int]:
    lowest, highest = database.execute_sql(f"SELECT min({key}), max({key}) FROM {table}").fetchone()
    return lowest or 0, highest or 0


def backfill_sql(
    table: str,
    assignments: str,
    condition: str,
    *,
    key: str = "id",
    batch_rows: int = 2000,
    commit: bool,
    admin_role: str,
) -> str:
    """The backfill as one DO block, for a script; with `commit` each batch is a transaction of its own."""
    return f"""DO $backfill$
DECLARE
    reached bigint := {LOWEST + 1:d} - 1;
    next_one bigint;
    hidden CONSTANT boolean := row_security_active({literal(table)});
BEGIN
    LOOP
        IF hidden THEN SET LOCAL ROLE {quote_identifier(admin_role)}; END IF;
        SELECT max(k) INTO next_one
          FROM (SELECT {key} AS k FROM {table} WHERE {key} > reached ORDER BY {key} LIMIT {batch_rows:d}) AS w;
        EXIT WHEN next_one IS NULL;
        UPDATE {table} SET {assignments}
         WHERE ({condition}) AND {key} > reached AND {key} <= next_one;
        {"COMMIT;" if commit else ""}
        reached := next_one;
    END LOOP;
    IF hidden THEN RESET ROLE; END IF;
END
$backfill$"""


def _update(database: MigrationDatabase, rows: Rows, sql: str, values: tuple[object, ...], table: str) -> int:
    def batch(_attempt: int) -> int:
        with rows():
            return int(database.execute_sql(sql, values).rowcount)

    return retrying(batch, f"backfill of {table}", database.retry_seconds)
