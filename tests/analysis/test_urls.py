"""One URL binds one organization, read only, in each program that speaks libpq; and a pinned login cannot leave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from typing import Any
from urllib.parse import unquote

import psycopg2
import pytest
from psycopg2 import errors as refusals
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Database, analysis
from rayces_core.analysis.urls import _written
from rayces_core.errors import ConfigurationError, InactiveTenantError, RoleNotHeldError, UnknownTenantError
from rayces_core.migrations.readers import pin
from tests.conftest import on_server
from tests.factory import make_organization, make_student
from tests.sizes import first

NAMES = "SELECT last_name FROM students"


@pytest.fixture(scope="module")
def two(db: Database) -> list[Any]:
    made = [make_organization(db) for _ in range(2)]
    for organization in made:
        with db.tenant(organization):
            make_student(last_name=organization.subdomain)
    return made


def _psycopg2(url: str, sql: str) -> list[Any]:
    connection = psycopg2.connect(url)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()


def _psycopg(url: str, sql: str) -> list[Any]:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(sql).fetchall()]


def _sqlalchemy(url: str, sql: str) -> list[Any]:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg2:", 1))
    try:
        with engine.connect() as connection:
            return [row[0] for row in connection.execute(sqlalchemy.text(sql)).fetchall()]
    finally:
        engine.dispose()


def _connectorx(url: str, sql: str) -> list[Any]:
    connectorx = pytest.importorskip("connectorx")
    (column,) = connectorx.read_sql(url, sql, return_type="arrow").to_pydict().values()
    return list(column)


def _adbc(url: str, sql: str) -> list[Any]:
    adbc = pytest.importorskip("adbc_driver_postgresql.dbapi")
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        (column,) = cursor.fetch_arrow_table().to_pydict().values()
        return list(column)


def _duckdb(url: str, sql: str) -> list[Any]:
    duckdb = pytest.importorskip("duckdb")
    try:
        files = metadata.files("duckdb-extension-postgres-scanner") or []
    except metadata.PackageNotFoundError:
        pytest.skip("DuckDB's postgres extension is not installed")
    (found,) = (file.locate() for file in files if file.suffix == ".duckdb_extension")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    try:
        connection.execute(f"LOAD '{found}'")
        connection.execute(f"ATTACH '{url}' AS clinic (TYPE postgres, READ_ONLY)")
        rows = connection.execute("SELECT * FROM postgres_query('clinic', ?)", [sql]).fetchall()
        return [row[0] for row in rows]
    finally:
        connection.close()


CLIENTS = [_psycopg2, _psycopg, _sqlalchemy, _connectorx, _adbc, _duckdb]


@pytest.mark.slow
@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__.removeprefix("_"))
def test_a_program_with_the_url_reads_one_organization(
    db: Database, two: list[Any], ask: Callable[[str, str], list[Any]]
) -> None:
    for organization in two:
        url = analysis.url_of(db, organization.subdomain)
        assert ask(url, NAMES) == [organization.subdomain]
        assert ask(url, "SELECT current_user::text") == ["rayces_reader"]
        assert ask(url, "SELECT current_setting('statement_timeout')") == ["30s"]


def test_its_sessions_write_nothing(db: Database, two: list[Any]) -> None:
    url = analysis.url_of(db, two[0])
    with pytest.raises(refusals.ReadOnlySqlTransaction):
        _psycopg2(url, "DELETE FROM students RETURNING 1")
    with pytest.raises(refusals.InsufficientPrivilege):
        _psycopg2(url, "SET TRANSACTION READ WRITE; DELETE FROM students RETURNING 1")
    with pytest.raises(refusals.InsufficientPrivilege):
        _psycopg2(url, "SELECT password_hash FROM credentials")


@pytest.mark.slow
def test_a_statement_is_ended_in_time_and_none_is_no_limit(db: Database, two: list[Any]) -> None:
    with pytest.raises(refusals.QueryCanceled):
        _psycopg2(analysis.url_of(db, two[0], statement_timeout=0.2), "SELECT pg_sleep(5)")
    url = analysis.url_of(db, two[0], statement_timeout=None)
    assert "statement_timeout" not in unquote(url)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 2_147_484, "30", True])
def test_a_time_out_that_the_server_does_not_know_is_refused_here(db: Database, two: list[Any], seconds: Any) -> None:
    for ask in (partial(analysis.url_of, db, two[0]), db.reader):
        with pytest.raises(ConfigurationError, match="statement_timeout must be seconds"):
            ask(statement_timeout=seconds)
    assert _psycopg2(analysis.url_of(db, two[0], statement_timeout=2_147_483), NAMES) == [two[0].subdomain]


def test_a_url_that_writes_is_the_tenants_own(db: Database, two: list[Any]) -> None:
    url = analysis.url_of(db, two[0], read_only=False)
    assert _psycopg2(url, "UPDATE students SET first_name = 'Eva' RETURNING last_name") == [two[0].subdomain]
    with pytest.raises(ConfigurationError, match="a reader gives no URL that writes"):
        analysis.url_of(db.reader(), two[0], read_only=False)


def test_an_organization_that_is_not_there_or_switched_off_has_none(db: Database) -> None:
    with pytest.raises(UnknownTenantError):
        analysis.url_of(db, "nobody-at-all")
    with db.privileged(reason="test"):
        organization = make_organization(db)
        organization.active = False
        organization.save()
    with pytest.raises(InactiveTenantError):
        analysis.url_of(db, organization.subdomain)


@pytest.fixture
def login(db: Database) -> Iterator[str]:
    name = "north_dashboards"
    on_server(db.url, f"CREATE ROLE {name} LOGIN NOINHERIT")
    yield name
    on_server(db.url, f"DROP ROLE {name}")


def test_with_a_pinned_login_nothing_that_is_bound_shows_another_organization(
    db: Database, two: list[Any], login: str
) -> None:
    reader = db.reader(url=make_dsn(db.url, user=login))
    with pytest.raises(RoleNotHeldError, match="cannot become rayces_reader"):
        analysis.url_of(reader, two[0])
    on_server(db.url, f"GRANT rayces_reader TO {login}")
    with pytest.raises(UnknownTenantError):
        analysis.url_of(reader, two[0])
    line = pin(two[0].id, parse_dsn(db.url)["dbname"])
    on_server(db.url, f"COMMENT ON ROLE {login} IS '{line}'")
    reader._look_again()
    url = analysis.url_of(reader, two[0])
    assert parse_dsn(url)["user"] == login
    assert _psycopg2(url, NAMES) == [two[0].subdomain]
    assert _psycopg2(url, f"SET rayces.organization_id = '{two[1].id}'; {NAMES}") == []
    with pytest.raises(refusals.InsufficientPrivilege):
        _psycopg2(url, f"SET ROLE rayces_app; {NAMES}")
    reader.close()


DSNS = {
    "postgresql://u:p%40ss%2F@h:5433/d?sslmode=require": "postgresql://u:p%40ss%2F@h:5433/d?sslmode=require&options=",
    "host=a,b port=1,2 dbname=d user=u": "postgresql://u@a:1,b:2/d?options=",
    "host=a,b port=1 dbname=d user=u": "postgresql://u@a:1,b:1/d?options=",
    "host=::1 dbname='my db' user='j d'": "postgresql://j%20d@[::1]/my%20db?options=",
    "host=/run/pg user=u dbname=d": "postgresql://u@%2Frun%2Fpg/d?host=%2Frun%2Fpg&options=",
    "dbname=d options='-c work_mem=1MB'": "postgresql:///d?options=-c%20work_mem%3D1MB%20",
}


@pytest.mark.parametrize("dsn", DSNS)
def test_every_kind_of_address_is_written_as_a_url_that_means_the_same(dsn: str) -> None:
    url = _written(dsn, {"role": "r"})
    assert url == DSNS[dsn] + "-c%20role%3Dr"
    given, read = parse_dsn(dsn), parse_dsn(url)
    assert read.pop("options").endswith("-c role=r")
    given.pop("options", None)
    assert {**read, "port": None} == {**given, "port": None} or dsn.startswith("host=a,b port=1 ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", first(2, ["j d", "50%25 & more?", 'it\'s "hers"', "a/b@c:d#e", "Ñandú", "back\\slash"])
)
def test_a_login_of_any_name_and_password_opens_in_each_program(db: Database, two: list[Any], name: str) -> None:
    quoted = name.replace('"', '""')
    on_server(db.url, f"""CREATE ROLE "{quoted}" LOGIN NOINHERIT""")
    on_server(db.url, f"""GRANT rayces_app TO "{quoted}"; GRANT rayces_reader TO "{quoted}" """)
    try:
        reader = db.reader(url=make_dsn(db.url, user=name, password=name))
        url = analysis.url_of(reader, two[0])
        assert parse_dsn(url)["user"] == parse_dsn(url)["password"] == name
        assert {ask.__name__: ask(url, NAMES) for ask in CLIENTS} == {
            ask.__name__: [two[0].subdomain] for ask in CLIENTS
        }
        reader.close()
    finally:
        on_server(db.url, f"""DROP ROLE "{quoted}" """)
