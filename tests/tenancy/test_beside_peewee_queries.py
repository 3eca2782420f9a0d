"""Every public method of Peewee's query classes, on a tenant model beside a plain one on the same server.

A method that a new Peewee brings fails here until it is tried, or listed with the reason why not.
"""

import asyncio

import peewee
import pytest
from peewee import SQL, Window, fn

from tests.tenancy.beside import Room, is_a_result, names, outcome, public
from tests.walking import walked


def written(query, room):
    """What execute() gives, and the rooms afterwards."""
    made = query.execute()
    return made, list(room.select(room.name, room.size).order_by(room.id).tuples())


def by_size(room):
    return room.select().order_by(room.size.desc())


def joined(room, seat):
    return seat.select(seat, room).join(room).order_by(seat.id)


SELECT = {
    "alias": lambda k, r, s: (lambda q: list(r.select(q.c.name).from_(q).dicts()))(r.select(r.name).alias("q")),
    "bind": lambda k, r, s: names(by_size(r).bind(r._meta.database)),
    "c": lambda k, r, s: r.select().join(q := r.select(r.id).alias("q"), on=(r.id == q.c.id)).count(),
    "clone": lambda k, r, s: (names(by_size(r).clone()), len(by_size(r).clone())),
    "columns": lambda k, r, s: names(by_size(r).columns(r.name)),
    "copy": lambda k, r, s: by_size(r).copy,
    "count": lambda k, r, s: (
        by_size(r).count(),
        by_size(r).limit(2).count(),
        by_size(r).limit(2).count(clear_limit=True),
    ),
    "cte": lambda k, r, s: (lambda c: list(r.select(c.c.name).from_(c).with_cte(c).order_by(c.c.name).tuples()))(
        r.select(r.name).cte("c")
    ),
    "dicts": lambda k, r, s: (list(by_size(r).dicts()), names(by_size(r).dicts().dicts(False))),
    "distinct": lambda k, r, s: (
        sorted(map(str, s.select(s.room).distinct().tuples())),
        s.select(s.room, s.id).distinct(s.room).order_by(s.room, s.id).tuples()[:],
    ),
    "ensure_join": lambda k, r, s: s.select().ensure_join(s, r).ensure_join(s, r).where(r.name == "r1").count(),
    "except_": lambda k, r, s: sorted(names(r.select(r.name).except_(r.select(r.name).where(r.size > 20)))),
    "execute": lambda k, r, s: names(by_size(r).execute()),
    "exists": lambda k, r, s: (by_size(r).exists(), r.select().where(r.size < 0).exists()),
    "filter": lambda k, r, s: (names(r.select().filter(size__gt=20)), s.select().filter(room__name="r1").count()),
    "first": lambda k, r, s: (
        by_size(r).first().name,
        names(by_size(r).first(n=2)),
        r.select().where(r.id < 0).first(),
    ),
    "for_update": lambda k, r, s: names(by_size(r).for_update("FOR UPDATE SKIP LOCKED")),
    "from_": lambda k, r, s: names(r.select(SQL("name")).from_(r.select(r.name).alias("t")).order_by(SQL("name"))),
    "get": lambda k, r, s: (by_size(r).get().name, outcome(lambda: r.select().where(r.id < 0).get())),
    "get_or_none": lambda k, r, s: (by_size(r).get_or_none().name, r.select().where(r.id < 0).get_or_none()),
    "group_by": lambda k, r, s: list(s.select(s.room, fn.COUNT(s.id)).group_by(s.room).order_by(s.room).tuples()),
    "group_by_extend": lambda k, r, s: (
        s.select(s.room, s.label).group_by(s.room).group_by_extend(s.label).order_by(s.label).tuples()[:]
    ),
    "having": lambda k, r, s: (
        s.select(s.room, fn.COUNT(s.id)).group_by(s.room).having(fn.COUNT(s.id) > 1).order_by(s.room).tuples()[:]
    ),
    "intersect": lambda k, r, s: sorted(names(r.select(r.name) & r.select(r.name).where(r.size > 20))),
    "is_alias": lambda k, r, s: (by_size(r).is_alias(), by_size(r).alias("x").is_alias()),
    "iterator": lambda k, r, s: names(by_size(r).iterator()),
    "join": lambda k, r, s: [(row.label, row.room.name) for row in joined(r, s)],
    "join_from": lambda k, r, s: [(row.label, row.room.name) for row in s.select(s, r).join_from(s, r).order_by(s.id)],
    "lateral": lambda k, r, s: list(
        r.select(r.name, SQL("l.id"))
        .from_(r, s.select(s.id).where(s.room == r.id).order_by(s.id).limit(1).alias("l").lateral())
        .order_by(r.id)
        .tuples()
    ),
    "left_outer_join": lambda k, r, s: [
        (row.label, row.room and row.room.name) for row in s.select(s, r).left_outer_join(r).order_by(s.id)
    ],
    "limit": lambda k, r, s: names(by_size(r).limit(2)),
    "models": lambda k, r, s: names(by_size(r).dicts().models()),
    "namedtuples": lambda k, r, s: [(row.name, row.size) for row in by_size(r).namedtuples()],
    "objects": lambda k, r, s: (
        [row.name for row in joined(r, s).objects()],
        list(by_size(r).select(r.name, r.size).objects(dict)),
    ),
    "offset": lambda k, r, s: names(by_size(r).offset(3)),
    "order_by": lambda k, r, s: (names(by_size(r)), names(by_size(r).order_by(r.name))),
    "order_by_extend": lambda k, r, s: [x.id for x in s.select().order_by(s.room).order_by_extend(s.id.desc())],
    "orwhere": lambda k, r, s: names(r.select().where(r.id == 1).orwhere(r.id == 3).order_by(r.id)),
    "paginate": lambda k, r, s: (names(by_size(r).paginate(2, 2)), names(by_size(r).paginate(0, 2))),
    "peek": lambda k, r, s: (by_size(r).peek().name, names(by_size(r).peek(n=2)), r.select().where(r.id < 0).peek()),
    "prefetch": lambda k, r, s: [
        (row.name, [x.label for x in row.seats]) for row in by_size(r).prefetch(s.select().order_by(s.id))
    ],
    "scalar": lambda k, r, s: (
        r.select(fn.MAX(r.size)).scalar(),
        r.select(r.name, r.size).order_by(r.id).scalar(as_tuple=True),
        r.select(r.name, r.size).order_by(r.id).scalar(as_dict=True),
    ),
    "scalars": lambda k, r, s: list(by_size(r).select(r.size).scalars()),
    "select": lambda k, r, s: list(by_size(r).select(r.name, r.size).tuples()),
    "select_extend": lambda k, r, s: list(by_size(r).select(r.name).select_extend((r.size * 2).alias("twice")).dicts()),
    "select_from": lambda k, r, s: [
        row.n for row in r.select(r.name.alias("n")).select_from(SQL("n")).order_by(SQL("n"))
    ],
    "selected_columns": lambda k, r, s: [column.name for column in r.select(r.name, r.size).selected_columns],
    "switch": lambda k, r, s: s.select().join(r).switch(s).where(r.name == "r1").count(),
    "tuples": lambda k, r, s: list(by_size(r).select(r.name).tuples()),
    "union": lambda k, r, s: sorted(names(r.select(r.name) | r.select(r.name).where(r.id == 1))),
    "union_all": lambda k, r, s: sorted(names(r.select(r.name) + r.select(r.name).where(r.id == 1))),
    "unwrap": lambda k, r, s: names((q := by_size(r)).alias("x").unwrap()) == names(q),
    "where": lambda k, r, s: names(by_size(r).where(r.size > 20, r.name != "r3")),
    "window": lambda k, r, s: list(
        s.select(s.id, fn.COUNT(s.id).over(w)).window(w).order_by(s.id).tuples()
        if (w := Window(partition_by=[s.room], order_by=[s.id]))
        else []
    ),
    "with_cte": lambda k, r, s: (lambda c: list(r.select(c.c.n).with_cte(c).from_(c).order_by(c.c.n).tuples()))(
        r.select(r.name.alias("n")).cte("c")
    ),
    "with_related": lambda k, r, s: [
        (row.label, row.room and row.room.name) for row in s.select().order_by(s.id).with_related(s.room)
    ],
}


