"""A reader: one role that reads the bound organization, one that reads all, and a login that is a wall by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors as refusals
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Database, Organization, Student, User
from rayces_core.doctor import audit
from rayces_core.errors import (
    ConfigurationError,
    PermissionDeniedError,
    ReadOnlyError,
    RoleNotHeldError,
    SchemaMissingError,
    StatementTimeoutError,
    TenantNotSetError,
    TransactionStateError,
    UnknownTenantError,
)
from rayces_core.migrations.readers import pin
from rayces_core.models import Credential, WebhookEndpoint
from tests.conftest import on_server
from tests.factory import MAKERS, make_organization, make_student
from tests.walking import walked

# What a reader may not read: hashes of passwords and links, and what signs messages.
SECRETS = {"credentials", "single_use_tokens", "webhook_endpoints", "calendar_feeds", "outside_calendars"}
WRITES = {
    "save": lambda: _saved(),
    "update": lambda: Student.update(first_name="x").execute(),
    "delete": lambda: Student.delete().execute(),
    "raw": lambda: _bound().execute_sql("UPDATE students SET first_name = 'x'"),
    "told to write": lambda: _bound().execute_sql("SET LOCAL transaction_read_only = off; DELETE FROM students"),
    "a table": lambda: _bound().execute_sql("CREATE TABLE mine (id int)"),
    "a number": lambda: _bound().execute_sql("SELECT nextval('students_id_seq')"),
    "large object": lambda: _bound().execute_sql("DO $$ BEGIN EXECUTE 'SELECT lo_' || 'create(0)'; END $$"),
    "function": lambda: _bound().execute_sql("DO $$ BEGIN EXECUTE 'TRUNCATE posts'; END $$"),
}


def _saved() -> None:
    student = Student.select().first()
    student.grade_level = "9"
    student.save()


def _bound() -> Any:
    from rayces_core.database.binding import current

    return current().engine


@pytest.fixture(scope="module")
def reader(db: Database) -> Database:
    return db.reader()


@pytest.fixture(scope="module")
def two(db: Database) -> tuple[Any, Any]:
    """Two organizations, with a student each."""
    made = make_organization(db), make_organization(db)
    for organization in made:
        with db.tenant(organization):
            make_student(last_name=organization.subdomain)
    return made


def test_a_reader_reads_the_bound_organization_and_no_other(reader: Database, two: tuple[Any, Any]) -> None:
    for organization in two:
        with reader.tenant(organization.subdomain):
            assert [student.last_name for student in Student.select()] == [organization.subdomain]
            assert reader.execute_sql("SELECT last_name FROM students").fetchall() == [(organization.subdomain,)]
            assert reader.execute_sql("SELECT current_user::text").fetchone() == ("rayces_reader",)


def test_without_a_tenant_a_reader_reads_nothing(reader: Database) -> None:
    with pytest.raises(TenantNotSetError):
        reader.execute_sql("SELECT count(*) FROM students")
    with pytest.raises(TenantNotSetError):
        Student.select().count()


def test_privileged_work_of_a_reader_reads_every_organization(reader: Database, two: tuple[Any, Any]) -> None:
    with reader.privileged(reason="test"):
        seen = {student.last_name for student in Student.select()}
        assert {organization.subdomain for organization in two} <= seen
        assert reader.execute_sql("SELECT current_user::text").fetchone() == ("rayces_auditor",)


@walked("how", WRITES)
def test_a_reader_writes_nothing_whoever_is_bound_and_says_so(reader: Database, two: tuple[Any, Any], how: str) -> None:
    for block in (reader.tenant(two[0]), reader.privileged(reason="test")):
        if how == "large object" and _version(reader) < 160_000:
            continue  # made in read-only transactions too; hardening takes them from everybody
        with block, pytest.raises((ReadOnlyError, PermissionDeniedError, TransactionStateError)) as caught:
            WRITES[how]()
        assert "reader" in str(caught.value) or "must be set before any query" in str(caught.value)


def test_a_reader_makes_no_organization_and_no_schema(reader: Database) -> None:
    with pytest.raises(ReadOnlyError, match="a reader writes nothing: write with the Database that it was made of"):
        reader.create_organization("North", subdomain="reader-north")
    for what in (reader.migrate, reader.rollback, reader.migration_status, lambda: audit(reader)):
        with pytest.raises(ConfigurationError, match=r"Database that .*it was made of|reader was made of"):
            what()


@pytest.mark.slow
@walked("model", MAKERS)
def test_every_table_but_those_with_secrets_is_read(db: Database, reader: Database, a: Any, model: Any) -> None:
    with db.tenant(a):
        MAKERS[model]()
        there = model.select().count()
    for block in (reader.tenant(a), reader.privileged(reason="test")):
        with block:
            if model._meta.table_name in SECRETS:
                with pytest.raises(PermissionDeniedError, match="the reader's role has no right to do this"):
                    model.select().count()
            else:
                assert model.select().where(model.organization == a.id).count() == there > 0


def test_secrets_are_kept_from_raw_sql_too(reader: Database, two: tuple[Any, Any]) -> None:
    for model in (Credential, WebhookEndpoint):
        with reader.privileged(reason="test"), pytest.raises(PermissionDeniedError):
            reader.execute_sql(f"SELECT * FROM {model._meta.table_name}")


@pytest.mark.slow
def test_a_statement_that_takes_too_long_is_ended_by_the_server(db: Database, two: tuple[Any, Any]) -> None:
    for block in ((hasty := db.reader(statement_timeout=0.2)).tenant(two[0]), hasty.privileged(reason="test")):
        with pytest.raises(StatementTimeoutError), block:
            hasty.execute_sql("SELECT pg_sleep(60)")
    with db.reader(statement_timeout=None).tenant(two[0]):
        assert db.reader(statement_timeout=None).execute_sql("SHOW statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize("seconds", [0, -1, 0.0001, float("nan")])
def test_a_time_out_that_is_none_is_refused(db: Database, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="statement_timeout must be seconds"):
        db.reader(statement_timeout=seconds)


def test_the_same_arguments_give_the_same_reader_and_a_readers_reader_is_of_the_same_roles(db: Database) -> None:
    assert db.reader() is db.reader()
    assert db.reader(statement_timeout=1) is not db.reader()
    again = db.reader().reader(statement_timeout=2)
    assert (again.app_role, again.admin_role) == ("rayces_reader", "rayces_auditor")


def test_a_reader_reads_in_a_unit_of_work_and_after_raw_sql_of_another_tenant(reader: Database, two: Any) -> None:
    with reader.tenant(two[0]), reader.atomic("REPEATABLE READ"):
        assert Student.select().count() == 1
    with reader.tenant(two[0]):
        reader.execute_sql("SELECT pg_advisory_xact_lock(1)")
    with reader.tenant(two[1]), pytest.raises(ReadOnlyError):
        make_student()


def test_rows_that_a_reader_gave_are_written_with_the_database_it_was_made_of(
    db: Database, reader: Database, two: Any
) -> None:
    with reader.tenant(two[1]):
        student = Student.get()
    with db.tenant(two[1]):
        student.grade_level = "4"
        assert student.save() == 1


# -- logins ------------------------------------------------------------------------------------------------------------


@dataclass
class Login:
    """A login of its own that holds the reader's role, and nothing else."""

    db: Database
    name: str

    @property
    def url(self) -> str:
        return make_dsn(self.db.url, user=self.name)

    def run(self, sql: str) -> None:
        on_server(self.db.url, sql.format(login=self.name))

    def pin_to(self, *organizations: Any, database: str | None = None) -> None:
        lines = [pin(each.id, database or parse_dsn(self.db.url)["dbname"]) for each in organizations]
        text = "\n".join(["For the dashboards.", *lines])
        self.run(f"COMMENT ON ROLE {{login}} IS '{text}'")

    def sees(self, *before: str, what: str = "SELECT last_name FROM students ORDER BY 1") -> Any:
        """What psql as this login sees after these statements; "denied" where one is refused."""
        connection = psycopg2.connect(self.url)
        try:
            cursor = connection.cursor()
            for statement in (*before, what):
                cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()]
        except refusals.InsufficientPrivilege:
            return "denied"
        finally:
            connection.close()

    def as_reader(self, organization: Any, **options: Any) -> Any:
        return self.sees("SET ROLE rayces_reader", f"SET rayces.organization_id = '{organization.id}'", **options)


