"""One event at a time: what it sends, what it writes, whom and what it refuses."""

import asyncio
import contextlib
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from rayces_core import (
    Appointment,
    CheckFailedError,
    CrossTenantError,
    Database,
    InvalidDataError,
    InvalidTransitionError,
    LifecycleError,
    NaiveDatetimeError,
    NotPermittedError,
    RaycesError,
    Role,
    SlotTakenError,
    StateTransition,
    Student,
    TenantNotSetError,
    TransitionRefusedError,
    User,
    clock,
)
from tests.factory import (
    make_appointment,
    make_professional,
    make_student,
    make_transaction,
    make_user,
)
from tests.state_machine.rules import RULES, fire, in_memory, make_in, stored
from tests.walking import walked
from tests.wire import binds_tenant, wire

MOMENT = datetime(2031, 2, 3, 15, tzinfo=UTC)


def happened(row):
    return [change.event for change in row.history()]


# -- messages -----------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(db, a):
    with wire(db.url) as proxy, Database.connect(proxy.url) as database, database.tenant(a):
        yield database, proxy.sent


def sent_by(sent, action):
    sent.clear()
    action()
    return len(sent)


@pytest.mark.slow
def test_a_lone_transition_is_one_message_and_one_more_in_a_unit_of_work_is_too(counted):
    db, sent = counted
    admin = make_user(role=Role.ADMIN)
    for model, rules in RULES.items():
        for event, rule in rules.items():
            if event in ("discharge", "reject", "suspend", "pre_confirm"):
                continue  # has an effect, and so a unit of work of its own; or reads what is decided on
            alone, inside = (make_in(model, rule.sources[0]) for _ in range(2))
            assert sent_by(sent, lambda: fire(alone, event, by=admin)) == 1, event  # noqa: B023
            assert binds_tenant(sent[0])
            with db.atomic():
                assert sent_by(sent, lambda: fire(inside, event)) == 1, event  # noqa: B023
            assert (
                stored(alone)[model.lifecycle.field]
                == stored(inside)[model.lifecycle.field]
                == rule.target_from(rule.sources[0])
            )


def test_taking_a_slot_locks_the_professional_first_and_is_decided_on_before_it_is_written(counted):
    _, sent = counted
    appointment = make_appointment()
    assert (
        sent_by(sent, lambda: fire(appointment, "pre_confirm")) == 2
    )  # read what is decided on; lock, check and write
    assert "UPDATE" not in sent[0]
    assert sent[1].index("FROM professionals") < sent[1].index("UPDATE")


def test_a_transition_with_an_effect_is_one_unit_of_work(counted):
    _, sent = counted
    student = make_in(Student, "enrolled")
    fire_it = sent_by(sent, lambda: fire(student, "discharge"))
    assert (sent[0].split()[0], sent[-1], fire_it) == ("BEGIN;", "COMMIT", 6)


def test_what_is_refused_is_read_once_more_and_what_is_asked_sends_nothing(counted):
    _, sent = counted
    appointment = make_appointment()
    assert sent_by(sent, lambda: (appointment.can_confirm(), appointment.available_events())) == 0
    sent.clear()
    with pytest.raises(InvalidTransitionError):
        appointment.confirm()
    assert [message.split()[0].rstrip(";") for message in sent] == ["BEGIN", "SELECT", "ROLLBACK"]
    assert "FOR NO KEY UPDATE" in sent[1]


def test_a_transition_works_while_queries_are_observed(db, bound, monkeypatch):
    seen, appointment = [], make_appointment()
    monkeypatch.setattr(db.engine, "query_hooks", [seen.append])
    fire(appointment, "pre_confirm")
    assert len(seen) == 2
    assert appointment.state == "pre_confirmed"


# -- who, when, why -----------------------------------------------------------------------------------------------


