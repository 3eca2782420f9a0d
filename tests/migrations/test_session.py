"""The runner's connection: its own, in UTC, direct, and one runner's at a time."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import psycopg2
import pytest
from playhouse.pool import PooledPostgresqlDatabase
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.errors import (
    ConfigurationError,
    DatabaseMissingError,
    DatabaseUnreachableError,
    LoginRefusedError,
    MigrationError,
    RoleNotHeldError,
)
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.creating import ensure_database
from rayces_core.migrations.session import connected, dedicated, single_runner
from tests.tenancy.test_walls import run_bouncer

BACKEND_KEY = b"K\x00\x00\x00\x0c"


def test_an_applications_pool_is_not_used(make_database: Any) -> None:
    parameters = parse_dsn(make_database())
    pool = PooledPostgresqlDatabase(parameters.pop("dbname"), max_connections=1, timeout=1, **parameters)
    with pool.connection_context():
        pool.execute_sql("SET lock_timeout = 4321")
        Runner(pool).up(1)
        assert pool.execute_sql("SHOW lock_timeout").fetchone() == ("4321ms",)
    assert Runner(pool).done == ["001_myhub"]


def test_a_proxy_and_an_object_with_a_url_name_the_database(make_database: Any) -> None:
    url = make_database()
    parameters = parse_dsn(url)
    proxy = peewee.DatabaseProxy()
    proxy.initialize(peewee.PostgresqlDatabase(parameters.pop("dbname"), **parameters))
    Runner(proxy).up(1)
    holder = type("Holder", (), {"url": url})()
    assert Runner(holder).done == ["001_myhub"]


def test_what_is_no_postgresql_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="need a PostgreSQL URL"):
        Runner(peewee.SqliteDatabase(":memory:"))


def test_the_session_is_in_utc_whatever_the_login_prefers(make_database: Any) -> None:
    database = dedicated(make_dsn(make_database(), options="-c timezone=Asia/Tokyo"))
    with connected(database):
        assert database.one("SHOW timezone") == "UTC"


def test_an_unreachable_server_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachableError, match="cannot be reached"):
        Runner(f"postgresql://nobody@/none?host={tmp_path}").up()


def test_a_server_that_refuses_says_why_in_an_error_of_its_own(server_url: str) -> None:
    with pytest.raises(DatabaseMissingError, match="make it with `rayces migrate up --create-database`"):
        Runner(make_dsn(server_url, dbname="no_such_database")).up()
    with pytest.raises(LoginRefusedError, match="user and password"):
        Runner(make_dsn(server_url, user="no_such_login")).up()


def test_a_login_that_may_not_read_what_was_applied_is_told_whose_it_is(make_database: Any) -> None:
    url, login = make_database(), f"rayces_reader_{os.getpid()}"
    Runner(url).up(1)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(f"CREATE ROLE {login} LOGIN")
    try:
        with pytest.raises(RoleNotHeldError, match=f"{login} may not read rayces_migrations.*act as its owner"):
            Runner(make_dsn(url, user=login)).up()
    finally:
        connection.cursor().execute(f"DROP ROLE {login}")
        connection.close()


def test_a_search_path_without_a_schema_is_one_clear_error(make_database: Any) -> None:
    with pytest.raises(ConfigurationError, match="no schema of the search_path exists"):
        Runner(make_dsn(make_database(), options="-c search_path=nowhere")).up()


@pytest.mark.slow
def test_a_second_runner_waits_so_long_and_names_the_first(make_database: Any) -> None:
    url = make_database()
    first, second = dedicated(url), dedicated(url)
    with single_runner(first, "history", 1):
        pid = first.one("SELECT pg_backend_pid()")
        with pytest.raises(MigrationError, match=rf"server process {pid}\) still holds the lock after 0.2 s"):
            with single_runner(second, "history", 0.2):
                raise AssertionError
        with single_runner(second, "another history", 0.2):
            pass
    with single_runner(second, "history", 0.2):
        pass


def test_a_waiting_runner_does_not_hold_up_a_concurrent_index_build(make_database: Any) -> None:
    url = make_database()
    first, second = dedicated(url), dedicated(url)
    first.command("CREATE TABLE t (c int)")
    first.close()
    with single_runner(first, "history", 1):
        waiting = threading.Thread(target=_wait_in_vain, args=(second,))
        waiting.start()
        first.command("SET statement_timeout = '20s'")
        first.command("CREATE INDEX CONCURRENTLY t_c ON t (c)")
        assert waiting.is_alive()
    waiting.join()


def _wait_in_vain(database: Any) -> None:
    with single_runner(database, "history", 300):
        pass


def test_a_pooling_proxy_is_refused(make_database: Any, tmp_path: Path) -> None:
    url = make_database()
    with InventingProxy(url, tmp_path):
        through_proxy = make_dsn(url, host=str(tmp_path), port="5432", sslmode="disable", gssencmode="disable")
        with pytest.raises(MigrationError, match="a pooling proxy such as PgBouncer"):
            Runner(through_proxy).up()
    assert Runner(url).done == []


@pytest.fixture
def bouncer_url(make_database: Any, tmp_path: Path) -> Iterator[str]:
    """A PgBouncer in transaction mode before an empty database, where the program is installed."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed here")
    yield from run_bouncer(program, make_database(), tmp_path)


