"""The table "What holds against what" of docs/tenancy.md, row by row, as the role of tenants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from rayces_core.doctor.needed import WRITES

DOCS = (Path(__file__).parents[2] / "docs" / "tenancy.md").read_text("utf-8")
MODES = ("ACCESS SHARE", "ROW EXCLUSIVE", "SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE")


def lockable(cursor: Any, table: str) -> list[str]:
    found = []
    for mode in MODES:
        cursor.execute("SAVEPOINT before")
        try:
            cursor.execute(f"LOCK TABLE {table} IN {mode} MODE NOWAIT")
            found.append(mode)
        except errors.InsufficientPrivilege:
            pass
        cursor.execute("ROLLBACK TO before")
    return found


def test_every_row_of_the_table_is_looked_at_here_or_elsewhere() -> None:
    table = DOCS.partition("## What holds against what")[2].partition("\n## ")[0]
    assert table.count("\n| ") == 26  # with the head and the line under it: a new row needs a new look


@pytest.mark.parametrize("table", WRITES)
def test_a_lock_on_a_table_is_what_delete_or_insert_on_it_allow(tenant: Any, table: str) -> None:
    rights = WRITES[table].split()
    allowed = MODES if "DELETE" in rights else MODES[:2] if "INSERT" in rights else MODES[:1]
    assert lockable(tenant, table) == list(allowed)


def test_statistics_tell_how_many_rows_all_tenants_have_but_no_values(cursor: Any) -> None:
    cursor.execute("ANALYZE users")
    cursor.execute("SELECT count(*) FROM users")
    ((everybody,),) = cursor.fetchall()
    cursor.execute("SET LOCAL ROLE rayces_app")
    cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'users'::regclass")
    assert cursor.fetchone() == (everybody,)
    cursor.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'users'")
    assert cursor.fetchone() == (0,)


def test_what_other_sessions_of_the_login_run_is_hidden_and_out_of_reach(tenant: Any) -> None:
    other = psycopg2.connect(tenant.connection.dsn)
    other.cursor().execute("SELECT 'diagnosis of somebody'")
    pid = other.info.backend_pid
    tenant.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,))
    assert tenant.fetchone() == ("<insufficient privilege>",)
    for function in ("pg_cancel_backend", "pg_terminate_backend"):
        tenant.execute("SAVEPOINT before")
        with pytest.raises(errors.InsufficientPrivilege):
            tenant.execute(f"SELECT {function}(%s)", (pid,))
        tenant.execute("ROLLBACK TO before")
    other.close()


def test_what_is_said_to_be_held_by_nothing_is(cursor: Any) -> None:
    cursor.execute("SET LOCAL ROLE rayces_app; SET LOCAL rayces.organization_id = '1'")
    cursor.execute("SELECT lo_from_bytea(0, 'of the first')")
    (large_object,) = cursor.fetchone()
    cursor.execute("SET LOCAL rayces.organization_id = '2'; SELECT lo_get(%s)", (large_object,))
    assert bytes(cursor.fetchone()[0]) == b"of the first"
    cursor.execute("NOTIFY anything, 'forged'; SELECT count(*) FROM (SELECT pg_advisory_xact_lock(g) "
                   "FROM generate_series(1, 100) g) AS locks")  # fmt: skip
    assert cursor.fetchone() == (100,)


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "CREATE EXTENSION pg_trgm",
        "CREATE SCHEMA mine",
        "SELECT nextval('users_id_seq')",
        "SELECT last_value FROM users_id_seq",
        "ALTER ROLE rayces_app SET rayces.organization_id = '2'",
        "SET LOCAL ROLE rayces_admin",
    ],
)
def test_there_is_no_right_to_it(cursor: Any, statement: str) -> None:
    # A superuser's session may become any role, so this is a session of nobody else.
    cursor.execute("SET LOCAL SESSION AUTHORIZATION rayces_app")
    with pytest.raises(errors.InsufficientPrivilege):
        cursor.execute(statement)
