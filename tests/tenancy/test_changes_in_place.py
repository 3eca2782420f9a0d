"""save() writes what changed inside a value, whatever kind of column holds it, and nothing that did not change."""

import copy

import pytest
from peewee import BigBitFieldData

from tests.tenancy.beside import KINDS, Kind, Money
from tests.walking import walked


def _more(value):
    if isinstance(value, BigBitFieldData):
        value.set_bit(len(value) * 8)
    elif isinstance(value, Money):
        value.cents += 1
    elif isinstance(value, dict):
        value.setdefault("more", []).append(1)
    else:
        value.append(value[0])


CHANGING = {
    "tags": ["a"],
    "nums": [[1], [2]],
    "stamps": KINDS["stamps"][2],
    "doc": {"k": [1]},
    "jsonb_doc": {"k": [1]},
    "json_doc": {"k": [1]},
    "big_bits": b"\x01",
    "pickled": [(1, 2)],
    "listed": ["a"],
    "money": Money(3),
    "csv": ["a", "b"],
}
each_column = pytest.mark.parametrize("name", CHANGING)


@pytest.fixture
def row(beside, request):
    with beside.db.tenant(beside.organization), beside.db.atomic() as unit:
        Kind.delete().execute()  # what other tests have left is not read
        yield Kind.create(**copy.deepcopy(CHANGING))
        unit.rollback()


def stored(row, name):
    return repr(Kind.select(Kind._meta.fields[name].cast("text")).where(Kind.id == row.id).scalar())


def all_stored(row):
    texts = [Kind._meta.fields[name].cast("text").alias(name) for name in CHANGING]
    return Kind.select(*texts).where(Kind.id == row.id).dicts().get()


@each_column
@walked("how", ["get_by_id", "select", "raw", "created", "bulk created", "union_all"])
def test_a_change_inside_a_value_is_saved_once_and_alone(row, name, how):
    if how == "bulk created":
        row = Kind(**copy.deepcopy(CHANGING))
        Kind.bulk_create([row])
    elif how != "created":
        row = {
            "get_by_id": lambda: Kind.get_by_id(row.id),
            "select": lambda: Kind.select().where(Kind.id == row.id).get(),
            "raw": lambda: Kind.raw("select * from kinds where id = %s", row.id).get(),
            "union_all": lambda: (Kind.select() + Kind.select()).get(),
        }[how]()
    for each in CHANGING:
        getattr(row, each)
    before = all_stored(row)
    assert row.save() is False
    _more(getattr(row, name))
    assert row.save() == 1
    after = all_stored(row)
    assert {each for each in CHANGING if after[each] != before[each]} == {name}
    assert row.save() is False
    _more(getattr(row, name))
    assert row.save() == 1


def test_a_value_that_was_assigned_is_watched_though_nobody_read_it_from_the_row(row):
    tags, money = ["x"], Money(1)
    row.tags, row.money = tags, money
    assert row.save() == 1
    tags.append("y")
    assert row.save() == 1
    money.cents = 9
    assert row.save() == 1
    again = Kind.get_by_id(row.id)
    assert (again.tags, again.money.cents) == (["x", "y"], 9)


def test_a_value_that_was_replaced_is_no_longer_watched(row):
    old = row.tags
    row.tags = None
    row.save()
    old.append("z")
    assert row.save() is False


def test_a_change_that_cannot_be_stored_is_refused_and_still_to_be_saved(row):
    row.doc["k"].append({"deep": set()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        row.save()
    row.doc["k"].pop()
    assert row.save() == 1
    assert row.save() is False


def test_what_a_transition_or_another_save_wrote_is_known(row):
    row.tags.append("more")
    row.save(only=[Kind.listed])
    assert Kind.get_by_id(row.id).tags == ["a"]
    assert row.save() == 1
    assert Kind.get_by_id(row.id).tags == ["a", "more"]


def test_plain_columns_are_not_watched():
    watched = {field.name for field in Kind._meta.watched_fields}
    assert watched >= set(CHANGING)
    assert not watched & {"whole", "big", "long_text", "at", "uid", "own_text", "own_mood", "price", "flag", "id"}
