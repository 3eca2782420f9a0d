"""A hardened database: the library works on it, tenants' SQL has less, and it is undone exactly. On 18 and on 15."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2.extensions import make_dsn

from rayces_core import Appointment, Database, User, credits, exporting, importing, scheduling
from rayces_core.doctor import audit, audit_connection, is_hardened
from rayces_core.errors import ConfigurationError, MissingRoleError, SchemaMissingError
from rayces_core.migrating import Runner
from rayces_core.migrating.hardening import FUNCTIONS, SET_CONFIG
from tests.exporting.worlds import fill
from tests.factory import make_organization
from tests.importing.world import make_centre
from tests.migrating.fortress import Fortress
from tests.migrating.restoring import binaries
from tests.scheduling.agenda import DAY, HOUR, NOW, make_one, make_student

ACLS = """
SELECT p.oid::regprocedure::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
  FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.pronamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT c.oid::regclass::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
  FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'pg_catalog'::regnamespace
ORDER BY 1, 2, 3
"""

ROOMS = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE rooms (id int)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE rooms")
"""


@pytest.mark.slow
@pytest.mark.parametrize("fortress", ["embedded", "oldest"], indirect=True)
def test_everything_the_library_does_works_on_it(hardened: Fortress, tmp_path: Path) -> None:
    with Database.connect(hardened.login_url) as database:
        north = make_organization(database)
        with database.tenant(north.subdomain):
            fill()
            professional, student, client = make_one(), make_student(), User.select().first()
            booked = scheduling.book(
                professional=professional,
                student=student,
                client=client,
                scheduled_at=DAY + 12 * HOUR,
                by=client,
                now=NOW,
            )
            with database.atomic():
                credits.purchase(client, 5)
                assert credits.debit(client, 2).balance_after >= 3
            booked.confirm(by=professional.user)
            for _ in range(2):  # raw SQL, and what comes after it on the same connection
                assert database.execute_sql("SELECT count(*) FROM appointments").fetchone()[0] > 0
            assert Appointment.get_by_id(booked.id).state == "confirmed"
            archived = exporting.tenant(tmp_path / "north.tar")
        restored = importing.tenant(database, tmp_path / "north.tar", subdomain="restored")
        assert restored.content_sha256 == archived.content_sha256
        with database.tenant(make_organization(database)):
            make_centre()
            exporting.export("users", tmp_path / "users.csv")
            assert importing.run(tmp_path / "users.csv", "users").created == 0
        with database.privileged(reason="test"):
            assert credits.verify().is_clean
        assert is_hardened(database)
        assert audit(database) == []


@pytest.mark.slow
def test_migrations_run_on_it_as_a_named_login_that_owns_its_tables(unhardened: Fortress, directory: Any) -> None:
    login = unhardened.make_login(f"other_{unhardened.login}")
    unhardened.sql(f"GRANT CREATE ON SCHEMA public TO {login}")
    unhardened.harden(logins=[login])
    runner = Runner(make_dsn(unhardened.url, user=login), directory(m001_rooms=ROOMS), history_table="guard_migrations")
    assert runner.up() == ["001_rooms"]
    assert runner.down(0) == ["001_rooms"]
    unhardened.sql(f"DROP OWNED BY {login}")


@pytest.mark.slow
@pytest.mark.parametrize("fortress", ["embedded", "oldest"], indirect=True)
def test_nothing_of_what_was_taken_is_left_to_tenants(hardened: Fortress) -> None:
    takes = {
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared(1, 2)",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT loread(lo_open(1, 262144), 10)",
        "UPDATE pg_settings SET setting = 'x' WHERE name = 'application_name'",
        """SELECT "lo_creat"(1)""",
    }
    sets = {
        """SELECT "set_config"('rayces.organization_id', '2', true)""",
        """SELECT U&"set\\005fconfig"('rayces.organization_id', '2', true) UNION ALL SELECT last_name FROM students""",
        "DO $$ BEGIN PERFORM set_config('rayces.organization_id', '2', false); END $$",
    }
    assert [statement for statement in takes if not hardened.refuses(statement)] == []
    # Where the library itself calls it as the tenants' role, it is the role's.
    left = {statement for statement in sets if not hardened.refuses(statement)}
    assert left == (sets if hardened.roles_keep_set_config else set())
    assert not hardened.refuses("SELECT pg_advisory_xact_lock(1)")


def test_another_login_of_the_server_has_nothing_of_it(hardened: Fortress) -> None:
    stranger = hardened.make_login("stranger_within")
    hardened.sql(f"REVOKE rayces_app, rayces_admin FROM {stranger}")
    connection = psycopg2.connect(make_dsn(hardened.url, user=stranger, password="x"))
    with pytest.raises(errors.InsufficientPrivilege, match="set_config"):
        connection.cursor().execute("SELECT set_config('search_path', '', false)")
    connection.close()


@pytest.mark.slow
def test_undone_it_is_exactly_as_it_was(unhardened: Fortress) -> None:
    # A right that somebody gave before is neither taken nor forgotten.
    unhardened.sql(f"GRANT EXECUTE ON FUNCTION lo_creat(integer), pg_advisory_lock(bigint) TO {unhardened.login}")
    before = unhardened.sql(ACLS)
    assert unhardened.hardening().run().statements
    assert unhardened.sql(ACLS) != before
    assert unhardened.hardening().run().statements == ()
    unhardened.hardening().run(undo=True)
    assert unhardened.sql(ACLS) == before
    unhardened.sql(f"REVOKE EXECUTE ON FUNCTION lo_creat(integer), pg_advisory_lock(bigint) FROM {unhardened.login}")
    with pytest.raises(ConfigurationError, match="nothing to undo"):
        unhardened.hardening().run(undo=True)