@pytest.fixture
def login(db: Database, fresh_login: Callable[[], str]) -> Login:
    return Login(db, fresh_login())


@pytest.fixture
def fresh_login(db: Database) -> Iterator[Callable[[], str]]:
    names: list[str] = []

    def make() -> str:
        names.append(f"bi_{len(names)}_{id(names)}")
        modern = "WITH INHERIT FALSE, SET TRUE" if _version(db) >= 160_000 else ""
        on_server(db.url, f"CREATE ROLE {names[-1]} LOGIN NOINHERIT; GRANT rayces_reader TO {names[-1]} {modern}")
        return names[-1]

    yield make
    for name in names:
        on_server(db.url, f"DROP ROLE {name}")


def _version(db: Database) -> int:
    connection = psycopg2.connect(db.url)
    try:
        return int(connection.server_version)
    finally:
        connection.close()


def test_a_login_that_is_not_pinned_reads_nothing_whatever_it_binds(login: Login, two: tuple[Any, Any]) -> None:
    assert [login.as_reader(organization) for organization in two] == [[], []]
    assert login.sees("SET ROLE rayces_reader", what="SELECT subdomain FROM organizations") == []


def test_a_pinned_login_reads_its_organization_and_no_other_whatever_it_binds(login: Login, two: Any) -> None:
    login.pin_to(two[0])
    assert [login.as_reader(organization) for organization in two] == [[two[0].subdomain], []]
    assert login.as_reader(two[1], what="SELECT subdomain FROM organizations") == []
    for name, seen in ((two[0].subdomain, [two[0].subdomain]), (two[1].subdomain, [])):
        look = f"SET rayces.lookup = '{name}'"
        assert login.sees("SET ROLE rayces_reader", look, what="SELECT subdomain FROM organizations") == seen


