"""Acceptance: reads past the models. Raw SQL, psycopg2 cursors and plain Peewee are held by row-level security."""

import io
from contextlib import closing

import peewee
import psycopg2
import pytest
from playhouse.dataset import DataSet
from playhouse.reflection import Introspector
from psycopg2 import sql
from psycopg2.extras import NamedTupleCursor, RealDictCursor

from rayces_core import (
    CrossTenantError,
    Database,
    PermissionDeniedError,
    RaycesError,
    Student,
    TenancyError,
    TenantNotSetError,
    UnsafeSQLError,
    User,
)
from rayces_core.database.binding import database
from tests.factory import make_student
from tests.tenancy.read_paths import texts
from tests.tenancy.worlds import World
from tests.walking import walked

EVERYONE = "select first_name from students"
RAW = {
    "raw": lambda world: texts(Student.raw(EVERYONE)),
    "raw with parameters": lambda world: texts(Student.raw(EVERYONE + " where id >= %s", world.base)),
    "raw as tuples": lambda world: texts(Student.raw(EVERYONE).tuples()),
    "raw as dicts": lambda world: texts(Student.raw(EVERYONE).dicts()),
    "raw iterator": lambda world: texts(Student.raw(EVERYONE).iterator()),
    "execute_sql": lambda world: texts(world.db.execute_sql(EVERYONE).fetchall()),
    "execute_sql in a transaction": lambda world: texts(in_transaction(world)),
    "execute_sql of the engine": lambda world: texts(world.db.engine.execute_sql(EVERYONE).fetchall()),
    "cursor of the engine": lambda world: fetched(world.db.engine.cursor(), EVERYONE),
    "cursor of the connection": lambda world: fetched(world.db.engine.connection().cursor(), EVERYONE),
    "cursor with composed SQL": lambda world: fetched(world.db.engine.cursor(), composed()),
    "cursor with bytes": lambda world: fetched(world.db.engine.cursor(), EVERYONE.encode()),
    "several statements": lambda world: fetched(world.db.engine.cursor(), f"select 1; {EVERYONE}"),
    "plain table": lambda world: texts(peewee.Table("students", ("first_name",)).select().bind(database).tuples()),
    "named source": lambda world: texts(
        Student.select(Student.first_name).from_(peewee.SQL('students AS "t1"')).tuples()
    ),
    "plain model": lambda world: texts(Plain.select()),
    "plain model by id": lambda world: [Plain.get_by_id(world.base).first_name] * Plain.select().count(),
    "reflected model": lambda world: texts(reflected(world).select()),
    "data set": lambda world: texts(DataSet(world.db.engine)["students"].all()),
}


class Plain(peewee.Model):
    """A model that knows nothing of tenants."""

    first_name = peewee.TextField()

    class Meta:
        database = database
        table_name = "students"


def composed():
    return sql.SQL("select {} from {}").format(sql.Identifier("first_name"), sql.Identifier("students"))


def fetched(cursor, statement):
    cursor.execute(statement)
    return texts(cursor.fetchall())


def in_transaction(world):
    with world.db.atomic():
        return world.db.execute_sql(EVERYONE).fetchall()


def reflected(world):
    return Introspector.from_database(world.db.engine).generate_models(table_names=["students"])["students"]


@pytest.mark.slow
@walked("how", RAW)
def test_raw_sql_sees_the_bound_tenants_rows_only(walled, how):
    with walled.in_a():
        assert RAW[how](walled) == ["ours"] * 2
        with walled.in_b():
            assert RAW[how](walled) == ["theirs"] * 3


@walked("how", RAW)
def test_raw_sql_raises_without_a_tenant(walled, how):
    with pytest.raises(TenantNotSetError):
        RAW[how](walled)


def test_a_raw_query_that_a_has_read_gives_bs_rows_under_b(walled):
    query = Student.raw(EVERYONE)
    with walled.in_a():
        assert texts(query) == ["ours"] * 2
    with walled.in_b():
        assert texts(query) == ["theirs"] * 3
    with pytest.raises(TenantNotSetError):
        len(query)


def test_explain_raises_without_a_tenant(walled):
    with pytest.raises(TenantNotSetError):
        walled.db.execute_sql(f"explain {EVERYONE}")
    with pytest.raises(TenantNotSetError):
        Student.select().sql()


def test_a_cursor_that_was_made_under_a_works_for_whoever_is_bound(walled):
    with walled.in_a():
        cursor = walled.db.engine.cursor()
        cursor.execute(EVERYONE)
        with walled.in_b():
            assert fetched(cursor, EVERYONE) == ["theirs"] * 3
        assert fetched(cursor, EVERYONE) == ["ours"] * 2
    with pytest.raises(TenantNotSetError):
        cursor.execute(EVERYONE)


@walked("factory", [psycopg2.extensions.cursor, RealDictCursor, NamedTupleCursor])
def test_a_cursor_that_would_not_carry_the_tenant_is_refused(walled, factory):
    with walled.in_a(), pytest.raises(UnsafeSQLError):
        walled.db.engine.connection().cursor(cursor_factory=factory)


def test_executemany_runs_each_statement_as_the_bound_tenant(walled_pair):
    with walled_pair.in_a(), walled_pair.b_untouched():
        cursor = walled_pair.db.engine.cursor()
        cursor.executemany("update students set first_name = %s where last_name = %s", [("x", "Paz 0"), ("y", "none")])
        assert [row.first_name for row in Student] == ["x"]
    with pytest.raises(TenantNotSetError):
        cursor.executemany("update students set first_name = %s", [("z",)])


