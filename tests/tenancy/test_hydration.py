"""Rows become the same objects that Peewee itself would build, only faster."""

import peewee
import pytest

from rayces_core import Appointment, AppointmentState, CreditTransaction, Like, Post, Professional, Student, User
from rayces_core.tenancy.hydration import Rows
from tests.factory import make_appointment, make_like, make_post, make_professional, make_student, make_user
from tests.walking import walked


@pytest.fixture
def bound(db, a, monkeypatch):
    """What was built before is forgotten, since a model keeps only so many ways to build its rows."""
    for model in (Appointment, Like, Post, Professional, Student, User):
        monkeypatch.setattr(model._meta, "builders", {})
    with db.tenant(a):
        make_like()
        make_post()
        contact = make_user()
        make_student(primary_contact=contact)
        make_appointment(client=contact)
        make_appointment(notes="x", metadata={"k": [1, {"z": None}]})
        make_professional()
        yield


def by_peewee(query):
    """The same rows, built by Peewee's own cursor wrapper."""
    sql, params = query.sql()
    cursor = query._database.execute_sql(sql, params)
    if query._joins:
        return list(peewee.ModelCursorWrapper(cursor, query.model, query._returning, query._from_list, query._joins))
    return list(peewee.ModelObjectCursorWrapper(cursor, query.model, query._returning, query.model))


def seen(value):
    """Everything an instance holds, related instances included."""
    if not isinstance(value, peewee.Model):
        return value
    extra = {key: seen(held) for key, held in vars(value).items() if key not in ("__data__", "__rel__", "_dirty")}
    related = {name: seen(held) for name, held in value.__rel__.items()}
    return type(value).__name__, dict(sorted(value.__data__.items())), related, sorted(value._dirty), extra


J = peewee.JOIN
SELECTS = {
    "whole": lambda: Appointment.select(),
    "some columns": lambda: Appointment.select(Appointment.state, Appointment.scheduled_at),
    "an expression": lambda: Student.select(Student.id, peewee.fn.UPPER(Student.first_name).alias("loud")),
    "an alias of a field": lambda: Student.select(Student.first_name.alias("given")),
    "inner": lambda: Like.select(Like, Post).join(Post),
    "inner through two": lambda: Like.select(Like, Post, User).join(Post).join(User),
    "two branches": lambda: (
        Appointment.select(Appointment, Student, Professional).join(Student).switch(Appointment).join(Professional)
    ),
    "left": lambda: Student.select(Student, User).join(User, J.LEFT_OUTER, on=Student.primary_contact),
    "left, back-reference": lambda: Post.select(Post, Like).join(Like, J.LEFT_OUTER),
    "left through two": lambda: (
        Post.select(Post, Like, User).join(Like, J.LEFT_OUTER).join(User, J.LEFT_OUTER, on=Like.user)
    ),
    "middle not selected": lambda: Like.select(Like, User).join(Post).join(User, on=Post.user),
    "right": lambda: Student.select(Student, User).join(User, J.RIGHT_OUTER, on=Student.primary_contact),
    "full": lambda: Student.select(Student, User).join(User, J.FULL_OUTER, on=Student.primary_contact),
    "key not selected": lambda: Like.select(Like.id, Post.content).join(Post),
    "named attribute": lambda: Student.select(Student, User).join(User, on=Student.primary_contact, attr="contact"),
    "nothing of the joined": lambda: Like.select(Like).join(Post),
    "a count beside": lambda: (
        Post.select(Post, peewee.fn.COUNT(Like.id).alias("n")).join(Like, J.LEFT_OUTER).group_by(Post)
    ),
    "an aliased model": lambda: (
        lambda u: Student.select(Student, u).join(u, J.LEFT_OUTER, on=Student.primary_contact)
    )(User.alias()),
}


# Peewee overwrites the row's own foreign key with what the joined instance knows of its id; here the row's own stays.
KEY_STAYS = {"middle not selected": "post", "right": "primary_contact", "full": "primary_contact"}


@walked("name", SELECTS)
def test_instances_equal_those_that_peewee_builds(bound, name):
    query = SELECTS[name]().order_by(peewee.SQL("1"))
    key = KEY_STAYS.get(name)

    ours, theirs = list(query), by_peewee(query)
    for row, by_row in zip(ours, query.tuples(), strict=True) if key else ():
        position = [field.name for field in query._returning].index(key)
        assert row.__data__[key] == by_row[position]
        theirs[ours.index(row)].__data__[key] = row.__data__[key]

    assert len(ours) > 0
    assert [seen(row) for row in ours] == [seen(row) for row in theirs]


@walked("name", [name for name in SELECTS if name not in ("a count beside", "an aliased model")])
def test_the_template_is_what_builds_them(bound, name):
    assert isinstance(SELECTS[name]().execute(), Rows)


def test_tuples_dicts_and_namedtuples_agree_with_the_instances(bound):
    query = Appointment.select().order_by(Appointment.id)
    fields = Appointment._meta.sorted_fields
    expected = [tuple(row.__data__[field.name] for field in fields) for row in query]

    assert list(query.tuples()) == expected
    assert [tuple(row.values()) for row in query.dicts()] == expected
    assert [tuple(row) for row in query.namedtuples()] == expected
    assert next(iter(query.dicts())).keys() == {field.name for field in fields}
    assert next(iter(query.namedtuples())).state is AppointmentState.DRAFT


def test_every_row_type_gives_enum_members_and_aware_times(bound):
    query = Appointment.select(Appointment.state, Appointment.scheduled_at, Appointment.confirmed_at)
    for rows in (query.tuples(), [tuple(row.values()) for row in query.dicts()], query.namedtuples()):
        for state, scheduled_at, confirmed_at in rows:
            assert state is AppointmentState.DRAFT
            assert scheduled_at.utcoffset().total_seconds() == 0
            assert confirmed_at is None


def test_columns_of_one_name_stay_apart_in_dicts_and_namedtuples(bound):
    query = Like.select(Like.id, Post.id).join(Post)
    (row,) = query.dicts()
    assert list(row) == ["id", "id_2"]
    (row,) = query.namedtuples()
    assert row._fields == ("id", "id_2")


def test_instances_do_not_share_what_can_be_changed(bound):
    first, second = Appointment.select().order_by(Appointment.id)
    first.metadata["k"] = 1
    first.notes = "x"
    assert second._dirty == set()
    assert "k" not in Appointment.get_by_id(first.id).metadata


@pytest.mark.slow
def test_an_iterator_reads_many_chunks(db, a):
    with db.tenant(a):
        Student.insert_many([{"first_name": str(n), "last_name": "x"} for n in range(4321)]).execute()
        names = [student.first_name for student in Student.select().order_by(Student.id).iterator()]
        assert names == [str(n) for n in range(4321)]


def test_raw_rows_become_instances_by_column_name(bound):
    (row,) = CreditTransaction.raw("select 5 as id, 'completed' as status, 7 as something_else")
    assert (row.id, row.status, row.something_else) == (5, "completed", 7)


@pytest.mark.slow
def test_builders_of_raw_sql_do_not_pile_up(bound):
    for number in range(600):
        list(Student.raw(f"select {number} as column_{number}"))
    assert len(Student._meta.builders) <= 500


def test_columns_chosen_after_select_are_the_only_ones(bound):
    query = Student.select().columns(Student.first_name, Student.id)
    assert list(query.tuples()) == list(Student.select(Student.first_name, Student.id).tuples())
    (row, *_) = query
    assert set(row.__data__) == {"first_name", "id", "organization"}
