"""A database that has lost its roles, and with them its policies and grants, is what its migrations make again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Database, Student
from rayces_core.doctor import Finding, audit
from rayces_core.doctor.needed import WRITES
from rayces_core.doctor.repairing import Repair, Repaired
from rayces_core.errors import (
    ConfigurationError,
    MissingRoleError,
    RoleNotHeldError,
    SchemaMissingError,
    UnknownTenantError,
)
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import read_directory
from rayces_core.migrations.session import dedicated
from tests.conftest import on_server
from tests.doctor.breaks import TENANT
from tests.factory import MAKERS, make_organization, make_student
from tests.sizes import exhaustive, first

APP, ADMIN, READER, AUDITOR = "mended_app", "mended_admin", "mended_reader", "mended_auditor"
ROLES = f"{APP}, {ADMIN}, {READER}, {AUDITOR}"
LOST = f"DROP OWNED BY {ROLES} CASCADE"


class Lost:
    """A migrated database with roles of its own, which it can lose."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True

    def run(self, sql: str) -> list[Any]:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []

    def repair(self, url: str | None = None, **options: Any) -> Repair:
        own = dedicated(url or self.url)
        own.app_role, own.admin_role, own.retry_seconds = APP, ADMIN, 2.0
        return Repair(own, **options)

    def lose_roles(self) -> None:
        """As pg_restore leaves it on a server without them: every grant to them and every policy of theirs is gone."""
        self.run(f"{LOST}; DROP ROLE {ROLES}")

    def found(self) -> list[Finding]:
        with Database.connect(self.url, app_role=APP, admin_role=ADMIN) as database:
            return [finding for finding in audit(database) if finding.severity == "error"]

    def errors(self) -> set[str]:
        return {finding.check for finding in self.found()}

    def lines(self) -> list[str]:
        return fingerprint(self.connection)


@pytest.fixture(scope="module", params=["embedded", *exhaustive("oldest")])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("server_url" if request.param == "embedded" else "oldest_server_url"))


@pytest.fixture(scope="module")
def made(server: str) -> Iterator[Lost]:
    on_server(server, "DROP DATABASE IF EXISTS mended WITH (FORCE)")
    on_server(server, "CREATE DATABASE mended")
    url = make_dsn(server, dbname="mended")
    Runner(url, app_role=APP, admin_role=ADMIN).up()
    lost = Lost(url)
    yield lost
    lost.connection.close()
    on_server(server, "DROP DATABASE mended WITH (FORCE)")
    for role in (*ROLES.split(", "), "mended_holders"):
        on_server(server, f"DROP ROLE IF EXISTS {role}")


@pytest.fixture(scope="module")
def whole(made: Lost) -> list[str]:
    return made.lines()


@pytest.fixture
def lost(made: Lost, whole: list[str]) -> Iterator[Lost]:
    """The same database, whole again after the test."""
    yield made
    if made.lines() != whole:
        made.repair().run()
        assert made.lines() == whole


@pytest.mark.slow
def test_after_the_roles_are_lost_one_repair_leaves_what_the_migrations_make(lost: Lost, whole: list[str]) -> None:
    lost.lose_roles()
    assert lost.errors() == {"role-missing"}
    assert lost.lines() != whole
    done = lost.repair().run()
    assert [finding for finding in done.left if finding.severity == "error"] == []
    assert lost.lines() == whole
    assert lost.errors() == set()


@pytest.mark.slow
def test_a_repair_of_what_is_well_does_nothing(lost: Lost) -> None:
    assert lost.repair().run().statements == ()
    assert lost.repair().plan() == Repaired((), lost.repair().run().left)
    assert lost.repair().plan().script == "-- nothing to do\n"


@pytest.mark.slow
def test_after_a_repair_the_library_works_for_tenants_and_for_nobody_else(lost: Lost) -> None:
    with Database.connect(lost.url, app_role=APP, admin_role=ADMIN) as database:
        organizations = [make_organization(database) for _ in range(2)]
        for organization in organizations:
            with database.tenant(organization):
                make_student()
    lost.lose_roles()
    lost.repair().run()
    every_write_works(lost)
    with Database.connect(lost.url, app_role=APP, admin_role=ADMIN) as database:
        for organization in organizations:
            with database.tenant(organization):
                make_student()
                assert Student.select().count() == 2
                assert database.execute_sql("SELECT count(*) FROM students").fetchone() == (2,)


