"""Every event, booking, move and posting writes its message in its own statement; what is undone writes none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rayces_core import (
    Appointment,
    CreditTransaction,
    CrossTenantError,
    Database,
    InvalidDataError,
    OutboxMessage,
    PermissionDeniedError,
    SlotTakenError,
    Student,
    TenantNotSetError,
    clock,
    credits,
    outbox,
    scheduling,
)
from rayces_core.outbox.describing import describe
from rayces_core.outbox.topics import RESERVED, TOPICS, parse
from rayces_core.scheduling import reschedule
from rayces_core.state_machine.telling import topic_of
from tests.factory import make_appointment, make_student, make_user
from tests.scheduling.conftest import centre  # noqa: F401 - a fixture
from tests.scheduling.worlds import NOW, another_family, at
from tests.state_machine.rules import RULES, fire, make_in, moment_for
from tests.walking import walked

MODELS = (Appointment, Student, CreditTransaction)
EVENTS = [(model, event, state) for model in MODELS for event, rule in RULES[model].items() for state in rule.sources]


def messages(**where):
    found = OutboxMessage.select().order_by(OutboxMessage.id)
    return list(found.filter(**where) if where else found)


def latest():
    return messages()[-1]


@pytest.fixture
def bound(db, a):
    with db.tenant(a):
        yield a


@pytest.mark.slow
@walked("step", EVENTS)
def test_every_event_writes_one_message_that_its_shape_reads(bound, step):
    model, event, state = step
    row = make_in(model, state)
    before, by = len(messages()), make_user(role=3)
    moment = moment_for(row, event)
    with clock.frozen(moment):
        fire(row, event, by=by, reason="because")

    told = [each for each in messages()[before:] if each.topic == topic_of(model.__name__, event)]
    assert len(told) == 1
    (message,) = told
    change = parse(message.topic, message.version, message.payload)
    stored = model.get_by_id(row.id)
    assert (message.subject_type, message.subject_id, change.id) == (model.__name__, row.id, row.id)
    assert (change.from_state, change.to_state) == (state, str(getattr(stored, model.lifecycle.field)))
    assert (change.actor_id, change.reason, change.event) == (by.id, "because", event)
    assert change.occurred_at == message.occurred_at == moment
    for name in model.lifecycle.tells:
        column = model._meta.fields[name].column_name
        assert getattr(change, column) == stored.__data__[name]
    assert set(message.payload) == set(type(change).model_fields)


def test_every_event_of_every_machine_has_a_topic():
    for model in MODELS:
        for event in model.lifecycle.transitions:
            assert (topic_of(model.__name__, event), 1) in TOPICS


def test_the_page_of_events_is_current():
    page = Path(__file__).parents[2] / "docs" / "events.md"
    assert page.read_text() == describe(), "python -m rayces_core.outbox.describing > docs/events.md"


# -- bookings and moves -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("centre")
class TestBookings:
    def test_a_booking_is_told_once_and_a_repetition_not(self, centre):  # noqa: F811
        booked = centre.book(idempotency_key="k")
        assert centre.book(idempotency_key="k").was_repeated
        (message,) = messages(topic="appointment.book")
        change = outbox.AppointmentPayload.model_validate(message.payload)
        assert (change.id, change.to_state, change.from_state) == (booked.id, "pre_confirmed", None)
        assert (change.scheduled_at, change.occurred_at) == (booked.scheduled_at, NOW)
        assert change.student_id == centre.student.id

    def test_drafts_series_and_confirmed_bookings_are_told(self, centre):  # noqa: F811
        centre.book(at(9), draft=True)
        centre.book(at(10), confirm=True, **another_family())
        topics = [(each.topic, each.payload["to_state"]) for each in messages()]
        assert topics == [
            ("appointment.book", "draft"),
            ("appointment.book", "pre_confirmed"),
            ("appointment.confirm", "confirmed"),
        ]

    def test_a_move_tells_what_it_was_before(self, centre):  # noqa: F811
        booked = centre.book(at(10))
        moved = reschedule(booked, at(12), by=centre.staff, now=NOW, idempotency_key="m")
        assert reschedule(moved, at(12), by=centre.staff, now=NOW, idempotency_key="m").was_repeated
        (message,) = messages(topic="appointment.reschedule")
        change = parse(message.topic, 1, message.payload)
        assert (change.was_scheduled_at, change.scheduled_at) == (at(10), at(12))
        assert (change.was_professional_id, change.actor_id) == (centre.professional.user_id, centre.staff.id)

    def test_what_is_undone_is_not_told(self, centre):  # noqa: F811
        with pytest.raises(ZeroDivisionError), centre.db.atomic():
            centre.book().confirm(now=NOW)
            raise ZeroDivisionError
        with centre.db.atomic():
            with pytest.raises(ZeroDivisionError), centre.db.atomic():
                centre.book()
                raise ZeroDivisionError
            centre.book(at(14))
        assert [each.topic for each in messages()] == ["appointment.book"]

    def test_a_refusal_is_not_told(self, centre):  # noqa: F811
        centre.book()
        centre.refused(SlotTakenError, **another_family())
        assert len(messages()) == 1

    def test_a_sweep_tells_of_every_one_in_privileged_work_too(self, centre):  # noqa: F811
        for hour in (9, 11, 13):
            centre.book(at(hour), **another_family())
        with centre.db.privileged(reason="a test"):
            swept = scheduling.expire_overdue(at(23))
        told = messages(topic="appointment.expire")
        assert len(told) == 3 <= swept
        assert {each.payload["reason"] for each in told} == {told[0].payload["reason"]}
        assert [each.subject_id for each in told] == sorted(each.subject_id for each in told)

    def test_a_discharge_tells_of_what_it_cancels(self, centre):  # noqa: F811
        centre.book()
        centre.student.discharge(on=NOW.date(), by=centre.staff, now=NOW)
        topics = [each.topic for each in messages()]
        assert topics.count("student.discharge") == topics.count("appointment.cancel") == 1


# -- the ledger -------------------------------------------------------------------------------------------------------


def test_every_way_into_the_ledger_is_told_once(bound):
    ana, desk = make_user(), make_user(role=2)
    entries = [
        credits.purchase(ana, 10, payment_method="card", payment_reference="1", amount_cents=100, by=desk),
        credits.debit(ana, 2, reason="a book"),
        credits.adjust(ana, 1, reason="welcome", by=desk),
        credits.purchase(ana, 3, payment_method="card", payment_reference="2", pending=True),
    ]
    entries += credits.transfer(ana, make_user(), 1, reason="a gift", by=desk)
    many = credits.purchase_many([{"user": ana, "credits": 1}, {"user": desk, "credits": 2}], by=desk)
    many += credits.debit_many([{"user": ana, "credits": 1}])
    ids = [entry.id for entry in entries] + [row.transaction_id for row in many]
    told = messages(topic="credit_transaction.post")
    assert sorted(each.subject_id for each in told) == sorted(ids)
    for message in told:
        change, entry = parse(message.topic, 1, message.payload), CreditTransaction.get_by_id(message.subject_id)
        assert (change.user_id, change.amount, change.status) == (entry.user_id, entry.amount, entry.status)
        assert (change.balance_after, change.reason) == (entry.balance_after, entry.reason)
        assert (change.actor_id, message.occurred_at) == (entry.created_by_id, entry.created_at)
        assert change.transaction_type == entry.transaction_type


def test_a_repeated_posting_is_not_told_and_a_payment_that_counts_is(bound):
    ana = make_user()
    for _ in range(2):
        entry = credits.purchase(ana, 3, payment_method="card", payment_reference="2", pending=True)
        credits.purchase_many([{"user": ana, "credits": 1, "idempotency_key": "k"}])
    for _ in range(2):
        credits.complete(entry)
    assert [each.topic for each in messages(subject_id=entry.id)] == [
        "credit_transaction.post",
        "credit_transaction.complete",
    ]
    assert len(messages()) == 3
    assert latest().payload["balance_after"] == 4


def test_a_debit_and_its_refund_with_the_session_are_told_in_their_order(bound):
    ana = make_user()
    credits.purchase(ana, 5)
    session = make_appointment(
        client=ana, uses_credit=True, credits_used=1, scheduled_at=datetime(2031, 5, 5, 9, tzinfo=UTC)
    )
    session.pre_confirm()
    session.confirm()
    session.cancel(reason="ill")
    assert [each.topic for each in messages()][1:] == [
        "appointment.pre_confirm",
        "appointment.confirm",
        "credit_transaction.post",
        "appointment.cancel",
        "credit_transaction.post",
    ]


# -- without ----------------------------------------------------------------------------------------------------------


def test_a_database_that_is_told_to_writes_none(db, a):
    with Database.connect(db.url, admin_url=db.admin_url, outbox=False) as silent, silent.tenant(a.subdomain):
        student = make_student(admission_state="prospect")
        student.apply()
        credits.purchase(make_user(), 3)
        assert outbox.put("room.painted", {}, subject=("Room", 1)) is None
        assert messages() == []
        assert student.admission_state == "applied"


# -- a host's own -----------------------------------------------------------------------------------------------------


def test_a_host_tells_of_its_own_in_its_unit_of_work(db, bound):
    student = make_student()
    with db.atomic():
        made = outbox.put("room.painted", {"colour": "blue"}, subject=student, version=2)
    with pytest.raises(ZeroDivisionError), db.atomic():
        outbox.put("room.painted", {"colour": "red"}, subject=("Room", 7))
        raise ZeroDivisionError
    (message,) = messages()
    assert message == made
    assert (message.topic, message.version, message.payload) == ("room.painted", 2, {"colour": "blue"})
    assert (message.subject_type, message.subject_id) == ("Student", student.id)


def test_a_message_may_be_put_off(bound):
    later = clock.now() + timedelta(days=1)
    assert outbox.put("room.painted", {}, subject=("Room", 7), at=later).available_at == later


@walked("topic", ["", "painted", "Room.painted", "room.", "room painted", None, 5, "a" * 300 + ".b", "room.\u0661"])
def test_a_topic_has_the_form_thing_event(bound, topic):
    with pytest.raises(InvalidDataError):
        outbox.put(topic, {}, subject=("Room", 7))


def test_the_librarys_own_topics_are_taken(bound):
    ours = {
        "appointment",
        "group_session",
        "time_off_request",
        "slot_request",
        "invoice",
        "student",
        "credit_transaction",
        "user",
        "notice",
    }
    assert ours == RESERVED
    for name in RESERVED:
        with pytest.raises(InvalidDataError):
            outbox.put(f"{name}.forged", {}, subject=("Room", 7))


@pytest.mark.parametrize("subject", [None, 7, ("Room",), ("Room", "7"), ("", 7), ("Room", True), Student()])
def test_a_subject_is_a_saved_row_or_a_type_and_an_id(bound, subject):
    with pytest.raises(InvalidDataError):
        outbox.put("room.painted", {}, subject=subject)


def test_privileged_work_and_another_tenants_row_are_refused(db, b, bound):
    student = make_student()
    with db.privileged(reason="a test"), pytest.raises(TenantNotSetError):
        outbox.put("room.painted", {}, subject=("Room", 7))
    with db.tenant(b), pytest.raises(CrossTenantError):
        outbox.put("room.painted", {}, subject=student)


def test_a_tenant_sees_its_own_messages_and_moves_none(db, a, b):
    with db.tenant(a):
        credits.purchase(make_user(), 3)
        assert len(messages()) == 1
        for sql in ("UPDATE outbox_messages SET dead = dead", "DELETE FROM outbox_messages"):
            with pytest.raises(PermissionDeniedError):
                db.execute_sql(sql)
    with db.tenant(b):
        assert messages() == []
