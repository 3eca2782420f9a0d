"""The object changes only if the transaction keeps it: every way a unit of work can be undone, and what comes back."""

import contextlib
from datetime import timedelta

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    ConnectionLostError,
    DuplicateError,
    Student,
    TransactionFailedError,
)
from tests.factory import START, make_appointment, make_student
from tests.state_machine.rules import columns, fire, in_memory, make_in, stored
from tests.walking import walked

NOW = START - timedelta(days=9)


class Undone(Exception):
    pass


def undone_by_exception(db, act):
    with pytest.raises(Undone), db.atomic():
        act()
        raise Undone


def undone_savepoint(db, act):
    with db.atomic():
        make_student()
        undone_by_exception(db, act)


def undone_outer_unit(db, act):
    def kept_inside():
        with db.atomic():
            act()

    undone_by_exception(db, kept_inside)


def undone_in_the_middle(db, act):
    with db.atomic() as unit:
        act()
        unit.rollback()
        make_student()


def undone_after_a_commit_in_the_middle(db, act):
    with pytest.raises(Undone), db.atomic() as unit:
        make_student()
        unit.commit()
        act()
        raise Undone


def refused_commit(db, act):
    create = "create temp table t (id int primary key deferrable initially deferred) on commit drop"
    with pytest.raises(DuplicateError), db.atomic():
        act()
        db.execute_sql(create)
        db.execute_sql("insert into t values (1), (1)")


def swallowed_failure(db, act):
    with pytest.raises(TransactionFailedError), db.atomic():
        act()
        with contextlib.suppress(Exception):
            db.execute_sql("select 1 / 0")


def rolled_back_by_hand(db, act):
    with db.engine.manual_commit():
        db.engine.begin()
        act()
        db.engine.rollback()


def undone_savepoint_of_a_unit_begun_by_hand(db, act):
    with db.engine.manual_commit():
        db.engine.begin()
        undone_by_exception(db, act)
        make_student()
        db.engine.commit()


def unit_within_one_rolled_back_by_hand(db, act):
    with db.engine.manual_commit():
        db.engine.begin()
        committed(db, act)
        db.engine.rollback()


def left_open(db, act):
    with pytest.raises(TransactionFailedError), db.tenant(db.organization_id):
        db.engine.begin()
        act()


def left_out_of_order(db, act):
    outer, inner = db.atomic(), db.atomic()
    outer.__enter__()
    act()
    inner.__enter__()
    with pytest.raises(TransactionFailedError):
        outer.__exit__(None, None, None)


def lost_connection(db, act):
    with pytest.raises(ConnectionLostError), db.atomic():
        act()
        (backend,) = db.execute_sql("select pg_backend_pid()").fetchone()
        with contextlib.closing(psycopg2.connect(db.url)) as other:
            other.cursor().execute("select pg_terminate_backend(%s, 5000)", (backend,))
        make_student()


WAYS = [
    undone_by_exception,
    undone_savepoint,
    undone_outer_unit,
    undone_in_the_middle,
    undone_after_a_commit_in_the_middle,
    refused_commit,
    swallowed_failure,
    rolled_back_by_hand,
    undone_savepoint_of_a_unit_begun_by_hand,
    unit_within_one_rolled_back_by_hand,
    left_open,
    left_out_of_order,
    lost_connection,
]


@pytest.mark.slow
@walked("undo", WAYS)
def test_what_a_unit_undoes_is_undone_in_the_object(db, bound, admin, undo):
    appointment = make_appointment()
    appointment.pre_confirm(now=NOW)
    before, remembered = stored(appointment), in_memory(appointment)
    seen = []

    def act():
        appointment.confirm(by=admin, now=NOW)
        appointment.cancel(by=admin, reason="ill", now=NOW)
        seen.append((appointment.state, appointment.cancelled_by, appointment.confirmed_at))

    undo(db, act)

    assert seen == [("cancelled", admin, NOW)]
    assert in_memory(appointment) == remembered
    assert stored(appointment) == before
    assert [change.event for change in appointment.history()] == ["pre_confirm"]
    appointment.confirm(now=NOW)
    assert columns(appointment) == stored(appointment)


def committed(db, act):
    with db.atomic():
        act()


def committed_inside(db, act):
    with db.atomic(), db.atomic():
        act()


def committed_in_the_middle(db, act):
    with pytest.raises(Undone), db.atomic() as unit:
        act()
        unit.commit()
        raise Undone


def committed_by_hand(db, act):
    with db.engine.manual_commit():
        db.engine.begin()
        act()
        db.engine.commit()
        db.engine.begin()
        db.engine.rollback()


def followed_by_another_unit_that_is_undone(db, act):
    committed(db, act)
    undone_by_exception(db, make_student)


@pytest.mark.slow
@walked(
    "keep",
    [committed, committed_inside, committed_in_the_middle, committed_by_hand, followed_by_another_unit_that_is_undone],
)
def test_what_a_unit_keeps_stays_in_the_object(db, bound, keep):
    appointment = make_appointment()
    keep(db, lambda: fire(appointment, "pre_confirm"))
    assert appointment.state == "pre_confirmed"
    assert columns(appointment) == stored(appointment)


