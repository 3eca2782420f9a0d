"""Whatever settings a database, a role or a URL brings along, migrations run and the instruments say the same."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.database.database import Database
from rayces_core.doctor import audit, is_hardened
from rayces_core.migrating import Runner
from rayces_core.migrating.checking import Expected, unlike
from rayces_core.migrations.session import connected, dedicated
from rayces_core.migrations.settings import PINNED, PINNED_SINCE, pinned
from tests.conftest import cloned, named_database, on_server
from tests.sizes import exhaustive, quick_or_whole
from tests.walking import walked

ODD = {
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "xmloption": "document",
    "quote_all_identifiers": "on",
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "xmlbinary": "hex",
    "row_security": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "100ms",
    "idle_in_transaction_session_timeout": "500ms",
    "idle_session_timeout": "500ms",
    "client_encoding": "LATIN1",
    "search_path": "nowhere,public,pg_catalog",
    "check_function_bodies": "off",
    "plan_cache_mode": "force_generic_plan",
    "debug_parallel_query": "on",
}
READING = {"default_transaction_read_only": "on"}
# What is called otherwise before PostgreSQL 16.
BEFORE_16 = {"debug_parallel_query": "force_parallel_mode"}
# Each of these alone made one of the instruments tell what is not so; all others are set together below.
TELLING = (
    "default_transaction_read_only",
    "standard_conforming_strings",
    "quote_all_identifiers",
    "statement_timeout",
    "search_path",
)


def _begun(url: str, **settings: str) -> str:
    """The URL, with sessions that begin under these settings."""
    named = _as_named_by(url, settings)
    return make_dsn(url, options=" ".join(f"-c {name}={value}" for name, value in named.items()))


def _as_named_by(url: str, settings: dict[str, str]) -> dict[str, str]:
    with closing(psycopg2.connect(url)) as connection:
        names = BEFORE_16 if connection.server_version < 160_000 else {}
    return {names.get(name, name): value for name, value in settings.items()}


def _given(url: str, settings: dict[str, str]) -> None:
    """Let all sessions of the database begin under these settings."""
    name = sql.Identifier(parse_dsn(url)["dbname"])
    for setting, value in _as_named_by(url, settings).items():
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            values = sql.SQL(", ").join(map(sql.Literal, value.split(",")))
            cursor.execute(sql.SQL("ALTER DATABASE {} SET {} TO {}").format(name, sql.Identifier(setting), values))
            connection.commit()


def _errors(url: str) -> list[str]:
    with Database.connect(url) as database:
        return [f"{each.check} {each.object}" for each in audit(database) if each.severity == "error"]


@pytest.mark.slow
@walked("name", [*TELLING, *exhaustive(*(name for name in ODD if name not in TELLING))])
def test_under_any_setting_check_and_doctor_are_green(migrated: str, expected: Expected, name: str) -> None:
    url = _begun(migrated, **{name: {**ODD, **READING}[name]})
    assert unlike(Runner(url), expected, strict=True) == []
    assert _errors(url) == []


@pytest.mark.slow
def test_a_time_out_of_the_login_does_not_stop_the_last_line_of_doctor(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[is_hardened.__module__], "_IS_HARDENED", "SELECT pg_sleep(0.15) IS NULL")
    with Database.connect(_begun(migrated, statement_timeout="100ms")) as database:
        assert not is_hardened(database)


# Where it begins and goes back to; from the very beginning `make test` goes in the next test, on the oldest server.
BEGUN, BACK = quick_or_whole((30, 36), (0, 24))


@pytest.mark.slow
def test_a_database_with_all_of_them_is_migrated_there_and_back_and_green(
    server_url: str, stages: Callable[[int], str], expected: Expected
) -> None:
    with cloned(server_url, stages(BEGUN)) as url:
        _given(url, ODD)
        Runner(url).up()
        assert unlike(Runner(url), expected, strict=True) == []
        assert _errors(url) == ["setting-default ALL"]  # that of row_security, which the application does not pin
        Runner(url).down(BACK)
        Runner(url).up()
        assert unlike(Runner(url), expected, strict=True) == []


@pytest.fixture
def turkish(oldest_server_url: str) -> Iterator[str]:
    """URL of a database on PostgreSQL 15 whose lower('I') is not 'i'."""
    locale = "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C.UTF-8'"
    on_server(oldest_server_url, f"CREATE DATABASE turkish TEMPLATE template0 {locale}")
    yield named_database(oldest_server_url, "turkish")
    on_server(oldest_server_url, "DROP DATABASE turkish WITH (FORCE)")


@pytest.mark.slow
def test_so_is_one_on_the_oldest_server_whose_letters_are_turkish(turkish: str, expected: Expected) -> None:
    _given(turkish, ODD)
    Runner(turkish).up()
    assert unlike(Runner(turkish), expected, strict=True) == []
    on_server(
        turkish,
        "SET statement_timeout = 0; DROP POLICY rayces_tenant_insert ON credit_transactions; "
        "CREATE MATERIALIZED VIEW days AS SELECT 1 AS day; "
        "GRANT SELECT ON days TO rayces_app",
    )
    with Database.connect(turkish) as database:
        said = {each.check: each.message for each in audit(database)}
    assert said["policy-missing"] == "no policy lets rayces_app insert rows of the bound organization"
    assert said["shared-relation"].startswith("the materialized view belongs to no organization")


def test_what_is_pinned_is_what_a_session_of_the_runner_has(make_database: Callable[..., str]) -> None:
    database = dedicated(_begun(make_database(), **{k: v for k, v in ODD.items() if k != "search_path"}))
    with connected(database):
        assert database.server.encoding == "UTF8"
        version = database.server.server_version
        settings = {**PINNED, **{name: value for name, (since, value) in PINNED_SINCE.items() if version >= since}}
        assert {name: database.one(f"SHOW {name}") for name in settings} == settings


def test_a_block_under_pinned_settings_leaves_the_connection_as_it_was(migrated: str) -> None:
    settings = ("quote_all_identifiers", "standard_conforming_strings", "statement_timeout")
    with closing(psycopg2.connect(_begun(migrated, **{name: ODD[name] for name in settings}))) as connection:
        connection.autocommit = True
        for autocommit in (True, False):
            connection.autocommit = autocommit
            cursor = connection.cursor()
            with pinned(cursor):
                cursor.execute("SHOW quote_all_identifiers")
                assert cursor.fetchone() == ("off",)
                cursor.execute("CREATE TABLE not_kept (id int)")
            with pytest.raises(ZeroDivisionError), pinned(cursor):
                cursor.execute("CREATE TABLE not_kept (id int)")
                raise ZeroDivisionError
            for name in settings:
                cursor.execute(f"SHOW {name}")
                assert cursor.fetchone() == (ODD[name],)
            cursor.execute("SELECT to_regclass('not_kept')")
            assert cursor.fetchone() == (None,)
            connection.rollback()
