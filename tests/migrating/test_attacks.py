"""What SQL of one tenant may try against the others, built at run time so that the guard does not see it.

The login holds the tenants' role alone, as a web's should. Each is tried on the database as it is and hardened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database
from rayces_core.errors import RaycesError
from tests.factory import make_organization, make_student, make_user
from tests.migrating.fortress import Fortress

pytestmark = pytest.mark.slow
SECRET = "Zebedee-of-another-tenant"
DOCS = (Path(__file__).parents[2] / "docs" / "tenancy.md").read_text("utf-8")
WHAT_HOLDS = DOCS.partition("## What holds against what")[2].partition("\n## ")[0]


@dataclass
class Siege:
    """A database with two tenants: SQL is run as `one`, and the other's student is called SECRET."""

    fortress: Fortress
    login: str
    database: Database
    one: Any
    other: Any
    student: int
    contact: int
    neighbour: Any
    is_hardened: bool

    def run(self, sql: str) -> str:
        """What raw SQL gives to the tenant: its rows, or its error; undone."""
        with self.database.tenant(self.one), self.database.atomic() as unit:
            try:
                cursor = self.database.execute_sql(sql)
                given = str(cursor.fetchall() if cursor.description else "done")
            except RaycesError as error:
                given = f"{type(error).__name__}: {error}"
            unit.rollback()
        return given

    def built(self, sql: str) -> str:
        """The same within a DO block whose statements are put together at run time; without rows."""
        halves = (sql[: len(sql) // 2], sql[len(sql) // 2 :])
        first, second = (half.replace("'", "''") for half in halves)
        return self.run(f"DO $do$ BEGIN EXECUTE '{first}' || '{second}'; END $do$")

    def as_login(self, statement: str) -> str:
        """The same of a statement that is run once the role is left."""
        return self.run(f"DO $do$ BEGIN EXECUTE 'RESET RO' || 'LE'; {statement}; END $do$")


@pytest.fixture(params=["as it is", "hardened"])
def siege(request: pytest.FixtureRequest, fortress: Fortress) -> Iterator[Siege]:
    fortress = request.getfixturevalue("unhardened" if request.param == "as it is" else "hardened")
    login = f"web_{fortress.login}"
    if login not in fortress.made:
        fortress.sql(f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'x'")
        fortress.sql(f"GRANT rayces_app TO {login}" + (" WITH INHERIT FALSE, SET TRUE" if fortress.modern else ""))
        fortress.made.append(login)
        if request.param == "hardened":
            fortress.harden()
    with Database.connect(fortress.url) as owner:
        one, other = make_organization(owner), make_organization(owner)
        with owner.tenant(one):
            make_student(last_name="Mine")
        with owner.tenant(other):
            student, contact = make_student(last_name=SECRET), make_user()
    url = make_dsn(fortress.url, user=login, password="x")
    with closing(psycopg2.connect(url)) as neighbour, Database.connect(url) as database:
        neighbour.cursor().execute(f"SET ROLE rayces_app; SET rayces.organization_id = '{other.id}'")
        neighbour.cursor().execute(f"SELECT '{SECRET}'")
        yield Siege(
            fortress,
            login,
            database,
            one,
            other,
            student.id,
            contact.id,
            neighbour,
            request.param == "hardened",
        )


# By the server, whatever is hardened.
DENIED = [
    "SET LOCAL ROLE rayces_admin",
    "SET SESSION AUTHORIZATION rayces_admin",
    "ALTER DATABASE {database} SET work_mem = '1MB'",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "CREATE ROLE mine",
    "GRANT rayces_admin TO rayces_app",
    "GRANT rayces_app TO rayces_reader",
    "ALTER ROLE rayces_app BYPASSRLS",
    "ALTER ROLE rayces_app SET rayces.organization_id = '2'",
    "ALTER ROLE rayces_admin SET work_mem = '1MB'",
    "ALTER ROLE ALL SET work_mem = '1MB'",
    "COMMENT ON ROLE rayces_reader IS 'rayces: organization 2 of clinic'",
    "DROP ROLE rayces_reader",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/never'",
    "COPY students FROM '/etc/passwd'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/never')",
    "CREATE EXTENSION dblink",
    "SELECT dblink('', 'SELECT 1')",
    "SELECT pg_terminate_backend({pid})",
    "SELECT pg_cancel_backend({pid})",
    "SELECT pg_log_backend_memory_contexts({pid})",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_promote()",
    "SELECT pg_stat_reset()",
    "SELECT pg_stat_reset_single_table_counters('students'::regclass)",
    "SELECT pg_create_physical_replication_slot('mine')",
    "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_largeobject",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT nextval('users_id_seq')",
    "SELECT setval('users_id_seq', 1)",
    "SELECT last_value FROM users_id_seq",
    "TRUNCATE students",
    "UPDATE students SET organization_id = {other}",
    "UPDATE organizations SET subdomain = 'taken'",
    "INSERT INTO organizations (name, subdomain) VALUES ('x', 'x')",
    "INSERT INTO students (organization_id, first_name, last_name) VALUES ({other}, 'x', 'x')",
    "DELETE FROM credit_transactions",
    "ALTER TABLE students DISABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON students USING (true)",
    "SET LOCAL session_replication_role = replica",
    "DO $$ BEGIN SET LOCAL row_security = off; PERFORM FROM students; END $$",
    "PREPARE TRANSACTION 'mine'",
    "COMMIT",
    "CHECKPOINT",
    "CREATE SUBSCRIPTION mine CONNECTION '' PUBLICATION theirs",
    "CREATE FOREIGN DATA WRAPPER mine",
    "LOAD 'plpgsql'",
]
# Those that hardening takes away; without it docs/tenancy.md lists them.
TAKEN = [
    "DROP OWNED BY CURRENT_USER",
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT lo_create(0)",
    "SELECT pg_advisory_lock(1)",
    "UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'",
]
# Nothing holds these but the guard, which does not see what is built: docs/tenancy.md lists each, by these words.
LISTED = {
    "NOTIFY mine, 'forged'": "NOTIFY",
    "SELECT pg_logical_emit_message(true, 'a', 'b')": "pg_logical_emit_message",
    "SELECT pg_advisory_xact_lock(1)": "pg_advisory_xact_lock",
    "LOCK TABLE students IN ACCESS EXCLUSIVE MODE": "LOCK TABLE",
    "SET LOCAL rayces.organization_id = '{other}'": "binding another tenant",
    "ALTER ROLE CURRENT_USER SET work_mem = '1MB'": "ALTER ROLE CURRENT_USER",
    "ALTER ROLE CURRENT_USER PASSWORD 'another'": "ALTER ROLE CURRENT_USER",
    "RESET ROLE": "RESET ROLE",
}
ABOUT_OTHERS = [
    "SELECT * FROM pg_stats WHERE tablename = 'students'",
    "SELECT * FROM pg_stats_ext",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_stat_get_activity(NULL)",
    "SELECT pg_stat_get_backend_activity(n) FROM generate_series(1, 100) AS n",
    "SELECT * FROM pg_prepared_statements",
    "SELECT * FROM pg_cursors",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_sequences",
    "SELECT * FROM pg_db_role_setting",
    "SELECT * FROM students TABLESAMPLE system (100)",
    "SELECT * FROM students WHERE ctid = ANY (SELECT ('(0,' || n || ')')::tid FROM generate_series(1, 100) AS n)",
    "SELECT * FROM students ORDER BY xmin::text FOR UPDATE",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM students",
    "SELECT count(*) FROM students WHERE last_name::int > 0",
    "SELECT count(*) FROM students WHERE 1 / (length(last_name) - 4) > 0",
    "SELECT lastval()",
    "INSERT INTO students SELECT * FROM students ON CONFLICT DO NOTHING RETURNING *",
]


def test_what_the_server_denies_it_denies_in_a_block_too(siege: Siege) -> None:
    known = {"pid": siege.neighbour.info.backend_pid, "other": siege.other.id}
    known["database"] = siege.fortress.connection.info.dbname
    answers = {each: siege.built(each.format(**known)) for each in DENIED}
    assert [each for each, answer in answers.items() if answer == "done"] == []
    assert siege.neighbour.closed == 0


def test_what_hardening_takes_is_done_without_it_and_denied_with_it(siege: Siege) -> None:
    answers = {each: siege.built(each) for each in TAKEN}
    denied = {each for each, answer in answers.items() if answer.startswith("PermissionDeniedError")}
    assert denied == (set(TAKEN) if siege.is_hardened else set())
    assert {answer for each, answer in answers.items() if each not in denied} <= {"done"}


def test_what_nothing_holds_is_listed(siege: Siege) -> None:
    for each, words in LISTED.items():
        assert siege.built(each.format(other=siege.other.id)) == "done"
        assert words in WHAT_HOLDS


@pytest.mark.parametrize("sql", ABOUT_OTHERS)
def test_nothing_that_is_asked_gives_a_value_of_another_tenant(siege: Siege, sql: str) -> None:
    assert SECRET not in siege.run(sql)


def test_a_function_that_tells_what_it_sees_is_not_shown_other_tenants_rows(siege: Siege) -> None:
    answer = siege.run(
        """DO $do$ BEGIN
            EXECUTE 'CREATE FUNCTION pg_t' || 'emp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS '
                    || '$f$ BEGIN RAISE EXCEPTION $q$seen %$q$, $1; END $f$';
            EXECUTE 'SELECT count(*) FROM students WHERE pg_t' || 'emp.leak(last_name)';
        END $do$"""
    )
    assert SECRET not in answer
    assert ("is refused" if siege.is_hardened else "seen Mine") in answer


def test_another_tenants_row_is_no_other_than_one_that_does_not_exist(siege: Siege) -> None:
    """Foreign keys and unique constraints tell of none."""
    insert = "INSERT INTO students (organization_id, id, first_name, last_name) VALUES ({one}, {id}, 'x', 'x')"
    assert siege.run(insert.format(one=siege.one.id, id=siege.student)) == "done"
    refer = "UPDATE students SET primary_contact_id = {id}"
    answers = [siege.run(refer.format(id=number)) for number in (siege.contact, 999_999)]
    assert "ReferenceNotFoundError" in answers[0]
    assert answers[0].replace(str(siege.contact), "N") == answers[1].replace("999999", "N")


def test_as_the_login_a_tenant_reaches_the_logins_own_sessions_and_password(siege: Siege) -> None:
    """RESET ROLE in what is built; docs/tenancy.md says so."""
    pid = siege.neighbour.info.backend_pid
    assert SECRET in siege.as_login(f"RAISE EXCEPTION '%', (SELECT query FROM pg_stat_activity WHERE pid = {pid})")
    assert siege.as_login("EXECUTE 'ALTER RO' || 'LE CURRENT_USER PASSWORD $p$another$p$'") == "done"
    assert siege.as_login("PERFORM FROM students").startswith("PermissionDeniedError")
    assert siege.as_login(f"PERFORM pg_terminate_backend({pid}, 5000)") == "done"
    with pytest.raises(psycopg2.OperationalError):
        siege.neighbour.cursor().execute("SELECT 1")
    assert "pg_stat_activity" in WHAT_HOLDS