def test_without_a_moment_it_is_now(bound):
    appointment = make_appointment()
    with clock.frozen(MOMENT):
        appointment.pre_confirm()
    assert appointment.pre_confirmed_at == appointment.history()[0].occurred_at == MOMENT


def test_a_moment_of_another_zone_is_the_same_moment_in_utc(bound):
    appointment = make_appointment()
    appointment.pre_confirm(now=MOMENT.astimezone(timezone(timedelta(hours=-3))))
    assert appointment.pre_confirmed_at == MOMENT
    assert appointment.pre_confirmed_at.tzinfo is UTC


@walked("now, error", [(datetime(2031, 1, 1), NaiveDatetimeError), ("today", InvalidDataError)])
def test_a_moment_that_is_none_is_refused(bound, now, error):
    appointment = make_appointment()
    for ask in (appointment.pre_confirm, appointment.can_pre_confirm, appointment.available_events):
        with pytest.raises(error):
            ask(now=now)


@walked("reason", [5, "a\0b", "\ud800"])
def test_a_reason_is_text_that_can_be_stored(bound, reason):
    appointment = make_appointment()
    for event in (appointment.pre_confirm, appointment.cancel):
        with pytest.raises(InvalidDataError, match="reason"):
            event(reason=reason)
    assert appointment.state == "draft"


def test_a_reason_is_kept_word_for_word(bound):
    appointment, reason = make_appointment(), """100% %(now)s {x} '; DROP TABLE students; -- ñ 🙂"""
    appointment.cancel(reason=reason)
    assert (appointment.cancellation_reason, appointment.history()[0].reason) == (reason, reason)


def test_the_journal_tells_the_whole_story_in_order(bound, admin):
    appointment, client = make_appointment(), None
    client = appointment.client
    appointment.pre_confirm(by=admin, now=MOMENT)
    appointment.confirm(by=client, now=MOMENT + timedelta(hours=1))
    appointment.cancel(by=admin, reason="ill", now=MOMENT + timedelta(hours=2))
    told = [(c.event, c.from_state, c.to_state, c.actor, c.reason, c.occurred_at) for c in appointment.history()]
    assert told == [
        ("pre_confirm", "draft", "pre_confirmed", admin, None, MOMENT),
        ("confirm", "pre_confirmed", "confirmed", client, None, MOMENT + timedelta(hours=1)),
        ("cancel", "confirmed", "cancelled", admin, "ill", MOMENT + timedelta(hours=2)),
    ]


def test_the_journal_of_a_row_is_not_anothers_of_the_same_id(bound):
    student, appointment = make_student(id=9_000_000 + bound.id), make_appointment(id=9_000_000 + bound.id)
    student.apply()
    appointment.cancel(reason="ill")
    assert (happened(student), happened(appointment)) == (["apply"], ["cancel"])


@walked(
    "by",
    [
        lambda admin: admin.id,
        lambda admin: "",
        lambda admin: User(role=Role.ADMIN),
        lambda admin: User(id=admin.id, role=Role.ADMIN),
        lambda admin: make_student(id=make_user(id=9_000_000 + admin.id, role=Role.ADMIN).id),
        lambda admin: make_professional(),
    ],
)
def test_only_a_saved_user_acts(bound, admin, by):
    appointment, actor = make_appointment(), by(admin)
    for ask in (appointment.pre_confirm, appointment.cancel, appointment.can_confirm, appointment.can_pre_confirm):
        if ask != appointment.can_confirm:  # which is not possible anyway
            with pytest.raises(InvalidDataError, match="by: needs the acting User, saved"):
                ask(by=actor)
    assert (stored(appointment)["state"], happened(appointment)) == ("draft", [])


def test_arguments_are_given_by_name(bound, admin):
    appointment, stranger = make_appointment(), make_user()
    with pytest.raises(TypeError, match="keywords only"):
        appointment.pre_confirm(stranger)  # would go unasked otherwise
    with pytest.raises(TypeError, match="unexpected keyword argument 'because'"):
        appointment.cancel(by=admin, because="ill")
    assert stored(appointment)["state"] == "draft"


