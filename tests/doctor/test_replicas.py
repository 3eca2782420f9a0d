"""The doctor looks at replicas: real streaming ones that are whole, lag, were promoted, or are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Database
from rayces_core.doctor import Finding, audit
from rayces_core.doctor.replicas import CODES
from rayces_core.embedded.server import EmbeddedServer
from tests.cli.process import Terminal
from tests.replication import beside, caught_up, following, pause, primary_server, resume, run, server_of_version
from tests.replication import wait_for as wait
from tests.test_docs import ROOT


@pytest.fixture(scope="module")
def primary() -> Iterator[tuple[EmbeddedServer, str]]:
    with primary_server() as server:
        run(server.url, "CREATE DATABASE clinic")
        url = make_dsn(server.url, dbname="clinic")
        with Database.connect(url) as database:
            database.migrate()
        yield server, url


@pytest.fixture(scope="module")
def replica(primary: tuple[EmbeddedServer, str]) -> Iterator[str]:
    server, url = primary
    with following(server) as standby:
        run(standby.url, "ALTER SYSTEM SET hot_standby_feedback = on")
        run(standby.url, "SELECT pg_reload_conf()")
        yield beside(url, standby)


@pytest.fixture
def url(primary: tuple[EmbeddedServer, str], replica: str) -> Iterator[str]:
    """The primary's, with the replica whole and up to date before and after the test."""
    caught_up(primary[1], replica)
    yield primary[1]
    resume(replica)


def found(url: str, *replicas: str, **options: Any) -> list[Finding]:
    """What is found of the replicas."""
    with Database.connect(url, replicas=replicas, **options) as database:
        return [each for each in audit(database) if each.check.startswith("replica-")]


def codes(*given: Any, **options: Any) -> list[str]:
    return [each.check for each in found(*given, **options)]


def set_to(replica: str, setting: str) -> None:
    run(replica, f"ALTER SYSTEM SET {setting}")
    run(replica, "SELECT pg_reload_conf()")
    name, value = (part.strip(" '") for part in setting.split("="))
    wait(replica, f"SELECT current_setting('{name}') = '{value}'")


def mend(replica: str, finding: Finding) -> None:
    for statement in filter(None, finding.remedy.split(";")):
        run(replica, statement)


@pytest.mark.slow
def test_a_replica_that_is_whole_is_well(url, replica):
    assert found(url, replica) == []
    assert found(url) == []


@pytest.mark.slow
def test_one_that_cannot_be_reached_is_named_and_the_others_are_looked_at(url, replica):
    away, paused = make_dsn(replica, host="127.0.0.1", port="1"), replica
    pause(paused)
    warned = found(url, away, paused)
    assert [(each.check, each.severity, each.object) for each in warned] == [
        ("replica-unreachable", "warning", "127.0.0.1:1/clinic"),
        ("replica-paused", "warning", warned[1].object),
    ]
    mend(replica, warned[1])
    assert codes(url, replica) == []


@pytest.mark.slow
def test_what_lags_more_than_it_may_is_told_by_how_much(url, replica):
    run(url, "CREATE TABLE lag (n int); DROP TABLE lag")
    caught_up(url, replica)
    pause(replica)
    run(url, "CREATE TABLE lag (n int); DROP TABLE lag")
    wait(replica, "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()")
    wait(replica, "SELECT clock_timestamp() > pg_last_xact_replay_timestamp() + interval '0.3 s'")
    told = {each.check: each for each in found(url, replica, replica_lag_seconds=0.2)}
    assert told.keys() >= {"replica-paused", "replica-lags"}
    assert " bytes of the log; replica_lag_seconds is 0.2" in told["replica-lags"].message
    assert "by 0 bytes" not in told["replica-lags"].message
    assert codes(url, replica) == ["replica-paused"], "it may lag a minute"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("max_standby_streaming_delay = '-1'", "replica-delayed", "replay waits for ever"),
        ("max_standby_streaming_delay = '5min'", "replica-delayed", "replay waits 5min"),
        ("recovery_min_apply_delay = '5min'", "replica-delayed", "it replays 5min late"),
        ("hot_standby_feedback = 'off'", "replica-feedback", "statements of 30s or more"),
    ],
)
def test_settings_that_keep_it_from_being_read_are_mended_by_what_is_said(url, replica, setting, code, said):
    set_to(replica, setting)
    try:
        (finding,) = found(url, replica)
        assert (finding.check, finding.severity) == (code, "warning")
        assert said in finding.message
        mend(replica, finding)
        name = setting.split(" ")[0]
        wait(replica, f"SELECT current_setting('{name}') <> '{setting.split(chr(39))[1]}'")
        assert found(url, replica) == []
    finally:
        run(replica, "ALTER SYSTEM RESET max_standby_streaming_delay")
        run(replica, "ALTER SYSTEM RESET recovery_min_apply_delay")
        set_to(replica, "hot_standby_feedback = 'on'")