@pytest.mark.slow
def test_what_was_closed_before_stays_closed_when_it_is_undone(unhardened: Fortress) -> None:
    unhardened.sql("REVOKE EXECUTE ON FUNCTION lo_unlink(oid) FROM PUBLIC")
    before = unhardened.sql(ACLS)
    unhardened.harden()
    unhardened.hardening().run(undo=True)
    assert unhardened.sql(ACLS) == before
    unhardened.sql("GRANT EXECUTE ON FUNCTION lo_unlink(oid) TO PUBLIC")


@pytest.mark.slow
def test_a_login_made_later_is_found_and_running_it_again_lets_it_in(hardened: Fortress) -> None:
    newcomer = hardened.make_login("newcomer")
    assert hardened.checks() == {"hardening-login"}
    with pytest.raises(Exception, match="permission denied for function set_config"):
        psycopg2.connect(make_dsn(hardened.url, user=newcomer, password="x")).cursor().execute(
            "SELECT set_config('search_path', '', false)"
        )
    hardened.harden()
    assert hardened.checks() == set()
    hardened.sql(f"DROP OWNED BY {newcomer}")


@pytest.mark.slow
def test_a_login_that_is_named_keeps_what_it_has(unhardened: Fortress) -> None:
    unhardened.sql("CREATE ROLE backup_login LOGIN")
    unhardened.made.append("backup_login")
    unhardened.harden(logins=["backup_login"])
    assert unhardened.sql(f"SELECT has_function_privilege('backup_login', '{SET_CONFIG}', 'EXECUTE')") == [(True,)]
    unhardened.hardening().run(undo=True)
    assert "backup_login" not in {role for _, role, *_ in unhardened.sql(ACLS)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC", "hardening-incomplete"),
        ("GRANT UPDATE ON pg_settings TO PUBLIC", "hardening-incomplete"),
        ("COMMENT ON POLICY rayces_tenant ON organizations IS NULL", "hardening-incomplete"),
        ("GRANT EXECUTE ON FUNCTION lo_create(oid) TO rayces_app", "hardening-bypassed"),
        (
            "; ".join(f"GRANT EXECUTE ON FUNCTION {name} TO PUBLIC" for name in FUNCTIONS)
            + "; GRANT UPDATE ON pg_settings TO PUBLIC",
            "hardening-undone",
        ),
    ],
    ids=["one function", "the settings", "without its mark", "given to the role", "as after a restore"],
)
def test_what_is_no_longer_so_is_found_and_its_remedy_mends_it(hardened: Fortress, change: str, check: str) -> None:
    hardened.sql(change)
    with Database.connect(hardened.login_url) as database:
        (finding,) = audit(database)
    assert finding.check == check
    if finding.remedy.startswith("-- rayces migrate harden --yes"):
        hardened.harden()
    else:
        hardened.sql(finding.remedy)
    assert hardened.checks() == set()


def test_only_a_superuser_can_and_is_told_so(unhardened: Fortress) -> None:
    with pytest.raises(MissingRoleError, match="--sql"):
        unhardened.hardening(unhardened.login_url).run()
    assert unhardened.hardening(unhardened.login_url).plan().script.startswith("BEGIN;\nREVOKE EXECUTE")
    assert unhardened.hardening().plan().statements


def test_the_printed_script_does_the_same(unhardened: Fortress) -> None:
    unhardened.sql(unhardened.hardening(unhardened.login_url).plan().script)
    assert unhardened.hardening().plan().statements == ()
    unhardened.sql(unhardened.hardening(unhardened.login_url).plan(undo=True).script)
    assert len(unhardened.hardening().plan().statements) > len(FUNCTIONS)


@pytest.mark.slow
def test_a_dump_of_a_named_login_and_of_a_superuser_still_works(unhardened: Fortress) -> None:
    unhardened.sql("CREATE ROLE dumper LOGIN BYPASSRLS PASSWORD 'x' IN ROLE pg_read_all_data")
    unhardened.made.append("dumper")
    unhardened.harden(logins=["dumper"])
    program = binaries(unhardened.url) / "pg_dump"
    for url in (unhardened.url, make_dsn(unhardened.url, user="dumper", password="x")):
        done = subprocess.run([program, url], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert "REVOKE ALL ON FUNCTION pg_catalog.set_config" in done.stdout
        assert "rayces: hardened" in done.stdout
    unhardened.hardening().run(undo=True)


def test_an_unknown_login_or_no_schema_is_an_error_before_anything(unhardened: Fortress) -> None:
    with pytest.raises(ConfigurationError, match="no login nobody_here"):
        unhardened.harden(logins=["nobody_here"])
    with pytest.raises(SchemaMissingError):
        unhardened.hardening(make_dsn(unhardened.url, dbname="template1")).plan()


@pytest.mark.slow
def test_a_database_that_was_never_hardened_has_no_finding_of_it(unhardened: Fortress) -> None:
    assert unhardened.checks() == set()
    with Database.connect(unhardened.login_url) as database:
        assert not is_hardened(database)
    assert {finding.check for finding in audit_connection(unhardened.connection)} == {"login-unrestricted"}
