"""The roles: made once for a server, held by the login that migrates, never beyond row-level security."""

import threading
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core.errors import ConfigurationError, IsolationInertError, MissingRoleError, RoleNotHeldError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrations.session import auditor_of, reader_of


@pytest.mark.slow
def test_missing_roles_are_made_without_login_or_privileges(fresh_roles: Any, make_database: Any, connect: Any) -> None:
    app, admin, url = fresh_roles(), fresh_roles(), make_database()
    Runner(url, app_role=app, admin_role=admin).up(1)
    facts = (
        "SELECT rolcanlogin, rolinherit, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = ANY (%s)"
    )
    roles = [app, admin, reader_of(admin), auditor_of(admin)]
    assert _all(connect(url), facts, roles) == [(False, False, False, False, False)] * 4


@pytest.mark.slow
def test_policies_and_rights_are_those_of_the_roles_that_were_named(
    fresh_roles: Any, make_database: Any, connect: Any
) -> None:
    app, admin, url = fresh_roles(), fresh_roles(), make_database()
    Runner(url, app_role=app, admin_role=admin).up()
    lines = fingerprint(connect(url))
    assert not [line for line in lines if " to rayces_" in line]
    assert [line for line in lines if line.startswith(f"policy users rayces_tenant permissive for all to {app} ")]
    Runner(url, app_role=app, admin_role=admin).down(0)
    assert _all(connect(url), "SELECT rolname::text FROM pg_roles WHERE rolname IN (%s, %s)", app, admin) != []


@pytest.mark.slow
def test_a_login_that_may_create_roles_makes_them_and_can_become_them(
    fresh_roles: Any, make_database: Any, connect: Any
) -> None:
    login, app, admin = fresh_roles(), fresh_roles(), fresh_roles()
    url = _owned_by(make_database(), login, connect, "CREATEROLE")
    Runner(url, app_role=app, admin_role=admin).up()
    connection = connect(url)
    connection.cursor().execute(f'SET ROLE "{app}"')
    assert _all(connection, "SELECT count(*) FROM users") == [(0,)]


@pytest.mark.slow
def test_a_login_that_may_not_create_roles_gets_the_statements_for_a_dba(
    fresh_roles: Any, make_database: Any, connect: Any
) -> None:
    login, app, admin = fresh_roles(), fresh_roles(), fresh_roles()
    superuser = make_database()
    url = _owned_by(superuser, login, connect, "")
    with pytest.raises(MissingRoleError) as caught:
        Runner(url, app_role=app, admin_role=admin).up()
    assert fingerprint(connect(url)) == ["extension plpgsql", *_schema_rights(connect(url))]
    statements = [line.strip() for line in str(caught.value).splitlines() if line.endswith(";")]
    named = (app, admin, reader_of(admin), auditor_of(admin), *_between(connect(superuser), admin))
    made = sorted(f'"{name}"' for name in named)
    assert sorted(each.split()[2] for each in statements if each.startswith("CREATE ROLE ")) == made
    assert sorted(each.split()[1] for each in statements if each.startswith("GRANT ")) == made
    assert len(statements) == 2 * len(made)
    for statement in statements:
        connect(superuser).cursor().execute(statement)
    assert Runner(url, app_role=app, admin_role=admin).up(1) == ["001_myhub"]


@pytest.mark.slow
def test_a_login_that_may_make_no_tables_is_told_so_before_anything_runs(
    fresh_roles: Any, make_database: Any, connect: Any
) -> None:
    login, app, admin = fresh_roles(), fresh_roles(), fresh_roles()
    superuser = make_database()
    cursor = connect(superuser).cursor()
    cursor.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'secret' CREATEROLE")
    runner = Runner(make_dsn(superuser, user=login, password="secret"), app_role=app, admin_role=admin)
    for what in (runner.up, lambda: runner.run("001_myhub", fake=True)):
        with pytest.raises(RoleNotHeldError, match=r"may make no tables in the schema \"public\"; nothing") as caught:
            what()
        assert _all(connect(superuser), "SELECT FROM pg_roles WHERE rolname IN (%s, %s)", app, admin) == []
    cursor.execute(str(caught.value).rpartition("lets it: ")[2])
    assert runner.up(9)[-1].startswith("009")
    cursor.execute(f"DROP OWNED BY {login}")


@pytest.mark.slow
def test_only_the_statements_that_are_needed_are_asked_for(fresh_roles: Any, make_database: Any, connect: Any) -> None:
    login, app, admin = fresh_roles(), fresh_roles(), fresh_roles()
    superuser = make_database()
    url = _owned_by(superuser, login, connect, "")
    connect(superuser).cursor().execute(f'CREATE ROLE "{app}"; GRANT "{app}" TO "{login}"; CREATE ROLE "{admin}"')
    connect(superuser).cursor().execute(f'CREATE ROLE "{reader_of(admin)}"; CREATE ROLE "{auditor_of(admin)}"')
    with pytest.raises(MissingRoleError) as caught:
        Runner(url, app_role=app, admin_role=admin).up()
    between = _between(connect(superuser), admin)
    assert str(caught.value).count(";") == 2 + 2 * len(between)  # of the roles that read a migrating login needs none
    assert f'  GRANT "{[admin, *between][-1]}" TO "{login}"' in str(caught.value)