@pytest.mark.slow
def test_a_plan_keeps_nothing_and_psql_does_by_its_script_what_a_run_does(lost: Lost, whole: list[str]) -> None:
    lost.lose_roles()
    before = lost.lines()
    script = lost.repair().plan().script
    assert lost.lines() == before
    assert lost.errors() == {"role-missing"}
    done = subprocess.run(["psql", "-X", "-q", lost.url], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert lost.lines() == whole
    assert lost.repair().run().statements == ()


# Two findings ask for the same policy: of a policy that is wrong twice over, and of two that are wrong alike.
TWICE = (
    (
        "DROP POLICY rayces_tenant_update ON credit_transactions; "
        f"CREATE POLICY mine ON credit_transactions FOR UPDATE TO {APP} USING ({TENANT}) WITH CHECK (true)"
    ),
    (
        "DROP POLICY rayces_tenant_update ON credit_transactions; "
        f"CREATE POLICY mine ON credit_transactions FOR UPDATE TO {APP} USING ({TENANT}); "
        f"CREATE POLICY other ON credit_transactions FOR UPDATE TO {APP} USING ({TENANT})"
    ),
    "ALTER POLICY rayces_lookup ON organizations USING (true)",
)


@pytest.mark.slow
@pytest.mark.parametrize("broken", first(1, TWICE))
def test_what_two_findings_ask_for_is_made_once(lost: Lost, whole: list[str], broken: str) -> None:
    lost.run(broken)
    lost.repair().run()
    lost.run("DROP POLICY IF EXISTS other ON credit_transactions")  # whether that is too much, a repair does not say
    assert (lost.found(), lost.lines()) == ([], whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        f"REVOKE INSERT ON users FROM {APP}",
        f"REVOKE UPDATE (notes) ON appointments FROM {APP}; REVOKE USAGE ON SCHEMA public FROM PUBLIC, {ADMIN}, {APP}",
        f"GRANT ALL ON credit_transactions TO {APP}; GRANT SELECT ON users TO PUBLIC",
        *exhaustive(
            "DROP POLICY rayces_tenant ON posts; DROP POLICY rayces_lookup ON organizations",
            "ALTER POLICY rayces_tenant ON students USING (true)",
            "ALTER TABLE likes DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
            f"REVOKE ALL ON rayces_migrations FROM {APP}, {ADMIN}",
        ),
    ],
)
def test_whatever_is_lost_of_a_wall_is_made_again(lost: Lost, whole: list[str], broken: str) -> None:
    lost.run(broken)
    assert lost.lines() != whole
    assert lost.repair().run().statements != ()
    assert sorted(set(lost.lines()) ^ set(whole)) == (
        # That everybody may use the schema is not this library's to say.
        ["grant usage on schema to public"] if "PUBLIC, " in broken else []
    )
    lost.run("GRANT USAGE ON SCHEMA public TO PUBLIC")


@pytest.mark.slow
def test_tables_that_another_login_owns_are_told_of_before_anything_runs_and_given_back(
    lost: Lost, server: str
) -> None:
    lost.run("CREATE ROLE mended_owner LOGIN CREATEROLE")
    url = make_dsn(lost.url, user="mended_owner")
    try:
        with pytest.raises(
            RoleNotHeldError, match=r"other tables belong to .* rayces migrate repair --owner mended_own"
        ):
            lost.repair(url).run()
        lost.lose_roles()
        lost.repair(owner="mended_owner").run()
        assert lost.repair(url).run().statements == ()
        assert lost.run("SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'users'") == [
            ("mended_owner",)
        ]
        with Database.connect(url, app_role=APP, admin_role=ADMIN) as database:
            assert {finding.check for finding in audit(database)} == {"login-unrestricted"}
            make_organization(database)
            assert Runner(url, app_role=APP, admin_role=ADMIN).down(yes=True) == [read_directory(None)[-1].name]
            Runner(url, app_role=APP, admin_role=ADMIN).up()
    finally:
        lost.repair(owner=_me(lost).strip('"')).run()
        lost.run("DROP OWNED BY mended_owner; DROP ROLE mended_owner")


