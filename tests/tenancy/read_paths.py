"""Every way in which Peewee reads rows, as (build the query, read it, what a tenant with `count` rows must get).

A path is built without knowing who will run it. Labels are "ours" in A, which has 2 rows of each, and "theirs" in B,
which has 3 with the same ids; so an unscoped source shows in the texts, in the numbers or as a second row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import DQ, JOIN, SQL, ValuesList, fn

from rayces_core import Appointment, Like, Organization, Post, Student, TenantModel, User
from rayces_core.database.binding import database
from rayces_core.fields import StringField


class Pupil(Student):
    """A sub-class over the same table."""

    class Meta:
        table_name = "students"


class Newcomer(TenantModel):
    """A model whose table got another name after the class was made, and whose schema is spelled out."""

    first_name = StringField()

    class Meta:
        table_name = "newcomers"
        schema = "public"


Newcomer._meta.set_table_name("students")

Expected = Callable[[str, int], Any]


@dataclass(frozen=True)
class Path:
    """One way to read. `keeps_rows`: a plain Peewee query object, which goes on showing what it has read."""

    name: str
    build: Callable[[int], Any]
    read: Callable[[Any], Any]
    expect: Expected
    keeps_rows: bool = False


PATHS: list[Path] = []


def texts(rows: Any) -> list[str]:
    """The one text of each row, whatever a row is."""
    return [_text(row) for row in rows]


def _text(row: Any) -> Any:
    if isinstance(row, tuple):
        return row[0]
    data = row if isinstance(row, dict) else row.__data__
    return next(data[name] for name in ("first_name", "content", "notes", "title") if name in data)


def every(label: str, count: int) -> list[str]:
    return [label] * count


def once(label: str, _: int) -> list[str]:
    return [label]


def one(label: str, _: int) -> str:
    return label


def number(_: str, count: int) -> int:
    return count


def only_theirs(label: str, count: int) -> list[str]:
    return every(label, count) if label == "theirs" else []


def only_ours(label: str, count: int) -> list[str]:
    return every(label, count) if label == "ours" else []


def path(name: str, build: Callable[[int], Any], read: Any = texts, expect: Expected = every, **options: bool) -> None:
    PATHS.append(Path(name, build, read, expect, **options))


name, same_student = Student.first_name, Appointment.student == Student.id
of_theirs = Appointment.notes == "theirs"

# -- shapes of rows ---------------------------------------------------------------------------------------------
path("select", lambda _: Student.select())
path("select of columns", lambda _: Student.select(name))
path("select extended", lambda _: Student.select(Student.id).select_extend(name))
path("models", lambda _: Student.select(name).tuples().models())
path("tuples", lambda _: Student.select(name).tuples())
path("dicts", lambda _: Student.select().dicts())
path("namedtuples", lambda _: Student.select(name).namedtuples())
path("objects", lambda _: Student.select().objects())
path("objects of a class", lambda _: Student.select(name).objects(dict))
path("slice", lambda _: Student.select().order_by(Student.id), lambda q: texts(q[:9]))
path("index", lambda _: Student.select().order_by(Student.id), lambda q: q[0].first_name, one)
path("execute", lambda _: Student.select(), lambda q: texts(q.execute()))
path("iterator", lambda _: Student.select(), lambda q: texts(q.iterator()))
path("iterator of tuples", lambda _: Student.select(name).tuples(), lambda q: texts(q.iterator()))
path("iterator of joined models", lambda _: Post.select(Post, User).join(User), lambda q: texts(q.iterator()))
path("scalars", lambda _: Student.select(name), lambda q: list(q.scalars()))
path("iter(Model)", lambda _: Student)
path("len(Model)", lambda _: Student, len, number)
path("len", lambda _: Student.select(), len, number)
path("bool", lambda base: Student.select().where(Student.id == base + 2), bool, lambda label, _: label == "theirs")
path("in Model", lambda base: base + 2, lambda key: key in Student, lambda label, _: label == "theirs")
path("Model[id]", lambda base: base, lambda key: Student[key].first_name, one)

# -- one row or one value ---------------------------------------------------------------------------------------
path("get(id)", lambda base: base, lambda key: Student.get(key).first_name, one)
path("get(expression)", lambda base: Student.id == base, lambda e: Student.get(e).first_name, one)
path("get(two expressions)", lambda b: Student.id == b, lambda e: Student.get(e, name != "").first_name, one)
path("get(keywords)", lambda base: base, lambda key: Student.get(id=key).first_name, one)
path("get_or_none", lambda base: Student.id == base, lambda e: Student.get_or_none(e).first_name, one)
path("get_by_id", lambda base: base, lambda key: Student.get_by_id(key).first_name, one)
path("query.get", lambda base: Student.select().where(Student.id == base), lambda q: q.get().first_name, one)
path("query.get_or_none", lambda b: Student.select().where(Student.id == b), lambda q: q.get_or_none().first_name, one)
path("first", lambda _: Student.select(), lambda q: q.first().first_name, one)
path("first few", lambda _: Student.select(), lambda q: texts(q.first(n=9)))
path("peek", lambda _: Student.select(), lambda q: q.peek().first_name, one)
path("scalar", lambda base: Student.select(name).where(Student.id == base), lambda q: q.scalar(), one)
path("scalar as tuple", lambda _: Student.select(name), lambda q: q.scalar(as_tuple=True), lambda label, _: (label,))
path("scalar as dict", lambda _: Student.select(name), lambda q: q.scalar(as_dict=True)["first_name"], one)
path("count", lambda _: Student.select(), lambda q: q.count(), number)
path("count without limit", lambda _: Student.select().limit(1), lambda q: q.count(clear_limit=True), number)
path(
    "exists",
    lambda b: Student.select().where(Student.id == b + 2),
    lambda q: q.exists(),
    lambda label, _: label != "ours",
)
path("aggregate", lambda _: Student.select(fn.COUNT(Student.id)), lambda q: q.scalar(), number)
path("maximum", lambda _: Student.select(fn.MAX(name)), lambda q: q.scalar(), one)
path("minimum", lambda _: Student.select(fn.MIN(name)), lambda q: q.scalar(), one)
path("array_agg", lambda _: Student.select(fn.array_agg(name)), lambda q: q.scalar())
path("noop", lambda _: Student.noop(), list, lambda *_: [], keeps_rows=True)

# -- clauses ----------------------------------------------------------------------------------------------------
path("paginate", lambda _: Student.select().order_by(Student.id).paginate(1, 9))
path(
    "limit and offset",
    lambda _: Student.select().order_by(Student.id).limit(9).offset(1),
    texts,
    lambda label, count: [label] * (count - 1),
)
path("filter", lambda _: Student.filter(last_name__startswith="Paz"))
path("filter over a foreign key", lambda _: Student.filter(primary_contact__email__startswith="person"))
path("filter over a back-reference", lambda _: User.filter(posts__content__in=["ours", "theirs"]))
path("filter with DQ", lambda _: Student.filter(DQ(first_name="ours") | DQ(first_name="theirs")))
path("distinct", lambda _: Student.select(name).distinct(), texts, once)
path("distinct on", lambda _: Student.select(name).distinct(name), texts, once)
path(
    "group by",
    lambda _: Student.select(name, fn.COUNT(1)).group_by(name).tuples(),
    list,
    lambda label, count: [(label, count)],
)
path(
    "window",
    lambda _: Student.select(name, fn.COUNT(Student.id).over(partition_by=[SQL("true")])).tuples(),
    list,
    lambda label, count: [(label, count)] * count,
)
path("raw where", lambda _: Student.select().where(SQL("true OR true")))
path("for update", lambda _: Student.select().for_update())
path("for update nowait", lambda _: Student.select().for_update(nowait=True))
path("for update skip locked", lambda _: Student.select().for_update(skip_locked=True))
path("for update of", lambda _: Post.select(Post.content).join(User).for_update(of=Post).tuples())
path("for share", lambda _: Student.select().for_update("FOR SHARE"))

# -- joins ------------------------------------------------------------------------------------------------------
Other = Student.alias()
both = (name, Appointment.notes)


def pairs(label: str, count: int) -> list[tuple[str, str]]:
    return [(label, label)] * count


path("inner join", lambda _: Student.select(*both).join(Appointment).tuples(), list, pairs)
path("left join", lambda _: Student.select(*both).join(Appointment, JOIN.LEFT_OUTER).tuples(), list, pairs)
path("right join", lambda _: Student.select(*both).join(Appointment, JOIN.RIGHT_OUTER).tuples(), list, pairs)
path("full join", lambda _: Student.select(*both).join(Appointment, JOIN.FULL).tuples(), list, pairs)
path("join by expression", lambda _: Student.select(*both).join(Appointment, on=same_student).tuples(), list, pairs)
path("join_from", lambda _: Like.select(Post.content).join_from(Like, Post).join_from(Post, User).tuples())
path("left_outer_join", lambda _: Student.select(*both).left_outer_join(Appointment).tuples(), list, pairs)
path(
    "self join",
    lambda _: Student.select(name, Other.first_name).join(Other, on=(Other.id == Student.id)).tuples(),
    list,
    pairs,
)
path(
    "cross join",
    lambda _: Student.select(name, Post.content).join(Post, JOIN.CROSS).tuples(),
    list,
    lambda label, count: [(label, label)] * count**2,
)
path(
    "two sources", lambda _: Student.select(*both).from_(Student, Appointment).where(same_student).tuples(), list, pairs
)


def notes_of_student() -> Any:
    return Appointment.select(Appointment.notes).where(same_student).alias("theirs_or_ours")


def lateral(_: int) -> Any:
    notes = notes_of_student()
    return Student.select(name, notes.c.notes).join(notes, JOIN.LEFT_LATERAL, on=True).tuples()


def lateral_source(_: int) -> Any:
    notes = notes_of_student().lateral()
    return Student.select(name, notes.c.notes).join(notes).tuples()


def subquery_join(_: int) -> Any:
    notes = Appointment.select(Appointment.student, Appointment.notes).alias("notes")
    return Student.select(name, notes.c.notes).join(notes, on=(notes.c.student_id == Student.id)).tuples()


def values_join(base: int) -> Any:
    wanted = ValuesList([(base,), (base + 1,), (base + 2,)], columns=("id",), alias="wanted")
    return Student.select(name).join(wanted, on=(wanted.c.id == Student.id)).tuples()


def table_join(_: int) -> Any:
    table = User._meta.table
    return Student.select(name, table.first_name).join(table, on=(table.id == Student.primary_contact)).tuples()


path("lateral join", lateral, list, pairs)
path("lateral source", lateral_source, list, pairs)
path("join of a sub-query", subquery_join, list, pairs)
path("join of values", values_join)
path("join of a table", table_join, list, pairs)
path(
    "join of an alias",
    lambda _: Other.select(Other.first_name, Appointment.notes).join(Appointment).tuples(),
    list,
    pairs,
)
path("join to the organization", lambda _: Student.select(name, Organization.id).join(Organization).tuples())
path("join from the organization", lambda _: Organization.select(name).join(Student).tuples())

# -- sub-queries ------------------------------------------------------------------------------------------------
their_students = Appointment.select(Appointment.student).where(of_theirs)
their_own = Appointment.select().where(same_student & of_theirs)
path("IN", lambda _: Student.select().where(Student.id.in_(their_students)), texts, only_theirs)
path("NOT IN", lambda _: Student.select().where(Student.id.not_in(their_students)), texts, only_ours)
path("EXISTS", lambda _: Student.select().where(fn.EXISTS(their_own)), texts, only_theirs)
path("NOT EXISTS", lambda _: Student.select().where(~fn.EXISTS(their_own)), texts, only_ours)
path("ANY", lambda _: Student.select().where(Student.id == fn.ANY(their_students)), texts, only_theirs)
path("sub-query in WHERE", lambda _: Student.select().where(name == notes_of_student()))
path("sub-query in the SELECT list", lambda _: Student.select(name, notes_of_student()).tuples(), list, pairs)
path("sub-query in ORDER BY", lambda _: Student.select().order_by(notes_of_student()))
path(
    "sub-query in HAVING",
    lambda _: Student.select(name).group_by(name).having(fn.COUNT(1) == Appointment.select(fn.COUNT(1))).tuples(),
    texts,
    once,
)
path("sub-query in FROM", lambda _: (s := Student.select().alias("s")).select_from(s.c.first_name))
path(
    "sub-query in ON",
    lambda _: Student.select(name).join(Post, on=(Post.id == Student.id) & Post.id.in_(Like.select(Like.id))),
)
path("sub-query in LIMIT", lambda _: Student.select(name).limit(Appointment.select(fn.COUNT(1))))

# -- common table expressions and compounds -----------------------------------------------------------------------


def chain(base: int) -> Any:
    start = Student.select(Student.id, name).where(Student.id == base).cte("chain", recursive=True)
    after = Student.select(Student.id, name).join(start, on=(Student.id == start.c.id + 1))
    steps = start.union_all(after)
    return steps.select_from(steps.c.first_name)


def joined_cte(_: int) -> Any:
    notes = Appointment.select(Appointment.student, Appointment.notes).cte("notes", materialized=True)
    return (
        Student.select(name, notes.c.notes).join(notes, on=(notes.c.student_id == Student.id)).with_cte(notes).tuples()
    )


def nested_cte(_: int) -> Any:
    inner = Student.select(name).cte("inner_one")
    outer = Student.select(inner.c.first_name).from_(inner).cte("outer_one")
    return Student.select(outer.c.first_name).from_(outer).with_cte(inner, outer)


users, students, posts = User.select(User.first_name), Student.select(name), Post.select(Post.content)
path("CTE", lambda _: (s := Student.select(name).cte("s")).select_from(s.c.first_name))
path("CTE in a join", joined_cte, list, pairs)
path("CTE in a CTE", nested_cte)
path("recursive CTE", chain)
path("union all", lambda _: users + students, texts, lambda label, count: [label] * 2 * count)
path("union", lambda _: users | students, texts, once)
path("intersect", lambda _: users & students, texts, once)
path(
    "except",
    lambda _: users - students.where(name == "theirs"),
    texts,
    lambda label, _: ["ours"] if label == "ours" else [],
)
path("nested compounds", lambda _: (users | students) & (posts | students), texts, once)
path("compound of a compound", lambda _: (users + students) + posts, texts, lambda label, count: [label] * 3 * count)
path("compound with an ordered arm", lambda _: students.order_by(Student.id).limit(9) + users.limit(0))
path("compound as tuples", lambda _: (users | students).tuples(), texts, once)
path(
    "compound as source",
    lambda _: (c := (users + students).alias("c")).select_from(c.c.first_name),
    texts,
    lambda label, count: [label] * 2 * count,
)
path(
    "compound in IN",
    lambda _: Student.select().where(Student.id.in_(their_students | their_students)),
    texts,
    only_theirs,
)
path("compound count", lambda _: users + students, lambda q: q.count(), lambda _, count: 2 * count)
path("compound with plain SELECT", lambda _: users | peewee.Select([Student], [name]), texts, once)

# -- other names for the same rows --------------------------------------------------------------------------------
Another = Student.alias("another")
path("alias", lambda _: Student.alias().select())
path("named alias", lambda _: Student.alias("s").select())
path("alias of columns", lambda _: Another.select(Another.first_name).tuples())
path("alias count", lambda _: Student.alias().select(), lambda q: q.count(), number)
path(
    "two aliases",
    lambda _: Other.select(Other.first_name, Another.first_name).join(Another, on=(Another.id == Other.id)).tuples(),
    list,
    pairs,
)
path("sub-class", lambda _: Pupil.select())
path("sub-class by id", lambda base: base, lambda key: Pupil.get_by_id(key).first_name, one)
path("renamed table", lambda _: Newcomer.select())
path("renamed table by id", lambda base: base, lambda key: Newcomer.get_by_id(key).first_name, one)
path("renamed table under an alias", lambda _: Newcomer.alias().select())
path("table", lambda _: Student._meta.table.select(name).tuples())
path("table under an alias", lambda _: (t := Student._meta.table.alias("t")).select(t.first_name).tuples())
path("plain SELECT", lambda _: peewee.Select([Student], [name]).bind(database), keeps_rows=True)
path(
    "plain SELECT of a table",
    lambda _: peewee.Select([Student._meta.table], [SQL("first_name")]).bind(database),
    keeps_rows=True,
)
path("SELECT from values", lambda b: values_join(b).clone().from_(Student), texts)
