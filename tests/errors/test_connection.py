"""Why no connection could be made, told by what the server says: with real servers, roles and databases."""

import contextlib
import os
import signal
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import errors
from rayces_core.embedded.server import EmbeddedServer
from rayces_core.errors.connection import unreachable
from tests.conftest import on_server
from tests.patience import wait_until
from tests.walking import walked


def refusal(url, **changed):
    with pytest.raises(psycopg2.OperationalError) as caught:
        psycopg2.connect(make_dsn(url, connect_timeout="5", **changed))
    error = unreachable(caught.value)
    assert (error.orig, error.__cause__, error.sqlstate) == (caught.value, caught.value, None)
    return error


@pytest.fixture(scope="module")
def narrow(server_url):
    """A login that may have one connection, and none to a database that is closed to it."""
    on_server(server_url, "CREATE ROLE rayces_test_narrow LOGIN PASSWORD 'right' CONNECTION LIMIT 1")
    on_server(server_url, "CREATE ROLE rayces_test_nologin NOLOGIN")
    yield {"user": "rayces_test_narrow", "password": "right", "dbname": "postgres"}
    on_server(server_url, "DROP ROLE rayces_test_narrow")
    on_server(server_url, "DROP ROLE rayces_test_nologin")


def test_a_database_that_is_not_there(server_url):
    error = refusal(server_url, dbname="rayces_test_nowhere")
    assert (type(error), error.retryable) == (errors.DatabaseMissingError, False)
    assert "rayces migrate up --create-database" in str(error)


def test_a_login_that_is_not_there_and_one_that_may_not_log_in(server_url, narrow):
    for user in ("rayces_test_nobody", "rayces_test_nologin"):
        error = refusal(server_url, user=user)
        assert (type(error), error.retryable) == (errors.LoginRefusedError, False)


def test_a_login_without_a_connection_left(server_url, narrow):
    with contextlib.closing(psycopg2.connect(make_dsn(server_url, **narrow))):
        error = refusal(server_url, **narrow)
    assert (type(error), error.retryable) == (errors.TooManyConnectionsError, True)


def test_a_database_that_takes_nobody(server_url, make_database, narrow):
    url = make_database()
    on_server(server_url, f'ALTER DATABASE "{psycopg2.extensions.parse_dsn(url)["dbname"]}" ALLOW_CONNECTIONS false')
    error = refusal(url, **{name: narrow[name] for name in ("user", "password")})
    assert type(error) is errors.ServerNotReadyError


def test_a_database_that_the_login_may_not_enter(server_url, make_database, narrow):
    url = make_database()
    on_server(server_url, f'REVOKE CONNECT ON DATABASE "{psycopg2.extensions.parse_dsn(url)["dbname"]}" FROM PUBLIC')
    error = refusal(url, **{name: narrow[name] for name in ("user", "password")})
    assert type(error) is errors.LoginRefusedError


def test_a_port_where_nobody_listens_and_a_host_without_address(server_url):
    for place in ({"host": "127.0.0.1", "port": "1"}, {"host": "nowhere.invalid"}):
        error = refusal(server_url, **place)
        assert (type(error), error.retryable) == (errors.DatabaseUnreachableError, True)
        assert "check the URL" in str(error)


# How servers word it that are seldom met in a test: the sentences of PostgreSQL 15 to 18.
SAID = {
    "the database system is starting up": errors.ServerNotReadyError,
    "the database system is in recovery mode": errors.ServerNotReadyError,
    "the database system is not yet accepting connections": errors.ServerNotReadyError,
    "sorry, too many clients already": errors.TooManyConnectionsError,
    "remaining connection slots are reserved for roles with the SUPERUSER attribute": errors.TooManyConnectionsError,
    'unrecognized configuration parameter "nope"': errors.DatabaseUnreachableError,
}


@walked("words", SAID)
def test_the_words_of_a_server_tell_the_class(words):
    said = f'connection to server at "10.0.0.1", port 5432 failed: FATAL:  {words}\n'
    assert type(unreachable(psycopg2.OperationalError(said))) is SAID[words]


# -- a server of one's own ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded():
    """A server that asks one login for its password and has no line for another."""
    with EmbeddedServer() as server:
        for login in ("asked", "unheard"):
            on_server(server.url, f"CREATE ROLE {login} LOGIN PASSWORD 'right'")
        with contextlib.closing(psycopg2.connect(server.url)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT setting FROM pg_settings WHERE name = 'hba_file'")
            file = Path(cursor.fetchone()[0])
            file.write_text("local all asked scram-sha-256\nlocal all unheard reject\n" + file.read_text())
            cursor.execute("SELECT pg_reload_conf()")
            cursor.execute("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL")
            assert cursor.fetchone() == (0,)
        yield server.url


@pytest.mark.slow
def test_a_wrong_password_and_none_and_a_login_that_is_let_in_nowhere(guarded):
    for login in ({"user": "asked", "password": "wrong"}, {"user": "asked"}, {"user": "unheard", "password": "right"}):
        error = refusal(guarded, **login)
        assert (type(error), error.retryable) == (errors.LoginRefusedError, False), login
        assert "wrong" not in str(error)


@pytest.mark.slow
def test_a_server_that_is_shutting_down(guarded):
    with contextlib.closing(psycopg2.connect(guarded)) as last:  # a smart shutdown waits for it
        cursor = last.cursor()
        cursor.execute("SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int")
        os.kill(cursor.fetchone()[0], signal.SIGTERM)
        error = _until(errors.ServerNotReadyError, guarded)
    assert (error.retryable, "try again in a moment" in str(error)) == (True, True)


def _until(kind, url):
    met = []

    def is_met():
        with contextlib.suppress(pytest.fail.Exception):
            met.append(refusal(url))
        return met and type(met[-1]) is kind

    wait_until(is_met)
    return met[-1]
