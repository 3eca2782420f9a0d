"""ServerSide(query) leaves the rows on the server, gives them scoped and converted, and ends with its unit of work."""

import gc

import pytest
from playhouse.postgres_ext import ServerSide

from rayces_core import CrossTenantError, TenancyError, TenantNotSetError, TransactionFailedError, UnsafeSQLError
from tests.factory import make_organization
from tests.tenancy.beside import Room, Seat
from tests.walking import walked

MANY = 3000


@pytest.fixture(scope="module")
def streamed(beside):
    """A tenant of many rooms, which every test leaves as they are."""
    organization = make_organization(beside.db)
    with beside.db.tenant(organization):
        Room.insert_many([(f"s{i}", i) for i in range(MANY)], fields=[Room.name, Room.size]).execute()
    return organization


def cursors(beside):
    return beside.db.execute_sql("SELECT name FROM pg_cursors").fetchall()


def test_the_rows_stay_on_the_server_and_come_in_pieces(beside, streamed):
    sent = []
    with beside.db.tenant(streamed), beside.db.atomic():
        rows = ServerSide(Room.select().order_by(Room.size), array_size=10)
        first = next(rows)
        assert (first.name, first.organization_id, type(first)) == ("s0", streamed.id, Room)
        assert len(cursors(beside)) == 1
        alive = sum(isinstance(each, Room) for each in gc.get_objects())
        assert alive < 100
        sent += [row.size for row in rows]
        assert cursors(beside) == []
    assert sent == list(range(1, MANY))


@walked(
    "query",
    [
        lambda: Room.select(Room.name).order_by(Room.size).tuples(),
        lambda: Room.select(Room.name).order_by(Room.size).dicts(),
        lambda: Room.select(Room.name).order_by(Room.size).namedtuples(),
        lambda: Room.select(Room.name).order_by(Room.size).objects(dict),
        lambda: Room.select(Room.name) | Room.select(Room.name),
        lambda: Room.raw("select name, size from rooms"),
    ],
)
def test_every_kind_of_row_is_streamed_and_is_the_tenants(beside, streamed, query):
    with beside.db.tenant(streamed), beside.db.atomic():
        assert sorted(map(_name, ServerSide(query(), array_size=700))) == sorted(f"s{i}" for i in range(MANY))


def _name(row):
    if isinstance(row, dict):
        return row["name"]
    return row[0] if isinstance(row, tuple) else row.name


def test_joined_rows_are_streamed_with_their_fields_converted(beside):
    with beside.db.tenant(make_organization(beside.db)), beside.db.atomic():
        room = Room.create(name="r")
        Seat.insert_many([(room.id, [i]) for i in range(3)], fields=[Seat.room, Seat.label]).execute()
        rows = list(ServerSide(Seat.select(Seat, Room).join(Room).order_by(Seat.id), array_size=2))
        assert [(row.label, row.room.name) for row in rows] == [([0], "r"), ([1], "r"), ([2], "r")]
        assert list(ServerSide(Seat.select().where(Seat.id < 0))) == []
        assert cursors(beside) == []


def test_outside_a_unit_of_work_it_is_refused_with_the_way_to_do_it(beside, streamed):
    with beside.db.tenant(streamed):
        with pytest.raises(UnsafeSQLError, match="atomic"):
            next(ServerSide(Room.select()))
        assert Room.select().count() == MANY
    with pytest.raises(TenantNotSetError):
        next(ServerSide(Room.select()))


def test_a_write_is_not_streamed(beside, streamed):
    with beside.db.tenant(streamed), beside.db.atomic():
        with pytest.raises(TenancyError, match="execute"):
            next(ServerSide(Room.delete().returning(Room.id)))
        assert Room.select().count() == MANY


@walked("how", ["commit", "rollback", "another unit"])
def test_it_is_not_read_on_after_its_unit_of_work(beside, streamed, how):
    with beside.db.tenant(streamed):
        with beside.db.atomic() as unit:
            rows = ServerSide(Room.select(), array_size=10)
            next(rows)
            if how == "rollback":
                unit.rollback()
        with beside.db.atomic():
            with pytest.raises(TransactionFailedError, match="has ended"):
                list(rows)
            assert Room.select().count() == MANY  # the unit that is open now was not harmed


def test_it_is_not_read_on_after_the_savepoint_that_it_was_begun_in_is_undone(beside, streamed):
    with beside.db.tenant(streamed), beside.db.atomic():
        with beside.db.atomic() as inner:
            rows = ServerSide(Room.select(), array_size=10)
            next(rows)
            inner.rollback()
        with pytest.raises(TransactionFailedError):
            list(rows)
        assert Room.select().count() == MANY


def test_another_tenants_block_gets_none_of_it(beside, streamed):
    with beside.db.tenant(streamed), beside.db.atomic():
        rows = ServerSide(Room.select(), array_size=10)
        next(rows)
    with beside.db.tenant(beside.organization), pytest.raises(CrossTenantError):
        next(rows)


@pytest.mark.slow
def test_one_that_is_left_behind_gives_up_its_cursor(beside, streamed):
    with beside.db.tenant(streamed), beside.db.atomic():
        rows = ServerSide(Room.select(), array_size=10)
        next(rows)
        rows.close()
        assert cursors(beside) == []
        left = ServerSide(Room.select(), array_size=10)
        next(left)
    with beside.db.tenant(streamed), beside.db.atomic():
        del left
        gc.collect()
        assert Room.select().count() == MANY


def test_iterator_keeps_no_rows_but_uses_no_cursor_of_the_server(beside, streamed):
    with beside.db.tenant(streamed), beside.db.atomic():
        rows = Room.select().iterator()
        next(rows)
        assert cursors(beside) == []
