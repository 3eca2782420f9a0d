"""What changes the schema is refused to tenants of a hardened database, and to nobody who owns it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, Student
from rayces_core.doctor import audit, is_hardened
from rayces_core.errors import MissingRoleError, PermissionDeniedError
from rayces_core.migrating import Runner
from rayces_core.migrating.checking import Expected, unlike
from tests.factory import make_organization, make_student
from tests.migrating.fortress import Fortress
from tests.migrating.restoring import restore

EACH_SERVER = pytest.mark.parametrize("fortress", ["embedded", "oldest"], indirect=True)
HARDENED = "this database is hardened"
# What the guard cannot see: the words come together at run time.
DROPPED = "DO $$ BEGIN EXECUTE 'DROP OW' || 'NED BY CURRENT_USER'; END $$"
POLICIES = "SELECT count(*) FROM pg_policy WHERE polroles = ARRAY['rayces_app'::regrole::oid]"

REFUSED = [
    DROPPED,
    "DROP OWNED BY CURRENT_USER CASCADE",
    "DROP OWNED BY {role}",
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    "GRANT SELECT ON students TO PUBLIC",
    "REVOKE SELECT ON students FROM {role}",
    "COMMENT ON TABLE students IS 'forged'",
    "SECURITY LABEL ON TABLE students IS 'forged'",
    "CREATE TABLE mine (id int)",
    "CREATE TABLE mine AS SELECT 1 AS id",
    "SELECT 1 AS id INTO mine",
    "CREATE UNLOGGED TABLE mine (id int)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE MATERIALIZED VIEW mine AS SELECT 1",
    "CREATE SEQUENCE mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TEMP VIEW mine AS SELECT 1",
    "CREATE TEMP SEQUENCE mine",
    "CREATE TYPE pg_temp.mine AS (id int)",
    "CREATE DOMAIN pg_temp.mine AS int",
    "CREATE SCHEMA mine",
    "CREATE SCHEMA IF NOT EXISTS public",
    "CREATE EXTENSION pg_trgm",
    "CREATE PUBLICATION mine",
    "CREATE STATISTICS mine ON id, content FROM posts",
    "CREATE POLICY mine ON students USING (true)",
    "CREATE TRIGGER mine BEFORE INSERT ON students EXECUTE FUNCTION mine()",
    "ALTER POLICY rayces_tenant ON students USING (true)",
    "ALTER LARGE OBJECT 1 OWNER TO CURRENT_USER",
    "ALTER FUNCTION rayces_hardening.refuse_ddl() SECURITY DEFINER",
    "DROP FUNCTION IF EXISTS mine()",
    "DROP SCHEMA rayces_hardening CASCADE",
    "IMPORT FOREIGN SCHEMA mine FROM SERVER mine INTO public",
]
# No event trigger is asked about these.
DENIED = [
    "ALTER EVENT TRIGGER rayces_refuse_ddl DISABLE",
    "DROP EVENT TRIGGER rayces_refuse_ddl",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION rayces_hardening.refuse_ddl()",
    "SET session_replication_role = replica",
    "ALTER ROLE CURRENT_USER SET session_replication_role = replica",
    "SELECT rayces_hardening.refuse_ddl()",
    "ALTER TABLE students DISABLE ROW LEVEL SECURITY",
    "DROP TABLE students",
    "CREATE INDEX ON students (id)",
]
TEMPORARY = """
    CREATE TEMP TABLE one (id serial PRIMARY KEY, number int CHECK (number > 0)) ON COMMIT DROP;
    CREATE INDEX ON one (number); ALTER TABLE one ADD COLUMN name text;
    INSERT INTO one (number) VALUES (1); ANALYZE one; TRUNCATE one;
    CREATE TEMP TABLE two ON COMMIT DROP AS SELECT 2 AS id; SELECT 3 AS id INTO TEMP three;
    CREATE TABLE pg_temp.four (LIKE pg_class INCLUDING ALL); DROP INDEX one_number_idx; DROP TABLE one, two, three
"""
ANOTHER_BODY = """
    CREATE OR REPLACE FUNCTION rayces_hardening.refuse_ddl() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS 'BEGIN END'
"""
FOR_ONE_COMMAND = """
    DROP EVENT TRIGGER rayces_refuse_ddl;
    CREATE EVENT TRIGGER rayces_refuse_ddl ON ddl_command_start
        WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION rayces_hardening.refuse_ddl();
    ALTER EVENT TRIGGER rayces_refuse_ddl ENABLE ALWAYS
