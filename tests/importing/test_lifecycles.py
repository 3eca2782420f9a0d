"""Imported rows stand in their state with the history that leads there, and every sum of the ledger holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    AdmissionState,
    Appointment,
    CreditTransaction,
    Database,
    Organization,
    Professional,
    Student,
    User,
    clock,
    credits,
    exporting,
    importing,
)
from rayces_core.importing.records.students import WAY_TO
from tests.factory import make_giving, make_service
from tests.importing.world import NOW, START, make_centre, session, told
from tests.sizes import exhaustive

PAST = NOW - timedelta(days=30)


def replayed(row: Any, first: str) -> str:
    """The state that the journal of a row leads to, each step from where the one before ended, and not before it."""
    state, at = first, None
    for step in row.history():
        assert step.from_state == state
        assert at is None or at <= step.occurred_at
        event = type(row).lifecycle.transitions[step.event]
        assert step.from_state in event.sources
        assert step.to_state == event.target
        state, at = step.to_state, step.occurred_at
    return str(state)


@pytest.mark.parametrize("state", AdmissionState)
@pytest.mark.parametrize("dated", [True, False])
def test_a_student_comes_in_any_state_with_its_journal(db: Database, a: Any, state: str, dated: bool) -> None:
    days = {"admission_date": "2030-03-01"} if dated else {}
    if dated and state == "discharged":
        days["discharge_date"] = "2030-09-01"
    with db.tenant(a):
        importing.run([{"first_name": "Sol", "last_name": "Paz", "admission_state": state} | days], Student, now=NOW)
        student = Student.get()
        assert student.admission_state == state
        assert replayed(student, "prospect") == state
        assert len(list(student.history())) == len(WAY_TO[state])
        assert all(step.occurred_at <= NOW for step in student.history())


APPOINTMENTS = [
    ("draft", {}, []),
    ("pre_confirmed", {}, ["pre_confirm"]),
    ("confirmed", {}, ["pre_confirm", "confirm"]),
    ("executed", {}, ["pre_confirm", "confirm", "execute"]),
    ("no_show", {}, ["pre_confirm", "confirm", "mark_no_show"]),
    ("cancelled", {}, ["cancel"]),
    ("cancelled", {"pre_confirmed_at": PAST - timedelta(days=3)}, ["pre_confirm", "cancel"]),
    ("cancelled", {"confirmed_at": PAST - timedelta(days=2)}, ["pre_confirm", "confirm", "cancel"]),
    ("cancelled", {"cancelled_by": "ana@example.org"}, ["cancel"]),
    ("cancelled", {"cancellation_reason": "ill", "cancelled_at": PAST - timedelta(days=1)}, ["cancel"]),
    ("executed", {"executed_at": PAST + timedelta(hours=2)}, ["pre_confirm", "confirm", "execute"]),
    ("executed", {"confirmed_at": PAST + timedelta(hours=2)}, ["pre_confirm", "confirm", "execute"]),
    ("confirmed", {"pre_confirmed_at": PAST, "confirmed_at": PAST, "expires_at": NOW}, ["pre_confirm", "confirm"]),
    ("pre_confirmed", {"expires_at": PAST - timedelta(days=5)}, ["pre_confirm"]),
]


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [False, *exhaustive(True)], ids=["past", "ahead"])
@pytest.mark.parametrize(("state", "stamps", "events"), APPOINTMENTS)
def test_an_appointment_comes_in_any_state_with_its_journal(
    db: Database, a: Any, state: str, stamps: dict[str, Any], events: list[str], ahead: bool
) -> None:
    if ahead and state in ("executed", "no_show"):
        return
    row = session(state=state, scheduled_at=START if ahead else PAST, **stamps)
    with db.tenant(a):
        make_centre()
        report = importing.run([row], Appointment, now=NOW)
        assert report.created == 1
        made = Appointment.get()
        assert made.state == state
        assert replayed(made, "draft") == state
        assert [step.event for step in made.history()] == events
        for name, value in stamps.items():
            if name.endswith("_at"):
                assert getattr(made, name) == value
        assert made.client.email == "ana@example.org"
        assert made.buffer_minutes == 15
        assert importing.run([row], Appointment, now=NOW).unchanged == 1


MADE_UP = [
    ("confirmed", {}, {"pre_confirm": True, "confirm": True}),
    ("confirmed", {"confirmed_at": PAST}, {"pre_confirm": True, "confirm": False}),
    ("executed", {"pre_confirmed_at": PAST}, {"pre_confirm": False, "confirm": True, "execute": True}),
    (
        "executed",
        {"confirmed_at": PAST, "executed_at": PAST + timedelta(hours=1)},
        {"pre_confirm": True, "confirm": False, "execute": False},
    ),
    ("no_show", {"no_show_at": PAST}, {"pre_confirm": True, "confirm": True, "mark_no_show": False}),
    ("no_show", {}, {"pre_confirm": True, "confirm": True, "mark_no_show": True}),
    ("cancelled", {"cancellation_reason": "ill"}, {"cancel": True}),
    ("cancelled", {"cancelled_at": PAST}, {"cancel": False}),
]


def test_moments_that_the_file_does_not_have_are_marked_in_the_journal(db: Database, a: Any) -> None:
    # In one import, and backwards: each journal row belongs to its own appointment.
    rows = [
        session(state=state, scheduled_at=PAST + timedelta(days=-number), **{"confirmed_at": None} | stamps)
        for number, (state, stamps, _) in enumerate(MADE_UP)
    ]
    for row, (_, stamps, __) in zip(rows, MADE_UP, strict=True):
        late = row["scheduled_at"] - PAST
        row |= {name: value + late for name, value in stamps.items() if name.endswith("_at")}
    with db.tenant(a):
        make_centre()
        importing.run(rows, Appointment, now=NOW)
        for row, (_, __, expected) in zip(rows, MADE_UP, strict=True):
            made = Appointment.get(Appointment.scheduled_at == row["scheduled_at"])
            assert {step.event: step.made_up for step in made.history()} == expected


def test_what_is_made_up_is_told_for_rows_that_differ_by_their_external_id_alone(db: Database, a: Any) -> None:
    told_at = {"cancelled_at": PAST, "cancellation_reason": "ill"}
    rows = [
        session(state="cancelled", scheduled_at=PAST, external_id="1", cancellation_reason="ill"),
        session(state="cancelled", scheduled_at=PAST, external_id="2", created_at=PAST - timedelta(days=9), **told_at),
    ]
    with db.tenant(a):
        make_centre()
        importing.run(rows, Appointment, key="external_id", now=NOW)
        first, second = (Appointment.get(Appointment.external_id == key) for key in "12")
        assert [[step.made_up for step in made.history()] for made in (first, second)] == [[True], [False]]
        assert [first.created_at_made_up, second.created_at_made_up] == [True, False]


@pytest.mark.parametrize("state", [*WAY_TO])
def test_of_an_admission_only_the_days_that_the_file_has_are_told(db: Database, a: Any, state: str) -> None:
    row = {"first_name": "Sol", "last_name": "Paz", "admission_state": state, "admission_date": "2030-03-01"}
    if state == "discharged":
        row["discharge_date"] = "2030-09-01"
    with db.tenant(a):
        importing.run([row, {"first_name": "Luz", "last_name": "Paz", "admission_state": state}], Student, now=NOW)
        dated, undated = (Student.get(Student.first_name == name) for name in ("Sol", "Luz"))
        assert {step.event for step in dated.history() if not step.made_up} <= {"admit", "discharge"}
        assert sum(not step.made_up for step in dated.history()) == sum(
            step.event in ("admit", "discharge") for step in dated.history()
        )
        assert all(step.made_up for step in undated.history())


def test_a_day_of_admission_that_lies_ahead_is_not_when_it_was_given(db: Database, a: Any) -> None:
    ahead = f"{NOW + timedelta(days=40):%Y-%m-%d}"
    row = {"first_name": "Sol", "last_name": "Paz", "admission_state": "admitted", "admission_date": ahead}
    with db.tenant(a):
        importing.run([row], Student, now=NOW)
        assert all(step.made_up for step in Student.get().history())


@pytest.mark.slow
def test_when_an_imported_appointment_was_booked_is_made_up_unless_the_file_says_it(
    db: Database, a: Any, b: Any, tmp_path: Path
) -> None:
    rows = [session(), session(24, created_at=PAST), session(48, state="draft")]
    with db.tenant(a):
        make_centre()
        importing.run(rows, Appointment, now=NOW)
        booked = Appointment.select().order_by(Appointment.scheduled_at)
        assert [row.created_at_made_up for row in booked] == [True, False, True]
        exporting.export("appointments", tmp_path / "agenda.csv")
    with db.tenant(b):
        make_centre()
        importing.run(tmp_path / "agenda.csv", Appointment, now=NOW + timedelta(days=1))
        again = Appointment.select().order_by(Appointment.scheduled_at)
        assert [row.created_at_made_up for row in again] == [True, False, True]


def test_what_happens_in_the_application_is_never_made_up(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(state="pre_confirmed")], Appointment, now=NOW)
        held = Appointment.get()
        held.confirm(now=NOW)
        child = Student.get(Student.first_name == "Teo")
        child.apply(reason="imported", now=NOW)
        assert [step.made_up for step in (*held.history(), *child.history())] == [True, False, False]


def test_what_was_imported_goes_on_by_its_events(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        rows = [session(24 * day, state=state) for day, state in enumerate(("draft", "pre_confirmed", "confirmed"))]
        importing.run(rows, Appointment, now=START - timedelta(hours=2))
        draft, held, confirmed = Appointment.select().order_by(Appointment.id)
        draft.pre_confirm(now=START - timedelta(hours=1))
        held.confirm(now=START - timedelta(hours=1))
        confirmed.execute(now=START + timedelta(days=3))
        assert [row.state for row in (draft, held, confirmed)] == ["pre_confirmed", "confirmed", "executed"]


def test_credit_is_used_by_what_is_confirmed_after_the_import(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([{"user": "ana@example.org", "credits": 2}], "credits", now=NOW)
        importing.run([session(state="pre_confirmed", uses_credit="sí")], Appointment, now=NOW)
        made = Appointment.get()
        made.confirm(now=NOW)
        assert credits.balance(User.get(User.email == "ana@example.org")) == 1
        assert credits.verify().is_clean


def test_a_session_of_a_service_costs_and_reserves_as_many_credits_as_that(db: Database, a: Any) -> None:
    start = (clock.now() + timedelta(days=30)).replace(second=0, microsecond=0)
    held = {"scheduled_at": start, "pre_confirmed_at": clock.now(), "expires_at": start}
    with db.tenant(a):
        make_centre()
        assessment = make_service(name="Assessment", credits=3)
        make_giving(service=assessment, professional=Professional.get().user_id)
        importing.run([{"user": "ana@example.org", "credits": 5}], "credits")
        rows = [session(state="pre_confirmed", uses_credit="sí", service_name="Assessment", **held)]
        importing.run(rows, Appointment)
        made = Appointment.get()
        assert (made.credits_used, made.reserved_credits) == (3, 3)
        made.confirm()
        assert credits.balance(User.get(User.email == "ana@example.org")) == 2
        assert credits.verify().is_clean


@pytest.mark.parametrize("credits_first", [True, False])
def test_what_is_to_be_confirmed_reserves_its_credits_in_whatever_order_they_come(
    db: Database, a: Any, credits_first: bool
) -> None:
    soon, later = clock.now() + timedelta(days=30), clock.now() + timedelta(days=31)
    held = {"state": "pre_confirmed", "uses_credit": "sí", "pre_confirmed_at": clock.now(), "expires_at": soon}
    rows = [session(scheduled_at=at.replace(second=0, microsecond=0), **held) for at in (soon, later)]
    with db.tenant(a):
        make_centre()
        steps = [
            lambda: importing.run([{"user": "ana@example.org", "credits": 1}], "credits"),
            lambda: importing.run(rows, Appointment),
        ]
        reports = [step() for step in (steps if credits_first else steps[::-1])]
        assert [each.reserved_credits for each in Appointment.select().order_by(Appointment.id)] == [1, 0]
        (note,) = reports[-1].notes
        assert note.startswith("1 appointment to be confirmed reserve no credits, as their clients have too few")
        assert credits.verify().is_clean


def test_opening_balances_are_entries_of_the_ledger(db: Database, a: Any) -> None:
    rows = [
        {"user": "ana@example.org", "credits": "8", "reason": "opening balance"},
        {"user": "ana@example.org", "credits": 2, "reference": "B-7", "purchased_on": "03/02/2030"},
        {"user": "eva@example.org", "credits": 5, "payment_method": "transfer", "payment_reference": "77"},
    ]
    with db.tenant(a):
        make_centre()
        assert importing.run(rows, "credits", now=NOW, batch_rows=2).created == 3
        assert importing.run(rows, "credits", now=NOW).unchanged == 3
        assert credits.balance(User.get(User.email == "ana@example.org")) == 10
        assert credits.balance(User.get(User.email == "eva@example.org")) == 5
        entries = list(CreditTransaction.select().order_by(CreditTransaction.id))
        assert [entry.transaction_type for entry in entries] == ["purchase"] * 3
        assert entries[1].metadata == {"purchased_on": "2030-02-03"}
        assert {entry.processed_at for entry in entries} == {NOW}  # an import's moment is believed
        report = credits.verify()
        assert (report.is_clean, report.balances) == (True, 2)


@pytest.mark.slow
def test_professionals_settings_posts_and_likes_come_as_they_are_written(db: Database, a: Any) -> None:
    schedule = '{"lunes": []}'
    with db.tenant(a):
        importing.run([{"correo": "eva@example.org"}], User)
        row = {"correo": "eva@example.org", "precio": "$ 1.234,50", "activo": "no", "moneda": "ars"}
        report = importing.check([row | {"horarios": schedule}], Professional)
        assert [problem.column for problem in report.problems] == ["weekly_schedule"]
        row["horarios"] = '{"monday": [{"start": "09:00", "end": "12:30"}]}'
        importing.run([row], Professional)
        made = Professional.get()
        assert (made.session_price_cents, made.active, made.currency, made.buffer_minutes) == (123450, False, "ARS", 15)
        assert made.schedule.monday[0].end == "12:30"
        importing.run([row | {"precio": "1500"}], Professional, update=True)
        assert Professional.get().session_price_cents == 150000

        post = {"author": "eva@example.org", "content": "¡Hola! 🎉", "created_at": "2024-02-01 10:00"}
        like = {"user": "eva@example.org", "author": "eva@example.org", "post_created_at": "2024-02-01 10:00"}
        for rows, kind in (([post], "posts"), ([like], "likes")):
            assert importing.run(rows, kind).created == 1
            assert importing.run(rows, kind).unchanged == 1


def test_settings_are_merged_into_those_that_are_there(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run([{"confirmation_hours": 12, "book_prospects": "no"}], Organization, update=True)
        report = importing.run([{"name": "Nuevo", "booking_window_days": 30}], Organization, update=True)
        assert report.updated == 1
        organization = Organization.get()
        assert organization.name == "Nuevo"
        assert organization.settings == {"confirmation_hours": 12, "book_prospects": False, "booking_window_days": 30}
        assert importing.check([{"confirmation_hours": 0, "subdomain": "other"}], Organization, update=True).problems
    with db.tenant(a.subdomain) as read_anew:
        assert read_anew.name == "Nuevo"


def test_moments_are_read_in_the_organization_s_zone(db: Database) -> None:
    from tests.factory import make_organization

    with db.tenant(make_organization(db, time_zone="Europe/Madrid")):
        make_centre()
        importing.run([session(scheduled_at="07/07/2031 10:00")], Appointment, now=NOW)
        assert Appointment.get().scheduled_at == datetime(2031, 7, 7, 8, 0, tzinfo=UTC)


@pytest.mark.slow
def test_prices_leaves_and_what_was_paid_come_and_go_as_they_were(db: Database, a: Any, b: Any, tmp_path: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run(
            [{"email": "eva@example.org", "session_price": "99", "currency": "USD"}],
            "professionals",
            now=NOW,
            update=True,
        )
        rows = [session(0, price="$ 12.500,50", currency="ars"), session(24, price="80"), session(48)]
        assert importing.run(rows, Appointment, now=NOW).is_clean
        importing.run(
            [{"first_name": "Sol", "last_name": "Paz", "admission_state": "on_leave", "on_leave_until": "2031-06-30"}],
            "students",
            now=NOW,
        )
        importing.run(
            [
                {"user": "ana@example.org", "credits": 4, "reference": "A", "amount_paid": "100.000,00"},
                {"user": "ana@example.org", "credits": 1, "reference": "B", "amount_paid": "9", "currency": "usd"},
                {"user": "ana@example.org", "credits": 1, "reference": "C"},
            ],
            "credits",
            now=NOW,
        )
        before = money()
        for kind in ("users", "professionals", "students", "appointments"):
            exporting.export(kind, tmp_path / f"{kind}.csv")
    assert before == {
        "sessions": [(1_250_050, "ARS"), (8000, "USD"), (None, None)],
        "leaves": ["2031-06-30"],
        "paid": [(10_000_000, "ARS"), (900, "USD"), (None, None)],
    }
    with db.tenant(b):
        for kind in ("users", "professionals", "students", "appointments"):
            assert importing.run(tmp_path / f"{kind}.csv", kind, now=NOW).is_clean
        assert money() == before | {"paid": []}  # entries of the ledger move in an archive


def money() -> dict[str, list[Any]]:
    """What the bound tenant's rows say of prices, payments and leaves."""
    entries = CreditTransaction.select().order_by(CreditTransaction.id)
    return {
        "sessions": [
            (row.price_cents, row.currency) for row in Appointment.select().order_by(Appointment.scheduled_at)
        ],
        "leaves": [str(row.on_leave_until) for row in Student.select() if row.on_leave_until],
        "paid": [(row.amount_cents, row.currency) for row in entries],
    }