@pytest.mark.slow
def test_one_that_receives_nothing_is_told(primary, url, replica):
    with following(primary[0]) as alone:
        run(alone.url, "ALTER SYSTEM SET primary_conninfo = ''")
        run(alone.url, "SELECT pg_reload_conf()")
        wait(alone.url, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
        assert "replica-not-receiving" in codes(url, beside(url, alone))


@pytest.mark.slow
def test_one_that_was_promoted_is_an_error(primary, url):
    with following(primary[0]) as standby:
        run(standby.url, "SELECT pg_promote()")
        (finding,) = found(url, beside(url, standby))
        assert (finding.check, finding.severity) == ("replica-promoted", "error")
    assert codes(url, url) == ["replica-promoted"], "the primary itself"


@pytest.mark.slow
def test_another_server_and_another_database_are_errors(primary, url, replica):
    run(primary[0].url, "CREATE DATABASE twin TEMPLATE clinic")
    try:
        assert codes(url, make_dsn(url, dbname="twin")) == ["replica-foreign"]
    finally:
        run(primary[0].url, "DROP DATABASE twin WITH (FORCE)")
    with server_of_version() as stranger:
        run(stranger.url, "CREATE DATABASE clinic")
        assert codes(url, beside(url, stranger)) == ["replica-foreign"]


@pytest.mark.slow
def test_a_login_that_holds_no_role_there_is_told_as_on_the_primary_and_once(primary, url, replica):
    run(url, "CREATE ROLE nobody_there LOGIN")
    try:
        caught_up(url, replica)
        told = found(url, make_dsn(replica, user="nobody_there"))
        assert {each.check for each in told} == {"replica-differs"}
        assert any("role-not-held" in each.message and "not on the primary" in each.message for each in told)
        on_primary = next(each.remedy for each in told if "role-not-held" in each.message).partition(" -- ")[0]
        run(url, on_primary)
        caught_up(url, replica)
        again = found(url, make_dsn(replica, user="nobody_there"))
        assert not any("role-not-held" in each.message for each in again)
    finally:
        run(url, "DROP ROLE nobody_there")


@pytest.mark.slow
def test_a_login_that_may_not_see_how_far_it_is_is_told_what_to_be_granted(url, replica):
    run(url, "CREATE ROLE blind_there LOGIN; REVOKE EXECUTE ON FUNCTION pg_last_wal_replay_lsn() FROM PUBLIC")
    try:
        caught_up(url, replica)
        (finding,) = found(url, make_dsn(replica, user="blind_there"))
        assert (finding.check, finding.severity) == ("replica-blind", "error")
        run(url, finding.remedy.partition(" -- ")[0])
        caught_up(url, replica)
        assert "replica-blind" not in codes(url, make_dsn(replica, user="blind_there"))
    finally:
        run(url, "GRANT EXECUTE ON FUNCTION pg_last_wal_replay_lsn() TO PUBLIC")
        run(url, "DROP OWNED BY blind_there; DROP ROLE blind_there")


@pytest.mark.slow
def test_a_policy_that_the_replica_has_and_the_primary_no_more_is_a_difference(url, replica):
    run(url, "ALTER TABLE students NO FORCE ROW LEVEL SECURITY")
    caught_up(url, replica)
    pause(replica)
    run(url, "ALTER TABLE students FORCE ROW LEVEL SECURITY")
    told = [each for each in found(url, replica) if each.check == "replica-differs"]
    assert [each.severity for each in told] == ["error"]
    assert "rls-not-forced of" in told[0].message


@pytest.mark.slow
def test_the_command_looks_at_replicas_of_the_option_and_of_the_environment(url, replica, monkeypatch, capsys):
    pause(replica)
    ran = Terminal(capsys, url)("doctor", "--replica", replica, "--json")
    assert [each["check"] for each in json.loads(ran.out) if each["check"].startswith("replica-")] == ["replica-paused"]
    place = parse_dsn(replica)
    named = f"postgresql://{place['user']}@/{place['dbname']}?host={quote(place['host'])}&port={place['port']}"
    monkeypatch.setenv("RAYCES_REPLICA_DATABASE_URLS", named)
    assert "replicas" not in Terminal(capsys, url)("doctor").out, "they are those of another variable"
    monkeypatch.setenv("RAYCES_DATABASE_URL", url)
    assert "checks, 1 replica: 0 errors" in Terminal(capsys)("doctor").out
    assert "replica-paused" in Terminal(capsys)("doctor", "--json").out


def test_every_code_has_a_test_and_a_line_in_the_document():
    mine = Path(__file__).read_text()
    document = (ROOT / "docs" / "cli.md").read_text()
    assert [code for code in CODES if f'"{code}"' not in mine] == []
    assert [code for code in CODES if f"`{code}`" not in document] == []
