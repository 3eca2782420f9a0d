"""What the findings showed to be wrong by hand: last year's prices, imported admissions, imported bookings."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import (
    Appointment,
    Role,
    Student,
    analysis,
    archive,
    credits,
    exporting,
    importing,
    scheduling,
)
from rayces_core.clock import frozen
from tests.analysis.test_docs import DOCUMENT
from tests.factory import (
    make_kind,
    make_organization,
    make_package,
    make_professional,
    make_service,
    make_student,
    make_user,
)
from tests.importing.world import make_centre, session
from tests.scheduling.worlds import NINE_TO_FIVE

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MARCH = date(2026, 3, 1), date(2026, 4, 1)
YEAR = date(2026, 1, 1), date(2027, 1, 1)


@pytest.fixture
def booked(db, a):
    """A session in March, booked at the professional's price of that day."""
    with db.tenant(a), frozen(NOON):
        professional = make_professional(
            weekly_schedule=NINE_TO_FIVE, session_price_cents=100_000, currency="ARS", buffer_minutes=0
        )
        student, client, staff = make_student(), make_user(), make_user(role=Role.ADMIN)
        made = scheduling.book(
            student=student, professional=professional, client=client, scheduled_at=NOON + 7 * DAY, by=staff
        )
        made.confirm(by=staff)
    return made, professional, staff


def test_a_rise_of_prices_changes_no_revenue_of_the_past(db, a, booked):
    made, professional, staff = booked
    with db.tenant(a):
        with frozen(NOON + 8 * DAY):
            made.execute(by=staff)
        professional.session_price_cents = 300_000
        professional.save()
        assert analysis.revenue(*MARCH).rows() == [(a.id, "ARS", 1, 0, 100_000)]


def test_a_price_that_was_changed_for_one_session_is_its_revenue(db, a, booked):
    made, _, staff = booked
    with db.tenant(a), frozen(NOON + 8 * DAY):
        made.change_price(price_cents=2_500, currency="EUR", by=staff)
        made.execute(by=staff)
        assert analysis.revenue(*MARCH).rows() == [(a.id, "ARS", 0, 0, 0), (a.id, "EUR", 1, 0, 2_500)]
        made.correct_to_no_show(by=staff, reason="nobody came")
        assert analysis.revenue(*MARCH).rows() == [(a.id, "ARS", 0, 0, 0)]


def test_no_sum_of_money_is_too_large(db, a, booked):
    made, _, staff = booked
    with db.tenant(a):
        for days in range(1, 4):
            one = Appointment.create(
                **{name: getattr(made, name) for name in ("professional", "student", "client")},
                scheduled_at=made.scheduled_at + days * DAY,
                price_cents=2**31 - 1,
                currency="ARS",
            )
            with frozen(NOON):
                one.pre_confirm()
                one.confirm()
            with frozen(NOON + 20 * DAY):
                one.execute(by=staff)
        assert analysis.revenue(*MARCH)["revenue_cents"].to_list() == [3 * (2**31 - 1)]


def test_a_move_keeps_the_lead_time_and_what_was_booked_late_has_none(db, a, booked):
    made, _, staff = booked
    with db.tenant(a):
        assert analysis.lead_time(*MARCH).rows() == [(a.id, 1, 168.0, 168.0, 168.0)]
        scheduling.reschedule(made, made.scheduled_at + 2 * DAY, by=staff, now=NOON + DAY)
        assert analysis.lead_time(*MARCH).rows() == [(a.id, 1, 168.0, 168.0, 168.0)]
        db.execute_sql("UPDATE appointments SET created_at = created_at + interval '8 days'")
        assert analysis.lead_time(*MARCH).rows() == [(a.id, 0, None, None, None)]


def test_imported_admissions_are_no_waits_of_zero_days(db, a):
    rows = [
        {"first_name": f"Sol {n}", "last_name": "Paz", "admission_state": state, "admission_date": "2026-03-05"}
        for n, state in enumerate(["enrolled", "admitted", "discharged", "on_leave"])
    ]
    with db.tenant(a), frozen(NOON + 20 * DAY):
        importing.run(rows, Student)
        luz = make_student(first_name="Luz")
        luz.apply()
        luz.admit()
        luz.enroll(now=NOON + 29 * DAY)
        waits = analysis.admission_wait(*MARCH, now=NOON + 60 * DAY)
        assert waits.select("student_id", "wait_days").rows() == [(luz.id, 9.0)]
        assert analysis.admission_funnel(*MARCH, now=NOON + 60 * DAY)["applied"].to_list() == [1]


def test_imported_sessions_have_a_lead_time_only_where_the_file_says_when_they_were_booked(db, a):
    with db.tenant(a), frozen(NOON + 20 * DAY):
        make_centre()
        rows = [
            session(scheduled_at=NOON, state="executed"),
            session(scheduled_at=NOON + 2 * DAY, state="executed", created_at=NOON),
            session(scheduled_at=NOON + 25 * DAY),
        ]
        importing.run(rows, Appointment)
        assert analysis.lead_time(*MARCH).rows() == [(a.id, 1, 48.0, 48.0, 48.0)]
        assert analysis.sessions(*MARCH, by="lead").select("lead", "executed").rows() == [("1-3 d", 1), (None, 1)]


