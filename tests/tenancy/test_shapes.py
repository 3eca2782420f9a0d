"""SQL kept by shape is what the compiler writes, value for value, and nothing else is kept."""

import peewee
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rayces_core import Appointment, AppointmentState, InvalidDataError, Student, User
from rayces_core.tenancy import prepared as prepared_module
from rayces_core.tenancy.shapes import MOST_SHAPES
from tests.factory import START, make_appointment, make_student, make_user
from tests.sizes import examples
from tests.walking import walked


@pytest.fixture(scope="module")
def tenant(db):
    from tests.factory import make_organization

    organization = make_organization(db)
    with db.tenant(organization):
        for name in ("Ana", "Eva", "Sol"):
            make_student(first_name=name)
        make_appointment()
    return organization


@pytest.fixture
def bound(db, tenant):
    with db.tenant(tenant):
        yield tenant


@pytest.fixture
def sent(db, monkeypatch):
    """What is run from memory: (SQL, values)."""
    texts = []
    for way in ("run_shape", "run_prepared"):
        monkeypatch.setattr(type(db.engine), way, noting(texts, getattr(type(db.engine), way)))
    return texts


def noting(texts, run):
    def spy(engine, sql, values):
        if '"organizations"' not in sql:  # looked up as a tenant
            texts.append((sql, list(values)))
        return run(engine, sql, values)

    return spy


FIELDS = {
    Student.id: st.integers(-(2**40), 2**40),
    Student.first_name: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    Student.primary_contact: st.integers(1, 10),
    Student.admission_state: st.sampled_from(["prospect", "admitted"]),
    Student.created_at: st.datetimes(timezones=st.just(START.tzinfo)),
}
ORDERINGS = [Student.id, Student.first_name.desc(), Student.created_at.asc(nulls="LAST")]
OPERATORS = ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]


@st.composite
def conditions(draw, depth=3):
    if depth and draw(st.booleans()):
        left, right = draw(conditions(depth=depth - 1)), draw(conditions(depth=depth - 1))
        return left & right if draw(st.booleans()) else left | right
    field = draw(st.sampled_from(list(FIELDS)))
    return getattr(field, draw(st.sampled_from(OPERATORS)))(draw(FIELDS[field]))


@st.composite
def selects(draw):
    query = Student.select(*draw(st.sampled_from([(), (Student.id,), (Student.id, Student.first_name)])))
    for condition in draw(st.lists(conditions(), max_size=2)):
        query = query.where(condition)
    order = draw(st.lists(st.sampled_from(ORDERINGS), max_size=2))
    query = query.order_by(*order) if order else query
    query = query.limit(draw(st.integers(0, 9))) if draw(st.booleans()) else query
    return query.offset(draw(st.integers(0, 3))) if draw(st.booleans()) else query


@pytest.mark.slow
@examples(12, 150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=selects())
def test_a_kept_select_is_what_the_compiler_writes(db, bound, sent, query):
    sent.clear()
    rows = [row.__data__ for row in query]

    assert sent == [query.sql()]
    sql, params = query.sql()
    again = db.execute_sql(f"SELECT count(*) FROM ({sql}) AS rows", params)
    assert again.fetchone() == (len(rows),)


@pytest.mark.slow
@examples(8, 60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=conditions(), grade=st.text("abc", max_size=3))
def test_a_kept_update_is_what_the_compiler_writes(db, bound, sent, condition, grade):
    query = Student.update(grade_level=grade, medical_notes="x").where(condition)
    sent.clear()
    query.execute()
    assert sent == [query.sql()]


def test_a_kept_delete_is_what_the_compiler_writes(bound, sent):
    query = User.delete().where((User.id == -1) | (User.email == "nobody@example.org"))
    query.execute()
    assert sent == [query.sql()]


def test_each_tenant_gets_its_own_rows_from_the_same_kept_text(db, bound, b, sent):
    query = Student.select().where(Student.first_name == "Ana")
    assert len(query) == 1
    with db.tenant(b):
        assert len(query) == 0
    with db.privileged(reason="test"):
        assert len(query) >= 1
    assert sent[0][0] == sent[1][0]
    assert (sent[0][1][0], sent[1][1][0]) == (bound.id, b.id)
    assert 'organization_id" = ' not in sent[2][0]


def test_what_is_kept_takes_the_values_of_each_call(bound):
    for name in ("Ana", "Eva", "nobody", "Sol"):
        assert [student.first_name for student in Student.select().where(Student.first_name == name)] == (
            [] if name == "nobody" else [name]
        )


def test_operators_columns_order_and_limits_make_shapes_of_their_own(bound, sent):
    one = Student.select().where(Student.id > 0)
    for query in (
        one,
        Student.select().where(Student.id >= 0),
        Student.select().where(Student.primary_contact > 0),
        one.order_by(Student.id),
        one.order_by(Student.id.desc()),
        one.limit(1),
        one.offset(1),
        one.select(Student.id),
        one.where(Student.id > 1),
        one.orwhere(Student.id > 1),
    ):
        list(query)
    assert len({sql for sql, _ in sent}) == 10