# -- whose --------------------------------------------------------------------------------------------------------


def test_a_user_of_another_organization_cannot_act(db, bound, b):
    with db.tenant(b):
        stranger = make_user(role=Role.ADMIN)
    appointment, student = make_appointment(), make_in(Student, "enrolled")
    for ask in (appointment.pre_confirm, appointment.can_pre_confirm, student.discharge, appointment.available_events):
        with pytest.raises(CrossTenantError):
            ask(by=stranger)
    with db.privileged(reason="test"), pytest.raises(CrossTenantError, match="cannot act on a row of organization"):
        appointment.pre_confirm(by=stranger)
    assert (appointment.state, happened(appointment)) == ("draft", [])


def test_a_row_is_moved_in_its_own_tenants_block_only(db, bound, b):
    appointment = make_appointment()
    with db.tenant(b):
        for ask in (appointment.pre_confirm, appointment.history):
            with pytest.raises(CrossTenantError):
                ask()
    assert stored(appointment)["state"] == "draft"


def test_without_a_tenant_nothing_moves(db, a):
    with db.tenant(a):
        appointment = make_appointment()
    with pytest.raises(TenantNotSetError):
        appointment.pre_confirm()


def test_a_row_that_is_not_saved_has_no_events(bound):
    new = Appointment(state="confirmed")
    assert new.available_events() == []
    assert not new.can_cancel()
    with pytest.raises(InvalidDataError, match="not saved yet"):
        new.cancel(reason="x")


def test_a_row_that_is_gone_is_said_to_be(bound):
    student = make_student()
    student.delete_instance()
    with pytest.raises(Student.DoesNotExist, match=f"there is no Student with id {student.id}"):
        student.apply()
    assert StateTransition.select().where(StateTransition.subject_id == student.id).count() == 0


@pytest.fixture
def twins(db, a, b):
    """A draft in each of two organizations: the same ids, the same moment."""
    shared, made = 9_000_000 + a.id, []
    for organization in (a, b):
        with db.tenant(organization):
            profile = make_professional(user=make_user(id=shared, role=Role.PROFESSIONAL), id=shared)
            made.append(make_appointment(professional=profile, id=shared, scheduled_at=MOMENT + timedelta(days=20)))
    return made


def test_privileged_work_moves_the_row_of_its_own_organization(db, twins):
    mine, theirs = twins
    with db.privileged(reason="test"):
        row = Appointment.get(Appointment.id == mine.id, Appointment.organization == mine.organization_id)
        row.pre_confirm(now=MOMENT)
        fresh = row.select().where(Appointment.id == row.id, Appointment.organization == theirs.organization_id).get()
        assert (row.state, fresh.state) == ("pre_confirmed", "draft")
        assert [change.organization_id for change in row.history()] == [row.organization_id]
        assert list(fresh.history()) == []
        with pytest.raises(InvalidTransitionError, match="is draft"):
            fresh.confirm()


@pytest.mark.slow
def test_privileged_work_names_the_conflict_of_the_rows_own_organization(db, twins):
    mine, theirs = twins
    holders = []
    for draft in (theirs, mine):
        with db.tenant(draft.organization_id):
            holders.append(make_appointment(professional=draft.professional, scheduled_at=draft.scheduled_at))
            fire(holders[-1], "pre_confirm")
    for draft, holder in zip((theirs, mine), holders, strict=True):
        for binding in (db.privileged(reason="test"), db.tenant(draft.organization_id)):
            with binding, pytest.raises(SlotTakenError) as caught:
                fire(draft, "pre_confirm")
            assert caught.value.conflicting_id == holder.id


