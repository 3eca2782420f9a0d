"""What would make the first write fail is told in one sentence, before anything runs: server, database, login."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Database, User
from rayces_core.cli import run
from rayces_core.doctor import audit
from rayces_core.errors import ConfigurationError, PermissionDeniedError, ReadOnlyError, RoleNotHeldError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrations.fitness import wrong_encoding
from tests.conftest import cloned, maintain
from tests.factory import make_organization

from .test_script import psql


def tables(connection: Any) -> list[str]:
    return [line for line in fingerprint(connection) if line.startswith("table ")]


@pytest.fixture
def own_db(server_url: str, template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    with cloned(server_url, template) as url, Database.connect(url) as database:
        yield database


@pytest.fixture
def odd_database(server_url: str) -> Iterator[Callable[[str], str]]:
    """Make an empty database with these options of CREATE DATABASE; dropped after the test."""
    made: list[str] = []

    def make(options: str) -> str:
        made.append(f"odd_{len(made)}")
        maintain(server_url, f"CREATE DATABASE {made[-1]} TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C' {options}")
        return make_dsn(server_url, dbname=made[-1])

    yield make
    for name in made:
        maintain(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def of(url: str) -> str:
    return f'"{parse_dsn(url)["dbname"]}"'


@pytest.mark.slow
def test_a_database_that_takes_no_writes_is_told_of_before_anything_runs(
    make_database: Callable[..., str], connect: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make_database()
    connect(url).cursor().execute(f"ALTER DATABASE {of(url)} SET default_transaction_read_only = on")
    try:
        with pytest.raises(ReadOnlyError, match="RESET default_transaction_read_only"):
            Runner(url).up()
        assert {state.state for state in Runner(url).status()} == {"pending"}
        assert run(["--database-url", url, "migrate", "up"]) == 3
        assert capsys.readouterr().err.startswith("rayces: transactions are read-only here")
    finally:
        connection = connect(url)
        connection.cursor().execute("SET default_transaction_read_only = off")
        connection.cursor().execute(f"ALTER DATABASE {of(url)} RESET default_transaction_read_only")
    assert tables(connection) == []


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252"])
def test_a_database_that_does_not_hold_every_name_is_refused_by_migrations_and_at_first_use(
    odd_database: Callable[[str], str], connect: Any, encoding: str
) -> None:
    url = odd_database(f"ENCODING '{encoding}'")
    with pytest.raises(ConfigurationError, match=f"is in {encoding}, which does not hold every name"):
        Runner(url).up()
    assert tables(connect(url)) == []
    with (
        Database.connect(url) as database,
        pytest.raises(ConfigurationError, match="ENCODING 'UTF8', then pg_dump"),
        database.privileged(reason="test"),
    ):
        User.select().count()


@pytest.mark.parametrize("name, other", [("clinic", "clinic_utf8"), ('"My ""Clinic"', '"My ""Clinic_utf8"')])
def test_the_database_that_it_says_to_make_is_named_as_sql_has_it(name: str, other: str) -> None:
    assert f"CREATE DATABASE {other} TEMPLATE template0" in wrong_encoding("LATIN1", name)


@pytest.mark.slow
def test_the_doctor_tells_of_it_too(odd_database: Callable[[str], str], connect: Any) -> None:
    url = odd_database("ENCODING 'LATIN1'")
    connect(url).cursor().execute("CREATE TABLE organizations (id bigint PRIMARY KEY, subdomain text)")
    with Database.connect(url) as database:
        said = {finding.check: finding.message for finding in audit(database)}
    assert said["database-encoding"] == "the database is in LATIN1, which does not hold every name"


@pytest.mark.parametrize("place", ["database", "url"])
def test_row_security_that_is_off_is_told_at_first_use(own_db: Database, connect: Any, place: str) -> None:
    make_organization(own_db, subdomain="north")
    url = own_db.url
    if place == "url":
        url = make_dsn(url, options="-c row_security=off")
    else:
        connect(url).cursor().execute(f"ALTER DATABASE {of(url)} SET row_security = off")
    with (
        Database.connect(url) as database,
        pytest.raises(ConfigurationError, match=r"row_security is off .* RESET row_security"),
        database.tenant("north"),
    ):
        User.create(email="ana@example.org")


def test_a_statement_that_the_server_refuses_as_row_security_is_off_is_no_other_tenants(own_db: Database) -> None:
    with own_db.tenant(make_organization(own_db)), own_db.atomic():
        # Raw SQL of a unit may not set it, but a function of the host's can.
        own_db.execute_sql("SELECT 1").connection.plain("SET LOCAL row_security = off")
        with pytest.raises(PermissionDeniedError, match="row_security is off on this connection"), own_db.atomic():
            User.select().count()


@pytest.mark.slow
def test_tables_of_another_login_are_told_of_before_anything_runs(
    fresh_roles: Any, own_db: Database, connect: Any
) -> None:
    login = fresh_roles()
    connection = connect(own_db.url)
    connection.cursor().execute(
        f'CREATE ROLE "{login}" LOGIN NOINHERIT; GRANT rayces_app, rayces_admin TO "{login}"; '
        f'GRANT SELECT ON rayces_migrations TO "{login}"'
    )
    url = make_dsn(own_db.url, user=login)
    before = fingerprint(connection)
    for command in (Runner(url).down, Runner(url).up):
        with pytest.raises(RoleNotHeldError, match=f"nothing was run.*rayces migrate repair --owner {login}"):
            command()
    assert fingerprint(connection) == before
    connection.cursor().execute(f'DROP OWNED BY "{login}"')


@pytest.fixture
def owned(fresh_roles: Any, make_database: Any, connect: Any) -> tuple[str, str, str]:
    """A superuser's URL of an empty database, its owner's, and another login's."""
    owner, other = fresh_roles(), fresh_roles()
    url = make_database()
    connect(url).cursor().execute(f'CREATE ROLE "{owner}" LOGIN CREATEROLE; CREATE ROLE "{other}" LOGIN')
    connect(url).cursor().execute(f'ALTER DATABASE {of(url)} OWNER TO "{owner}"')
    return url, make_dsn(url, user=owner), make_dsn(url, user=other)


@pytest.mark.slow
def test_a_script_that_another_login_runs_stops_before_its_first_change(owned: Any, connect: Any) -> None:
    url, owner_url, other_url = owned
    script = Runner(owner_url, app_role="rayces_app", admin_role="rayces_admin").up_script(3)
    said = psql(other_url, script)
    assert "this script makes tables for the login" in said
    assert tables(connect(url)) == []


@pytest.mark.slow
def test_the_tables_of_a_script_that_a_superuser_runs_are_those_of_the_login_it_was_made_for(
    owned: Any, connect: Any, fresh_roles: Any
) -> None:
    url, owner_url, _ = owned
    roles = {"app_role": fresh_roles(), "admin_role": fresh_roles()}
    assert psql(url, Runner(owner_url, **roles).up_script(16), calls=True) == ""
    cursor = connect(url).cursor()
    cursor.execute("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'")
    assert cursor.fetchall() == [(parse_dsn(owner_url)["user"],)]
    assert Runner(owner_url, **roles).done[-1] == "016_credits"
    Runner(owner_url, **roles).up()
    connect(url).cursor().execute("DROP OWNED BY {app_role}, {admin_role} CASCADE".format(**roles))
    connect(url).cursor().execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
