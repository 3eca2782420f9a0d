"""The finished schema: tenant-first everywhere, and each rule of the domain held by the database itself."""

import re
from typing import Any

import pytest
from psycopg2 import errors

from rayces_core.migrating.files import read_directory
from rayces_core.migrations.packaged import tables_made_after
from tests.migrating.filler import tables

TENANT_TABLES = [
    "appointment_series",
    "appointments",
    "calendar_feeds",
    "closed_days",
    "credentials",
    "credit_balances",
    "credit_kinds",
    "credit_lot_movements",
    "credit_lots",
    "credit_packages",
    "credit_transactions",
    "devices",
    "group_sessions",
    "import_runs",
    "invoice_counters",
    "invoice_lines",
    "invoices",
    "likes",
    "notices",
    "outbox_messages",
    "outside_busy",
    "outside_calendars",
    "posts",
    "professional_services",
    "professionals",
    "resources",
    "services",
    "sign_in_attempts",
    "single_use_tokens",
    "slot_requests",
    "state_transitions",
    "students",
    "time_off_requests",
    "users",
    "webhook_endpoints",
]


def _all(cursor: Any, sql: str, *values: object) -> list[Any]:
    cursor.execute(sql, values or None)
    return cursor.fetchall()


def test_the_tables_are_those_of_the_domain(cursor: Any) -> None:
    assert tables(cursor.connection) == sorted([*TENANT_TABLES, "organizations"])


def test_packaged_migrations_tell_the_tables_that_they_make() -> None:
    assert sorted(tables_made_after(0)) == sorted([*TENANT_TABLES, "organizations"])
    assert tables_made_after(56)[:4] == ["notices", "calendar_feeds", "outside_calendars", "outside_busy"]
    assert tables_made_after(999) == []


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_every_row_says_whose_it_is_and_is_known_by_tenant_and_id(cursor: Any, table: str) -> None:
    columns = _all(
        cursor,
        "SELECT attname::text, atttypid::regtype::text, attnotnull, attidentity FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attname IN ('organization_id', 'id') ORDER BY attname DESC",
        table,
    )
    assert columns == [("organization_id", "bigint", True, ""), ("id", "bigint", True, "d")]
    key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'"
    assert _all(cursor, key, table) == [("PRIMARY KEY (organization_id, id)",)]


def test_every_key_of_a_tenant_table_begins_with_the_tenant(cursor: Any) -> None:
    first_columns = _all(
        cursor,
        "SELECT DISTINCT a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE c.relname = ANY (%s) "
        # Migration 030 says why, and tests/credits/test_rows_read.py what would be read otherwise.
        "AND i.indexrelid <> 'credit_transactions_refundable_key'::regclass "
        # What is settled goes by its age, in privileged work, whoever's it is.
        "AND i.indexrelid <> 'index_outbox_messages_on_settled'::regclass",
        TENANT_TABLES,
    )
    assert first_columns == [("organization_id",)]


def test_every_reference_between_tenant_tables_names_the_tenant_on_both_sides(cursor: Any) -> None:
    single = _all(
        cursor,
        "SELECT k.conname FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] "
        "JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1] "
        "WHERE k.contype = 'f' AND p.relname <> 'organizations' "
        "AND NOT (a.attname = 'organization_id' AND b.attname = 'organization_id')",
    )
    assert single == []
    to_tenant = _all(
        cursor,
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = 'organizations'::regclass ORDER BY 1",
    )
    assert [table for (table,) in to_tenant] == TENANT_TABLES


def test_only_what_belongs_to_a_person_or_a_post_goes_with_it(cursor: Any) -> None:
    rules = _all(
        cursor,
        "SELECT conname::text, confdeltype::text FROM pg_constraint "
        "WHERE contype = 'f' AND confdeltype <> 'a' ORDER BY 1",
    )
    assert rules == [
        ("calendar_feeds_organization_id_user_id_fkey", "c"),
        ("credentials_organization_id_user_id_fkey", "c"),
        ("devices_organization_id_user_id_fkey", "c"),
        ("likes_organization_id_post_id_fkey", "c"),
        ("likes_organization_id_user_id_fkey", "c"),
        ("outside_busy_organization_id_calendar_id_fkey", "c"),
        ("outside_busy_organization_id_professional_id_fkey", "c"),
        ("outside_calendars_organization_id_professional_id_fkey", "c"),
        ("posts_organization_id_user_id_fkey", "c"),
        ("professional_services_organization_id_professional_id_fkey", "c"),
        ("professional_services_organization_id_service_id_fkey", "c"),
        ("single_use_tokens_organization_id_user_id_fkey", "c"),
    ]


