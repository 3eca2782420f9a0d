"""Every kind of column gives on a tenant model what it gives on a plain Peewee model, on every way in and out."""

import copy
from decimal import Decimal

import peewee
import psycopg2
import pytest
from peewee import EXCLUDED, fn

from rayces_core import InvalidDataError
from rayces_core import fields as ours
from tests.sizes import exhaustive
from tests.tenancy.beside import KINDS, Badge, Keyed, Labelled, Marked, Room, Seat, outcome

# One of each way to convert: by the driver, by Peewee, by the library, by a custom field of each sort.
FEW = (
    *("tags", "jsonb_doc", "tz", "uid", "blob", "price", "stamp", "big_bits"),
    *("ratio_in_numeric", "listed", "adapted", "upper", "money", "replaced", "own_mood"),
)
each_kind = pytest.mark.parametrize("name", [*FEW, *exhaustive(*(kind for kind in KINDS if kind not in FEW))])


def stored_form(name):
    """The column as text, which no python_value reaches."""
    return lambda kind, *_: [
        row[0] for row in kind.select(kind._meta.fields[name].cast("text")).order_by(kind.id).tuples()
    ]


def ways_to_read(kind, name):
    """The column of the only row, read in every way there is."""
    field, cte = getattr(kind, name), kind.select(kind.id, getattr(kind, name).alias(name)).cte("c")
    other = kind.alias()
    whole = f'select * from "{kind._meta.table_name}"'
    return {
        "models": lambda: [getattr(row, name) for row in kind.select()],
        "some columns": lambda: [getattr(row, name) for row in kind.select(kind.id, field)],
        "get": lambda: getattr(kind.get(field.is_null(False)), name),
        "get_by_id": lambda: getattr(kind.get_by_id(kind.select().get().id), name),
        "tuples": lambda: list(kind.select(field).tuples()),
        "dicts": lambda: list(kind.select(field).dicts()),
        "namedtuples": lambda: list(kind.select(field).namedtuples()),
        "objects": lambda: [getattr(row, name) for row in kind.select(field).objects()],
        "a constructor": lambda: list(kind.select(field).objects(dict)),
        "iterator": lambda: [getattr(row, name) for row in kind.select().iterator()],
        "scalar": lambda: kind.select(field).scalar(),
        "scalars": lambda: list(kind.select(field).scalars()),
        "another name": lambda: list(kind.select(field.alias("other")).dicts()),
        "not converted": lambda: list(kind.select(field.coerce(False).alias("other")).dicts()),
        "converted otherwise": lambda: list(kind.select(field.alias("other").converter(repr)).dicts()),
        "a function of it": lambda: list(kind.select(fn.COALESCE(field, None).alias("other")).dicts()),
        "a function of its name": lambda: list(kind.select(fn.COALESCE(field, None).alias(name)).dicts()),
        "an alias of the model": lambda: [getattr(row, name) for row in other.select(getattr(other, name))],
        "union": lambda: [getattr(row, name) for row in kind.select(kind.id, field) + kind.select(kind.id, field)],
        "union of dicts": lambda: list((kind.select(kind.id, field) + kind.select(kind.id, field)).dicts()),
        "a sub-query": lambda: list(kind.select(cte.c.id).with_cte(cte).from_(cte).tuples()),
        "a CTE": lambda: list(kind.select(getattr(cte.c, name)).with_cte(cte).from_(cte).dicts()),
        "a CTE's column, renamed": lambda: list(
            kind.select(getattr(cte.c, name).alias(name)).with_cte(cte).from_(cte).namedtuples()
        ),
        "raw": lambda: [getattr(row, name) for row in kind.raw(whole)],
        "raw dicts": lambda: [row[name] for row in kind.raw(whole).dicts()],
        "update returning": lambda: list(kind.update(whole=1).returning(field).execute()),
        "update returning dicts": lambda: list(kind.update(whole=1).returning(field).dicts().execute()),
        "delete returning": lambda: [getattr(row, name) for row in kind.delete().returning(kind).execute()],
    }


@each_kind
def test_a_value_is_read_as_peewee_reads_it(beside, name):
    value = KINDS[name][2]

    def act(kind, *_):
        # An id of its own: RETURNING gives it.
        kind.create(id=1, **{name: copy.deepcopy(value)})
        return {label: outcome(read) for label, read in ways_to_read(kind, name).items()}

    tenant, plain = beside.both(act)
    assert tenant == plain


