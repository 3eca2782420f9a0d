"""The doctor says nothing of a healthy database, and finds each mistake, as that mistake and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pglast
import pytest
from psycopg2.extensions import make_dsn

from rayces_core.database.database import Database
from rayces_core.doctor import CHECKS, audit, audit_connection
from rayces_core.errors import DatabaseUnreachableError, SchemaMissingError
from tests.conftest import on_server
from tests.doctor.breaks import BREAKS, EACH_DROPPED, HELD_TABLE, PARTITION, PARTITIONED, TENANT, Break
from tests.doctor.patient import Patient


@pytest.mark.slow
def test_a_healthy_database_has_no_findings(healthy_url: str, plain_login: str) -> None:
    with Database.connect(make_dsn(healthy_url, user=plain_login, password="plain")) as database:
        assert audit(database) == []


@pytest.mark.slow
def test_the_migrating_superuser_is_told_that_it_is_one(healthy_url: str) -> None:
    with Database.connect(healthy_url) as database:
        (finding,) = audit(database)
    assert (finding.check, finding.severity) == ("login-unrestricted", "warning")
    assert "is a superuser" in finding.message


@pytest.mark.slow
def test_createrole_gives_a_login_every_role_on_15_alone(patient: Patient) -> None:
    patient.run("ALTER ROLE {login} CREATEROLE")
    expected = {"login-unrestricted"} if patient.connection.server_version < 160000 else set()
    assert patient.codes() == expected


# `make test` keeps the first mistake of each check: where there are more, they are others of the same kind.
SEEN: Counter[str] = Counter()
KEPT = [number for number, each in enumerate(BREAKS) if not SEEN.update([each.check]) and SEEN[each.check] == 1]
EACH_BREAK = [
    pytest.param(each, id=f"{each.check}-{number}", marks=() if number in KEPT else pytest.mark.exhaustive)
    for number, each in enumerate(BREAKS)
]


@pytest.mark.slow
@pytest.mark.parametrize("broken", EACH_BREAK)
def test_a_mistake_is_found_as_what_it_is_and_its_remedy_mends_it(patient: Patient, broken: Break) -> None:
    patient.run(broken.sql)
    found = patient.audit()
    assert {finding.check for finding in found} == {broken.check} | broken.others
    meant = [finding for finding in found if finding.check == broken.check]
    spelled = broken.object.replace("{login}", patient.login).replace("{database}", patient.database)
    assert {finding.severity for finding in meant} == {broken.severity}
    assert {finding.object for finding in meant} == {spelled} if spelled else len(meant) > 1
    for finding in found:
        pglast.parse_sql(finding.remedy)
    if broken.mends:
        patient.mend(found)


def test_every_check_has_a_mistake_that_it_finds() -> None:
    # Some need a database of their own: tests/migrating/test_hardening.py, tests/migrating/test_fitness.py.
    codes = {check.code for check in CHECKS if not check.code.startswith(("hardening-", "database-encoding"))}
    assert codes == {broken.check for broken in BREAKS}


def test_every_check_has_a_code_of_its_own() -> None:
    codes = [check.code for check in CHECKS]
    assert len(codes) == len(set(codes))


@pytest.mark.slow
def test_a_host_table_that_is_held_has_no_findings(patient: Patient) -> None:
    patient.run(HELD_TABLE.format(table="bills", partitioning=""))
    assert patient.audit() == []


@pytest.mark.slow
def test_a_host_table_with_an_organization_and_nothing_else_is_found_open(patient: Patient) -> None:
    patient.run("CREATE TABLE bills (id bigint PRIMARY KEY, organization_id bigint)")
    assert patient.codes() == {
        "rls-disabled",
        "policy-missing",
        "policy-admin",
        "tenant-column-nullable",
        "primary-key-not-tenant-first",
        "organization-key-missing",
        "grant-missing",
    }


@pytest.mark.slow
def test_a_table_of_another_schema_is_audited_when_it_refers_to_organizations(patient: Patient) -> None:
    patient.run(
        """CREATE SCHEMA billing;
           CREATE TABLE billing.bills (id bigint, organization_id bigint REFERENCES organizations);
           CREATE TABLE billing.unrelated (id bigint, organization_id bigint)"""
    )
    assert {finding.object for finding in patient.audit()} == {"billing.bills"}


@pytest.mark.slow
def test_a_partition_under_row_level_security_needs_no_policy(patient: Patient) -> None:
    patient.run(PARTITIONED + PARTITION + "ALTER TABLE visits_0 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert patient.audit() == []


@pytest.mark.slow
def test_an_inheriting_table_in_another_schema_is_audited(patient: Patient) -> None:
    patient.run("CREATE SCHEMA archive; CREATE TABLE archive.posts () INHERITS (posts)")
    assert ("rls-partition", "archive.posts") in {(finding.check, finding.object) for finding in patient.audit()}


HOLIDAYS = "CREATE TABLE holidays (day date PRIMARY KEY); GRANT SELECT ON holidays TO rayces_app, PUBLIC;"


@pytest.mark.slow
def test_a_table_without_an_organization_that_tenants_cannot_reach_is_nobodys_concern(patient: Patient) -> None:
    patient.run("CREATE TABLE holidays (day date PRIMARY KEY); GRANT INSERT ON holidays TO rayces_admin")
    patient.run(
        "CREATE SCHEMA inner_room; CREATE TABLE inner_room.plans (id int); GRANT SELECT ON inner_room.plans TO PUBLIC"
    )
    assert patient.audit() == []


@pytest.mark.slow
@pytest.mark.parametrize("words", ["rayces: shared", "Public holidays. rayces: shared, read only"])
def test_what_is_declared_as_shared_is_no_finding(patient: Patient, words: str) -> None:
    patient.run(f"{HOLIDAYS} COMMENT ON TABLE holidays IS '{words}'")
    patient.run("CREATE FUNCTION tick() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
    patient.run(f"COMMENT ON FUNCTION tick() IS '{words}'")
    assert patient.audit() == []


@pytest.mark.slow
@pytest.mark.parametrize("words", ["shared", "rayces: sharedness", "not of rayces"])
def test_other_comments_declare_nothing(patient: Patient, words: str) -> None:
    patient.run(f"{HOLIDAYS} COMMENT ON TABLE holidays IS '{words}'")
    assert patient.codes() == {"shared-relation"}


@pytest.mark.slow
def test_the_way_to_declare_it_is_printed_and_works(patient: Patient) -> None:
    patient.run(HOLIDAYS + "CREATE VIEW next_one AS SELECT min(day) FROM holidays; GRANT SELECT ON next_one TO PUBLIC;")
    for finding in patient.audit():
        patient.run(finding.remedy.partition("every tenant may see it: ")[2])
    assert patient.audit() == []


@pytest.mark.slow
def test_what_an_extension_brings_is_not_ours_to_judge(patient: Patient) -> None:
    patient.run(HOLIDAYS + "ALTER EXTENSION btree_gist ADD TABLE holidays")
    assert patient.audit() == []


@pytest.mark.slow
def test_a_login_that_is_only_the_application_s_is_well(patient: Patient) -> None:
    patient.run("REVOKE rayces_admin FROM {login}")
    assert patient.audit() == []


@pytest.mark.slow
def test_privileged_work_has_a_login_that_is_told_so_when_it_is_used_for_tenants(patient: Patient) -> None:
    patient.run("REVOKE rayces_app FROM {login}")
    assert patient.codes() == {"role-not-held"}


@pytest.mark.slow
def test_every_right_of_the_migrations_is_one_that_the_doctor_would_miss(patient: Patient) -> None:
    tables = "SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity"
    cursor = patient.connection.cursor()
    cursor.execute(
        f"SELECT c.relname::text, 'rayces_app', g.privilege_type, NULL FROM pg_class c, aclexplode(c.relacl) g "
        f"WHERE c.oid IN ({tables}) AND g.grantee = 'rayces_app'::regrole UNION ALL "
        f"SELECT a.attrelid::regclass::text, 'rayces_app', g.privilege_type, a.attname::text FROM pg_attribute a, "
        f"aclexplode(a.attacl) g WHERE a.attrelid IN ({tables}) AND g.grantee = 'rayces_app'::regrole"
    )
    granted = cursor.fetchall()
    assert len({table for table, *_ in granted}) == 36
    patient.run(f"DO $$ DECLARE t oid; BEGIN FOR t IN {tables} LOOP "
                "EXECUTE format('REVOKE ALL ON %s FROM rayces_app', t::regclass); END LOOP; END $$")  # fmt: skip
    missed = {finding.object: finding.remedy for finding in patient.audit() if finding.check == "grant-missing"}
    for finding in patient.audit():
        patient.run(finding.remedy)
    assert patient.audit() == []
    assert [each for each in granted if (each[3] or each[2]) not in missed[each[0]]] == []


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["", ", FOREIGN KEY (organization_id, student_id) REFERENCES students"])
def test_a_table_of_another_schema_that_tenants_reach_is_audited_as_theirs(patient: Patient, keys: str) -> None:
    patient.run(
        f"""CREATE SCHEMA clinic; GRANT USAGE ON SCHEMA clinic TO rayces_app;
            CREATE TABLE clinic.notes (organization_id bigint NOT NULL, id bigint, student_id bigint,
                                       PRIMARY KEY (organization_id, id){keys});
            GRANT SELECT, INSERT ON clinic.notes TO rayces_app"""
    )
    found = {finding.check for finding in patient.audit() if finding.object == "clinic.notes"}
    assert found == {"rls-disabled", "policy-missing", "policy-admin", "organization-key-missing", "grant-missing"}


@pytest.mark.slow
def test_a_database_of_migration_025_is_not_told_to_make_what_026_makes(patient: Patient) -> None:
    patient.run(
        f"""{EACH_DROPPED.format("rayces_tenant")} {EACH_DROPPED.format("rayces_admin")}
            CREATE POLICY rayces_tenant ON credit_transactions TO rayces_app USING ({TENANT}) WITH CHECK ({TENANT});
            CREATE POLICY rayces_admin ON credit_transactions TO rayces_admin USING (true) WITH CHECK (true);
            CREATE POLICY rayces_pending_only ON credit_transactions AS RESTRICTIVE FOR UPDATE TO rayces_app
                USING (status = 'pending') WITH CHECK (true)"""
    )
    assert patient.audit() == []


@pytest.mark.slow
def test_an_integer_names_an_organization_as_well(patient: Patient) -> None:
    patient.run(
        HELD_TABLE.format(table="bills", partitioning="").replace("organization_id bigint", "organization_id int")
    )
    assert patient.audit() == []


@pytest.mark.slow
def test_a_policy_that_only_narrows_is_welcome(patient: Patient) -> None:
    patient.run("CREATE POLICY adults ON students AS RESTRICTIVE TO rayces_app USING (date_of_birth < '2008-01-01')")
    assert patient.audit() == []


@pytest.mark.slow
def test_a_policy_may_leave_the_check_to_its_condition(patient: Patient) -> None:
    patient.run(f"DROP POLICY rayces_tenant ON students; CREATE POLICY own ON students TO rayces_app USING ({TENANT})")
    assert patient.audit() == []


@pytest.mark.slow
def test_a_view_that_asks_as_its_user_is_welcome(patient: Patient) -> None:
    patient.run(
        "CREATE VIEW names WITH (security_invoker) AS SELECT * FROM students; GRANT SELECT ON names TO rayces_app"
    )
    assert patient.audit() == []


@pytest.mark.slow
def test_where_the_login_is_the_application_role_owning_the_tables_is_a_warning(patient: Patient) -> None:
    patient.run("ALTER ROLE rayces_app LOGIN; ALTER TABLE posts OWNER TO rayces_app; GRANT rayces_admin TO {login}")
    patient.run("SET SESSION AUTHORIZATION rayces_app")
    found = {(finding.check, finding.severity) for finding in audit_connection(patient.connection)}
    assert found == {("role-login", "warning"), ("role-owns-table", "warning")}


@pytest.mark.slow
def test_names_that_need_quotes_are_quoted_in_the_remedy(patient: Patient) -> None:
    patient.run('CREATE TABLE "Fee; drop" (organization_id bigint)')
    (finding,) = [each for each in patient.audit() if each.check == "rls-disabled"]
    assert finding.remedy.startswith('ALTER TABLE "Fee; drop" ENABLE')


@pytest.mark.slow
def test_errors_come_before_warnings(patient: Patient) -> None:
    patient.run("ALTER ROLE rayces_app LOGIN; ALTER TABLE students DISABLE ROW LEVEL SECURITY")
    assert [finding.severity for finding in patient.audit()] == ["error", "warning"]


def test_a_database_without_schema_is_told_how_to_get_one(make_database: Callable[..., str]) -> None:
    with Database.connect(make_database()) as database, pytest.raises(SchemaMissingError, match="rayces migrate up"):
        audit(database)


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    with Database.connect("postgresql://nobody@127.0.0.1:1/none") as database, pytest.raises(DatabaseUnreachableError):
        audit(database)


@pytest.mark.slow
def test_other_role_names_are_audited_under_their_names(make_database: Callable[..., str], server_url: str) -> None:
    url = make_database()
    with Database.connect(url, app_role="clinic_app", admin_role="clinic_admin") as database:
        try:
            database.migrate()
            assert {finding.check for finding in audit(database)} == {"login-unrestricted"}
            database.rollback(to=0)
        finally:
            roles = "clinic_app, clinic_admin, clinic_reader, clinic_auditor"
            on_server(url, f"DROP OWNED BY {roles}; DROP ROLE {roles}")
