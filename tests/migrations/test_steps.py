"""Steps: SQL is sent as written, model operations are refused, a backfill goes in batches and can be repeated."""

from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrations.session import MigrationDatabase, connected, dedicated
from rayces_core.migrations.steps import Migrator, Step, backfill
from tests.walking import walked


@pytest.fixture
def database(make_database: Any) -> Any:
    database = dedicated(make_database())
    with connected(database):
        yield database


def test_a_percent_sign_is_sent_as_written(database: MigrationDatabase) -> None:
    migrator = Migrator(database)
    migrator.sql("CREATE TABLE rates (name text CHECK (name NOT LIKE '%\\%%'))")
    migrator.sql("INSERT INTO rates VALUES (%s)", "50 of 100")
    migrator()
    assert database.one("SELECT name FROM rates") == "50 of 100"
    assert "%\\%%" in database.one(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'rates_name_check'"
    )


def test_steps_run_in_order_and_once(database: MigrationDatabase) -> None:
    migrator = Migrator(database)
    seen: list[str] = []
    migrator.sql("CREATE TABLE notes (text text)")
    migrator.run(seen.append, "called")
    migrator.sql("INSERT INTO notes VALUES ('a'); INSERT INTO notes VALUES ('b')")
    migrator()
    migrator()
    assert seen == ["called"]
    assert database.one("SELECT count(*) FROM notes") == 2


@pytest.mark.parametrize(
    "operation", ["create_model", "remove_model", "add_fields", "add_default", "add_not_null", "fake"]
)
def test_model_operations_are_refused(database: MigrationDatabase, operation: str) -> None:
    with pytest.raises(MigrationError, match=rf"migrator\.{operation}\(\) is not supported"):
        getattr(Migrator(database), operation)("users")


@walked(
    ("sql", "in_transaction", "harmless", "index"),
    [
        ("ALTER TABLE t ADD c int", True, False, None),
        ("create unique index concurrently if not exists T_C on t (c)", False, True, "t_c"),
        ('CREATE INDEX CONCURRENTLY "A ""b""" ON t (c)', False, True, 'A "b"'),
        ("DROP INDEX CONCURRENTLY IF EXISTS t_c", False, True, None),
        ("ALTER TABLE t VALIDATE CONSTRAINT k", True, True, None),
        ("VACUUM t", False, True, None),
    ],
)
def test_a_statement_shows_how_it_has_to_be_run(
    sql: str, in_transaction: bool, harmless: bool, index: str | None
) -> None:
    step = Step(sql, lambda: None, is_call=False)
    assert (step.in_transaction, step.harmless, step.new_index) == (in_transaction, harmless, index)


def test_a_backfill_changes_every_row_that_asks_for_it_in_batches(database: MigrationDatabase) -> None:
    database.command("CREATE TABLE t (id bigint PRIMARY KEY, done text)")
    database.command(
        "INSERT INTO t SELECT 3 * n - 50, CASE WHEN n % 10 = 0 THEN 'before' END FROM generate_series(1, 95) AS n"
    )
    before = _transactions(database)
    assert backfill(database, "t", "done = '100%'", "done IS NULL", batch_rows=10) == 86
    assert database.one("SELECT count(*) FROM t WHERE done = '100%'") == 86
    assert _transactions(database) - before >= 10
    assert backfill(database, "t", "done = 'twice'", "done IS NULL", batch_rows=10) == 0


def _transactions(database: MigrationDatabase) -> int:
    return int(database.one("SELECT pg_current_xact_id()::text::bigint"))