# -- server-side cursors and COPY ---------------------------------------------------------------------------------


def test_a_server_side_cursor_reads_the_tenants_rows_within_a_transaction(walled):
    with walled.in_a(), walled.db.atomic(), closing(walled.db.engine.cursor("of_a")) as cursor:
        cursor.itersize = 1
        cursor.execute(EVERYONE)
        assert texts(cursor) == ["ours"] * 2


def test_a_server_side_cursor_is_refused_outside_a_transaction(walled):
    with walled.in_a(), pytest.raises(UnsafeSQLError):
        walled.db.engine.cursor("named").execute(EVERYONE)
    with pytest.raises(TenantNotSetError), walled.db.atomic():
        walled.db.engine.cursor("named").execute(EVERYONE)


def test_copy_gives_the_tenants_rows_within_a_transaction(walled):
    out = io.StringIO()
    with walled.in_a(), walled.db.atomic():
        walled.db.engine.cursor().copy_expert("copy students (first_name) to stdout", out)
    assert out.getvalue().split() == ["ours"] * 2


def test_copy_is_refused_outside_a_transaction_and_without_a_tenant(walled):
    with walled.in_a(), pytest.raises(UnsafeSQLError):
        walled.db.engine.cursor().copy_to(io.StringIO(), "students")
    with pytest.raises(TenantNotSetError):
        walled.db.engine.cursor().copy_expert("copy students to stdout", io.StringIO())


# -- nothing of A stays on the connection ---------------------------------------------------------------------------


@pytest.fixture
def single(walled_pair):
    """Both tenants share one connection."""
    with Database.connect(walled_pair.db.url, max_connections=1) as database:
        yield World(database, walled_pair.a, walled_pair.b, walled_pair.base)


LEAVE_BEHIND = {
    "temporary table": "create temporary table left_behind as select * from students",
    "temporary table in the way": "create temp table students as select * from students",
    "SELECT INTO a temporary table": "select * into temporary left_behind from students",
    "cursor WITH HOLD": "declare left_behind cursor with hold for select * from students",
}


@walked("how", LEAVE_BEHIND)
def test_raw_sql_cannot_leave_rows_of_a_on_the_pooled_connection(single, how):
    with single.in_a(), pytest.raises((UnsafeSQLError, PermissionDeniedError)), single.db.atomic():
        single.db.execute_sql(LEAVE_BEHIND[how])
    with single.in_b():
        assert texts(Student) == ["theirs"]


def test_a_server_side_cursor_ends_with_its_transaction(single):
    with single.in_a():
        with single.db.atomic():
            cursor = single.db.engine.cursor("of_a")
            cursor.execute(EVERYONE)
        with pytest.raises(RaycesError):
            cursor.fetchall()


def test_a_server_side_cursor_cannot_be_kept_beyond_its_transaction(single):
    with single.in_a(), pytest.raises(UnsafeSQLError), single.db.atomic():
        single.db.engine.connection().cursor("of_a", withhold=True).execute(EVERYONE)


def test_a_model_cannot_be_put_in_the_way_of_its_table(single):
    with single.in_a(), pytest.raises(UnsafeSQLError):
        Student.create_table(temporary=True)
    with single.in_b():
        assert texts(Student) == ["theirs"]


def test_rows_are_not_copied_into_a_table_of_their_own(single):
    for temporary in (True, False):
        with single.in_a(), pytest.raises(TenancyError):
            Student.select().create_table("copied", temporary=temporary)


# -- locks ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(pair):
    """Somebody holds the rows of B, and the second student of A."""
    with pair.in_a():
        make_student(id=pair.base + 1, first_name="locked")
    statement = "select from students where organization_id = %s or (organization_id, id) = (%s, %s) for update"
    with closing(psycopg2.connect(pair.db.url)) as connection:
        connection.cursor().execute(statement, (pair.b.id, pair.a.id, pair.base + 1))
        yield pair


def test_locking_rows_waits_for_none_of_another_tenants(locked):
    mine = Student.select().where(Student.id.in_([locked.base]))
    with locked.in_a(), locked.db.atomic():
        assert texts(mine.for_update(nowait=True)) == ["ours"]


def test_locked_rows_of_the_tenant_are_noticed_and_can_be_skipped(locked):
    with locked.in_a():
        with pytest.raises(peewee.OperationalError, match="could not obtain lock"), locked.db.atomic():
            list(Student.select().for_update(nowait=True))
        with locked.db.atomic():
            assert texts(Student.select().for_update(skip_locked=True)) == ["ours"]
            assert texts(User.select().for_update("FOR NO KEY UPDATE")) == ["ours"]


def test_a_lock_is_held_until_the_transaction_ends(pair):
    with pair.in_a(), pair.db.atomic():
        assert texts(Student.select().for_update(of=Student)) == ["ours"]
        with closing(psycopg2.connect(pair.db.url)) as connection, pytest.raises(psycopg2.errors.LockNotAvailable):
            statement = "select from students where organization_id = %s for update nowait"
            connection.cursor().execute(statement, (pair.a.id,))


def test_a_transaction_belongs_to_its_tenant(walled):
    with walled.in_a(), walled.db.atomic():
        query = Student.select().for_update()
        assert texts(query) == ["ours"] * 2
        with pytest.raises((TenancyError, CrossTenantError)), walled.in_b():
            list(query)