def test_pgbouncer_in_transaction_mode_is_refused_before_anything_runs(bouncer_url: str, connect: Any) -> None:
    for run in (lambda runner: runner.up(), lambda runner: runner.down(), lambda runner: runner.run("001_myhub")):
        with pytest.raises(MigrationError, match=r"PgBouncer .* give migrations the server's own URL"):
            run(Runner(bouncer_url))
    cursor = connect(bouncer_url).cursor()
    cursor.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert cursor.fetchone() == (0,)
    here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    cursor.execute(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {here}")
    assert cursor.fetchone() == (0,)


def test_the_status_may_be_asked_for_through_pgbouncer(bouncer_url: str) -> None:
    assert {status.state for status in Runner(bouncer_url).status()} == {"pending"}


def test_no_database_is_created_through_pgbouncer(bouncer_url: str, connect: Any) -> None:
    name = "rayces_test_missing"
    with pytest.raises(MigrationError, match="a pooling proxy such as PgBouncer"):
        ensure_database(make_dsn(bouncer_url, dbname=name), maintenance_db="app")
    cursor = connect(bouncer_url).cursor()
    cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (name,))
    assert cursor.fetchone() == (0,)


def test_behind_one_a_session_keeps_the_applications_settings_and_is_read_under_pinned_ones(
    make_database: Any, tmp_path: Path
) -> None:
    url = make_database()
    with InventingProxy(url, tmp_path):
        through = make_dsn(url, host=str(tmp_path), port="5432", options="-c quote_all_identifiers=on")
        database = dedicated(through)
        with connected(database):
            database.command("CREATE TABLE t (id int CHECK (id > 0))")
            assert "constraint t t_id_check CHECK ((id > 0))" in fingerprint(database)
            assert database.one("SHOW quote_all_identifiers") == "on"
            assert database.one("SHOW timezone") == "UTC"


class InventingProxy:
    """Passes one connection on, but makes up the process id of the server, as PgBouncer does."""

    def __init__(self, url: str, folder: Path) -> None:
        self.target = parse_dsn(url)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.5432"))
        self.listener.listen(1)

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.listener.close()

    def _serve(self) -> None:
        client, _ = self.listener.accept()
        server = self._connect()
        back = threading.Thread(target=self._answer, args=(server, client))
        back.start()
        for data in _received(client):
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
        back.join()
        client.close()
        server.close()

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket) -> None:
        for data in _received(server):
            place = data.find(BACKEND_KEY)
            if place >= 0:
                at = place + len(BACKEND_KEY)
                data = data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :]
            client.sendall(data)

    def _connect(self) -> socket.socket:
        host, port = self.target.get("host", "localhost"), self.target.get("port", "5432")
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server


def _received(connection: socket.socket) -> Iterator[bytes]:
    while data := connection.recv(65536):
        yield data
