"""What the doctor prints about logins is run as it stands: then it is silent, the library works, and nothing is seen.

On PostgreSQL 18, where a membership says whether it inherits, and on 15, where the login does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2.extensions import make_dsn

from rayces_core import Database, Student
from rayces_core.database import first_use
from rayces_core.doctor import Finding, audit
from rayces_core.errors import IsolationInertError, RoleNotHeldError
from rayces_core.migrating import Runner
from tests.conftest import on_server
from tests.factory import make_organization, make_student
from tests.sizes import exhaustive
from tests.walking import walked

SEEN = "SELECT count(*) FROM students"


@dataclass
class Ward:
    """A migrated database with a student in each of two organizations, on one of the servers."""

    url: str
    connection: Any
    subdomain: str

    @property
    def modern(self) -> bool:
        return bool(self.connection.server_version >= 160_000)

    def run(self, sql: str) -> None:
        self.connection.cursor().execute(sql)

    def of(self, login: str) -> str:
        return make_dsn(self.url, user=login)

    def audit(self, login: str) -> list[Finding]:
        with Database.connect(self.of(login)) as database:
            return audit(database)

    def mend(self, login: str) -> None:
        """Run every remedy; then the doctor has nothing more to say."""
        for finding in self.audit(login):
            self.run(finding.remedy)
        assert self.audit(login) == []

    def sees(self, login: str, *before: str) -> Any:
        """What psql as this login sees after these statements: a count, or "denied"."""
        connection = psycopg2.connect(self.of(login))
        cursor = connection.cursor()
        try:
            for statement in (*before, SEEN):
                cursor.execute(statement)
            return cursor.fetchone()[0]
        except errors.InsufficientPrivilege:
            return "denied"
        finally:
            connection.close()

    def inherited(self) -> dict[str, str]:
        """The remedy for each role that inherits one of the library's."""
        with Database.connect(self.url) as database:
            return {each.object: each.remedy for each in audit(database) if each.check == "role-inherited"}

    def inheritance(self, login: str) -> str:
        """What is said about a role that inherits one of the library's."""
        (message,) = [each.message for each in self.audit(login) if each.check == "role-inherited"]
        return message

    def becomes(self, login: str, role: str) -> bool:
        return self.sees(login, f"SET ROLE {role}") != "denied"

    def works(self, login: str) -> None:
        with Database.connect(self.of(login)) as database, database.tenant(self.subdomain):
            assert Student.select().count() == 1


@pytest.fixture(scope="module", params=["embedded", *exhaustive("oldest")])
def ward(request: pytest.FixtureRequest) -> Iterator[Ward]:
    server = request.getfixturevalue("server_url" if request.param == "embedded" else "oldest_server_url")
    # Migrated already, where that is the server of the run.
    template = request.getfixturevalue("template") if request.param == "embedded" else "template0"
    on_server(server, f'CREATE DATABASE ward TEMPLATE "{template}"')
    url = make_dsn(server, dbname="ward")
    with Database.connect(url) as database:
        database.migrate()
        organizations = [make_organization(database) for _ in range(2)]
        for organization in organizations:
            with database.tenant(organization):
                make_student()
    connection = psycopg2.connect(url)
    connection.autocommit = True
    yield Ward(url, connection, organizations[0].subdomain)
    connection.close()
    on_server(server, "DROP DATABASE ward WITH (FORCE)")


@pytest.fixture(autouse=True)
def without_new_roles(ward: Ward) -> Iterator[None]:
    known = _roles(ward)
    yield
    for role in sorted(_roles(ward) - known):
        ward.run(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role} CASCADE")
    for role in sorted(_roles(ward) - known):
        ward.run(f"DROP ROLE {role}")


def _roles(ward: Ward) -> set[str]:
    cursor = ward.connection.cursor()
    cursor.execute("SELECT rolname FROM pg_roles")
    return {name for (name,) in cursor.fetchall()}


@pytest.mark.slow
def test_a_superuser_is_told_how_to_make_two_logins_and_both_are_held(ward: Ward) -> None:
    with Database.connect(ward.url) as database:
        (finding,) = audit(database)
    assert finding.check == "login-unrestricted"
    ward.run(finding.remedy)
    assert ward.audit("clinic_web") == []
    for login, role in (("clinic_web", "rayces_app"), ("clinic_admin", "rayces_admin")):
        assert ward.sees(login) == "denied"
        assert ward.sees(login, f"SET ROLE {role}", "RESET ROLE") == "denied"
    assert ward.sees("clinic_web", "SET ROLE rayces_app") == 0
    assert ward.sees("clinic_web", "SET ROLE rayces_admin") == "denied"
    assert ward.sees("clinic_admin", "SET ROLE rayces_admin") == 2
    with Database.connect(ward.of("clinic_web"), admin_url=ward.of("clinic_admin")) as database:
        with database.tenant(ward.subdomain):
            assert Student.select().count() == 1
        with database.privileged(reason="test"):
            assert Student.select().count() == 2
    with Database.connect(ward.of("clinic_web")) as database:
        with database.tenant(ward.subdomain):
            assert Student.select().count() == 1
        with pytest.raises(RoleNotHeldError, match="cannot become rayces_admin"), database.privileged(reason="test"):
            Student.select().count()


