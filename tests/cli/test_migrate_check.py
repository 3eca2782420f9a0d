"""`rayces migrate check`."""

from __future__ import annotations

import json

import pytest

from tests.cli.process import Terminal
from tests.conftest import on_server


@pytest.fixture
def begun(empty: Terminal) -> Terminal:
    """A command line on a database of two migrations, which are quickly made anew."""
    assert empty("migrate", "up", "--to", "2").code == 0
    return empty


@pytest.mark.slow
def test_a_migrated_database_passes_on_an_embedded_server(begun: Terminal) -> None:
    ran = begun("migrate", "check")
    assert (ran.code, ran.out) == (0, "the schema is what its migrations make\n")


def test_an_empty_database_is_not_what_its_migrations_make(empty: Terminal, server_url: str) -> None:
    ran = empty("migrate", "check", "--scratch-url", server_url)
    assert (ran.code, ran.out) == (3, "")
    assert "no migration is applied" in ran.err
    assert "run `rayces migrate up`" in ran.err


@pytest.mark.slow
def test_a_difference_is_a_finding(begun: Terminal, server_url: str) -> None:
    on_server(str(begun.url), "ALTER TABLE users ADD image text")
    ran = begun("migrate", "check", "--scratch-url", server_url)
    assert ran.code == 1
    assert "unexpected   column users.image text" in ran.out
    found = json.loads(begun("migrate", "check", "--json", "--scratch-url", server_url).out)
    assert found == [{"kind": "unexpected", "line": "column users.image text"}]


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_the_models_are_compared_too(migrated: Terminal, server_url: str) -> None:
    on_server(str(migrated.url), "ALTER TABLE users ALTER email DROP NOT NULL; ALTER TABLE posts DROP content")
    found = json.loads(migrated("migrate", "check", "--json", "--scratch-url", server_url).out)
    assert [each["line"] for each in found if each["line"].startswith("model")] == [
        "model User: column users.email not null",
        "model Post: column posts.content",
    ]


@pytest.mark.slow
def test_other_tables_are_found_when_asked_for(begun: Terminal, server_url: str) -> None:
    on_server(str(begun.url), "CREATE TABLE rooms (id int)")
    assert begun("migrate", "check", "--scratch-url", server_url).code == 0
    assert begun("migrate", "check", "--scratch-url", server_url, "--strict").code == 1


@pytest.mark.slow
def test_an_edited_file_is_the_databases_refusal(begun: Terminal, server_url: str) -> None:
    on_server(str(begun.url), "UPDATE rayces_migrations SET checksum = 'other' WHERE id = 1")
    assert begun("migrate", "check", "--scratch-url", server_url).code == 3
