"""`rayces migrate check`."""

from __future__ import annotations

import json

from tests.cli.process import Terminal
from tests.conftest import on_server


def test_a_migrated_database_passes_on_an_embedded_server(migrated: Terminal) -> None:
    ran = migrated("migrate", "check")
    assert (ran.code, ran.out) == (0, "the schema is what its migrations make\n")


def test_a_difference_is_a_finding(migrated: Terminal, server_url: str) -> None:
    on_server(str(migrated.url), "ALTER TABLE users ADD image text")
    ran = migrated("migrate", "check", "--scratch-url", server_url)
    assert ran.code == 1
    assert "unexpected   column users.image text" in ran.out
    found = json.loads(migrated("migrate", "check", "--json", "--scratch-url", server_url).out)
    assert found == [{"kind": "unexpected", "line": "column users.image text"}]


def test_the_models_are_compared_too(migrated: Terminal, server_url: str) -> None:
    on_server(str(migrated.url), "ALTER TABLE users ALTER email DROP NOT NULL; ALTER TABLE posts DROP content")
    found = json.loads(migrated("migrate", "check", "--json", "--scratch-url", server_url).out)
    assert [each["line"] for each in found if each["line"].startswith("model")] == [
        "model User: column users.email not null",
        "model Post: column posts.content",
    ]


def test_other_tables_are_found_when_asked_for(migrated: Terminal, server_url: str) -> None:
    on_server(str(migrated.url), "CREATE TABLE rooms (id int)")
    assert migrated("migrate", "check", "--scratch-url", server_url).code == 0
    assert migrated("migrate", "check", "--scratch-url", server_url, "--strict").code == 1


def test_an_edited_file_is_the_databases_refusal(migrated: Terminal, server_url: str) -> None:
    on_server(str(migrated.url), "UPDATE rayces_migrations SET checksum = 'other' WHERE id = 1")
    assert migrated("migrate", "check", "--scratch-url", server_url).code == 3