@pytest.mark.slow
def test_first_use_takes_each_of_the_two_logins_for_what_it_is(ward: Ward) -> None:
    with Database.connect(ward.url) as database:
        ward.run(audit(database)[0].remedy)
    for login, role, privileged in (("clinic_web", "rayces_app", False), ("clinic_admin", "rayces_admin", True)):
        first_use.check(_plain(ward.of(login)), role, privileged=privileged)
    with pytest.raises(RoleNotHeldError, match="clinic_web cannot become rayces_admin"):
        first_use.check(_plain(ward.of("clinic_web")), "rayces_admin", privileged=True)
    with pytest.raises(RoleNotHeldError, match="GRANT") as caught:
        first_use.check(_plain(ward.of("clinic_admin")), "rayces_app")
    ward.run(str(caught.value).partition("a DBA can allow it: ")[2])
    first_use.check(_plain(ward.of("clinic_admin")), "rayces_app")
    assert ward.audit("clinic_admin") == []


@pytest.mark.parametrize("schema", ["home", "another"])
def test_first_use_refuses_what_is_inert_in_any_schema_of_the_search_path(ward: Ward, schema: str) -> None:
    ward.run("CREATE ROLE web LOGIN; CREATE SCHEMA another; GRANT USAGE ON SCHEMA another TO rayces_app")
    ward.run("GRANT rayces_app TO web" + (" WITH INHERIT FALSE" if ward.modern else ""))
    table = "another.visits" if schema == "another" else "visits"
    try:
        ward.run(f"CREATE TABLE {table} (organization_id bigint); GRANT SELECT ON {table} TO rayces_app")
        url = make_dsn(ward.of("web"), options="-c search_path=public,another")
        with pytest.raises(IsolationInertError, match="not forced on visits"):
            first_use.check(_plain(url), "rayces_app")
        if schema == "another":
            first_use.check(_plain(ward.of("web")), "rayces_app")
            ward.run(f"REVOKE SELECT ON {table} FROM rayces_app")
            first_use.check(_plain(url), "rayces_app")
    finally:
        ward.run("DROP SCHEMA another CASCADE; DROP TABLE IF EXISTS visits")


@pytest.mark.slow
def test_a_login_that_inherits_is_mended_by_what_is_printed(ward: Ward) -> None:
    ward.run("CREATE ROLE legacy LOGIN; GRANT rayces_app, rayces_admin TO legacy")
    assert ward.sees("legacy") == 2
    found = {(finding.check, finding.severity, finding.object) for finding in ward.audit("legacy")}
    assert found == {("role-inherited", "error", "legacy")}
    ward.mend("legacy")
    assert ward.sees("legacy") == "denied"
    ward.works("legacy")


@pytest.mark.slow
def test_a_login_that_could_give_itself_a_role_cannot_afterwards_and_whom_it_let_in_stays_in(ward: Ward) -> None:
    aside = ", INHERIT FALSE, SET FALSE" if ward.modern else ""
    ward.run("CREATE ROLE web LOGIN NOINHERIT; CREATE ROLE friend LOGIN NOINHERIT; CREATE ROLE stranger LOGIN")
    ward.run(f"GRANT rayces_app TO web, friend{' WITH INHERIT FALSE' if ward.modern else ''}")
    ward.run(f"GRANT rayces_admin TO web WITH ADMIN OPTION{aside}")
    gives_itself = "GRANT rayces_admin TO web WITH INHERIT TRUE" if ward.modern else "GRANT rayces_admin TO stranger"
    assert ward.sees("web", gives_itself) == (2 if ward.modern else "denied")
    ward.run(
        f"SET SESSION AUTHORIZATION web; GRANT rayces_admin TO friend{' WITH INHERIT FALSE' if ward.modern else ''}"
    )
    ward.run("RESET SESSION AUTHORIZATION")
    (finding,) = ward.audit("web")
    assert (finding.check, finding.severity, finding.object) == ("role-grantable", "error", "web")
    assert finding.message.startswith("the role may grant rayces_admin, so it can give it")
    ward.mend("web")
    for grant in (gives_itself, "GRANT rayces_admin TO stranger"):
        with psycopg2.connect(ward.of("web")) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.cursor().execute(grant)
    assert ward.sees("friend", "SET ROLE rayces_admin") == 2
    assert ward.sees("friend") == "denied"
    ward.works("web")


