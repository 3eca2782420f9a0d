"""Wrong usage, wrong configuration and errors: one sentence and an exit code."""

from __future__ import annotations

import socket

import pytest

from tests.cli.process import Terminal, is_one_sentence
from tests.conftest import on_server
from tests.walking import walked


@walked(
    "words",
    [
        ["bogus"],
        ["migrate", "bogus"],
        ["migrate", "up", "--bogus"],
        ["migrate", "down", "--count", "0"],
        ["migrate", "down", "--count", "many"],
        ["migrate", "down", "--to", "1", "--count", "1"],
        ["migrate", "down", "--sql", "--dry-run"],
        ["organizations", "create", "North"],
        ["organizations", "create", "North", "--subdomain", "No rth"],
        ["organizations", "create", "North", "--subdomain", "x" * 64],
        ["completion", "powershell"],
        ["migrate", "up"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence_that_names_the_help(words: list[str], nowhere: Terminal) -> None:
    ran = nowhere(*words)
    assert (ran.code, ran.out) == (2, "")
    assert is_one_sentence(ran.err)
    assert "--help`" in ran.err


def test_no_command_shows_the_help_as_wrong_usage(nowhere: Terminal) -> None:
    ran = nowhere()
    assert ran.code == 2
    assert "Usage: rayces" in ran.err


@walked("words", [["migrate", "status"], ["migrate", "up"], ["organizations", "list"], ["doctor"]], ids=" ".join)
@walked(
    "url",
    ["postgresql://nobody@127.0.0.1:1/none", "mysql://host/name", "postgresql://host:port/name", "nonsense"],
)
def test_a_database_that_cannot_be_reached_is_one_sentence(url: str, words: list[str], nowhere: Terminal) -> None:
    ran = nowhere("--database-url", url, *words)
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)


def test_a_password_is_not_in_the_sentence(nowhere: Terminal) -> None:
    ran = nowhere("--database-url", "postgresql://me:tell-nobody@127.0.0.1:1/none", "doctor")
    assert ran.code == 3
    assert "tell-nobody" not in ran.err


@pytest.mark.slow
def test_a_server_that_accepts_and_says_nothing_is_given_up(nowhere: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://me@127.0.0.1:{server.getsockname()[1]}/none?connect_timeout=1"
        ran = nowhere("--database-url", url, "doctor")
    assert ran.code == 3
    assert "has not answered" in ran.err


def test_debug_shows_the_traceback_and_then_the_sentence(nowhere: Terminal) -> None:
    ran = nowhere("doctor", "--database-url", "mysql://host/name", "--debug")
    assert ran.code == 3
    assert ran.err.startswith("Traceback")
    assert is_one_sentence(ran.err.splitlines(keepends=True)[-1])


def test_an_option_may_stand_before_or_after_the_command_and_the_last_counts(empty: Terminal) -> None:
    assert empty("migrate", "status", "--database-url", "mysql://host/name").code == 3
    empty_url, empty.url = empty.url, "mysql://host/name"
    assert empty_url is not None
    assert empty("migrate", "status", "--database-url", empty_url).code == 1


@pytest.mark.slow
def test_the_environment_names_the_database(empty: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYCES_DATABASE_URL", str(empty.url))
    empty.url = None
    assert empty("migrate", "status").code == 1


def test_an_error_nobody_foresaw_is_one_sentence_too(migrated: Terminal) -> None:
    on_server(str(migrated.url), "ALTER TABLE rayces_migrations RENAME COLUMN applied_at TO elsewhere")
    ran = migrated("migrate", "status")
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)
    assert "--debug" in ran.err
