"""A block that only reads: the server refuses what writes in it, and it costs no message."""

import pytest

from rayces_core import (
    ConfigurationError,
    Database,
    InvalidDataError,
    Organization,
    Post,
    ReadOnlyError,
    Student,
    TenantSwitchError,
    credits,
)
from tests.factory import make_organization, make_student, make_user
from tests.wire import binds_tenant, wire

WRITES = {
    "insert": lambda db: Student.create(first_name="Luz", last_name="Sosa"),
    "update": lambda db: Student.update(grade_level="3rd").execute(),
    "delete": lambda db: Student.delete().execute(),
    "many": lambda db: Student.insert_many([{"first_name": "a", "last_name": "b"}] * 2).execute(),
    "raw": lambda db: db.execute_sql("UPDATE students SET grade_level = '3rd'"),
    "lock": lambda db: list(Student.select().for_update()),
    "posting": lambda db: credits.purchase(1, 5),
    "cursor": lambda db: db.engine.connection().cursor().execute("DELETE FROM posts"),
    "write again": lambda db: db.execute_sql("SET TRANSACTION READ WRITE; DELETE FROM posts"),
    "write again by setting": lambda db: db.execute_sql("SET LOCAL transaction_read_only TO off; DELETE FROM posts"),
}


@pytest.fixture
def reading(own_pool):
    """A Database in a block that only reads, whose organization has a student."""
    organization = make_organization(own_pool)
    with own_pool.tenant(organization):
        make_student()
    with own_pool.tenant(organization, read_only=True):
        yield own_pool


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("in_unit", [False, True], ids=["alone", "in a unit"])
def test_what_writes_is_refused_by_the_server_and_reading_goes_on(reading, write, in_unit):
    # What would have it write again is refused as a fault of the transaction's state.
    with pytest.raises(Exception, match=r"read-only|read-write mode must be set before any query"):
        if in_unit:
            with reading.atomic():
                write(reading)
        else:
            write(reading)
    assert Student.select().count() == 1


def test_the_error_says_what_to_do(reading):
    with pytest.raises(ReadOnlyError, match=r"this block only reads: .*tenant\(…, read_only=False\)"):
        Post.delete().execute()


def test_a_savepoint_cannot_write_either(reading):
    with reading.atomic():
        with pytest.raises(ReadOnlyError), reading.atomic():
            Student.delete().execute()
        assert Student.select().count() == 1


def test_a_block_within_it_only_reads_unless_it_says_otherwise(reading):
    north = reading.organization_id
    other = make_organization(reading)
    for organization in (north, other):
        with reading.tenant(organization), pytest.raises(ReadOnlyError):
            make_user()
    with reading.tenant(north, read_only=False):
        Student.delete().execute()
        with reading.tenant(north), reading.tenant(north, read_only=True), pytest.raises(ReadOnlyError):
            make_user()
        with reading.tenant(north):
            make_student()
    assert Student.select().count() == 1
    with reading.privileged(reason="test"):
        Organization.update(name="Renamed").where(Organization.id == north).execute()
    assert Organization.get().name == "Renamed"


def test_it_is_refused_in_a_unit_of_work_whose_rows_it_would_not_see(db, a):
    with db.tenant(a), db.atomic():
        make_student()
        with pytest.raises(TenantSwitchError, match="whose rows a block that only reads would not see"):
            with db.tenant(a, read_only=True):
                pass
        assert Student.select().count() == 1


def test_a_unit_that_only_reads_cannot_be_left_for_a_block_that_writes(db, a, b):
    with db.tenant(a, read_only=True), db.atomic():
        for again in (db.tenant(a), db.tenant(a, read_only=True)):
            with again:
                assert Student.select().count() == 0
        with pytest.raises(TenantSwitchError, match="a unit of work that only reads is open"):
            with db.tenant(a, read_only=False):
                pass
        with pytest.raises(TenantSwitchError, match="another tenant"), db.tenant(b):
            pass


def test_no_message_is_added(own_pool):
    organization = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        with database.tenant(organization):
            Student.select().count()
        proxy.sent.clear()
        with database.tenant(organization, read_only=True):
            Student.select().count()
            Student.get_or_none(Student.id == 1)
            assert len(proxy.sent) == 2
            assert all(binds_tenant(each) for each in proxy.sent)
            proxy.sent.clear()
            with database.atomic(findable=True):
                Student.select().count()
            assert [message.partition(";")[0] for message in proxy.sent[::2]] == ["BEGIN", "COMMIT"]
            assert len(proxy.sent) == 3


def test_a_connection_is_cleansed_for_another_tenant_but_not_for_writing(own_pool, a):
    organization = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url, max_connections=1) as database:
        with database.tenant(a):
            pass
        with database.tenant(organization, read_only=True):
            database.execute_sql("SELECT 1")
            with database.tenant(organization, read_only=False):
                make_student()
        proxy.sent.clear()
        with database.tenant(organization):
            assert Student.select().count() == 1
        assert len(proxy.sent) == 1
        with database.tenant(a, read_only=True):
            assert Student.select().count() == 0
        assert "DISCARD ALL" in proxy.sent


def test_as_a_decorator_it_only_reads_each_time(db, a):
    @db.tenant(a, read_only=True)
    def write():
        make_student()

    for _ in range(2):
        with pytest.raises(ReadOnlyError):
            write()


def test_rows_that_were_read_in_it_can_be_saved_outside(reading):
    (student,) = Student.select()
    with reading.tenant(reading.organization_id, read_only=False):
        student.grade_level = "4th"
        student.save()
    assert Student.get().grade_level == "4th"


def test_in_a_unit_with_an_isolation_level_it_reads_one_moment(reading):
    with reading.atomic("REPEATABLE READ"):
        assert Student.select().count() == 1
        with Database.connect(reading.url) as other, other.tenant(reading.organization_id):
            make_student()
        assert Student.select().count() == 1
    with reading.atomic("SERIALIZABLE"):
        assert Student.select().count() == 2


def test_a_database_without_replicas_gives_tokens_and_takes_them(db, a):
    with db.tenant(a):
        make_student()
        token = db.causal_token()
    with db.tenant(a, read_only=True, after=token):
        assert Student.select().count() == 1
    assert db.pool_status().replicas == ()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"replicas": "postgresql://localhost/clinic"}, "list of URLs"),
        ({"replicas": 1}, "list of URLs"),
        ({"replicas": ["mysql://localhost/clinic"]}, "only postgresql://"),
        ({"replicas": [""]}, "URL is empty"),
        ({"replica_wait_seconds": -1}, "from 0"),
        ({"replica_rest_seconds": float("nan")}, "from 0"),
        ({"replica_lag_seconds": -1}, "None for no limit"),
    ],
)
def test_malformed_options_are_told(options, said):
    with pytest.raises(ConfigurationError, match=said):
        Database.connect("postgresql://localhost/clinic", **options)


@pytest.mark.parametrize("token", ["", "x", "0123abcd", "0123abcd.", "0123abcd.G", 7, b"0123abcd.1", "0123abcd.1;"])
def test_a_token_that_is_none_is_told(db, a, token):
    from rayces_core.database.positions import position_in

    with pytest.raises(InvalidDataError, match="no token"):
        position_in(token, "0123abcd")
