"""`rayces migrate up --create-database`: what a container runs before its application."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.cli.process import Terminal, is_one_sentence
from tests.conftest import on_server


@pytest.fixture
def missing(capsys: pytest.CaptureFixture[str], server_url: str) -> Iterator[Terminal]:
    """A command line on a database that is not there."""
    name = f"rayces_test_{uuid.uuid4().hex[:12]}"
    yield Terminal(capsys, make_dsn(server_url, dbname=name))
    on_server(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _name(terminal: Terminal) -> str:
    return parse_dsn(str(terminal.url))["dbname"]


@pytest.mark.slow
def test_a_missing_database_is_created_and_migrated_as_often_as_one_likes(missing: Terminal) -> None:
    assert missing("migrate", "up").code == 3
    first = missing("migrate", "up", "--create-database", "--to", "1")
    assert (first.code, first.out, first.err) == (0, f"created database {_name(missing)}\napplied 001_myhub\n", "")
    again = missing("migrate", "up", "--create-database", "--to", "1")
    assert (again.code, again.out) == (0, "nothing to apply: the schema is up to date\n")


@pytest.mark.slow
def test_programs_still_read_an_array_of_migrations(missing: Terminal) -> None:
    ran = missing("migrate", "up", "--create-database", "--to", "1", "--json")
    assert [state["name"] for state in json.loads(ran.out)] == ["001_myhub"]
    assert ran.err == f"created database {_name(missing)}\n"


@pytest.mark.slow
def test_a_script_creates_nothing(missing: Terminal, server_url: str) -> None:
    first = missing("migrate", "up", "--create-database", "--sql")
    assert first.code == 0
    statement = next(line for line in first.out.splitlines() if not line.startswith("--"))
    assert statement.startswith(f'CREATE DATABASE "{_name(missing)}" OWNER ')
    assert missing("migrate", "status").code == 3
    on_server(server_url, statement)
    then = missing("migrate", "up", "--create-database", "--sql", "--to", "1")
    assert then.out == missing("migrate", "up", "--sql", "--to", "1").out
    assert "CREATE TABLE users" in then.out


@pytest.mark.slow
def test_the_other_database_is_named_with_the_creation_only(missing: Terminal) -> None:
    ran = missing("migrate", "up", "--maintenance-db", "template1")
    assert (ran.code, is_one_sentence(ran.err)) == (2, True)
    ran = missing("migrate", "up", "--create-database", "--maintenance-db", "nowhere")
    assert (ran.code, is_one_sentence(ran.err)) == (3, True)
    assert "'nowhere'" in ran.err
    assert missing("migrate", "up", "--create-database", "--maintenance-db", "postgres", "--to", "1").code == 0