@pytest.mark.slow
@walked("connected", [True, False])
def test_a_transition_by_hand_that_is_alone_or_a_unit_of_its_own_is_kept(db, a, connected):
    with db.tenant(a):
        appointment, student = make_appointment(), make_in(Student, "enrolled")
    told = []
    Appointment.lifecycle.on()(told.append)
    try:
        with db.tenant(a), contextlib.ExitStack() as stack:
            if connected:
                Student.select().count()
            stack.enter_context(db.engine.manual_commit())
            fire(appointment, "pre_confirm")  # commits by itself
            assert len(told) == 1
            fire(student, "discharge")  # and so does its unit of work
            db.engine.begin()
            fire(appointment, "confirm")
            db.engine.rollback()
            assert columns(appointment) == stored(appointment)
    finally:
        Appointment.lifecycle.off(told.append)
    with db.tenant(a):
        assert (appointment.state, stored(student)["admission_state"]) == ("pre_confirmed", "discharged")
    assert [change.event for change in told] == ["pre_confirm"]


def test_a_transition_with_an_effect_joins_a_transaction_begun_by_hand(db, bound):
    student = make_in(Student, "enrolled")
    stale = Student.get_by_id(make_in(Student, "prospect").id)
    Student.get_by_id(stale.id).apply()
    with db.engine.manual_commit():
        db.engine.begin()
        student.discharge()
        stale.admit()
        db.engine.rollback()
    assert (student.admission_state, stored(student)["admission_state"]) == ("enrolled", "enrolled")
    assert (stale.admission_state, stored(stale)["admission_state"]) == ("prospect", "applied")


def test_a_savepoint_that_is_undone_takes_its_own_changes_only(db, bound):
    appointment = make_appointment()
    with db.atomic():
        fire(appointment, "pre_confirm")
        undone_by_exception(db, lambda: fire(appointment, "confirm"))
        assert appointment.state == "pre_confirmed"
        undone_by_exception(db, lambda: fire(appointment, "cancel"))
        assert (appointment.state, appointment.cancelled_at) == ("pre_confirmed", None)
        fire(appointment, "confirm")
    assert columns(appointment) == stored(appointment)
    assert [change.event for change in appointment.history()] == ["pre_confirm", "confirm"]


def test_what_was_unsaved_before_is_unsaved_again(db, bound, admin):
    appointment = make_appointment()
    appointment.cancellation_reason, appointment.notes = "draft of a reason", "kept"
    remembered = in_memory(appointment)

    def act():
        appointment.cancel(by=admin, reason="ill", now=NOW)
        assert appointment.dirty_field_names == ["notes"]
        appointment.cancelled_by = admin  # assigned again, and so unsaved again

    undone_by_exception(db, act)
    assert in_memory(appointment) == remembered
    assert set(appointment.dirty_field_names) == {"cancellation_reason", "notes"}


def test_what_is_assigned_besides_stays(db, bound):
    appointment = make_appointment()

    def act():
        fire(appointment, "pre_confirm")
        appointment.notes = "written meanwhile"

    undone_by_exception(db, act)
    assert (appointment.state, appointment.notes, appointment.dirty_field_names) == (
        "draft",
        "written meanwhile",
        ["notes"],
    )


def test_an_object_that_caught_up_falls_behind_again(db, bound):
    appointment = make_appointment(metadata={"room": 1})
    stale = Appointment.get_by_id(appointment.id)
    client, document = stale.client, stale.metadata
    Appointment.update(notes="elsewhere", metadata={"room": 2}).where(Appointment.id == stale.id).execute()
    fire(appointment, "pre_confirm")
    remembered = in_memory(stale)

    undone_by_exception(db, lambda: fire(stale, "confirm"))

    assert in_memory(stale) == remembered
    assert stale.client is client
    assert stale.metadata is document
    assert not stale.save()
    assert stored(stale)["metadata"] == {"room": 2}


def test_an_object_that_was_read_in_part_is_in_part_again(db, bound):
    row = make_in(Appointment, "draft")
    part = Appointment.select(Appointment.id, Appointment.state).where(Appointment.id == row.id).get()
    remembered = in_memory(part)
    undone_by_exception(db, lambda: fire(row, "pre_confirm") or part.cancel(reason="ill"))
    assert in_memory(part) == remembered


def test_an_effect_that_fails_undoes_the_transition_and_the_object(db, bound, within):
    appointment, noted = make_appointment(), []

    def fail(change):
        noted.append((change.subject.state, stored(change.subject)["state"]))
        make_student(first_name="of the effect")
        raise Undone

    within(Appointment.lifecycle, "pre_confirm", fail)
    remembered = in_memory(appointment)
    for unit in (contextlib.nullcontext(), db.atomic()):
        with pytest.raises(Undone), unit:
            fire(appointment, "pre_confirm")
        assert in_memory(appointment) == remembered
        assert stored(appointment)["state"] == "draft"
    assert noted == [("pre_confirmed", "pre_confirmed")] * 2
    assert Student.select().where(Student.first_name == "of the effect").count() == 0
    assert list(appointment.history()) == []


def test_an_effect_that_fails_leaves_the_callers_unit_usable(db, bound, within):
    def fail(change):
        db.execute_sql("select 1 / 0")

    within(Student.lifecycle, "apply", fail)
    student = make_student()
    with db.atomic():
        with contextlib.suppress(Exception):
            student.apply()
        make_student(first_name="after")
    assert student.admission_state == "prospect"
    assert Student.select().where(Student.first_name == "after").exists()


def test_effects_run_in_the_order_they_were_attached_and_in_the_same_transaction(db, bound, within):
    ran = []
    for name in ("one", "two"):
        within(
            Student.lifecycle,
            "apply",
            lambda change, name=name: ran.append((name, db.engine.holder_of_transaction() is not None)),
        )
    make_student().apply()
    assert ran == [("one", True), ("two", True)]