ESCAPES = {
    "the login itself": ["RESET ROLE"],
    "no role": ["SET ROLE NONE"],
    "the admin": ["SET ROLE rayces_admin"],
    "the application": ["SET ROLE rayces_app"],
    "the auditor": ["SET ROLE rayces_auditor"],
    "another session": ["SET SESSION AUTHORIZATION rayces_auditor"],
    "its comment": ["COMMENT ON ROLE {login} IS 'rayces: organization {other} of {database}'"],
    "its comment as the role": [
        "SET ROLE rayces_reader",
        "COMMENT ON ROLE {login} IS 'rayces: organization {other} of {database}'",
    ],
    "row security": ["SET ROLE rayces_reader", "SET row_security = off"],
    "a function before": [
        "SET ROLE rayces_reader",
        "CREATE FUNCTION pg_temp.pg_has_role(name, oid, text) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "SET search_path = pg_temp, pg_catalog, public",
    ],
    "a write": ["SET ROLE rayces_reader", "INSERT INTO posts (organization_id, content) VALUES ({other}, 'x')"],
    "more rights": ["GRANT rayces_auditor TO {login}"],
}


@pytest.mark.slow
@walked("how", ESCAPES)
def test_a_pinned_login_cannot_leave_its_organization(login: Login, two: tuple[Any, Any], how: str) -> None:
    login.pin_to(two[0])
    facts = {"login": login.name, "other": two[1].id, "database": parse_dsn(login.db.url)["dbname"]}
    tried = [statement.format(**facts) for statement in ESCAPES[how]]
    assert login.sees(*tried, f"SET rayces.organization_id = '{two[1].id}'") in ("denied", [])


def test_a_pin_counts_for_its_own_database_and_several_lines_for_several_organizations(login: Login, two: Any) -> None:
    login.pin_to(two[0], database="elsewhere")
    assert login.as_reader(two[0]) == []
    login.pin_to(*two)
    assert [login.as_reader(organization) for organization in two] == [[each.subdomain] for each in two]


@pytest.mark.parametrize("words", ["rayces: organization {id}", "not rayces: organization {id} of {database}", "{id}"])
def test_what_only_resembles_a_pin_is_none(login: Login, two: tuple[Any, Any], words: str) -> None:
    text = words.format(id=two[0].id, database=parse_dsn(login.db.url)["dbname"])
    login.run(f"COMMENT ON ROLE {{login}} IS '{text}'")
    assert login.as_reader(two[0]) == []


def test_the_library_works_with_a_pinned_login_and_knows_no_other_organization(
    db: Database, login: Login, two: Any
) -> None:
    login.pin_to(two[0])
    pinned = db.reader(url=login.url)
    with pinned.tenant(two[0].subdomain) as organization:
        assert (organization.id, Student.select().count()) == (two[0].id, 1)
    for other in (two[1].subdomain, two[1].id):
        with pytest.raises(UnknownTenantError), pinned.tenant(other):
            pass
    with pinned.tenant(two[0]):
        assert [each.id for each in Organization.select()] == [two[0].id]
    with pytest.raises(RoleNotHeldError, match=r'GRANT "rayces_auditor" TO .*reader\(admin_url=…\)'):
        with pinned.privileged(reason="test"):
            User.select().count()
    pinned.close()


def test_a_login_without_the_role_works_as_before_and_is_told_how_to_read(
    db: Database, fresh_login: Callable[[], str], two: tuple[Any, Any]
) -> None:
    name = fresh_login()
    modern = "WITH INHERIT FALSE, SET TRUE" if _version(db) >= 160_000 else ""
    on_server(db.url, f"REVOKE rayces_reader FROM {name}; GRANT rayces_app TO {name} {modern}")
    with Database.connect(make_dsn(db.url, user=name)) as web:
        with web.tenant(two[0]):
            assert Student.select().count() == 1
        with pytest.raises(RoleNotHeldError, match=r'cannot become rayces_reader; .*GRANT "rayces_reader" TO') as told:
            with web.reader().tenant(two[0]):
                Student.select().count()
        on_server(db.url, str(told.value).partition("allow it: ")[2].partition(" Or give")[0])
        with web.reader().tenant(two[0]):
            assert Student.select().count() == 1


@pytest.mark.slow
def test_before_the_migration_a_reader_is_told_to_run_it(own_db: Database) -> None:
    own_db.rollback(to=36, yes=True)
    with pytest.raises(SchemaMissingError, match="lets rayces_reader read; run `rayces migrate up`"):
        with own_db.reader().tenant("north"):
            pass
    own_db.migrate()
    organization = make_organization(own_db)
    with own_db.reader().tenant(organization):
        assert Student.select().count() == 0
