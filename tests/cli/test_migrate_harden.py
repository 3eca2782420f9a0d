"""`rayces migrate harden`: says what it does and breaks, and does it when told to."""

from __future__ import annotations

import psycopg2

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


def test_the_script_is_nothing_but_sql(migrated: Terminal) -> None:
    lines = migrated("migrate", "harden", "--sql").out.splitlines()
    assert (lines[0], lines[-1]) == ("BEGIN;", "COMMIT;")
    assert {line.split()[0] for line in lines[1:-1]} <= {"REVOKE", "GRANT", "COMMENT"}
    assert is_open(migrated)


def test_yes_and_sql_are_two_ways(migrated: Terminal) -> None:
    assert migrated("migrate", "harden", "--yes", "--sql").code == 2