def union(room):
    return (room.select(room.id, room.name) | room.select(room.id, room.name)).order_by(SQL("2 DESC"))


COMPOUND = {
    "alias": lambda k, r, s: list(r.select(SQL("u.name")).from_(union(r).alias("u")).order_by(SQL("1")).tuples()),
    "bind": lambda k, r, s: names(union(r).bind(r._meta.database)),
    "c": lambda k, r, s: list(r.select((u := union(r).alias("u")).c.name).from_(u).order_by(u.c.name).tuples()),
    "clone": lambda k, r, s: names(union(r).clone()),
    "count": lambda k, r, s: (union(r).count(), union(r).limit(1).count()),
    "cte": lambda k, r, s: r.select(fn.COUNT(SQL("1"))).with_cte(c := union(r).cte("c")).from_(c).scalar(),
    "dicts": lambda k, r, s: list(union(r).dicts()),
    "except_": lambda k, r, s: sorted(names(union(r).except_(r.select(r.id, r.name).where(r.id == 1)))),
    "execute": lambda k, r, s: names(union(r).execute()),
    "exists": lambda k, r, s: union(r).exists(),
    "first": lambda k, r, s: (union(r).first().name, names(union(r).first(n=3))),
    "get": lambda k, r, s: union(r).get().name,
    "intersect": lambda k, r, s: sorted(names(union(r) & r.select(r.id, r.name).where(r.id == 1))),
    "is_alias": lambda k, r, s: union(r).is_alias(),
    "iterator": lambda k, r, s: names(union(r).iterator()),
    "limit": lambda k, r, s: names(union(r).limit(2)),
    "models": lambda k, r, s: names(union(r).dicts().models()),
    "namedtuples": lambda k, r, s: [row.name for row in union(r).namedtuples()],
    "objects": lambda k, r, s: (names(union(r).objects()), list(union(r).objects(dict))),
    "offset": lambda k, r, s: names(union(r).offset(3)),
    "order_by": lambda k, r, s: names(union(r).order_by(SQL("2"))),
    "order_by_extend": lambda k, r, s: names(union(r).order_by(SQL("2")).order_by_extend(SQL("1"))),
    "orwhere": lambda k, r, s: outcome(lambda: names(union(r).orwhere(SQL("true")))),
    "paginate": lambda k, r, s: names(union(r).paginate(2, 2)),
    "peek": lambda k, r, s: (union(r).peek().name, names(union(r).peek(n=2))),
    "prefetch": lambda k, r, s: [(row.name, [x.id for x in row.seats]) for row in union(r).prefetch(s)],
    "scalar": lambda k, r, s: (union(r).scalar(), union(r).scalar(as_tuple=True)),
    "scalars": lambda k, r, s: list(union(r).scalars()),
    "select_from": lambda k, r, s: sorted(row.name for row in union(r).select_from(SQL("name"))),
    "tuples": lambda k, r, s: list(union(r).tuples()),
    "union": lambda k, r, s: sorted(names(union(r) | r.select(r.id, r.name))),
    "union_all": lambda k, r, s: sorted(names(union(r) + r.select(r.id, r.name))),
    "unwrap": lambda k, r, s: names(union(r).unwrap()),
    "where": lambda k, r, s: outcome(lambda: names(union(r).where(SQL("true")))),
    "with_cte": lambda k, r, s: names(
        (r.select(r.name).where(r.id.in_(c.select_from(c.c.id))) | r.select(r.name)).with_cte(c).order_by(SQL("1"))
        if (c := r.select(r.id).cte("c"))
        else []
    ),
    "get_or_none": lambda k, r, s: outcome(lambda: union(r).get_or_none().name),
    "group_by": lambda k, r, s: outcome(lambda: names(union(r).group_by(SQL("1")))),
    "join": lambda k, r, s: union(r).alias("u").join(r, on=SQL("true")).__class__.__name__,
    "left_outer_join": lambda k, r, s: union(r).alias("u").left_outer_join(r, on=SQL("true")).__class__.__name__,
    "select": lambda k, r, s: list(
        (u := union(r).alias("u")).select(u.c.name).order_by(u.c.name).execute(r._meta.database)
    ),
    "with_related": lambda k, r, s: [
        (row.id, row.room and row.room.name)
        for row in ((s.select() + s.select()).order_by(SQL("1")).with_related(s.room))
    ],
}


