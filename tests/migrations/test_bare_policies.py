"""Migration 039: policies ask by the bare call, those of the host's too, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from rayces_core import Database
from tests.conftest import cloned

ONCE = "(SELECT nullif(current_setting('rayces.organization_id', true), '')::bigint)"
PRINTED_ONCE = (
    "( SELECT (NULLIF(current_setting('rayces.organization_id'::text, true), ''::text))::bigint AS \"nullif\")"
)
PRINTED = "(NULLIF(current_setting('rayces.organization_id'::text, true), ''::text))::bigint"
CONDITIONS = """
SELECT p.polrelid::regclass::text, p.polname, p.polcmd::text, pg_get_expr(p.polqual, p.polrelid),
       pg_get_expr(p.polwithcheck, p.polrelid)
  FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles) WHERE r.rolname = 'rayces_app' ORDER BY 1, 2
"""
# Made by hand, as the documents said it up to then: another name, one more condition, a table in a schema of its own.
HOSTS = f"""
CREATE SCHEMA annex;
CREATE TABLE annex."Room %s" (
    organization_id bigint NOT NULL, id bigint, open boolean, PRIMARY KEY (organization_id, id)
);
ALTER TABLE annex."Room %s" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "by {{tenant}}" ON annex."Room %s" TO rayces_app
    USING (organization_id = {ONCE} AND open) WITH CHECK (organization_id = {ONCE});
CREATE POLICY adding ON annex."Room %s" FOR INSERT TO rayces_app WITH CHECK (organization_id = {ONCE});
INSERT INTO annex."Room %s" VALUES (1, 1, true), (1, 2, false), (2, 3, true);
GRANT USAGE ON SCHEMA annex TO rayces_app;
GRANT SELECT, INSERT ON annex."Room %s" TO rayces_app;
"""


@pytest.fixture
def own_db(server_url: str, template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    with cloned(server_url, template) as url, Database.connect(url, pool_timeout=10) as database:
        yield database


@pytest.fixture
def older(own_db: Database) -> Database:
    """A database as migration 038 leaves it, with tables of the host's."""
    own_db.rollback(to=38, yes=True)
    asked(own_db, HOSTS)
    return own_db


def asked(db: Database, sql: str) -> list[Any]:
    connection = psycopg2.connect(db.url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.mark.slow
def test_every_condition_is_reworded_and_nothing_else(older: Database) -> None:
    before = asked(older, CONDITIONS)
    older.migrate(39)
    after = asked(older, CONDITIONS)
    assert [tuple(text and text.replace(PRINTED_ONCE, PRINTED) for text in row) for row in before] == after
    assert before != after
    assert not [row for row in after if "SELECT" in f"{row[3]} {row[4]}"]
    assert ('annex."Room %s"', "by {tenant}") in {row[:2] for row in after}


@pytest.mark.slow
def test_the_way_back_words_them_as_they_were(older: Database) -> None:
    before = asked(older, CONDITIONS)
    older.migrate()
    older.rollback(to=38, yes=True)
    assert asked(older, CONDITIONS) == before
    older.migrate()


@pytest.mark.slow
def test_the_hosts_rows_are_seen_as_before(older: Database) -> None:
    seen = "BEGIN; SET LOCAL ROLE rayces_app; SET LOCAL rayces.organization_id = '1'; SELECT id FROM annex.\"Room %s\""
    assert asked(older, seen) == [(1,)]
    older.migrate()
    assert asked(older, seen) == [(1,)]


@pytest.mark.slow
def test_run_twice_it_changes_nothing(older: Database) -> None:
    older.migrate(39)
    after = asked(older, CONDITIONS)
    asked(older, "DELETE FROM rayces_migrations WHERE name LIKE '039%'")
    older.migrate(39)
    assert asked(older, CONDITIONS) == after


def test_a_new_database_has_them_so(own_db: Database) -> None:
    assert {row[3] for row in asked(own_db, CONDITIONS) if row[0] == "students"} == {f"(organization_id = {PRINTED})"}
