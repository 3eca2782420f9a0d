"""Every way in which Peewee writes: inserts that may name an organization, and statements that reach for B's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peewee
from peewee import SQL, Case, Value, fn

from rayces_core import Like, Post, Student, User
from tests.tenancy.read_paths import Pupil

# -- inserts: each writes one Student called "new"; `columns` may name its organization -----------------

Columns = dict[Any, Any]
NEW = {"first_name": "new", "last_name": "new"}


def _row(columns: Columns) -> Columns:
    return NEW | columns


def _fields(columns: Columns) -> list[Any]:
    return [Student._meta.combined.get(key, key) if isinstance(key, str) else key for key in _row(columns)]


def _values(columns: Columns) -> tuple[Any, ...]:
    return tuple(_row(columns).values())


def _every_column(columns: Columns) -> tuple[Any, ...]:
    """A tuple with a value for all columns but the id, in their order, as insert_many() takes it without `fields`."""
    given = {Student._meta.combined[key].name: value for key, value in _row(columns).items()}
    defaults = Student._meta.get_default_dict()
    return tuple(given.get(field.name, defaults.get(field.name)) for field in Student._meta.sorted_fields[1:])


def _from_values(columns: Columns) -> Any:
    selected = [Value(getattr(value, "id", value)) for value in _values(columns)]
    return Student.insert_from(User.select(*selected).limit(1), _fields(columns))


INSERTS: dict[str, Callable[[Columns], Any]] = {
    "create": lambda c: Student.create(**_row(c)),
    "save": lambda c: Student(**_row(c)).save(),
    "save with force_insert": lambda c: Student(**_row(c)).save(force_insert=True),
    "save of named fields": lambda c: Student(**_row(c)).save(only=[*NEW, *c]),
    "insert by keywords": lambda c: Student.insert(**_row(c)).execute(),
    "insert of a dict": lambda c: Student.insert(_row(c)).execute(),
    "insert of an expression": lambda c: Student.insert(_row(c) | {"last_name": fn.lower("NEW")}).execute(),
    "create with an expression": lambda c: Student.create(**_row(c) | {"last_name": fn.lower("NEW")}),
    "insert returning": lambda c: list(Student.insert(_row(c)).returning(Student)),
    "insert by fields": lambda c: Student.insert(dict(zip(_fields(c), _values(c), strict=True))).execute(),
    "insert through a sub-class": lambda c: Pupil.insert(_row(c)).execute(),
    "insert_many of dicts": lambda c: Student.insert_many([_row(c)]).execute(),
    "insert_many of a generator": lambda c: Student.insert_many(_row(c) for _ in range(1)).execute(),
    "insert_many of tuples": lambda c: Student.insert_many([_values(c)], fields=_fields(c)).execute(),
    "insert_many of named columns": lambda c: Student.insert_many([list(_values(c))], fields=[*_row(c)]).execute(),
    "insert_many of a tuple generator": lambda c: Student.insert_many((_values(c) for _ in [1]), _fields(c)).execute(),
    "insert_many of dicts with fields": lambda c: Student.insert_many([_row(c)], fields=_fields(c)).execute(),
    "insert_many of tuples without fields": lambda c: Student.insert_many([_every_column(c)]).execute(),
    "insert_many as rowcount": lambda c: Student.insert_many([_row(c)]).as_rowcount().execute(),
    "insert ignoring conflicts": lambda c: Student.insert(_row(c)).on_conflict_ignore().execute(),
    "bulk_create": lambda c: Student.bulk_create([Student(**_row(c))]),
    "bulk_create in batches": lambda c: Student.bulk_create([Student(**_row(c))], batch_size=1),
    "get_or_create": lambda c: Student.get_or_create(**_row(c)),
    "get_or_create with defaults": lambda c: Student.get_or_create(first_name="new", defaults=_row(c)),
    "set_by_id(None)": lambda c: Student.set_by_id(None, _row(c)),
    "Model[None] =": lambda c: Student.__class__.__setitem__(Student, None, _row(c)),
    "insert in a CTE": lambda c: list(
        (w := Student.insert(_row(c)).returning(Student.id).cte("w")).select_from(w.c.id)
    ),
}
# Their values are known to the server alone, so it is row-level security that refuses another tenant's.
INSERTS_FROM_QUERIES: dict[str, Callable[[Columns], Any]] = {
    "insert_from": lambda c: _from_values(c).execute(),
    "insert_from returning": lambda c: list(_from_values(c).returning(Student)),
}

# -- writes that reach for B: built for a world, run under A --------------------------------------------

first, theirs = Student.first_name, "theirs"


def _update() -> Any:
    return Student.update(last_name="taken")


def _either(world: Any) -> Any:
    return (first == "nobody") | (Student.organization == world.b)


def _not_a(world: Any) -> Any:
    return ~(Student.organization == world.a)


def _of_posts(world: Any) -> Any:
    return Post.select(Post.user).where(Post.organization == world.b)


REACHES: dict[str, Callable[[Any], Any]] = {
    "update naming B": lambda w: _update().where(Student.organization == w.b),
    "update naming B's id": lambda w: _update().where(Student.organization_id == w.b.id),
    "update or B": lambda w: _update().where(_either(w)),
    "update orwhere B": lambda w: _update().where(first == "nobody").orwhere(Student.organization == w.b),
    "update not A": lambda w: _update().where(_not_a(w)),
    "update by B's text": lambda w: _update().where(first == theirs),
    "update with raw OR": lambda w: _update().where(SQL("first_name = 'nobody' OR organization_id = %s", [w.b.id])),
    "update with raw OR always": lambda w: _update().where(SQL("false OR first_name = 'theirs'")),
    "update in a sub-query of B": lambda w: _update().where(Student.id.in_(_of_posts(w))),
    "update where B exists": lambda w: _update().where(fn.EXISTS(Post.select().where(Post.content == theirs))),
    "update from B": lambda w: (
        _update().from_(Post).where((Post.content == theirs) & (Post.user == Student.primary_contact))
    ),
    "update from an alias": lambda w: _update().from_(u := User.alias()).where(u.organization == w.b),
    "update from a sub-query": lambda w: _update().from_(s := _of_posts(w).alias("s")).where(s.c.user_id == Student.id),
    "update returning": lambda w: _update().where(_either(w)).returning(Student),
    "update through a sub-class": lambda w: Pupil.update(last_name="taken").where(Pupil.organization == w.b),
    "delete naming B": lambda w: Student.delete().where(Student.organization == w.b),
    "delete or B": lambda w: Student.delete().where(_either(w)),
    "delete not A": lambda w: Student.delete().where(_not_a(w)),
    "delete with raw OR": lambda w: Student.delete().where(SQL("false OR organization_id = %s", [w.b.id])),
    "delete in a sub-query of B": lambda w: Student.delete().where(Student.id.in_(_of_posts(w))),
    "delete returning": lambda w: Student.delete().where(_either(w)).returning(Student.first_name),
    "delete through a sub-class": lambda w: Pupil.delete().where(Pupil.organization == w.b),
}

# -- writes that reach for every row: under A they write A's one student or like ------------------------

SWEEPS: dict[str, Callable[[Any], Any]] = {
    "update": lambda w: _update(),
    "update always": lambda w: _update().where(SQL("true OR true")),
    "update by id": lambda w: _update().where(Student.id == w.base),
    "update increment": lambda w: Student.update(last_name=Student.last_name.concat("!")),
    "update from": lambda w: _update().from_(User).where(User.id == Student.primary_contact),
    "update from values": lambda w: _update().from_(w.wanted()).where(Student.id == w.wanted().c.id),
    "update with a sub-query": lambda w: Student.update(
        last_name=User.select(User.first_name).where(User.id == w.base)
    ),
    "update by case": lambda w: Student.update(last_name=Case(first, [("ours", "mine")], "taken")),
    "update in a sub-query": lambda w: _update().where(Student.id.in_(Student.select(Student.id))),
    "update with a CTE": lambda w: (
        _update().with_cte(c := Post.select(Post.id).cte("c")).where(Student.id.in_(c.select(c.c.id)))
    ),
    "update in a CTE": lambda w: (c := _update().returning(Student.id).cte("c")).select_from(c.c.id),
    "update through a sub-class": lambda w: Pupil.update(last_name="taken"),
    "set_by_id": lambda w: Later(lambda: Student.set_by_id(w.base, {"last_name": "taken"})),
    "Model[id] =": lambda w: Later(lambda: Student.__class__.__setitem__(Student, w.base, {"last_name": "taken"}) or 1),
    "delete": lambda w: Like.delete(),
    "delete by id": lambda w: Like.delete().where(Like.id == w.base),
    "delete in a sub-query": lambda w: Like.delete().where(Like.id.in_(User.select(User.id))),
    "delete in a CTE": lambda w: (c := Like.delete().returning(Like.id).cte("c")).select_from(c.c.id),
    "delete_by_id": lambda w: Later(lambda: Like.delete_by_id(w.base)),
    "del Model[id]": lambda w: Later(lambda: Like.__class__.__delitem__(Like, w.base) or 1),
}


class Later:
    """A call that looks like a query."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.execute = call


# -- names of the organization's column, under which no update may set it -------------------------------

TENANT_KEYS: dict[str, Callable[[], Any]] = {
    "name": lambda: "organization",
    "column name": lambda: "organization_id",
    "field": lambda: Student.organization,
    "id attribute": lambda: Student.organization_id,
    "field of an alias": lambda: Student.alias().organization,
    "field of a sub-class": lambda: Pupil.organization,
    "column of the table": lambda: Student._meta.table.organization_id,
    "entity": lambda: peewee.Entity("organization_id"),
}
BULK_KEYS = ["name", "field", "id attribute", "field of a sub-class"]