def raw(room):
    return room.raw(f'select id, name, size * 1.0 as size from "{room._meta.table_name}" order by id')


RAW = {
    "bind": lambda k, r, s: names(raw(r).bind(r._meta.database)),
    "clone": lambda k, r, s: names(raw(r).clone()),
    "dicts": lambda k, r, s: list(raw(r).dicts()),
    "execute": lambda k, r, s: names(raw(r).execute()),
    "get": lambda k, r, s: (raw(r).get().name, outcome(lambda: r.raw("select 1 as id where false").get())),
    "iterator": lambda k, r, s: names(raw(r).iterator()),
    "models": lambda k, r, s: names(raw(r).dicts().models()),
    "namedtuples": lambda k, r, s: [(row.name, row.size) for row in raw(r).namedtuples()],
    "objects": lambda k, r, s: (names(raw(r).objects()), list(raw(r).objects(dict))),
    "tuples": lambda k, r, s: list(raw(r).tuples()),
    "is_alias": lambda k, r, s: raw(r).is_alias(),
    "unwrap": lambda k, r, s: names(raw(r).unwrap()),
    "sql": lambda k, r, s: raw(r).sql(),
}


def insert(room):
    return room.insert({room.id: 9, room.name: "new", room.size: 3})


def clash(room):
    return room.insert({room.id: 9, room.name: "r1", room.size: 3})


