"""The database itself is created when it is missing, once, whoever else asks for it."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import peewee
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.database.database import Database
from rayces_core.errors import ConfigurationError, DatabaseUnreachableError, MigrationError
from rayces_core.migrating import Runner, creating
from rayces_core.migrating.creating import creation_script, ensure_database
from tests.conftest import on_server
from tests.sizes import exhaustive, quick_or_whole

FACTS = """
SELECT pg_get_userbyid(datdba)::text, pg_encoding_to_char(encoding)::text, datistemplate
  FROM pg_database WHERE datname = %s
"""
ASK = """
import sys
from rayces_core.migrating.creating import ensure_database
print("ready", flush=True)
sys.stdin.readline()
print(ensure_database(sys.argv[1]))
"""


MANY = quick_or_whole(3, 5)


@pytest.fixture
def missing(server_url: str, fresh_roles: Any) -> Iterator[Callable[..., str]]:
    """URLs of databases that are not there; dropped after the test, before the roles that own them."""
    names = []

    def url(mark: str = "") -> str:
        names.append(f"rayces_test_{uuid.uuid4().hex[:12]}{mark}")
        return make_dsn(server_url, dbname=names[-1])

    yield url
    for name in names:
        quoted = name.replace('"', '""')
        on_server(server_url, f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')


@pytest.fixture
def login(fresh_roles: Any, server_url: str) -> Callable[[str, str], str]:
    """The URL with a login of its own, which may do only what is said."""

    def with_login(url: str, rights: str) -> str:
        name = fresh_roles()
        on_server(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x' {rights}")
        return make_dsn(url, user=name, password="x")

    return with_login


def _name(url: str) -> str:
    return parse_dsn(url)["dbname"]


MARKS = ["", "-Ñandú'%s", *exhaustive(' "North" Clinic', "\\", "=x", "; DROP TABLE users")]


@pytest.mark.parametrize("mark", MARKS)
def test_a_missing_database_is_created_whatever_its_name_and_only_once(
    missing: Any, server_url: str, connect: Any, mark: str
) -> None:
    url = missing(mark)
    assert (ensure_database(url), ensure_database(url)) == (True, False)
    cursor = connect(server_url).cursor()
    cursor.execute(FACTS, (_name(url),))
    assert cursor.fetchone() == (parse_dsn(server_url)["user"], "UTF8", False)
    cursor = connect(url).cursor()
    cursor.execute("SELECT current_database()::text, count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert cursor.fetchone() == (_name(url), 0)


def test_it_is_the_same_for_every_kind_of_source(missing: Any) -> None:
    parameters = parse_dsn(missing())
    with_peewee = peewee.PostgresqlDatabase(parameters.pop("dbname"), **parameters)
    assert ensure_database(with_peewee)
    assert with_peewee.is_closed()
    with Database.connect(missing()) as database:
        assert ensure_database(database)
        assert Runner(database).up(1) == ["001_myhub"]


@pytest.mark.slow
def test_of_many_processes_at_once_exactly_one_creates(missing: Any) -> None:
    url = missing()
    command = [sys.executable, "-c", ASK, url]
    many = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(MANY)
    ]
    for process in many:
        assert process.stdout.readline() == "ready\n"
    for process in many:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in many]
    assert [err for _, err in said if err] == []
    assert sorted(out for out, _ in said) == ["False\n"] * (MANY - 1) + ["True\n"]


def test_who_knows_nothing_of_our_lock_may_be_first(missing: Any, server_url: str, monkeypatch: Any) -> None:
    """Between our look and our statement somebody else creates it, or is at it."""
    url = missing()
    monkeypatch.setattr(creating, "_IS_THERE", "SELECT false WHERE %s IS NULL")
    on_server(server_url, f'CREATE DATABASE "{_name(url)}"')
    monkeypatch.setattr(creating, "_refusal", _once(DatabaseUnreachableError("not there"), creating._refusal))
    assert not ensure_database(url)


def _once(first: object, then: Callable[..., Any]) -> Callable[..., Any]:
    answers = iter([first])
    return lambda wanted: next(answers, None) or then(wanted)


def test_two_statements_at_the_same_moment_end_in_one_database(missing: Any, monkeypatch: Any) -> None:
    """Without the lock the server's own unique key decides."""
    monkeypatch.setattr(creating, "single_runner", lambda *_: nullcontext())
    for _ in range(quick_or_whole(1, 3)):
        url = missing()
        with ThreadPoolExecutor(4) as threads:
            created = list(threads.map(ensure_database, [url] * 4))
        assert sorted(created) == [False, False, False, True]