def ways_to_write(kind, name, value, other):
    """Ways to have `other` in the column of a new row, or of one that has `value`."""
    field = getattr(kind, name)

    def loaded():
        return kind.get_by_id(kind.create(**{name: copy.deepcopy(value)}).id)

    def bulk_update():
        row = loaded()
        setattr(row, name, other)
        return kind.bulk_update([row], [name])

    def save():
        row = loaded()
        setattr(row, name, other)
        return row.save()

    def bulk_create():
        kind.bulk_create([kind(**{name: other}), kind(**{name: None})])

    def upsert():
        row = loaded()
        query = kind.insert({kind.id: row.id, field: other})
        return query.on_conflict(conflict_target=[kind.id], update={field: EXCLUDED[field.column_name]}).execute()

    return {
        "create": lambda: kind.create(**{name: other}) and None,
        "insert": lambda: kind.insert({name: other}).execute() and None,
        "insert_many": lambda: kind.insert_many([{name: other}, {name: None}]).execute() and None,
        "insert_many of tuples": lambda: kind.insert_many([(other,), (value,)], [field]).execute() and None,
        "bulk_create": bulk_create,
        "save": save,
        "save only": lambda: kind(**{name: other}).save(only=[field]),
        "update": lambda: loaded() and kind.update({field: other}).execute(),
        "update by name": lambda: loaded() and kind.update(**{name: other}).execute(),
        "set_by_id": lambda: kind.set_by_id(loaded().id, {name: other}),
        "bulk_update": bulk_update,
        "upsert": lambda: upsert() and None,
        "get_or_create": lambda: kind.get_or_create(whole=77, defaults={name: other})[1],
        "where": lambda: loaded() and kind.select().where(field == value).count(),
        "where in": lambda: loaded() and kind.select().where(field.in_([value, other])).count(),
    }


@each_kind
def test_a_value_is_written_as_peewee_writes_it(beside, name):
    _, _, value, other = KINDS[name]

    def act(kind, *_):
        found = {}
        for label, write in ways_to_write(kind, name, value, other).items():
            kind.delete().execute()
            found[label] = [outcome(write), outcome(lambda: stored_form(name)(kind))]
        return found

    tenant, plain = beside.both(act)
    if name == "big_bits":
        # Peewee's bulk_create takes None for no bits, where its create() stores NULL; ours stores it in both.
        assert tenant.pop("bulk_create")[1] == ["\\x0203", "NoneType None"]
        assert plain.pop("bulk_create")[1] == ["\\x0203", "\\x"]
    if name in CAST_BY_US:
        assert tenant.pop("bulk_update")[0].startswith("int 1")
        assert plain.pop("bulk_update")[0] == "ProgrammingError"
    assert tenant == plain


# Peewee's bulk_update says nothing of the column's type, and PostgreSQL takes the values of its CASE for text.
CAST_BY_US = ("vector", "uid")


@each_kind
def test_what_was_read_is_written_back_as_it_was(beside, name):
    def act(kind, *_):
        kind.create(**{name: KINDS[name][3]})
        row = kind.select().get()
        setattr(row, name, getattr(row, name))
        row.save()
        saved = stored_form(name)(kind)
        if name not in CAST_BY_US:
            kind.bulk_update(list(kind.select()), [name])
        return saved, stored_form(name)(kind), [getattr(each, name) for each in kind.select()]

    tenant, plain = beside.both(act)
    assert tenant == plain


def test_a_cte_converts_by_the_field_of_the_name_that_its_column_is_given(beside):
    def act(kind, *_):
        kind.create(id=1, listed=["a"], whole=3)
        cte = kind.select(kind.id.cast("text").alias("id"), kind.whole.cast("text").alias("n")).cte("c")
        query = kind.select(cte.c.id.alias("id"), cte.c.n.alias("whole"), cte.c.n.alias("other"))
        return list(query.with_cte(cte).from_(cte).dicts())

    tenant, plain = beside.both(act)
    assert tenant == plain == [{"id": "int 1", "whole": "int 3", "other": "3"}]


def test_what_aggregates_give_is_what_peewee_gives(beside):
    def act(kind, *_):
        kind.insert_many([{"big": 2, "whole": 1, "price": 3}, {"big": 3, "whole": 2, "price": 4}]).execute()
        names = ("SUM", "AVG", "MIN", "MAX", "COUNT")
        columns = [getattr(fn, name)(field) for name in names for field in (kind.big, kind.whole, kind.price)]
        named = [column.alias("big") for column in columns[:3]]
        return kind.select(*columns).tuples().get(), kind.select(*named).tuples().get()

    tenant, plain = beside.both(act)
    assert tenant == plain
    assert plain[1][1] == "Decimal Decimal('5')"


def test_a_number_of_the_library_is_a_number_again_that_sql_made_a_text_or_a_numeric():
    field = ours.IntegerField()
    assert [repr(field.python_value(value)) for value in ("5", Decimal("5"), Decimal("5.5"), "x", None, 5)] == [
        *("5", "5", "Decimal('5.5')", "'x'", "None", "5")
    ]
    assert ours.TextField().python_value(5) == "5"
    assert ours.TextField().python_value(None) is None


