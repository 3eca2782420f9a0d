"""`rayces migrate` on several histories: pyproject.toml or --directory name them, and one view shows them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rayces_core.migrating.files import read_directory
from tests.cli.process import Terminal, is_one_sentence

NEWEST = read_directory(None)[-1].name[:3]
MIGRATION = """REQUIRES = "{1}"
def migrate(migrator, database, *, fake=False):
    migrator.tenant_table({0!r}, "name text NOT NULL")


def rollback(migrator, database, *, fake=False):
    migrator.drop_tenant_table({0!r})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project with two directories of migrations, which its pyproject.toml names."""
    for folder, table in (("myapp/migrations", "rooms"), ("billing/sql", "lines")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"001_{table}.py").write_text(MIGRATION.format(table, NEWEST))
    (tmp_path / "pyproject.toml").write_text(
        '[tool.rayces]\nmigrations = ["myapp/migrations", {directory = "billing/sql", history_table = "bills"}]\n'
    )
    monkeypatch.chdir(tmp_path / "myapp")
    return tmp_path


@pytest.mark.slow
def test_one_command_applies_one_shows_and_one_undoes(migrated: Terminal, project: Path) -> None:
    assert migrated("migrate", "status").code == 1
    assert migrated("migrate", "up").out == "applied myapp: 001_rooms\napplied bills: 001_lines\n"
    shown = migrated("migrate", "status")
    assert shown.code == 0
    assert [line.split()[:2] for line in shown.out.splitlines() if "myapp" in line or "bills" in line] == [
        ["myapp", "001_rooms"],
        ["bills", "001_lines"],
    ]
    assert "0 errors, 1 warning\n" in migrated("doctor").out
    assert migrated("migrate", "up").out == "nothing to apply: the schema is up to date\n"
    assert migrated("migrate", "down").out == "undone bills: 001_lines\n"
    states = json.loads(migrated("migrate", "status", "--json", "--only", "bills").out)
    assert [(state["history"], state["name"], state["state"]) for state in states] == [
        ("bills", "001_lines", "pending")
    ]
    refused = migrated("migrate", "down", "--only", "rayces")
    assert (refused.code, is_one_sentence(refused.err)) == (3, True)
    assert f"001_rooms of myapp is applied and needs migration {NEWEST} of rayces" in refused.err


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_directories_of_the_command_line_stand_for_those_of_the_file(
    migrated: Terminal, project: Path, server_url: str
) -> None:
    words = ("--directory", str(project / "myapp" / "migrations"))
    assert migrated("migrate", "up", *words).out == "applied myapp: 001_rooms\n"
    assert migrated("migrate", "check", "--scratch-url", server_url, *words).code == 0
    assert migrated("migrate", "check", "--scratch-url", server_url).code == 0
    again = migrated("migrate", "rehearse", "--scratch-url", server_url)
    assert "bills" not in again.out
    assert "0 block" in again.out


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_number_of_several_histories_is_asked_back(migrated: Terminal, project: Path, command: str) -> None:
    ran = migrated("migrate", command, "--to", "1")
    assert (ran.code, is_one_sentence(ran.err)) == (3, True)
    assert "say with --only which of rayces, myapp, bills" in ran.err


def test_tables_are_given_for_each_directory_or_for_none(nowhere: Terminal) -> None:
    ran = nowhere("migrate", "up", "--directory", "a", "--directory", "b", "--history-table", "c")
    assert (ran.code, is_one_sentence(ran.err)) == (2, True)
    assert nowhere("migrate", "up", "--history-table", "c").code == 2


def test_a_folder_that_is_not_there_is_said_before_anything_is_run(empty: Terminal, tmp_path: Path) -> None:
    ran = empty("migrate", "up", "--directory", str(tmp_path / "nowhere"))
    assert (ran.code, is_one_sentence(ran.err)) == (3, True)
    assert "there is no directory of migrations at" in ran.err
    states = json.loads(empty("migrate", "status", "--json").out)
    assert {state["state"] for state in states} == {"pending"}