INSERT = {
    "DefaultValuesException": lambda k, r, s: issubclass(r.insert({}).DefaultValuesException, Exception),
    "as_rowcount": lambda k, r, s: written(r.insert_many([{"name": "a"}, {"name": "b"}]).as_rowcount(), r),
    "bind": lambda k, r, s: written(insert(r).bind(r._meta.database), r),
    "clone": lambda k, r, s: written(insert(r).clone(), r),
    "cte": lambda k, r, s: list(
        r.select(c.c.name).with_cte(c).from_(c).tuples() if (c := insert(r).returning(r.name).cte("c")) else []
    ),
    "dicts": lambda k, r, s: list(insert(r).returning(r.id, r.name).dicts().execute()),
    "execute": lambda k, r, s: written(insert(r), r),
    "iterator": lambda k, r, s: list(r.insert_many([{"id": 8, "name": "a"}]).iterator()),
    "models": lambda k, r, s: [row.name for row in insert(r).returning(r.name).models()],
    "namedtuples": lambda k, r, s: [row.name for row in insert(r).returning(r.name).namedtuples()],
    "objects": lambda k, r, s: list(insert(r).returning(r.name).objects(dict).execute()),
    "on_conflict": lambda k, r, s: written(
        clash(r).on_conflict(conflict_target=[r.name], preserve=[r.size], where=(r.size < 50)), r
    ),
    "on_conflict_ignore": lambda k, r, s: written(clash(r).on_conflict_ignore(), r),
    "returning": lambda k, r, s: [(row.name, row.size) for row in insert(r).returning(r).execute()],
    "tuples": lambda k, r, s: list(insert(r).returning(r.name).tuples().execute()),
    "is_alias": lambda k, r, s: insert(r).is_alias(),
    "unwrap": lambda k, r, s: written(insert(r).unwrap(), r),
    "with_cte": lambda k, r, s: written(
        r.insert_from(c.select_from(c.c.name.concat("x"), 1), [r.name, r.size]).with_cte(c).as_rowcount()
        if (c := r.select(r.name).where(r.id == 1).cte("c"))
        else None,
        r,
    ),
}