def test_privileged_work_needs_to_know_whose_the_row_is(db, bound):
    appointment = make_appointment()
    with db.privileged(reason="test"):
        part = Appointment.select(Appointment.id, Appointment.state).where(Appointment.id == appointment.id).first()
        with pytest.raises(CrossTenantError, match="select organization too"):
            part.cancel(reason="x")


def test_privileged_work_discharges_with_the_appointments_of_that_student(db, bound, admin):
    student = make_in(Student, "enrolled")
    appointment = make_appointment(student=student)
    with db.privileged(reason="test"):
        Student.get_by_id(student.id).discharge(by=admin, now=MOMENT)
    assert (stored(student)["admission_state"], stored(appointment)["state"]) == ("discharged", "cancelled")
    assert happened(appointment) == ["cancel"]


# -- a failed transition leaves the object alone ------------------------------------------------------------------


def taken_slot():
    held = make_in(Appointment, "confirmed")
    return make_appointment(professional=held.professional, scheduled_at=held.scheduled_at), "pre_confirm", {}


def overdraft():
    debit = {"amount": -5, "transaction_type": "appointment_debit", "appointment": make_appointment()}
    return make_transaction(**debit), "complete", {}


FAILURES = {
    "wrong state": (lambda: (make_in(Appointment, "executed"), "cancel", {}), InvalidTransitionError),
    "guard": (lambda: (make_in(Appointment, "pre_confirmed"), "expire", {"now": MOMENT}), TransitionRefusedError),
    "permission": (lambda: (make_in(Appointment, "confirmed"), "cancel", {"by": make_user()}), NotPermittedError),
    "slot": (taken_slot, SlotTakenError),
    "overdraft": (overdraft, CheckFailedError),
    "nobody": (lambda: (make_appointment(), "cancel", {"by": None, "reason": " "}), TransitionRefusedError),
}


@pytest.mark.slow
@walked("inside", [False, True])
@walked("failure", FAILURES)
def test_a_failed_transition_changes_neither_row_nor_object(db, bound, failure, inside):
    make, error = FAILURES[failure]
    row, event, given = make()
    if isinstance(row, Appointment):
        row.notes = "unsaved"
    before, remembered, journal = stored(row), in_memory(row), happened(row)
    with pytest.raises(error), db.atomic() if inside else contextlib.nullcontext():
        fire(row, event, **given)
    assert (stored(row), in_memory(row), happened(row)) == (before, remembered, journal)


def test_errors_of_a_lifecycle_are_the_librarys(bound):
    assert issubclass(LifecycleError, RaycesError)
    assert not issubclass(NotPermittedError, LifecycleError)


def test_a_transition_that_fails_in_a_savepoint_leaves_the_unit_usable(db, bound):
    appointment, *_ = taken_slot()
    with db.atomic():
        student = make_student()
        with pytest.raises(SlotTakenError), db.atomic():
            fire(appointment, "pre_confirm")
        student.apply()
    assert stored(student)["admission_state"] == "applied"


def test_tasks_of_one_thread_undo_their_own_only(db, a):
    with db.tenant(a):
        kept, dropped = make_student(), make_student()

    async def apply(student, mine, other, fail):
        with db.tenant(a), contextlib.suppress(ZeroDivisionError), db.atomic():
            student.apply()
            mine.set()
            await other.wait()
            assert not fail or 1 / 0

    async def both():
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(apply(kept, one, two, False), apply(dropped, two, one, True))

    asyncio.run(both())
    assert (kept.admission_state, dropped.admission_state) == ("applied", "prospect")


def test_a_day_that_is_given_and_one_that_the_database_works_out_are_told_apart(bound):
    """The same event with the same columns: what is remembered of the one is not said for the other."""
    now, day = datetime(2031, 3, 3, 12, tzinfo=UTC), date(2030, 1, 2)
    for on in (None, day, None):
        student = make_in(Student, "applied")
        student.admit(on=on, now=now)
        assert stored(student)["admission_date"] == (date(2031, 3, 3) if on is None else day)