"""


def said(session: Any, statement: str) -> str:
    """What the server answers; undone."""
    cursor = session.cursor()
    cursor.execute("SAVEPOINT before")
    try:
        cursor.execute(statement)
    except psycopg2.Error as error:
        return str(error)
    finally:
        cursor.execute("ROLLBACK TO before")
    return "done"


def test_before_it_one_tenant_can_shut_all_of_them_out_from_16_on(unhardened: Fortress) -> None:
    ((before,),) = unhardened.sql(POLICIES)
    with closing(unhardened.session("rayces_app")) as session:
        cursor = session.cursor()
        cursor.execute(DROPPED)
        cursor.execute(POLICIES)
        assert cursor.fetchone() == (0 if unhardened.modern else before,)
    assert before > 30


@EACH_SERVER
def test_no_tenant_shuts_the_others_out(hardened: Fortress) -> None:
    before = hardened.sql(POLICIES)
    with Database.connect(hardened.login_url) as database:
        one, other = make_organization(database), make_organization(database)
        with database.tenant(other):
            make_student()
        with database.tenant(one), pytest.raises(PermissionDeniedError, match=HARDENED):
            database.execute_sql(DROPPED)
        with database.privileged(reason="test"), pytest.raises(PermissionDeniedError, match=HARDENED):
            database.execute_sql(DROPPED)
        with database.tenant(other):
            assert Student.select().count() == 1
    assert hardened.sql(POLICIES) == before


@pytest.mark.slow
@EACH_SERVER
@pytest.mark.parametrize("role", ["rayces_app", "rayces_admin", "rayces_reader", "NONE"])
def test_nothing_that_changes_the_schema_is_left_even_where_a_grant_allows_it(hardened: Fortress, role: str) -> None:
    name = hardened.login if role == "NONE" else role
    hardened.sql(f"GRANT CREATE ON SCHEMA public TO {name}; GRANT USAGE ON SCHEMA rayces_hardening TO {name}")
    hardened.sql(f"GRANT rayces_reader TO {hardened.login}")
    try:
        with closing(hardened.session(role)) as session:
            answers = {each: said(session, each.format(role=name)) for each in REFUSED}
            assert {each: answer for each, answer in answers.items() if HARDENED not in answer} == {}
            denied = {each: said(session, each) for each in DENIED}
            assert {each: answer for each, answer in denied.items() if answer == "done"} == {}
            assert said(session, TEMPORARY) == "done"
    finally:
        hardened.sql(f"REVOKE CREATE ON SCHEMA public FROM {name}; REVOKE rayces_reader FROM {hardened.login}")
        hardened.sql(f"REVOKE USAGE ON SCHEMA rayces_hardening FROM {name}")


@pytest.mark.slow
def test_no_setting_of_a_tenant_switches_it_off(hardened: Fortress) -> None:
    with closing(hardened.session("rayces_app")) as session:
        settings = ["event_triggers = off"] if session.server_version >= 170_000 else []
        for setting in [*settings, "session_replication_role = replica"]:
            assert "permission denied to set parameter" in said(session, f"SET LOCAL {setting}")
        shadowed = "SET LOCAL search_path = pg_temp, public; CREATE TEMP TABLE pg_namespace (oid oid, nspname name); "
        of_the_language = "SET LOCAL plpgsql.variable_conflict = use_variable; SET LOCAL plpgsql.extra_errors = 'all'; "
        assert HARDENED in said(session, of_the_language + shadowed + DROPPED)


@pytest.mark.slow
def test_a_superuser_and_whoever_owns_the_tables_change_them_as_before(unhardened: Fortress, directory: Any) -> None:
    owner = unhardened.make_login(f"owner_{unhardened.login}")
    before = unhardened.sql("SELECT current_user")[0][0]
    unhardened.repair(owner=owner)
    unhardened.harden()
    assert unhardened.checks() == set()
    unhardened.sql("CREATE TABLE of_the_superuser (id int); DROP TABLE of_the_superuser")
    runner = Runner(make_dsn(unhardened.url, user=owner, password="x"))
    last = runner.status()[-1].number
    assert runner.down(last - 1) == runner.up()
    unhardened.repair(owner=before)
    unhardened.sql(f"DROP OWNED BY {owner}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DROP EVENT TRIGGER rayces_refuse_ddl_done", "is missing"),
        ("ALTER EVENT TRIGGER rayces_refuse_ddl DISABLE", "is disabled"),
        ("ALTER EVENT TRIGGER rayces_refuse_ddl ENABLE REPLICA", "is disabled"),
        ("ALTER FUNCTION rayces_hardening.refuse_ddl() SECURITY DEFINER", "was changed"),
        ("ALTER FUNCTION rayces_hardening.refuse_ddl() RESET search_path", "was changed"),
        ("ALTER FUNCTION rayces_hardening.refuse_ddl() OWNER TO rayces_admin", "was changed"),
        (ANOTHER_BODY, "was changed"),
        (FOR_ONE_COMMAND, "was changed"),
        ("GRANT EXECUTE ON FUNCTION rayces_hardening.refuse_ddl() TO PUBLIC", "lets everybody by"),
        ("DROP SCHEMA rayces_hardening CASCADE", "is missing"),
    ],
)  # fmt: skip
def test_what_is_no_longer_so_is_found_and_its_remedy_mends_it(hardened: Fortress, change: str, fault: str) -> None:
    hardened.sql(change)
    with Database.connect(hardened.login_url) as database:
        (finding,) = audit(database)
    assert finding.check == "hardening-trigger"
    assert finding.message.endswith(fault)
    assert finding.remedy == "-- rayces migrate harden --yes"
    hardened.harden()
    assert hardened.checks() == set()
    assert hardened.refuses(DROPPED)


def test_a_role_of_tenants_that_was_let_by_is_found_and_its_remedy_mends_it(hardened: Fortress) -> None:
    hardened.sql("GRANT EXECUTE ON FUNCTION rayces_hardening.refuse_ddl() TO rayces_app")
    assert not hardened.refuses(DROPPED)
    with Database.connect(hardened.login_url) as database:
        (finding,) = audit(database)
    assert finding.check == "hardening-bypassed"
    hardened.sql(finding.remedy)
    assert hardened.checks() == set()
    assert hardened.refuses(DROPPED)


@pytest.mark.slow
def test_other_owners_of_the_tables_are_found_shut_out_until_it_is_run_again(hardened: Fortress) -> None:
    owner = hardened.make_login(f"heir_of_{hardened.login}")
    before = hardened.sql("SELECT current_user")[0][0]
    hardened.harden()
    hardened.repair(owner=owner)
    with Database.connect(hardened.login_url) as database:
        assert [finding.message for finding in audit(database) if finding.message.endswith("the tables too")] != []
    hardened.harden()
    assert hardened.checks() == set()
    hardened.repair(owner=before)
    hardened.sql(f"DROP OWNED BY {owner}")


@pytest.mark.slow
def test_undone_nothing_of_it_is_left(hardened: Fortress) -> None:
    hardened.hardening().run(undo=True)
    assert hardened.sql("SELECT evtname FROM pg_event_trigger") == []
    assert hardened.sql("SELECT nspname FROM pg_namespace WHERE nspname = 'rayces_hardening'") == []
    assert not hardened.refuses(DROPPED)


@pytest.mark.slow
def test_a_login_that_is_no_superuser_leaves_it_out_and_says_so(unhardened: Fortress) -> None:
    dba, superuser = f"dba_{unhardened.login}", unhardened.sql("SELECT current_user")[0][0]
    unhardened.sql(f"CREATE ROLE {dba} LOGIN; GRANT {superuser} TO {dba}")
    unhardened.made.append(dba)
    url = make_dsn(unhardened.url, user=dba, password="x")
    done = unhardened.hardening(url).run()
    assert "only a superuser makes them" in done.left_out[0]
    assert unhardened.refuses("SELECT lo_create(0)")
    assert not unhardened.refuses(DROPPED)
    assert unhardened.checks() == set()
    again = unhardened.hardening(url).run()
    assert (again.statements, again.left_out) == ((), done.left_out)
    assert unhardened.hardening().run().left_out == ()
    assert unhardened.refuses(DROPPED)
    with pytest.raises(MissingRoleError, match="superuser's"):
        unhardened.hardening(url).run(undo=True)


@pytest.mark.slow
def test_what_an_earlier_version_hardened_is_told_to_do_it_again(unhardened: Fortress) -> None:
    plan = unhardened.hardening().plan()
    for statement in plan.statements:
        if statement.startswith(("REVOKE EXECUTE ON FUNCTION pg_cat", "REVOKE UPDATE", "GRANT EXECUTE", "COMMENT")):
            unhardened.sql(statement)
    assert unhardened.checks() == {"hardening-trigger"}
    unhardened.harden()
    assert unhardened.checks() == set()


@pytest.mark.slow
def test_it_is_no_drift(hardened: Fortress, expected: Expected) -> None:
    assert unlike(Runner(hardened.url), expected, strict=True) == []


@pytest.mark.slow
@EACH_SERVER
def test_dumped_and_restored_it_refuses_as_before(hardened: Fortress) -> None:
    copied = hardened.empty_beside()
    restore(hardened.url, copied.url)
    assert copied.refuses(DROPPED)
    assert copied.checks() == set()
    with Database.connect(copied.login_url) as database:
        assert is_hardened(database)
    copied.drop()


@pytest.mark.slow
def test_restored_without_privileges_it_is_found_undone_and_hardened_again(hardened: Fortress) -> None:
    copied = hardened.empty_beside()
    restore(hardened.url, copied.url, "--no-privileges")
    copied.repair()
    assert copied.checks() == {"hardening-undone"}
    assert not copied.refuses(DROPPED)
    copied.harden()
    assert copied.checks() == set()
    assert copied.refuses(DROPPED)
    copied.drop()