def update(room):
    return room.update(size=room.size + 1).where(room.id < 3)


def delete(seat):
    return seat.delete().where(seat.id < 3)


UPDATE = {
    "bind": lambda k, r, s: written(update(r).bind(r._meta.database), r),
    "clone": lambda k, r, s: written(update(r).clone(), r),
    "cte": lambda k, r, s: sorted(
        r.select(c.c.size).with_cte(c).from_(c).tuples() if (c := update(r).returning(r.size).cte("c")) else []
    ),
    "dicts": lambda k, r, s: sorted(map(str, update(r).returning(r.name, r.size).dicts().execute())),
    "execute": lambda k, r, s: written(update(r), r),
    "from_": lambda k, r, s: written(r.update(size=s.id).from_(s).where((s.room == r.id) & (s.id.in_([1, 3]))), r),
    "iterator": lambda k, r, s: sorted(row.size for row in update(r).returning(r.size).iterator()),
    "limit": lambda k, r, s: outcome(update(r).limit(1).execute),
    "models": lambda k, r, s: sorted(row.size for row in update(r).returning(r.size).models()),
    "namedtuples": lambda k, r, s: sorted(row.size for row in update(r).returning(r.size).namedtuples()),
    "objects": lambda k, r, s: sorted(row["size"] for row in update(r).returning(r.size).objects(dict).execute()),
    "offset": lambda k, r, s: outcome(update(r).offset(1).execute),
    "order_by": lambda k, r, s: outcome(update(r).order_by(r.id).execute),
    "order_by_extend": lambda k, r, s: outcome(update(r).order_by_extend(r.id).execute),
    "orwhere": lambda k, r, s: written(update(r).orwhere(r.id == 5), r),
    "paginate": lambda k, r, s: outcome(update(r).paginate(1, 2).execute),
    "returning": lambda k, r, s: sorted((row.id, row.size) for row in update(r).returning(r).execute()),
    "tuples": lambda k, r, s: sorted(update(r).returning(r.size).tuples().execute()),
    "is_alias": lambda k, r, s: update(r).is_alias(),
    "unwrap": lambda k, r, s: written(update(r).unwrap(), r),
    "where": lambda k, r, s: written(update(r).where(r.name == "r2"), r),
    "with_cte": lambda k, r, s: written(
        r.update(size=0).where(r.id.in_(c.select_from(c.c.id))).with_cte(c)
        if (c := r.select(r.id).where(r.id > 3).cte("c"))
        else None,
        r,
    ),
}
DELETE = {
    "bind": lambda k, r, s: delete(s).bind(r._meta.database).execute(),
    "clone": lambda k, r, s: delete(s).clone().execute(),
    "cte": lambda k, r, s: sorted(
        r.select(c.c.id).with_cte(c).from_(c).tuples() if (c := delete(s).returning(s.id).cte("c")) else []
    ),
    "dicts": lambda k, r, s: sorted(map(str, delete(s).returning(s.id, s.label).dicts().execute())),
    "execute": lambda k, r, s: (delete(s).execute(), s.select().count()),
    "iterator": lambda k, r, s: sorted(row.id for row in delete(s).returning(s.id).iterator()),
    "limit": lambda k, r, s: outcome(delete(s).limit(1).execute),
    "models": lambda k, r, s: sorted(row.label for row in delete(s).returning(s.label).models()),
    "namedtuples": lambda k, r, s: sorted(row.label for row in delete(s).returning(s.label).namedtuples()),
    "objects": lambda k, r, s: sorted(row["label"] for row in delete(s).returning(s.label).objects(dict).execute()),
    "offset": lambda k, r, s: outcome(delete(s).offset(1).execute),
    "order_by": lambda k, r, s: outcome(delete(s).order_by(s.id).execute),
    "order_by_extend": lambda k, r, s: outcome(delete(s).order_by_extend(s.id).execute),
    "orwhere": lambda k, r, s: delete(s).orwhere(s.id == 5).execute(),
    "paginate": lambda k, r, s: outcome(delete(s).paginate(1, 2).execute),
    "returning": lambda k, r, s: sorted((row.id, str(row.label)) for row in delete(s).returning(s).execute()),
    "tuples": lambda k, r, s: sorted(delete(s).returning(s.id).tuples().execute()),
    "is_alias": lambda k, r, s: delete(s).is_alias(),
    "unwrap": lambda k, r, s: delete(s).unwrap().execute(),
    "where": lambda k, r, s: delete(s).where(s.id == 1).execute(),
    "with_cte": lambda k, r, s: (
        s.delete().where(s.room.in_(c.select_from(c.c.id))).with_cte(c).execute()
        if (c := r.select(r.id).where(r.id == 1).cte("c"))
        else None
    ),
}

