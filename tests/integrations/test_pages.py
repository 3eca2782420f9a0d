"""Pages by keyset: every row once, whatever the order, ties, nulls, and rows that are added meanwhile."""

import base64
import json
from datetime import timedelta

import pytest

from rayces_core import Appointment, AppointmentState, Student, User
from rayces_core.errors import InvalidDataError
from rayces_core.integrations.pages import Page, filtered, keyset
from rayces_core.integrations.schemas import schema_of
from tests.factory import START, make_appointment, make_student
from tests.walking import walked

GRADES = ("3", None, "1", "3", None, "2", "3", "1", None, "it's")


@pytest.fixture
def students(db, a):
    with db.tenant(a):
        yield [make_student(grade_level=grade, last_name="Sosa") for grade in GRADES]


def walk(query, limit, order, between=lambda: None):
    after, seen = None, []
    while True:
        page = keyset(query, after=after, limit=limit, order=order)
        assert len(page.items) <= limit
        seen += [row.id for row in page.items]
        after = page.next
        if after is None:
            return seen
        between()


ORDERS = {
    "by id": lambda: (),
    "by id, descending": lambda: (Student.id.desc(),),
    "nulls": lambda: (Student.grade_level,),
    "nulls, descending": lambda: (Student.grade_level.desc(),),
    "ties and two ways": lambda: (Student.last_name, Student.grade_level.desc(), Student.created_at),
    "moments": lambda: (Student.created_at.desc(),),
    "an enumeration": lambda: (Student.admission_state, Student.date_of_birth),
}


@pytest.mark.parametrize("limit", [1, 3, 10])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_pages_hold_every_row_once_in_the_order_that_postgresql_has(students, order, limit):
    steps = order()
    last = steps[-1] if steps else None
    descends = getattr(last, "direction", "ASC") == "DESC"
    tie = Student.id.desc() if descends else Student.id
    assert walk(Student.select(), limit, steps) == [row.id for row in Student.select().order_by(*steps, tie)]


def test_rows_that_are_added_and_removed_meanwhile_move_none_of_the_others(students):
    before = [row.id for row in Student.select().order_by(Student.grade_level, Student.id)]

    def between():
        make_student(grade_level="0")  # before the place that was read
        Student.delete().where(Student.id == before[0]).execute()

    assert walk(Student.select(), 2, (Student.grade_level,), between) == before


def test_a_page_continues_within_the_query_it_is_given_alone(students, db, b):
    page = keyset(Student.select().where(Student.grade_level == "3"), limit=1)
    rest = keyset(Student.select().where(Student.grade_level == "3"), after=page.next).items
    assert len(rest) == 2
    with db.tenant(b):
        make_student()
        assert {row.organization_id for row in keyset(Student.select(), after=page.next).items} <= {b.id}


def cursor(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@walked(
    "wrong",
    [
        "",
        "x",
        "é",
        "!!!!",
        "a" * 5000,
        5,
        cursor("id"),
        cursor("id", None),
        cursor("id", "x"),
        cursor("id", 2**70),
        cursor("id", float("inf")),
        cursor("id", float("nan")),
        cursor("id", 1.5),
        cursor("id", True),
        cursor("id", "1"),
        cursor("id", 1, 1),
        cursor("-id", 1),
        cursor("jti", "x"),
        cursor("id", {"a": 1}),
        base64.urlsafe_b64encode(b'{"id": 1}').decode(),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_cursor_that_is_none_is_refused(students, wrong):
    with pytest.raises(InvalidDataError):
        keyset(Student.select(), after=wrong)


@pytest.mark.parametrize("values", [("x\x00", 1), (5, 1), ("1", "1 OR 1=1")])
def test_a_forged_place_is_refused(students, values):
    with pytest.raises(InvalidDataError):
        keyset(Student.select(), after=cursor("grade_level,id", *values), order=(Student.grade_level,))


@pytest.mark.parametrize("limit", [0, -1, 201, True, "5", None])
def test_a_limit_that_is_none_is_refused(students, limit):
    with pytest.raises(InvalidDataError):
        keyset(Student.select(), limit=limit)


def test_an_order_of_other_or_secret_columns_is_refused(students):
    for order in ((User.email,), (Student.id.desc(nulls="first"),), ("id",)):
        with pytest.raises(InvalidDataError):
            keyset(Student.select(), order=order)
    with pytest.raises(InvalidDataError):
        keyset(User.select(), order=(User.jti,))


def test_an_order_by_a_joined_tables_column_is_refused_though_its_name_is_ours(students):
    other = Student.alias()
    for query, order in ((Student.select(), User.created_at), (other.select(), Student.last_name)):
        with pytest.raises(InvalidDataError, match="columns of"):
            keyset(query, order=(order,))
    assert len(keyset(other.select(), order=(other.last_name.desc(),), limit=20).items) == len(GRADES)


def test_a_query_with_a_limit_or_offset_of_its_own_is_refused(students):
    for query in (Student.select().limit(3), Student.select().offset(3), Student.select().paginate(2, 3)):
        with pytest.raises(InvalidDataError, match="of its own"):
            keyset(query)


@pytest.mark.parametrize("place", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 1e400, "soon"])
def test_a_forged_moment_outside_every_calendar_is_refused(students, place):
    with pytest.raises(InvalidDataError):
        keyset(Student.select(), after=cursor("created_at,id", place, 1), order=(Student.created_at,))


def test_filters_ask_for_what_is_given_and_refuse_what_is_no_column(students):
    assert filtered(Student.select(), grade_level="3", last_name=None).count() == 3
    assert filtered(Student.select(), grade_level=["1", "2"]).count() == 3
    for wrong in ({"nonsense": 1}, {"admission_state": "gone"}):
        with pytest.raises(InvalidDataError):
            filtered(Student.select(), **wrong).count()
    with pytest.raises(InvalidDataError):
        filtered(User.select(), jti="x")


def test_a_page_is_an_answer(db, a):
    out = schema_of(Appointment, include=("id", "state", "scheduled_at"), name="Listed")
    with db.tenant(a):
        for hours in range(3):
            make_appointment(scheduled_at=START + timedelta(hours=hours))
        rows = keyset(Appointment.in_state("draft"), limit=2, order=(Appointment.scheduled_at.desc(),))
        answer = Page[out].model_validate(rows)
    assert [one.scheduled_at - START for one in answer.items] == [timedelta(hours=2), timedelta(hours=1)]
    assert answer.items[0].state is AppointmentState.DRAFT
    assert answer.next == rows.next
