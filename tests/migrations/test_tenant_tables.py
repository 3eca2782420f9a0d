"""migrator.tenant_table: the table is held by all three walls, the doctor is silent, and every write works that may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import peewee
import pytest

from rayces_core import Student, TenantForeignKey, TenantModel, TimestampedTenantModel
from rayces_core.database.database import Database
from rayces_core.doctor import audit
from rayces_core.errors import (
    DuplicateError,
    MigrationError,
    PermissionDeniedError,
    ReadOnlyError,
    ReferenceNotFoundError,
    StillReferencedError,
)
from rayces_core.fields import TextField
from rayces_core.migrations import Parent
from rayces_core.migrations.session import MigrationDatabase, connected, dedicated
from rayces_core.migrations.steps import Migrator, backfill, backfill_sql
from rayces_core.migrations.tenant_tables import quoted_table
from tests.conftest import cloned
from tests.factory import make_organization
from tests.walking import walked


class Room(TimestampedTenantModel):
    name = TextField()
    capacity = peewee.IntegerField(default=1)

    class Meta:
        table_name = "t_rooms"


class Bed(TimestampedTenantModel):
    room = TenantForeignKey(Room, backref="beds")
    student = TenantForeignKey(Student, null=True, backref="beds")
    label = TextField()

    class Meta:
        table_name = "t_beds"


class Reading(TenantModel):
    code = peewee.CharField(primary_key=True)
    value = peewee.IntegerField()
    note = TextField(null=True)

    class Meta:
        table_name = "t_readings"


def _tables(migrator: Migrator) -> None:
    migrator.tenant_table(
        "t_rooms", "name text NOT NULL, capacity integer NOT NULL CHECK (capacity > 0),", unique=["name"]
    )
    migrator.tenant_table(
        "t_beds",
        "label text NOT NULL -- on the door",
        parents={
            "room_id": "t_rooms",
            "student_id": Parent("students", nullable=True, on_delete="SET NULL"),
        },
        unique=[("room_id", "label")],
        indexes=[("label", "room_id")],
    )
    migrator.tenant_table(
        "t_readings",
        "value integer NOT NULL, note text",
        key="code",
        key_type="varchar(20)",
        timestamps=False,
        editable=["note"],
        deletable=False,
    )


@contextmanager
def migrating(database: Database) -> Iterator[Migrator]:
    """A migrator on the database; what is queued within the block runs in one transaction at its end."""
    own = dedicated(database)
    own.app_role, own.admin_role = database.app_role, database.admin_role
    with connected(own):
        migrator = Migrator(own)
        yield migrator
        with own.atomic():
            migrator()


@pytest.fixture(scope="module")
def host(create_database: Any, template: str) -> Iterator[Database]:
    """A migrated database with three tables of a host's."""
    with Database.connect(create_database(template), pool_timeout=10) as database:
        with migrating(database) as migrator:
            _tables(migrator)
        yield database