@pytest.mark.slow
def test_logins_get_the_role_that_is_named_for_them_and_inherit_nothing(lost: Lost) -> None:
    with pytest.raises(ConfigurationError, match="there is no login mended_web; make it first"):
        lost.repair(logins=["mended_web"]).run()
    lost.run("CREATE ROLE mended_web LOGIN; CREATE ROLE mended_job LOGIN")
    try:
        lost.lose_roles()
        options = {"logins": ["mended_web"], "admin_logins": ["mended_job"]}
        lost.repair(**options).run()
        assert lost.repair(**options).run().statements == ()
        url, admin_url = (make_dsn(lost.url, user=name) for name in ("mended_web", "mended_job"))
        with Database.connect(url, admin_url=admin_url, app_role=APP, admin_role=ADMIN) as database:
            assert audit(database) == []
            with database.tenant(make_organization(database)):
                make_student()
    finally:
        lost.run("DROP ROLE mended_web; DROP ROLE mended_job")


@pytest.mark.slow
def test_a_login_of_other_roles_keeps_what_it_has_by_them_and_becomes_no_more_than_was_named(lost: Lost) -> None:
    """Before PostgreSQL 16 NOINHERIT would take it, so it is let in through a role that gives no more than that."""
    lost.run("CREATE ROLE mended_readers; CREATE TABLE reports (id int); GRANT SELECT ON reports TO mended_readers")
    lost.run("COMMENT ON TABLE reports IS 'rayces: shared'; CREATE ROLE mended_web LOGIN; CREATE ROLE mended_job LOGIN")
    lost.run("GRANT mended_readers TO mended_web, mended_job")
    try:
        lost.lose_roles()
        options = {"logins": ["mended_web"], "admin_logins": ["mended_job"]}
        lost.repair(**options).run()
        assert lost.repair(**options).run().statements == ()
        for login, role, other in (("mended_web", APP, ADMIN), ("mended_job", ADMIN, None)):
            with closing(psycopg2.connect(make_dsn(lost.url, user=login))) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT * FROM reports")
                cursor.execute("SELECT pg_has_role(%s, 'USAGE')", (role,))
                assert cursor.fetchone() == (False,)
                cursor.execute(f"SET ROLE {role}; RESET ROLE")
                if other is not None:
                    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                        cursor.execute(f"SET ROLE {other}")
    finally:
        lost.run("DROP TABLE reports; DROP ROLE mended_web, mended_job, mended_readers")
        lost.run(f"DROP ROLE IF EXISTS {APP}_holders, mended_holders")


@pytest.mark.slow
def test_a_login_that_may_not_make_roles_gets_the_statements_for_a_dba(lost: Lost) -> None:
    lost.run("CREATE ROLE mended_plain LOGIN; GRANT CURRENT_USER TO mended_plain".replace("CURRENT_USER", _me(lost)))
    try:
        lost.lose_roles()
        with pytest.raises(MissingRoleError, match=f'ask a DBA to run:\n  CREATE ROLE "{APP}" NOLOGIN'):
            lost.repair(make_dsn(lost.url, user="mended_plain")).run()
    finally:
        lost.run("DROP ROLE mended_plain")


def _me(lost: Lost) -> str:
    return str(lost.run("SELECT quote_ident(current_user)")[0][0])


@pytest.mark.slow
def test_numbers_that_a_replication_left_behind_catch_up(lost: Lost) -> None:
    with Database.connect(lost.url, app_role=APP, admin_role=ADMIN) as database:
        organization = make_organization(database)
        with database.tenant(organization):
            last = make_student().id
        lost.run("SELECT setval('students_id_seq', 1, false)")
        done = lost.repair(numbers=True).run()
        assert done.statements == (f"SELECT setval('students_id_seq', {last})",)
        with database.tenant(organization):
            assert make_student().id == last + 1
        assert lost.repair(numbers=True).run().statements == ()


@pytest.mark.slow
def test_a_table_of_the_host_gets_policies_and_rights_too(lost: Lost) -> None:
    lost.run(
        """CREATE TABLE rooms (
               organization_id bigint NOT NULL REFERENCES organizations (id),
               id bigint GENERATED BY DEFAULT AS IDENTITY, name text, PRIMARY KEY (organization_id, id))"""
    )
    try:
        lost.repair().run()
        assert lost.errors() == set()
        rights = (
            "SELECT has_table_privilege('{0}', 'rooms', 'INSERT'), has_column_privilege('{0}', 'rooms', 'id', 'UPDATE')"
        )
        assert lost.run(rights.format(APP)) == [(True, False)]
    finally:
        lost.run("DROP TABLE rooms")


def test_a_database_without_schema_is_told_to_get_one(server: str, made: Lost) -> None:
    with pytest.raises(SchemaMissingError, match="rayces migrate up"):
        made.repair(make_dsn(made.url, dbname=parse_dsn(server).get("dbname", "postgres"))).run()