def test_a_cancellation_that_was_imported_is_late_only_where_the_file_says_when_it_was(db, a):
    firm = {"state": "cancelled", "confirmed_at": NOON - 5 * DAY, "cancellation_reason": "ill"}
    with db.tenant(a), frozen(NOON + 20 * DAY):
        make_centre()
        rows = [
            session(scheduled_at=NOON, **firm),
            session(scheduled_at=NOON + DAY, cancelled_at=NOON + DAY - timedelta(hours=1), **firm),
            session(scheduled_at=NOON + 2 * DAY, cancelled_at=NOON, **firm),
        ]
        importing.run(rows, Appointment)
        found = analysis.cancellation_rate(*MARCH).select("confirmed", "cancelled", "late")
        assert found.rows() == [(3, 3, 1)]


@pytest.mark.slow
def test_an_archive_and_an_export_keep_what_was_made_up(own_db, tmp_path):
    north = make_organization(own_db)
    with own_db.tenant(north), frozen(NOON):
        make_centre()
        rows = [session(scheduled_at=NOON - DAY, state="executed"), session(scheduled_at=NOON + DAY, created_at=NOON)]
        importing.run(rows, Appointment)
        before = marks(own_db)
        exporting.export("transitions", tmp_path / "journal.csv")
        exporting.tenant(tmp_path / "north.zip")
    assert (True, "executed") in before[0]
    assert "made_up" in (tmp_path / "journal.csv").read_text().splitlines()[0]
    archive.restore(own_db, tmp_path / "north.zip", subdomain="again")
    with own_db.tenant("again"):
        assert marks(own_db) == before


def marks(db):
    """What is marked as made up."""
    return (
        db.execute_sql("SELECT made_up, to_state FROM state_transitions ORDER BY id").fetchall(),
        db.execute_sql("SELECT created_at_made_up FROM appointments ORDER BY scheduled_at").fetchall(),
    )


def test_what_is_owed_is_what_the_ledger_verifies(db, a, booked):
    staff = booked[2]
    with db.tenant(a):
        eva = make_user()
        with frozen(NOON):
            credits.purchase(eva, 10)
        with frozen(NOON + DAY):
            credits.adjust(eva, -3, reason="counted anew", by=staff)
        owed = analysis.credit_liability(*YEAR, by="client")
        assert owed.rows() == [(a.id, eva.id, 10, 0, 0, -3, 0, 7)]
        assert credits.verify().is_clean


def test_what_is_owed_is_told_apart_by_kind_and_what_expired_is_owed_no_more(db, a):
    with db.tenant(a):
        eva, speech = make_user(), make_kind()
        with frozen(NOON):
            credits.purchase(eva, 10)
            credits.purchase_package(eva, make_package(credits=8, credit_kind=speech, valid_days=5))
            credits.debit(eva, 2, kind=speech)
        with frozen(NOON + 9 * DAY):
            assert credits.expire_lots() == 1
        flows = {None: (10, 0, 0, 0, 0, 10), speech.id: (8, 2, 0, 0, 6, 0)}
        owed = analysis.credit_liability(*YEAR, by="credit_kind")
        assert sorted(owed.rows(), key=str) == sorted([(a.id, kind, *told) for kind, told in flows.items()], key=str)
        both = analysis.credit_liability(*YEAR, by=("client", "credit_kind"))
        assert sorted(both.rows(), key=str) == sorted(
            [(a.id, eva.id, kind, *told) for kind, told in flows.items()], key=str
        )
        assert analysis.credit_liability(*YEAR, by="client").rows() == [(a.id, eva.id, 18, 2, 0, 0, 6, 10)]
        assert analysis.credit_liability(*YEAR).rows() == [(a.id, 18, 2, 0, 0, 6, 10)]


def test_sessions_are_told_apart_by_service(db, a, booked):
    made, _, staff = booked
    with db.tenant(a), frozen(NOON + 8 * DAY):
        service = make_service()
        with db.privileged(reason="test"):
            db.execute_sql("UPDATE appointments SET service_id = %s WHERE id = %s", [service.id, made.id])
    with db.tenant(a), frozen(NOON + 8 * DAY):
        Appointment.get_by_id(made.id).execute(by=staff)
        assert analysis.revenue(*MARCH, by="service").rows() == [(a.id, service.id, "ARS", 1, 0, 100_000)]


@pytest.mark.slow
def test_the_examples_of_the_documents_run_one_after_the_other(capsys, on_the_runs_server):
    examples, names = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL), {}
    assert len(examples) > 1
    for example in examples:
        exec(compile(example, DOCUMENT.name, "exec"), names)
        assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*# (.*)", example)
