"""How metrics ask: how many statements, whose rows, and what of the caller's they refuse."""

import inspect
import sys
from datetime import UTC, date, datetime

import pytest
from peewee import SQL, fn

from rayces_core import (
    Appointment,
    InvalidDataError,
    MissingExtraError,
    Organization,
    Professional,
    RaycesError,
    Student,
    UnsafeSQLError,
    analysis,
    clock,
    invoicing,
)
from rayces_core.analysis import asking
from rayces_core.analysis.asking import run
from tests.analysis.test_sessions import session
from tests.factory import make_professional, make_resource, make_student, make_user
from tests.invoicing.world import purchase
from tests.invoicing.world import session as priced
from tests.scheduling.worlds import NINE_TO_FIVE

MARCH = date(2026, 3, 1), date(2026, 4, 1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
METRICS = [
    name
    for name in analysis.__all__
    if hasattr(getattr(analysis, name), "definition") and "end" in inspect.signature(getattr(analysis, name)).parameters
]
STATEMENTS = {"occupancy": 2, "heat_map": 2, "resource_use": 2}


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_one_statement_and_those_of_working_time_are_two(own_pool, a, metric):
    told = []
    own_pool.on_query(told.append)
    with own_pool.tenant(a.id):
        for hour in (9, 10, 11):
            session("executed", NOON.replace(hour=hour), professional=make_professional(weekly_schedule=NINE_TO_FIVE))
        told.clear()
        getattr(analysis, metric)(*MARCH, every="1mo")
    assert len(told) == STATEMENTS.get(metric, 1)
    assert {query.operation for query in told} == {"select"}


def test_where_may_ask_other_models_and_what_it_holds_is_a_value_and_no_sql(db, a):
    with db.tenant(a):
        luz = make_student(first_name="Luz %s {appointments} %(start)s", last_name="100%")
        session("executed", NOON, student=luz)
        session("executed", NOON)
        found = [
            analysis.sessions(*MARCH, where=where)["executed"].item()
            for where in (
                Appointment.student.in_(Student.select().where(Student.last_name == "100%")),
                Appointment.student.in_(Student.select().where(Student.first_name == luz.first_name)),
                Appointment.notes.is_null() & (fn.lower(Appointment.state) == "executed"),
                SQL("state = %s", ["executed"]),
                Appointment.organization == a.id + 1,
            )
        ]
    assert found == [1, 1, 2, 2, 0]


@pytest.mark.parametrize(
    "where, said",
    [
        (Student.last_name == "Sosa", "^where: put columns of other models into a subquery"),
        (Professional.active == True, "^where: put columns of other models into a subquery"),  # noqa: E712
        (Organization.id == 1, "^where: put columns of other models into a subquery"),
        (fn.count(Appointment.id) > 1, "^where: give what is true or false of one appointment; .*aggregate"),
        (Appointment.state, "^where: give what is true or false of an appointment.*boolean"),
        (SQL("colour = 'red'"), "^where: name columns of Appointment.*colour"),
        (SQL("state = 3"), "^where: compare a column of Appointment with a value of its type"),
        (Appointment.select(), "an expression over Appointment"),
        (Appointment, "an expression over Appointment"),
    ],
)
def test_what_is_no_condition_on_appointments_is_refused(db, a, where, said):
    with db.tenant(a), pytest.raises(InvalidDataError, match=said):
        analysis.sessions(*MARCH, where=where)


def test_where_cannot_leave_the_tenant(db, a, b):
    with db.tenant(b):
        session("executed", NOON)
    with db.tenant(a):
        with pytest.raises(UnsafeSQLError):
            analysis.sessions(*MARCH, where=SQL("set_config('rayces.organization_id', %s, true) <> ''", [str(b.id)]))
        widened = SQL("true)) AS a UNION ALL SELECT * FROM appointments AS a WHERE (true")
        assert analysis.sessions(*MARCH, where=Appointment.id > 0)["executed"].item() == 0
        with pytest.raises(RaycesError):
            analysis.sessions(*MARCH, where=widened)


def test_every_table_of_a_statement_is_the_bound_tenants(db, a, b):
    sql = "SELECT count(*) FROM {organizations} AS o LEFT JOIN {students} AS s ON s.organization_id = o.id"
    for organization, names in ((a, ["Luz", "Sol"]), (b, ["Paz"])):
        with db.tenant(organization):
            for name in names:
                make_student(first_name=name)
            assert run(sql, {}, {"n": "integer"}).rows() == [(len(names),)]


def test_without_polars_a_metric_says_what_to_install(db, a, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with db.tenant(a), pytest.raises(MissingExtraError, match=r"rayces-core\[analysis\]"):
        analysis.sessions(*MARCH)


def test_a_schedule_that_is_none_is_named(db, a):
    with db.tenant(a), db.atomic() as unit:
        broken = make_professional()
        db.execute_sql("UPDATE professionals SET weekly_schedule = '{\"monday\": 3}' WHERE id = %s", (broken.id,))
        with pytest.raises(InvalidDataError, match=f"stored for user {broken.user_id} is none"):
            analysis.occupancy(*MARCH)
        unit.rollback()  # in privileged work it would be in everybody's way


def test_what_a_metric_cannot_tell_apart_is_refused_with_what_it_can(db, a):
    with db.tenant(a):
        with pytest.raises(InvalidDataError, match=r"use 'professional' or 'specialization' or 'weekday' or 'hour'$"):
            analysis.occupancy(*MARCH, by="student")
        with pytest.raises(InvalidDataError, match=r"use 'professional' or 'specialization'$"):
            analysis.heat_map(*MARCH, by=("hour",))


def test_the_weeks_of_a_century_are_given_and_its_days_are_not(db, a):
    century = date(1930, 1, 1), date(2030, 1, 1)
    with db.tenant(a):
        assert analysis.sessions(*century, every="1w").height == 5219
        for metric in (analysis.sessions, analysis.occupancy, analysis.credit_liability):
            with pytest.raises(InvalidDataError, match="'1d' makes 36,525 periods"):
                metric(*century, every="1d")


@pytest.mark.parametrize("metric", METRICS)
def test_a_frame_that_nobody_could_read_is_refused_and_says_what_to_ask_for(db, a, monkeypatch, metric):
    with db.tenant(a):
        for hour in (9, 10):
            session("executed", NOON.replace(hour=hour))
            make_student().apply(now=NOON)
        purchase(make_user(), at=NOON)
        make_resource()
        priced(ana := make_user(), at=NOON)
        with clock.frozen(NOON):
            invoicing.draft_invoice(ana, NOON.date(), NOON.date()).issue()
        monkeypatch.setattr(asking, "MOST_ROWS", 1)
        with pytest.raises(InvalidDataError, match="gives more than 1 rows; ask for longer periods"):
            getattr(analysis, metric)(date(2026, 3, 1), date(2026, 5, 1), every="1mo")