@pytest.mark.slow
def test_who_is_there_to_make_roles_may_grant_them(ward: Ward) -> None:
    ward.run("CREATE ROLE dba CREATEROLE; CREATE ROLE web LOGIN NOINHERIT")
    ward.run("GRANT rayces_app TO dba WITH ADMIN OPTION" + (", INHERIT FALSE" if ward.modern else ""))
    ward.run("GRANT rayces_app TO web" + (" WITH INHERIT FALSE" if ward.modern else ""))
    assert {finding.check for finding in ward.audit("web")} <= {"role-inherited"}  # 15 has no other way to hold it


@pytest.mark.slow
def test_what_an_inheriting_login_reads_is_told_as_far_as_it_reaches(ward: Ward) -> None:
    inheriting, aside = (" WITH INHERIT TRUE", " WITH INHERIT FALSE") if ward.modern else ("", "")
    ward.run(f"CREATE ROLE reports LOGIN; GRANT rayces_reader TO reports{inheriting}")
    assert "reads the rows of the organizations that the comment on it names" in ward.inheritance("reports")
    ward.run(f"GRANT rayces_app TO reports{aside}")
    assert "reads the rows of any organization that it names" in ward.inheritance("reports")
    ward.mend("reports")


@pytest.mark.slow
def test_a_login_that_inherits_through_another_role_is_mended_too(ward: Ward) -> None:
    ward.run(
        "CREATE ROLE staff; GRANT rayces_app, rayces_admin TO staff; CREATE ROLE legacy LOGIN; GRANT staff TO legacy"
    )
    assert ward.sees("legacy") == 2
    findings = ward.audit("legacy")
    assert {finding.object for finding in findings} == {"staff"}
    assert all("(and with it legacy)" in finding.message for finding in findings)
    ward.mend("legacy")
    assert ward.sees("legacy") == "denied"
    ward.works("legacy")


@pytest.mark.slow
def test_a_login_that_holds_no_role_is_mended_by_what_is_printed(ward: Ward) -> None:
    ward.run("CREATE ROLE nobody LOGIN")
    assert {finding.check for finding in ward.audit("nobody")} == {"role-not-held"}
    ward.mend("nobody")
    assert ward.sees("nobody", "SET ROLE rayces_app") == 0
    assert ward.sees("nobody") == "denied"


@pytest.mark.slow
def test_where_the_schema_is_not_everybodys_a_login_that_inherits_nothing_is_not_lost(ward: Ward) -> None:
    ward.run("CREATE ROLE legacy LOGIN; GRANT rayces_app, rayces_admin TO legacy")
    ward.mend("legacy")
    ward.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    try:
        assert ward.audit("legacy") == []
        first_use.check(_plain(ward.of("legacy")), "rayces_app")
    finally:
        ward.run("GRANT USAGE ON SCHEMA public TO PUBLIC")


@pytest.mark.slow
def test_an_owner_that_migrates_by_itself_sees_nothing_outside_the_library(ward: Ward) -> None:
    ward.run("CREATE ROLE owner LOGIN CREATEROLE")
    ward.run("CREATE DATABASE owned OWNER owner")
    url = make_dsn(ward.url, user="owner", dbname="owned")
    app, admin = ("rayces_app", "rayces_admin") if not ward.modern else ("owned_app", "owned_admin")
    try:
        Runner(url, app_role=app, admin_role=admin).up()
        connection = psycopg2.connect(make_dsn(ward.url, dbname="owned"))
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO organizations (name, subdomain) VALUES ('North', 'north')")
        connection.close()
        owner = psycopg2.connect(url)
        cursor = owner.cursor()
        cursor.execute("SELECT count(*) FROM organizations")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT pg_has_role(%s, 'USAGE')", (admin,))
        assert cursor.fetchone() == (False,)
        owner.close()
        with Database.connect(url, app_role=app, admin_role=admin) as database:
            assert {finding.check for finding in audit(database)} == {"login-unrestricted"}
    finally:
        ward.run("DROP DATABASE owned WITH (FORCE)")


@pytest.mark.slow
def test_what_else_a_login_inherits_stays_its_own_while_it_is_mended(ward: Ward) -> None:
    ward.run("CREATE TABLE reports (id int); CREATE ROLE readers; GRANT SELECT ON reports TO readers")
    for login in ("first", "second"):
        ward.run(f"CREATE ROLE {login} LOGIN; GRANT readers, rayces_admin, rayces_app TO {login}")
    ward.mend("first")
    for login in ("first", "second"):
        assert ward.sees(login) == "denied"
        assert ward.sees(login, "SELECT * FROM reports", "SET ROLE rayces_admin") == 2
        ward.works(login)
    ward.run("DROP TABLE reports")