def test_one_raw_query_by_name_is_read_by_the_type_that_comes(beside):
    """The function that builds its rows was made for a number first, and then for a text."""

    def act(kind, *_):
        kind.create(whole=1)
        table = kind._meta.table_name
        return [
            [row.whole for row in kind.raw(f'select {value} as whole from "{table}"')]
            for value in ("1", "'2'::text", "3::numeric", "4")
        ]

    tenant, plain = beside.both(act)
    assert tenant == plain == [["int 1"], ["int 2"], ["int 3"], ["int 4"]]


def test_a_field_that_is_given_a_row_takes_its_id(beside):
    def act(kind, room, _):
        first = room.get_by_id(1)
        kind.create(whole=first)
        row = kind.get()
        row.whole = room.get_by_id(2)
        row.save()
        kind.insert(whole=first).execute()
        return sorted(each.whole for each in kind.select())

    tenant, plain = beside.both(act)
    assert tenant == plain == ["int 1", "int 2"]


def test_an_id_of_a_kind_of_its_own_is_read_converted_when_the_row_is_made(beside):
    """RETURNING gives it; it is not what was assigned."""
    with beside.db.tenant(beside.organization):
        row = Badge(code="10.0.0.7", name="x")
        row.save(force_insert=True)
        assert row.code == "10.0.0.7"
        row.name = "y"
        assert row.save() == 1
        assert [(each.code, each.name) for each in Badge.select()] == [("10.0.0.7", "y")]
        assert Badge.get_by_id("10.0.0.7").name == "y"
        made = [Badge(code="10.0.0.8", name="z")]
        Badge.bulk_create(made)
        assert made[0].code == "10.0.0.8"
        assert made[0].delete_instance() == row.delete_instance() == 1


def test_hstore_takes_and_gives_dicts_and_registers_nothing_in_the_process(beside):
    with beside.db.tenant(beside.organization):
        Labelled.delete().execute()
        row = Labelled.create(labels={"a": "1", "b": None})
        assert Labelled.get_by_id(row.id).labels == {"a": "1", "b": None}
        row.labels["c"] = 'x "y"'
        assert row.save() == 1
        assert [each.labels for each in Labelled.select()] == [{"a": "1", "b": None, "c": 'x "y"'}]
        assert Labelled.select().where(Labelled.labels.contains({"a": "1"})).count() == 1
        assert Labelled.select().where(Labelled.labels.contains(["a", "b"])).count() == 1
        assert Labelled.select().where(Labelled.labels.contains("z")).count() == 0
        assert Labelled.select().where(Labelled.labels == {"a": "1", "b": None, "c": 'x "y"'}).count() == 1
        Labelled.update(labels=Labelled.labels.update(d="4")).execute()
        assert Labelled.select(Labelled.labels["d"].alias("d")).dicts().get() == {"d": "4"}
        assert sorted(Labelled.select(Labelled.labels.keys()).scalar()) == ["a", "b", "c", "d"]
        row.labels = {}
        Labelled.bulk_update([row], ["labels"])
        Labelled.insert_many([{"labels": {"e": "5"}}, {"labels": None}]).execute()
        assert [each for (each,) in Labelled.select(Labelled.labels).order_by(Labelled.id).tuples()] == [
            *({}, {"e": "5"}, None)
        ]
    with pytest.raises(psycopg2.ProgrammingError):
        psycopg2.extensions.adapt({"a": "1"})


def test_a_key_that_is_a_foreign_key_is_named_by_its_row_or_by_the_row_behind_it(beside):
    """The latter is what Peewee's ManyToMany gives."""
    with beside.db.tenant(beside.organization), beside.db.atomic() as unit:
        room, seat = Room.create(name="key"), Seat.create(label=[])
        keyed = Keyed.create(room=room)
        assert (keyed.room_id, keyed.room.name) == (room.id, "key")
        Marked.create(keyed=keyed)
        Marked.insert(keyed=room).execute()
        assert [row.keyed_id for row in Marked.select()] == [room.id, room.id]
        assert Marked.select().where(Marked.keyed == room).count() == 2
        for other in (seat, Marked.get()):
            with pytest.raises(InvalidDataError, match="must be a Rooms"):
                Marked.insert(keyed=other).execute()
        assert Keyed.get_by_id(room).delete_instance() == 1
        unit.rollback()


def test_columns_of_a_select_from_are_converted_by_the_models_fields(beside):
    """Meant to differ: Peewee gives them as the driver does, and in models none the less."""

    def act(kind, *_):
        kind.create(listed=["a"])
        return [row.listed for row in kind.select(kind.listed).select_from(peewee.SQL("listed"))]

    tenant, plain = beside.both(act)
    assert (tenant, plain) == ([["a"]], ['["a"]'])
