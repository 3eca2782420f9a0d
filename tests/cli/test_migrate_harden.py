"""`rayces migrate harden`: says what it does and breaks, and does it when told to."""

from __future__ import annotations

import pglast
import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from tests.cli.process import Terminal

OPEN = "SELECT has_function_privilege('public', 'set_config(text,text,boolean)', 'EXECUTE')"


def is_open(terminal: Terminal) -> bool:
    connection = psycopg2.connect(terminal.url)
    cursor = connection.cursor()
    cursor.execute(OPEN)
    ((found,),) = cursor.fetchall()
    connection.close()
    return bool(found)


def test_without_yes_it_says_what_it_would_do_and_what_breaks(migrated: Terminal) -> None:
    ran = migrated("migrate", "harden")
    assert ran.code == 0
    assert "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;" in ran.out
    for words in ("pg_dump", "PostgREST", "large objects", "Nothing was run"):
        assert words in ran.out
    assert is_open(migrated)


@pytest.mark.slow
def test_there_and_back(migrated: Terminal) -> None:
    assert "Not hardened" in migrated("doctor").out
    assert migrated("migrate", "harden", "--yes").out.startswith("hardened, in ")
    assert not is_open(migrated)
    assert migrated("migrate", "harden", "--yes").out == "nothing to do: the database is hardened\n"
    assert "Hardened: tenants' SQL has no pg_settings" in migrated("doctor").out
    assert migrated("migrate", "harden", "--undo", "--yes").out == "what was taken is given back\n"
    assert is_open(migrated)
    ran = migrated("migrate", "harden", "--undo")
    assert ran.code == 3
    assert "nothing to undo" in ran.err


@pytest.mark.slow
def test_what_a_login_that_is_no_superuser_leaves_out_is_told(migrated: Terminal) -> None:
    superuser = migrated.url
    connection = psycopg2.connect(superuser)
    connection.autocommit = True
    connection.cursor().execute("CREATE ROLE harden_dba LOGIN; DO $$ BEGIN EXECUTE format('GRANT %I TO harden_dba', "
                                "current_user); END $$")  # fmt: skip
    migrated.url = make_dsn(superuser, user="harden_dba")
    said, again = (migrated("migrate", "harden", "--yes").out.splitlines() for _ in range(2))
    migrated.url = superuser
    assert said[0].startswith("hardened, in ")
    assert again[0] == "nothing to do: the database is hardened"
    assert said[1:] == again[1:]
    assert "were left out, as only a superuser makes them" in said[1]
    assert not is_open(migrated)
    assert migrated("migrate", "harden", "--undo", "--yes").code == 0
    connection.cursor().execute("DROP ROLE harden_dba")
    connection.close()


def test_the_script_is_nothing_but_sql(migrated: Terminal) -> None:
    script = migrated("migrate", "harden", "--sql").out
    first, *between, last = pglast.split(script)
    assert (first, last) == ("BEGIN", "COMMIT")
    words = {statement.split()[0] for statement in between}
    assert words - {"GRANT"} == {"REVOKE", "DROP", "CREATE", "ALTER", "COMMENT"}  # where a login is to be let in
    assert is_open(migrated)


def test_yes_and_sql_are_two_ways(migrated: Terminal) -> None:
    assert migrated("migrate", "harden", "--yes", "--sql").code == 2