# Peewee's own inner workings, which say nothing about results.
INNER = {
    *("apply_alias", "apply_column", "apply_returning", "coerce", "convert_dict_to_node", "copy", "default_row_type"),
    *("execute_returning", "get_default_columns", "get_default_data", "get_sort_key", "handle_result"),
    *("MULTI", "QUERY", "SIMPLE"),
}
ELSEWHERE = {
    "sql": "the text is wall 1's and differs on purpose: test_walls.py",
    "create_table": "refused: test_a_query_is_not_copied_into_a_table",
    "aexecute": "needs an asynchronous database, which neither has: test_aexecute_is_refused_on_both",
    "on_conflict_replace": "REPLACE is not PostgreSQL's: test_replace_is_refused_on_both",
    "limit": "an INSERT has none",
    "offset": "an INSERT has none",
    "order_by": "an INSERT has none",
    "order_by_extend": "an INSERT has none",
    "paginate": "an INSERT has none",
    "where": "an INSERT has none",
    "orwhere": "an INSERT has none",
}
CASES = {
    peewee.ModelSelect: SELECT,
    peewee.ModelCompoundSelectQuery: COMPOUND,
    peewee.ModelRaw: RAW,
    peewee.ModelInsert: INSERT,
    peewee.ModelUpdate: UPDATE,
    peewee.ModelDelete: DELETE,
}
EACH = [(kind, name) for kind, cases in CASES.items() for name in cases]


# PostgreSQL has no such clauses.
OF_A_SELECT = ("limit", "offset", "order_by", "order_by_extend", "paginate")
REFUSED_ON_BOTH = {peewee.ModelUpdate: OF_A_SELECT, peewee.ModelDelete: OF_A_SELECT}


@walked("kind", CASES)
def test_every_public_method_of_a_query_is_tried_or_listed(kind):
    assert public(kind) - set(CASES[kind]) - INNER - set(ELSEWHERE) == set()
    assert set(CASES[kind]) - public(kind) == set()


@pytest.mark.slow
@walked("case", EACH)
def test_a_query_gives_what_peewee_gives(beside, case):
    kind, name = case
    tenant, plain = beside.both(CASES[kind][name])
    assert tenant == plain
    assert is_a_result(plain) or name in REFUSED_ON_BOTH.get(kind, ())


def test_a_query_is_not_copied_into_a_table(beside):
    with beside.db.tenant(beside.organization), pytest.raises(Exception, match="not copied"):
        Room.select().create_table("copied")


def test_aexecute_is_refused_on_both(beside):
    tenant, plain = beside.both(lambda k, r, s: asyncio.run(r.select().aexecute()))
    assert tenant == plain == "AttributeError"


def test_replace_is_refused_on_both(beside):
    tenant, plain = beside.both(lambda k, r, s: clash(r).on_conflict_replace().execute())
    assert tenant == plain == "ValueError"