@pytest.mark.parametrize(
    ("kind", "row", "column"),
    [
        ("appointments", session(0, price="-1"), "price"),
        ("appointments", session(0, currency="ARS"), "currency"),
        ("appointments", session(0, price="1", currency="pesos"), "currency"),
        ("credits", {"user": "ana@example.org", "credits": 1, "amount_paid": "-1"}, "amount_paid"),
        ("credits", {"user": "ana@example.org", "credits": 1, "currency": "ARS"}, "currency"),
        ("students", {"first_name": "Sol", "last_name": "Paz", "on_leave_until": "2031-06-30"}, "on_leave_until"),
        ("organizations", {"correction_days": "-1"}, "correction_days"),
        ("organizations", {"reminder_quiet_minutes": "43201"}, "reminder_quiet_minutes"),
    ],
    ids=str,
)
def test_money_leaves_and_settings_that_cannot_be_are_faults(
    db: Database, a: Any, kind: str, row: dict[str, Any], column: str
) -> None:
    with db.tenant(a):
        make_centre()
        assert column in [name for _, name in told(importing.check([row], kind, now=NOW))]


@pytest.mark.slow
@pytest.mark.parametrize("bring_in", [importing.check, importing.run])
def test_an_overdue_hold_keeps_no_import_out(db: Database, a: Any, bring_in: Any) -> None:
    """As booking does, importing expires it: with its journal, and whoever is told is told."""
    with db.tenant(a):
        make_centre()
        importing.run([session(state="pre_confirmed", expires_at=NOW)], Appointment, now=NOW)
        hold = Appointment.get()
        row = session(0.5, student_first_name="Teo")
        assert not importing.check([row], Appointment, now=NOW).is_clean  # it can still be confirmed

        report = bring_in([row], Appointment, now=NOW + timedelta(microseconds=1))

        assert (report.is_clean, report.created) == (True, 1)
        if bring_in is importing.run:
            assert [step.event for step in hold.history()] == ["pre_confirm", "expire"]
            assert sorted(str(each.state) for each in Appointment.select()) == ["cancelled", "confirmed"]


@pytest.mark.slow
def test_an_import_expires_only_what_is_in_its_way(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        holds = [session(hours, state="pre_confirmed", expires_at=NOW) for hours in (-1.25, 1.25)]
        holds.append(session(professional="leo@example.org", state="pre_confirmed", expires_at=NOW))
        importing.run(holds, Appointment, now=NOW)

        importing.run([session()], Appointment, now=NOW + timedelta(days=1))

        assert sorted(str(each.state) for each in Appointment.select()) == ["confirmed", *["pre_confirmed"] * 3]
