"""Asking a written query for its rows writes nothing again, and a query that is changed in place reads anew."""

import pytest

from rayces_core import TenancyError
from tests.factory import make_organization
from tests.tenancy.beside import Room
from tests.walking import walked


@pytest.fixture(autouse=True)
def rooms(beside):
    organization = make_organization(beside.db)
    with beside.db.tenant(organization), beside.db.atomic() as unit:
        Room.insert_many([(f"w{i}",) for i in range(5)], fields=[Room.name]).execute()
        yield organization
        unit.rollback()


def count():
    return Room.select().count()


READINGS = {
    "list": list,
    "len": len,
    "index": lambda query: query[0],
    "slice": lambda query: query[:1],
    "iter": lambda query: [row for row in query],  # noqa: C416
    "iterator": lambda query: list(query.iterator()),
}
WRITES = {
    "insert": lambda: Room.insert(name="new"),
    "insert returning": lambda: Room.insert(name="new").returning(Room),
    "insert as rowcount returning": lambda: Room.insert(name="new").returning(Room.id).as_rowcount(),
    "insert_many": lambda: Room.insert_many([("new",), ("newer",)], fields=[Room.name]),
    "insert_from": lambda: Room.insert_from(Room.select(Room.name.concat("x")), [Room.name]),
    "upsert": lambda: Room.insert(name="w0").on_conflict(
        conflict_target=[Room.name], update={Room.size: Room.size + 1}
    ),
    "update returning": lambda: Room.update(size=Room.size + 1).returning(Room.id, Room.size),
    "delete returning": lambda: Room.delete().where(Room.name == "w0").returning(Room),
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
def test_the_rows_of_a_write_are_read_without_writing_again(write, reading, executed):
    query = WRITES[write]()
    if executed:
        query.execute()
    first = READINGS[reading](query)
    after = (count(), sum(room.size for room in Room.select()))
    assert repr(READINGS[reading](query)) == repr(first)
    assert len(list(query)) == len(query) > 0
    assert (count(), sum(room.size for room in Room.select())) == after


@pytest.mark.parametrize("write", WRITES)
def test_execute_writes_each_time_it_is_called(write):
    if write in ("upsert", "update returning"):
        query = WRITES[write]()
        query.execute()
        query.execute()
        assert Room.get(Room.name == "w0").size == 3
    elif write != "delete returning":
        query = WRITES[write]()
        query.execute()
        with pytest.raises(Exception, match="already"):
            query.execute()


@walked("reading", READINGS)
def test_a_write_that_gives_no_rows_is_refused_before_it_is_written(reading):
    for query in (
        Room.update(size=9),
        Room.delete(),
        Room.insert(name="never").as_rowcount(),
        Room.insert_many([{"name": "never"}]).as_rowcount(),
    ):
        with pytest.raises(TenancyError, match="returning"):
            READINGS[reading](query)
    assert count() == 5
    assert not Room.select().where((Room.size == 9) | (Room.name == "never")).exists()


def test_the_rows_of_a_write_are_not_asked_for_in_another_block(beside, rooms):
    query = Room.insert(name="new")
    query.execute()
    with beside.db.tenant(rooms), pytest.raises(TenancyError, match="another block"):
        list(query)
    assert Room.select().where(Room.name == "new").count() == 1


def test_a_query_that_is_changed_in_place_reads_anew():
    query = Room.select().order_by(Room.name)
    assert query.first().name == "w0"
    assert [room.name for room in query.first(n=3)] == ["w0", "w1", "w2"]
    assert [room.name for room in query.peek(n=2)] == ["w0", "w1"]
    assert query.first().name == "w0"
    assert len(query) == 1
    union = Room.select(Room.name).where(Room.name == "w1") | Room.select(Room.name).where(Room.name == "w2")
    assert len(union.first(n=2)) == 2
    assert union.first().name in ("w1", "w2")


def test_get_reads_the_row_as_it_is_now():
    query = Room.select().where(Room.name == "w0")
    union = Room.select().where(Room.name == "w0") | Room.select().where(Room.name == "w0")
    assert [query.get().size, union.get().size] == [1, 1]
    Room.update(size=7).execute()
    assert [query.get().size, union.get().size] == [7, 7]