@pytest.mark.slow
def test_a_login_without_createdb_gets_the_statement_for_a_dba(
    missing: Any, login: Any, server_url: str, connect: Any
) -> None:
    url = login(missing(' "x"'), "NOCREATEDB")
    with pytest.raises(ConfigurationError, match="may not create it; ask a DBA to run:\n  CREATE DATABASE") as caught:
        ensure_database(url)
    statement = str(caught.value).partition("\n")[2].strip()
    assert creation_script(url).strip() == statement
    on_server(server_url, statement)
    assert not ensure_database(url)
    connect(url).cursor().execute("CREATE TABLE public.mine ()")
    assert creation_script(url) == ""


def test_a_login_with_createdb_owns_what_it_creates(missing: Any, login: Any, server_url: str, connect: Any) -> None:
    url = login(missing(), "CREATEDB")
    assert ensure_database(url)
    cursor = connect(server_url).cursor()
    cursor.execute(FACTS, (_name(url),))
    assert cursor.fetchone() == (parse_dsn(url)["user"], "UTF8", False)


def test_a_database_that_is_there_and_out_of_reach_is_the_servers_refusal(missing: Any, login: Any) -> None:
    url = missing()
    ensure_database(url)
    on_server(url, f'REVOKE CONNECT ON DATABASE "{_name(url)}" FROM PUBLIC')
    stranger = login(url, "NOCREATEDB")
    for ask in (ensure_database, creation_script):
        with pytest.raises(DatabaseUnreachableError, match="permission denied for database"):
            ask(stranger)


def test_a_search_path_of_the_url_is_for_the_database_only(missing: Any) -> None:
    url = missing()
    assert ensure_database(make_dsn(url, options="-c search_path=north"))
    with pytest.raises(ConfigurationError, match="no schema of the search_path exists"):
        Runner(make_dsn(url, options="-c search_path=north")).up()


def test_settings_of_the_environment_hold_for_the_creation_too(missing: Any, login: Any, monkeypatch: Any) -> None:
    url = missing()
    owner = parse_dsn(login(url, "CREATEDB"))["user"]
    monkeypatch.setenv("PGOPTIONS", f"-c role={owner}")
    assert f'OWNER "{owner}"' in creation_script(url)


@pytest.mark.slow
def test_the_other_database_can_be_named(missing: Any) -> None:
    url, other = missing(), missing()
    ensure_database(other)
    with pytest.raises(DatabaseUnreachableError, match=r"nor can 'nowhere', .*; name one .* with --maintenance-db"):
        ensure_database(url, maintenance_db="nowhere")
    assert ensure_database(url, maintenance_db=_name(other))


def test_a_server_that_does_not_answer_is_said_once(tmp_path: Path) -> None:
    for ask in (ensure_database, creation_script):
        with pytest.raises(DatabaseUnreachableError) as caught:
            ask(f"postgresql://nobody@/none?host={tmp_path}")
        assert str(caught.value).count("connection to server") == 1


@pytest.mark.parametrize(
    ("name", "reason"), [("", "names no database"), ("é" * 32, "more than 63 bytes")], ids=["none", "too long"]
)
def test_a_name_that_cannot_be_is_refused(server_url: str, name: str, reason: str) -> None:
    parameters = {key: value for key, value in parse_dsn(server_url).items() if key != "dbname"}
    with pytest.raises(ConfigurationError, match=reason):
        ensure_database(make_dsn(**parameters, **({"dbname": name} if name else {})))


def test_what_the_server_cannot_do_is_a_clear_error(missing: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(creating, "_EMPTY", "TEMPLATE no_such_template")
    with pytest.raises(MigrationError, match='could not be created: template database "no_such_template"'):
        ensure_database(missing())