NOT_KEPT = {
    "IN": lambda: Student.select().where(Student.id.in_([1, 2])),
    "IS NULL": lambda: Student.select().where(Student.date_of_birth.is_null()),
    "equals None": lambda: Student.select().where(Student.date_of_birth == None),  # noqa: E711
    "LIKE": lambda: Student.select().where(Student.first_name.contains("a")),
    "NOT": lambda: Student.select().where(~(Student.id == 1)),
    "a function": lambda: Student.select().where(peewee.fn.LOWER(Student.first_name) == "ana"),
    "two columns": lambda: Student.select().where(Student.id == Student.primary_contact),
    "a sub-query": lambda: Student.select().where(Student.id == Student.select(peewee.fn.MAX(Student.id))),
    "raw SQL": lambda: Student.select().where(peewee.SQL("1 = 1")),
    "a join": lambda: Appointment.select().join(Student),
    "another model's field": lambda: Student.select().where(peewee.Value(1) == 1, Student.id == 1),
    "an alias": lambda: (lambda s: s.select().where(s.id == 1))(Student.alias()),
    "DISTINCT": lambda: Student.select().distinct(),
    "DISTINCT by a flag": lambda: Student.select().distinct(True),
    "DISTINCT ON": lambda: Student.select().distinct(Student.id),
    "a window": lambda: Student.select().window(peewee.Window(partition_by=[Student.id]).alias("w")),
    "HAVING": lambda: Student.select(Student.first_name).group_by(Student.first_name).having(Student.first_name == "x"),
    "LATERAL": lambda: Student.select().lateral(),
    "GROUP BY": lambda: Student.select(Student.first_name).group_by(Student.first_name),
    "FOR UPDATE": lambda: Student.select().for_update(),
    "an expression selected": lambda: Student.select(Student.id + 1),
    "a CTE": lambda: Student.select().with_cte(Student.select(Student.id).cte("c")),
    "a computed limit": lambda: Student.select().limit(peewee.SQL("1")),
    "a value of Peewee's": lambda: Student.select().where(Student.first_name == peewee.Value("Ana")),
}


@walked("query", NOT_KEPT.values())
def test_anything_else_is_compiled_each_time(bound, sent, query):
    list(query())
    assert sent == []


@walked(
    "update",
    [
        lambda: Student.update(grade_level=Student.first_name),
        lambda: Student.update(grade_level=peewee.fn.LOWER("X")),
        lambda: Student.update(grade_level=None).where(Student.id == 1),
        lambda: Student.update(grade_level="x").returning(Student.id),
        lambda: Student.update(grade_level="x").from_(User).where(Student.primary_contact == User.id),
    ],
)
def test_updates_with_more_than_plain_values_are_compiled_each_time(bound, sent, update):
    update().execute()
    assert sent == []


def test_a_malformed_value_is_refused_before_anything_is_sent(bound, sent):
    with pytest.raises(InvalidDataError):
        list(Appointment.select().where(Appointment.state == "no such state"))
    with pytest.raises(InvalidDataError):
        Student.update(first_name=5).execute()
    assert sent == []


def test_enum_members_and_their_values_are_one_shape(bound, sent):
    for state in (AppointmentState.DRAFT, "draft"):
        assert Appointment.select().where(Appointment.state == state).count() == len(
            Appointment.select().where(Appointment.state == state)
        )
    assert len({sql for sql, _ in sent}) == 1


def test_instances_stand_for_their_ids(bound, sent):
    contact = make_user()
    student = make_student(primary_contact=contact)
    sent.clear()
    assert list(Student.select().where(Student.primary_contact == contact)) == [student]
    assert sent[0][1] == [bound.id, contact.id]


@pytest.mark.slow
def test_shapes_do_not_pile_up(bound):
    fields = Student._meta.sorted_fields
    selections = [(one, other, fields[0]) for one in fields for other in fields] + [(field,) for field in fields]
    for selection in selections:
        list(Student.select(*selection).limit(1))
    assert len(selections) > MOST_SHAPES
    assert len(Student._meta.remember("shapes", dict)) == MOST_SHAPES
    Student._meta.prepared.pop("shapes")


def test_a_rendering_that_puts_values_elsewhere_is_not_kept(bound, sent, monkeypatch):
    """If Peewee ever ordered values in another way, queries would be compiled each time, not answered wrongly."""
    Student._meta.prepared.pop("shapes", None)
    init = prepared_module.Prepared.__init__

    def reversed_values(self, query, binding):
        init(self, query, binding)
        self.values = [value if value is prepared_module.TENANT else "other" for value in self.values]

    monkeypatch.setattr(prepared_module.Prepared, "__init__", reversed_values)
    try:
        assert [s.first_name for s in Student.select().where(Student.first_name == "Ana")] == ["Ana"]
        assert sent == []
    finally:
        Student._meta.prepared.pop("shapes", None)