def test_every_reference_has_an_index_for_the_side_that_refers(cursor: Any) -> None:
    bare = _all(
        cursor,
        "SELECT k.conname FROM pg_constraint k WHERE k.contype = 'f' AND NOT EXISTS (SELECT FROM pg_index i "
        "WHERE i.indrelid = k.conrelid AND (i.indkey::int2[])[0:1] @> k.conkey[1:2])",
    )
    assert bare == []


def test_no_name_was_cut_off(cursor: Any) -> None:
    names = _all(
        cursor,
        "SELECT conname::text FROM pg_constraint UNION SELECT relname::text FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace",
    )
    sources = b"".join(file.source for file in read_directory(None)).decode()
    longest = [name for (name,) in names if len(name) == 63]
    assert [name for name in longest if not re.search(rf"\b{name}\b", sources)] == []


def test_every_constraint_and_index_is_validated(cursor: Any) -> None:
    assert _all(cursor, "SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
    assert _all(cursor, "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []


@pytest.mark.parametrize("table", [*TENANT_TABLES, "organizations"])
def test_the_applications_role_sees_one_organization_or_none(tenant: Any, table: str) -> None:
    column = "id" if table == "organizations" else "organization_id"
    assert _all(tenant, f"SELECT DISTINCT {column}::text FROM {table}") == _all(
        tenant, "SELECT current_setting('rayces.organization_id')"
    )
    for unbound in ("", "0"):
        tenant.execute("SELECT set_config('rayces.organization_id', %s, true)", (unbound,))
        assert _all(tenant, f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE posts SET organization_id = organization_id",
        "UPDATE posts SET id = id",
        "UPDATE organizations SET subdomain = 'mine'",
        "UPDATE organizations SET active = true",
        "INSERT INTO organizations (name, subdomain) VALUES ('x', 'x')",
        "DELETE FROM organizations",
        "DELETE FROM appointments",
        "DELETE FROM credit_balances",
        "UPDATE credit_balances SET user_id = user_id",
        "DELETE FROM credit_transactions",
        "UPDATE credit_transactions SET amount = 100",
        "UPDATE state_transitions SET reason = 'other'",
        "DELETE FROM state_transitions",
        "TRUNCATE likes",
        "DELETE FROM rayces_migrations",
        "CREATE TABLE mine (id int)",
    ],
)
def test_the_applications_role_may_not(tenant: Any, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        tenant.execute(statement)


def test_a_pending_ledger_row_can_be_settled_once_and_then_stands(tenant: Any) -> None:
    tenant.execute(
        "INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type) "
        "SELECT organization_id, user_id, id, 5, 'purchase' FROM credit_balances"
    )
    settle = (
        "UPDATE credit_transactions SET status = 'completed', processed_at = now(), balance_before = 4, "
        "balance_after = 9, sequence = 5, previous_sequence = 4 WHERE status = 'pending'"
    )
    tenant.execute(settle)
    assert tenant.rowcount == 1
    tenant.execute("UPDATE credit_transactions SET status = 'failed', balance_after = NULL")
    assert tenant.rowcount == 0


def test_the_application_can_see_which_migrations_it_has(tenant: Any) -> None:
    assert _all(tenant, "SELECT count(*) > 0, bool_and(state = 'applied') FROM rayces_migrations") == [(True, True)]


def test_privileged_work_sees_every_organization_and_cannot_rewrite_the_journal(cursor: Any) -> None:
    cursor.execute("SET LOCAL ROLE rayces_admin")
    assert _all(cursor, "SELECT count(DISTINCT organization_id) FROM users") == [(2,)]
    with pytest.raises(errors.InsufficientPrivilege):
        cursor.execute("DELETE FROM state_transitions")