@pytest.mark.slow
def test_what_mends_a_login_of_the_application_alone_lets_it_become_no_other(ward: Ward) -> None:
    """Not the admin role either, through which logins of PostgreSQL 15 hold both."""
    ward.run("CREATE TABLE reports (id int); CREATE ROLE readers; GRANT SELECT ON reports TO readers")
    for login in ("first", "second", "third"):
        ward.run(f"CREATE ROLE {login} LOGIN; GRANT readers, rayces_app TO {login}")
    ward.run("GRANT rayces_admin TO third")
    ward.mend("first")
    for login in ("first", "second", "third"):
        assert ward.sees(login) == "denied"
        assert ward.sees(login, "SELECT * FROM reports", "SET ROLE rayces_app") == 0
        assert ward.sees(login, "SET ROLE rayces_admin") == (2 if login == "third" else "denied")
        ward.works(login)
    ward.run("DROP TABLE reports")


def _plain(url: str) -> Any:
    """A connection with what first_use asks for."""
    connection = psycopg2.connect(url)
    connection.autocommit = True

    class Asking:
        server_version = connection.server_version

        def plain(self, statement: str, values: Any = None) -> Any:
            cursor = connection.cursor()
            cursor.execute(statement, values)
            return cursor

    return Asking()


OURS = ("rayces_app", "rayces_admin", "rayces_reader", "rayces_auditor")
# What a login was given to inherit, and what it can become once that is mended: the same, or the admin role and all.
INHERITED = (
    ("rayces_reader",),
    ("rayces_auditor",),
    ("rayces_app", "rayces_reader"),
    ("rayces_admin", "rayces_reader", "rayces_auditor"),
    OURS,
)


@pytest.mark.slow
@walked("of_others", [False, True], ids=["of the library's roles alone", "of others too"])
def test_each_role_that_a_login_inherits_it_can_become_afterwards_and_no_other(ward: Ward, of_others: bool) -> None:
    """The roles that read are no other memberships, and reading becomes no writing by what is printed."""
    logins = {f"legacy_{number}": roles for number, roles in enumerate(INHERITED)}
    ward.run("CREATE TABLE reports (id int); CREATE ROLE readers; GRANT SELECT ON reports TO readers")
    try:
        for login, roles in logins.items():
            ward.run(f"CREATE ROLE {login} LOGIN; GRANT {', '.join(roles)} TO {login}")
            if of_others:
                ward.run(f"GRANT readers TO {login}")
        remedies = ward.inherited()
        assert set(remedies) == set(logins)
        if not ward.modern and not of_others:
            assert remedies == {login: f'ALTER ROLE "{login}" NOINHERIT;' for login in logins}
        for remedy in remedies.values():
            ward.run(remedy)
        assert ward.inherited() == {}
        for login, roles in logins.items():
            becomes = {role for role in OURS if ward.becomes(login, role)}
            more = becomes - set(roles)
            assert becomes >= set(roles), login
            assert more == set() or "rayces_admin" in roles, login
            assert ward.sees(login) == "denied"
            if of_others:
                assert ward.sees(login, "SELECT * FROM reports", f"SET ROLE {roles[0]}") != "denied"
    finally:
        ward.run("DROP TABLE reports")
        for login in logins:
            ward.run(f"DROP OWNED BY {login}; DROP ROLE {login}")
        ward.run("DROP ROLE readers")


@pytest.mark.slow
def test_a_login_of_other_roles_keeps_them_when_it_is_let_in_as_is_printed(ward: Ward) -> None:
    """By the doctor and at first use: before PostgreSQL 16 NOINHERIT would have taken them."""
    ward.run("CREATE TABLE reports (id int); CREATE ROLE readers; GRANT SELECT ON reports TO readers")
    try:
        for login in ("by_doctor", "at_first_use"):
            ward.run(f"CREATE ROLE {login} LOGIN; GRANT readers, rayces_reader TO {login}")
            ward.run(ward.inherited()[login])
        ward.mend("by_doctor")
        for role, privileged in (("rayces_app", False), ("rayces_admin", True)):
            with pytest.raises(RoleNotHeldError) as caught:
                first_use.check(_plain(ward.of("at_first_use")), role, privileged=privileged)
            ward.run(str(caught.value).partition("a DBA can allow it: ")[2].partition(" Or give")[0])
            first_use.check(_plain(ward.of("at_first_use")), role, privileged=privileged)
        assert not ward.becomes("by_doctor", "rayces_admin")
        for login in ("by_doctor", "at_first_use"):
            assert ward.sees(login) == "denied"
            assert ward.sees(login, "SELECT * FROM reports", "SET ROLE rayces_app") == 0
        assert ward.inherited() == {}
    finally:
        ward.run("DROP TABLE reports")