def _between(connection: Any, role: str) -> list[str]:
    """The role that holds it for logins before 16, where no membership can be without inheritance."""
    return [] if connection.server_version >= 160_000 else [f"{role}_holders"]


@pytest.mark.slow
def test_one_role_for_both_is_refused(make_database: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be two roles"):
        Runner(make_database(), app_role="rayces_app", admin_role="rayces_app").up()


@pytest.mark.slow
@pytest.mark.parametrize("privilege", ["BYPASSRLS", "SUPERUSER"])
def test_an_application_role_that_row_level_security_does_not_hold_is_refused(
    fresh_roles: Any, make_database: Any, connect: Any, privilege: str
) -> None:
    app, admin, url = fresh_roles(), fresh_roles(), make_database()
    connect(url).cursor().execute(f'CREATE ROLE "{app}" {privilege}')
    with pytest.raises(IsolationInertError, match=f'ALTER ROLE "{app}" NOSUPERUSER NOBYPASSRLS;'):
        Runner(url, app_role=app, admin_role=admin).up()
    assert Runner(url).done == []


@pytest.mark.slow
def test_an_application_role_that_can_become_the_other_is_refused(
    fresh_roles: Any, make_database: Any, connect: Any
) -> None:
    app, admin, url = fresh_roles(), fresh_roles(), make_database()
    connect(url).cursor().execute(f'CREATE ROLE "{admin}"; CREATE ROLE "{app}" IN ROLE "{admin}"')
    with pytest.raises(IsolationInertError, match=f'REVOKE "{admin}" FROM "{app}";'):
        Runner(url, app_role=app, admin_role=admin).up()


@pytest.mark.slow
def test_databases_of_one_server_migrated_at_once_share_the_roles(fresh_roles: Any, make_database: Any) -> None:
    app, admin = fresh_roles(), fresh_roles()
    urls = [make_database() for _ in range(4)]
    applied: list[list[str]] = []
    together = threading.Barrier(len(urls))

    def migrate(url: str) -> None:
        together.wait()
        applied.append(Runner(url, app_role=app, admin_role=admin).up(2))

    threads = [threading.Thread(target=migrate, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert applied == [["001_myhub", "002_organizations"]] * len(urls)


def _owned_by(url: str, login: str, connect: Any, privileges: str) -> str:
    name = psycopg2.extensions.parse_dsn(url)["dbname"]
    cursor = connect(url).cursor()
    cursor.execute(f"CREATE ROLE \"{login}\" LOGIN PASSWORD 'secret' {privileges}")
    cursor.execute(f'ALTER DATABASE "{name}" OWNER TO "{login}"')
    return make_dsn(url, user=login, password="secret")


def _schema_rights(connection: Any) -> list[str]:
    return [line for line in fingerprint(connection) if line.startswith("grant usage on schema")]


def _all(connection: Any, sql: str, *values: object) -> list[Any]:
    cursor = connection.cursor()
    cursor.execute(sql, values or None)
    return cursor.fetchall()


@pytest.mark.slow
def test_a_login_that_was_given_the_admin_role_to_inherit_is_warned_of_and_held_by_what_that_says(
    fresh_roles: Any, make_database: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    login, app, admin = fresh_roles(), fresh_roles(), fresh_roles()
    superuser = make_database()
    url = _owned_by(superuser, login, connect, "")
    cursor = connect(superuser).cursor()
    cursor.execute(f'CREATE ROLE "{app}"; CREATE ROLE "{admin}"; ALTER ROLE "{login}" CREATEROLE')
    cursor.execute(f'GRANT "{app}", "{admin}" TO "{login}"')
    Runner(url, app_role=app, admin_role=admin).up(1)
    (warning,) = [each.getMessage() for each in caplog.records if "inherits" in each.getMessage()]
    assert warning.startswith(f'"{login}" inherits "{admin}"')
    cursor.execute(warning.partition("as a DBA: ")[2])
    cursor.execute("SELECT pg_has_role(%s, %s, 'USAGE') OR pg_has_role(%s, %s, 'USAGE')", (login, admin, login, app))
    assert cursor.fetchone() == (False,)
    caplog.clear()
    assert Runner(url, app_role=app, admin_role=admin).up(2) == ["002_organizations"]
    assert [each for each in caplog.records if "inherits" in each.getMessage()] == []
    cursor.execute(f'DROP ROLE IF EXISTS "{admin}_holders"')