@pytest.mark.exhaustive
def test_who_follows_the_doctor_instead_comes_to_the_end_and_every_write_of_the_models_works(lost: Lost) -> None:
    """`make test` keeps the repair, after which every write works as well."""
    lost.lose_roles()
    rounds = 0
    while rounds < 5 and (found := lost.found()):
        script = "".join(f"{finding.remedy}\n" for finding in found)
        done = subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", lost.url], input=script, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        rounds += 1
    assert (lost.found(), rounds) == ([], 2)
    every_write_works(lost)


def every_write_works(lost: Lost) -> None:
    """Every verb on every table, and every column that may be changed, as a tenant and in privileged work."""
    with Database.connect(lost.url, app_role=APP, admin_role=ADMIN) as database:
        organization = make_organization(database)
        with database.tenant(organization):
            for make in MAKERS.values():
                make()
            written(database, "UPDATE {table} SET {column} = {column}")
        with database.privileged(reason="test"):
            written(database, "UPDATE {table} SET {column} = {column}", but=KEPT_AS_WRITTEN)
            organization.name = "Renamed"
            organization.save()


# What is settled, and what the journal says, nobody changes.
KEPT_AS_WRITTEN = ("state_transitions", "credit_transactions", "outbox_messages")


def written(database: Database, statement: str, but: tuple[str, ...] = ()) -> None:
    for table, rights in WRITES.items():
        for column in rights.split():
            if column.islower() and table not in but:
                database.execute_sql(statement.format(table=table, column=column))
        if table not in (*but, *KEPT_AS_WRITTEN) and "DELETE" in rights.split():
            database.execute_sql(f"DELETE FROM {table} WHERE id = -1")


@pytest.mark.slow
def test_a_readers_login_is_pinned_to_its_organization_or_reads_all_and_inherits_nothing(lost: Lost) -> None:
    lost.run("CREATE ROLE mended_bi LOGIN; CREATE ROLE mended_head LOGIN; COMMENT ON ROLE mended_bi IS 'Dashboards.'")
    try:
        with Database.connect(lost.url, app_role=APP, admin_role=ADMIN) as database:
            organizations = [make_organization(database) for _ in range(2)]
            for organization in organizations:
                with database.tenant(organization):
                    make_student(last_name=organization.subdomain)
            mine, other = organizations
            lost.lose_roles()
            options = {"reader_logins": [f"mended_bi={mine.subdomain}", "mended_head"]}
            lost.repair(**options).run()
            assert lost.repair(**options).run().statements == ()
            assert lost.errors() == set()
            bi, head = (database.reader(url=make_dsn(lost.url, user=name)) for name in ("mended_bi", "mended_head"))
            with bi.tenant(mine.subdomain):
                assert [student.last_name for student in Student.select()] == [mine.subdomain]
            with pytest.raises(UnknownTenantError), bi.tenant(other.subdomain):
                pass
            with head.privileged(reason="test"):
                assert {each.subdomain for each in organizations} <= {each.last_name for each in Student.select()}
            comment = "SELECT shobj_description('mended_bi'::regrole, 'pg_authid')"
            assert lost.run(comment) == [(f"Dashboards.\nrayces: organization {mine.id} of mended",)]
            lost.repair(reader_logins=[f"mended_bi={other.id}"]).run()
            with bi.tenant(other.id):
                assert Student.select().count() == 1
    finally:
        lost.run("DROP ROLE mended_bi; DROP ROLE mended_head")


@pytest.mark.slow
def test_a_login_that_may_bind_any_organization_and_one_that_is_not_there_are_not_pinned(lost: Lost) -> None:
    with Database.connect(lost.url, app_role=APP, admin_role=ADMIN) as database:
        organization = make_organization(database)
    with pytest.raises(ConfigurationError, match="there is no login mended_bi; make it first"):
        lost.repair(reader_logins=[f"mended_bi={organization.id}"]).run()
    lost.run(f"CREATE ROLE mended_bi LOGIN; GRANT {APP} TO mended_bi")
    try:
        with pytest.raises(ConfigurationError, match=f"holds {APP}, so it may read any organization"):
            lost.repair(reader_logins=[f"mended_bi={organization.id}"]).run()
        with pytest.raises(UnknownTenantError):
            lost.run(f"REVOKE {APP} FROM mended_bi")
            lost.repair(reader_logins=["mended_bi=nobody-at-all"]).run()
    finally:
        lost.run("DROP ROLE mended_bi")