@pytest.fixture
def own_db(server_url: str, template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    with cloned(server_url, template) as url, Database.connect(url, pool_timeout=10) as database:
        yield database


@pytest.mark.slow
def test_the_doctor_finds_nothing_in_such_tables(host: Database) -> None:
    assert [finding for finding in audit(host) if "t_" in str(finding.object)] == []


def test_rows_are_made_changed_and_deleted_at_once(host: Database) -> None:
    with host.tenant(make_organization(host)):
        room = Room.create(name="blue", capacity=2)
        bed = Bed.create(room=room, label="left")
        room.name, bed.label = "green", "right"
        assert room.save() == bed.save() == 1
        assert bed.delete_instance() == room.delete_instance() == 1


def test_privileged_work_reads_and_writes_rows_of_every_organization(host: Database) -> None:
    organizations = [make_organization(host) for _ in range(2)]
    for organization in organizations:
        with host.tenant(organization):
            Room.create(name="seen by the admin")
    with host.privileged(reason="a test"):
        mine = Room.select().where(Room.name == "seen by the admin")
        assert {room.organization_id for room in mine} == {each.id for each in organizations}
        assert Room.delete().where(Room.name == "seen by the admin").execute() == 2


def test_another_organizations_rows_are_neither_seen_nor_referred_to_nor_in_the_way(host: Database) -> None:
    with host.tenant(make_organization(host)):
        theirs = Room.create(name="one")
    with host.tenant(make_organization(host)):
        Room.create(name="one")
        with pytest.raises(DuplicateError):
            Room.create(name="one")
        assert host.engine.execute_sql("SELECT count(*) FROM t_rooms").fetchone() == (1,)
        with pytest.raises(ReferenceNotFoundError):
            Bed.create(room_id=theirs.id, label="left")


def test_what_a_deleted_parent_leaves_is_what_on_delete_says(host: Database) -> None:
    with host.tenant(make_organization(host)) as organization:
        room, student = Room.create(name="one"), Student.create(first_name="Ana", last_name="Paz")
        bed = Bed.create(room=room, student=student, label="left")
        student.delete_instance()
        again = Bed.get_by_id(bed.id)
        assert (again.student_id, again.organization_id) == (None, organization.id)
        with pytest.raises(StillReferencedError):
            room.delete_instance()


def test_what_tenants_may_not_edit_or_delete_they_cannot(host: Database) -> None:
    with host.tenant(make_organization(host)):
        reading = Reading.create(code="a", value=1)
        reading.note = "seen"
        assert reading.save() == 1
        reading.value = 2
        with pytest.raises(PermissionDeniedError):
            reading.save()
        with pytest.raises(PermissionDeniedError):
            Reading.delete().execute()


@walked(
    ("table", "columns"),
    [
        ("t_rooms", ["organization_id, id", "organization_id, name"]),
        (
            "t_beds",
            [
                "organization_id, id",
                "organization_id, label, room_id",
                "organization_id, room_id, label",
                "organization_id, student_id",
            ],
        ),
        ("t_readings", ["organization_id, code"]),
    ],
)
def test_each_parent_has_an_index_unless_one_begins_with_it(host: Database, table: str, columns: list[str]) -> None:
    with connected(dedicated(host)), dedicated(host) as own:
        found = own.execute_sql(
            "SELECT substring(pg_get_indexdef(indexrelid) FROM '[(](.*)[)]$') FROM pg_index "
            "WHERE indrelid = %s::regclass",
            (table,),
        ).fetchall()
    assert sorted(definition for (definition,) in found) == columns


WRONG = [
    ("a unique column", {"columns": "email text UNIQUE"}, "unique over all organizations; name its columns in unique="),
    ("a unique constraint", {"columns": "a int, b int, UNIQUE (a, b)"}, "unique over all organizations"),
    (
        "a plain reference",
        {
            "columns": "student_id bigint, FOREIGN KEY (organization_id) REFERENCES organizations (id), "
            "user_id bigint REFERENCES t_plain (id)"
        },
        "refers to t_plain without organization_id; name the table in parents=",
    ),
    (
        "an exclusion",
        {"columns": "during tstzrange, EXCLUDE USING gist (during WITH &&)"},
        "excludes rows of other organizations; begin it with organization_id WITH =",
    ),
    ("a serial", {"columns": "number serial"}, "make it GENERATED BY DEFAULT AS IDENTITY"),
    ("organizations as a parent", {"parents": {"other_id": "organizations"}}, "has its organization_id already"),
    (
        "an unknown action",
        {"parents": {"student_id": Parent("students", on_delete="VANISH")}},
        "it is one of NO ACTION",
    ),
    (
        "set null of what must be",
        {"parents": {"student_id": Parent("students", on_delete="SET NULL")}},
        "nullable=True",
    ),
    ("a word for a list", {"columns": "name text", "unique": "name"}, r"has to be a list .*: \['name'\]"),
    ("an index over all", {"indexes": [("organization_id", "name")]}, "is put first by itself"),
    ("an editable word", {"columns": "name text", "editable": "name"}, r"a list of columns: \['name'\]"),
    ("an editable key", {"editable": ["id"]}, "id of a row never changes"),
    ("a name of three parts", {"name": "a.b.c"}, "is no name of a table"),
    ("a name that is too long", {"name": "r" * 64}, "of at most 63 bytes"),
]


@walked(("what", "arguments", "sentence"), WRONG)
def test_what_would_lead_round_a_wall_is_refused_with_what_to_write(
    host: Database, what: str, arguments: dict[str, Any], sentence: str
) -> None:
    arguments = {"name": "t_wrong", **arguments}
    with pytest.raises((MigrationError, peewee.DatabaseError), match=sentence), migrating(host) as migrator:
        migrator.sql("CREATE TABLE t_plain (organization_id bigint, id bigint UNIQUE)")
        migrator.tenant_table(**arguments)
    with connected(own := dedicated(host)):
        assert own.one("SELECT to_regclass('t_wrong')::text") is None


@pytest.mark.slow
def test_a_unique_or_excluding_key_that_begins_with_the_organization_may_stand_in_the_columns(own_db: Database) -> None:
    with migrating(own_db) as migrator:
        migrator.tenant_table(
            "t_shifts",
            "during tstzrange NOT NULL, day date, UNIQUE (organization_id, day), "
            "EXCLUDE USING gist (organization_id WITH =, during WITH &&)",
        )
    assert [finding for finding in audit(own_db) if "t_shifts" in str(finding.object)] == []


@pytest.mark.slow
@walked("name", ["Café 100%", 'odd "quoted"', "it's {braces}", "billing.bills"])
def test_tables_of_any_name_and_schema_are_held(host: Database, name: str) -> None:
    with migrating(host) as migrator:
        migrator.sql("CREATE SCHEMA IF NOT EXISTS billing")
        migrator.tenant_table(name, "note text", parents={"Student": "students", "room's": "t_rooms"})
    assert [finding for finding in audit(host) if finding.severity == "error"] == []
    with host.tenant(make_organization(host)):
        assert host.engine.execute_sql(f"SELECT count(*) FROM {quoted_table(name)}").fetchone() == (0,)
    with migrating(host) as migrator:
        migrator.drop_tenant_table(name)
    assert name.rpartition(".")[2] not in _names(host)


def _names(host: Database) -> set[str]:
    with connected(own := dedicated(host)):
        return {name for (name,) in own.execute_sql("SELECT relname::text FROM pg_class").fetchall()}


@pytest.mark.slow
def test_default_privileges_give_the_roles_no_more_than_the_table_does(own_db: Database) -> None:
    with migrating(own_db) as migrator:
        migrator.sql("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, rayces_app, rayces_admin")
        migrator.tenant_table("t_kept", "note text", editable=(), deletable=False)
    assert [finding for finding in audit(own_db) if "t_kept" in str(finding.object)] == []
    with connected(own := dedicated(own_db)):
        assert not own.one("SELECT has_table_privilege('rayces_app', 't_kept', 'UPDATE, DELETE, TRUNCATE')")


def test_it_works_where_the_login_itself_is_the_applications_role(own_db: Database) -> None:
    with connected(own := dedicated(own_db)):
        own.app_role, own.admin_role = own.one("SELECT current_user::text"), own_db.admin_role
        migrator = Migrator(own)
        migrator.tenant_table("t_own", "note text")
        migrator.sql("DO $$ BEGIN ASSERT has_table_privilege('t_own', 'SELECT, INSERT, TRUNCATE'); END $$")
        with own.atomic() as transaction:
            migrator()
            transaction.rollback()


def test_dropping_what_is_not_there_does_nothing(host: Database) -> None:
    with migrating(host) as migrator:
        migrator.drop_tenant_table("t_never_made")


def test_a_new_tenant_table_blocks_nobody_and_stands_in_a_script(host: Database) -> None:
    statements = _statements(host)
    assert not any("CONCURRENTLY" in statement for statement in statements)
    # Rights come last: a run that is killed in between leaves a table that nobody may use.
    grants = [statement.startswith("GRANT") or "GRANT UPDATE" in statement for statement in statements]
    assert grants.index(True) > max(
        place for place, statement in enumerate(statements) if "POLICY" in statement or "ROW LEVEL" in statement
    )


def _statements(host: Database) -> list[str]:
    own = MigrationDatabase(None)
    own.app_role, own.admin_role = host.app_role, host.admin_role
    migrator = Migrator(own)
    migrator.tenant_table("t_one", "note text", parents={"room_id": "t_rooms"})
    return [step.text for step in migrator.steps]


@pytest.mark.slow
def test_a_backfill_reaches_the_rows_that_row_level_security_hides_from_the_owner(
    server_url: str, template: str, fresh_roles: Callable[[], str]
) -> None:
    owner = fresh_roles()
    with cloned(server_url, template) as url, Database.connect(url) as database:
        with migrating(database) as migrator:
            migrator.tenant_table("t_rooms", "name text NOT NULL, capacity integer NOT NULL", unique=["name"])
            migrator.tenant_column("t_rooms", "floor", "integer")
        with database.tenant(make_organization(database)):
            Room.create(name="blue")
        with connected(own := dedicated(url)):
            own.app_role, own.admin_role = database.app_role, database.admin_role
            # Before PostgreSQL 16 whether a role inherits is its own attribute, not the membership's.
            options = " WITH INHERIT FALSE, SET TRUE" if own.server.server_version >= 160_000 else ""
            own.command(f'CREATE ROLE "{owner}" NOINHERIT; ALTER TABLE t_rooms OWNER TO "{owner}"')
            own.command(f'GRANT rayces_admin TO "{owner}"{options}')
            own.command(f'SET SESSION AUTHORIZATION "{owner}"')
            assert own.one("SELECT count(*) FROM t_rooms") == 0
            assert backfill(own, "t_rooms", "floor = 1", "floor IS NULL") == 1
            assert own.one("SELECT current_user::text") == owner
            own.command(backfill_sql("t_rooms", "floor = 2", "floor = 1", commit=False, admin_role="rayces_admin"))
            assert own.one("SELECT current_user::text") == owner
            own.command("RESET SESSION AUTHORIZATION")
            assert own.one("SELECT max(floor) FROM t_rooms") == 2


def test_readers_see_the_rows_of_such_a_table_each_of_its_own_organization(host: Database) -> None:
    organizations = make_organization(host), make_organization(host)
    for organization in organizations:
        with host.tenant(organization):
            Room.create(name=organization.subdomain)
    reader = host.reader()
    for organization in organizations:
        with reader.tenant(organization):
            assert [room.name for room in Room.select()] == [organization.subdomain]
            with pytest.raises(ReadOnlyError):
                Room.create(name="grey")
    with reader.privileged(reason="test"):
        assert {each.subdomain for each in organizations} <= {room.name for room in Room.select()}


@pytest.mark.slow
def test_readers_are_kept_out_of_a_table_and_let_into_one_made_by_hand(own_db: Database) -> None:
    with migrating(own_db) as migrator:
        migrator.tenant_table("t_rooms", "name text NOT NULL, capacity integer NOT NULL", unique=["name"])
        migrator.keep_readers_out("t_rooms")
    organization, reader = make_organization(own_db), own_db.reader()
    with own_db.tenant(organization):
        Room.create(name="blue")
    for block in (reader.tenant(organization), reader.privileged(reason="test")):
        with block, pytest.raises(PermissionDeniedError, match="the reader's role"):
            Room.select().count()
    with migrating(own_db) as migrator:
        migrator.let_readers_in("t_rooms")
        migrator.let_readers_in("t_rooms")  # again, as after a stop half way
    for block in (reader.tenant(organization), reader.privileged(reason="test")):
        with block:
            assert Room.select().count() == 1
    assert [finding for finding in audit(own_db) if "t_rooms" in str(finding.object)] == []


HAND_MADE = """
CREATE SCHEMA annex; GRANT USAGE ON SCHEMA annex TO rayces_app, rayces_admin, rayces_reader, rayces_auditor;
CREATE TABLE annex."Visits" (
    organization_id bigint NOT NULL REFERENCES organizations, id bigint, PRIMARY KEY (organization_id, id)
);
ALTER TABLE annex."Visits" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY anything ON annex."Visits" TO rayces_admin USING (true) WITH CHECK (true)
"""
SEEN_BY_READERS = """
SELECT c.relname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
 WHERE p.polname = 'rayces_reader' AND c.relname IN ('t_rooms', 'Visits') ORDER BY 1
"""


@pytest.mark.slow
def test_the_migration_lets_readers_into_the_tables_that_are_there_and_its_way_back_out_of_them(
    own_db: Database,
) -> None:
    def seen() -> list[str]:
        with connected(own := dedicated(own_db)):
            return [name for (name,) in own.execute_sql(SEEN_BY_READERS).fetchall()]

    with migrating(own_db) as migrator:
        migrator.tenant_table("t_rooms", "name text NOT NULL, capacity integer NOT NULL", unique=["name"])
        migrator.sql(HAND_MADE)
    assert seen() == ["t_rooms"]
    own_db.rollback(to=36, yes=True)
    assert seen() == []
    own_db.migrate()
    assert seen() == ["Visits", "t_rooms"]
    assert [each for each in audit(own_db) if each.check.startswith("reader")] == []
