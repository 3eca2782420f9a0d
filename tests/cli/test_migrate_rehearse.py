"""`rayces migrate rehearse`, `plan` and `fake`, and every command of `migrate` on a host's own migrations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import Terminal, is_one_sentence

MIGRATION = "def migrate(migrator, database, *, fake=False):\n    migrator.sql({0!r})\n"


@pytest.fixture
def host(tmp_path: Path) -> tuple[str, ...]:
    """The words that name a host's own migrations, the second of which blocks."""
    for name, sql in (("001_rooms", "CREATE TABLE rooms (id int)"), ("002_index", "CREATE INDEX ON users (phone)")):
        (tmp_path / f"{name}.py").write_text(MIGRATION.format(sql))
    return ("--directory", str(tmp_path), "--history-table", "host_migrations", "--only", "host")


@pytest.fixture
def begun(empty: Terminal) -> Terminal:
    """A command line on a database that has users, of three migrations: they are quickly made anew beneath others."""
    assert empty("migrate", "up", "--to", "3").code == 0
    return empty


# That none of the packaged ones blocks is test_rehearsal.py's; `rayces migrate check` starts such a server as well.
@pytest.mark.exhaustive
def test_packaged_migrations_pass_a_rehearsal_on_an_embedded_server(empty: Terminal) -> None:
    empty("migrate", "up", "--to", "1")
    ran = empty("migrate", "rehearse", "--to", "5")
    assert (ran.code, ran.err) == (0, "")
    assert " 0 block" in ran.out
    assert empty("migrate", "status").code == 1


@pytest.mark.slow
def test_a_statement_that_blocks_is_a_finding(begun: Terminal, server_url: str, host: tuple[str, ...]) -> None:
    ran = begun("migrate", "rehearse", "--scratch-url", server_url, *host)
    assert ran.code == 1
    assert "002_index, step 1 reads all of users while nobody can write to users" in ran.out
    assert "2 statements, 1 block" in ran.out
    facts = json.loads(begun("migrate", "rehearse", "--json", "--scratch-url", server_url, *host).out)
    assert facts[1] == {
        "history": "host",
        "migration": "002_index",
        "step": 1,
        "sql": "CREATE INDEX ON users (phone)",
        "call": "",
        "lock": "SHARE",
        "locked": ["users"],
        "scanned": ["users"],
        "rewritten": [],
        "reason": "reads all of users while nobody can write to users",
        "blocks": True,
    }
    assert begun("migrate", "rehearse", "--scratch-url", server_url, "--to", "1", *host).code == 0


@pytest.mark.slow
def test_the_plan_shows_the_sizes_and_finds_nothing_wrong(
    begun: Terminal, server_url: str, host: tuple[str, ...]
) -> None:
    ran = begun("migrate", "plan", "--scratch-url", server_url, *host)
    assert ran.code == 0
    assert "SHARE on users (" in " ".join(ran.out.split())
    facts = json.loads(begun("migrate", "plan", "--json", "--scratch-url", server_url, *host).out)
    assert [list(each["bytes"]) for each in facts] == [[], ["users"]]
    assert facts[1]["bytes"]["users"] >= 8192


NOTHING = {(): "nothing is pending\n", ("--json",): "[]\n"}


@pytest.mark.slow
@pytest.mark.parametrize("options", NOTHING, ids=str)
@pytest.mark.parametrize("command", ["plan", "rehearse"])
def test_nothing_pending_is_said(begun: Terminal, server_url: str, command: str, options: tuple[str, ...]) -> None:
    words = ("migrate", command, "--scratch-url", server_url, "--to", "3", *options)
    assert begun(*words).out == NOTHING[options]


@pytest.mark.slow
def test_a_hosts_migrations_have_a_history_of_their_own(migrated: Terminal, host: tuple[str, ...]) -> None:
    assert migrated("migrate", "up", *host).out == "applied host: 001_rooms\napplied host: 002_index\n"
    states = json.loads(migrated("migrate", "status", "--json", *host).out)
    assert [(state["name"], state["state"]) for state in states] == [("001_rooms", "applied"), ("002_index", "applied")]
    assert migrated("migrate", "up").out == "nothing to apply: the schema is up to date\n"


@pytest.mark.slow
def test_up_and_down_tell_programs_what_they_did(empty: Terminal) -> None:
    def told(*words: str) -> list[Any]:
        return [(state["name"], state["state"]) for state in json.loads(empty("migrate", *words, "--json").out)]

    assert told("up", "--to", "2") == [("001_myhub", "applied"), ("002_organizations", "applied")]
    assert told("up", "--to", "2") == []
    assert told("down") == [("002_organizations", "pending")]
    assert told("fake", "--to", "2") == [("002_organizations", "applied")]
    assert empty("migrate", "fake", "--to", "2").out == "nothing to note: they are all in the history\n"


def test_a_scratch_server_that_is_not_there_is_one_sentence(migrated: Terminal, tmp_path: Path) -> None:
    ran = migrated("migrate", "rehearse", "--scratch-url", f"postgresql://nobody@/none?host={tmp_path}")
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)


@pytest.mark.slow
def test_a_script_is_printed_and_nothing_is_run(empty: Terminal) -> None:
    ran = empty("migrate", "up", "--sql", "--to", "2")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("-- Migrations of schema ")
    assert "CREATE TABLE organizations" in ran.out
    assert empty("migrate", "down").out == "nothing to undo\n"
    empty("migrate", "up", "--to", "2")
    assert "DROP TABLE organizations;" in empty("migrate", "down", "--sql").out
    assert empty("migrate", "down", "--count", "2").out == "undone 002_organizations\nundone 001_myhub\n"


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_script_is_no_json(command: str, empty: Terminal) -> None:
    assert empty("migrate", command, "--sql", "--json").code == 2


@pytest.mark.slow
def test_rows_are_made_up_when_asked_for(begun: Terminal, server_url: str, tmp_path: Path) -> None:
    (tmp_path / "001_phone.py").write_text(MIGRATION.format("UPDATE users SET role = 1 / (id - id)"))
    words = ("--scratch-url", server_url, "--directory", str(tmp_path), "--history-table", "own", "--only", "own")
    assert begun("migrate", "rehearse", *words).code == 0
    ran = begun("migrate", "rehearse", "--rows", "2", *words)
    assert (ran.code, ran.out) == (3, "")
    assert "division by zero" in ran.err
    assert "held 2 made-up rows each" in ran.err
