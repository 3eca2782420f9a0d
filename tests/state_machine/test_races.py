"""Events that race in real processes, and processes killed in the middle: nothing lost, doubled or half done."""

import contextlib
import threading
import time
from collections import Counter
from concurrent.futures import Future

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    CreditBalance,
    CreditTransaction,
    InvalidTransitionError,
    SlotTakenError,
    Student,
)
from tests.factory import START, make_appointment, make_balance, make_professional, make_transaction
from tests.nodes import WAITING
from tests.patience import wait_until
from tests.sizes import quick_or_whole
from tests.state_machine import racers
from tests.state_machine.racers import race, worker
from tests.state_machine.rules import fire, make_in, replayed, stored
from tests.walking import walked

ROUNDS = quick_or_whole(2, 20)
MANY = quick_or_whole(6, 20)


def held(count, **columns):
    rows = [make_appointment(**columns) for _ in range(count)]
    for row in rows:
        fire(row, "pre_confirm")
    return [Appointment.get_by_id(row.id) for row in rows]


def events_of(row):
    return [change.event for change in row.history()]


def test_of_many_that_confirm_one_wins_and_the_others_are_told(db, bound):
    rows = held(3)
    outcomes = race(db, bound, rows, [racers.confirm] * MANY)
    for row, outcome in zip(rows, zip(*outcomes, strict=True), strict=True):
        errors = [error for error in outcome if error is not None]
        assert len(errors) == MANY - 1
        told = {(type(error), error.event, error.from_state, error.allowed) for error in errors}
        assert told == {
            (InvalidTransitionError, "confirm", "confirmed", ("execute", "mark_no_show", "cancel", "change_price"))
        }
        assert events_of(row) == ["pre_confirm", "confirm"]
        assert replayed(row) == stored(row)["state"] == "confirmed"


def test_confirm_racing_cancel_leaves_a_story_that_fits(db, bound):
    rows = held(ROUNDS)
    confirmed, cancelled = race(db, bound, rows, [racers.confirm, racers.cancel])
    assert cancelled == [None] * ROUNDS  # it may follow either state
    for row, error in zip(rows, confirmed, strict=True):
        after = stored(row)
        won = error is None
        assert won or (type(error), error.from_state) == (InvalidTransitionError, "cancelled")
        assert replayed(row) == after["state"] == "cancelled"
        assert events_of(row) == ["pre_confirm", *(["confirm"] if won else []), "cancel"]
        assert (after["confirmed_at"] is not None) == won


@pytest.mark.slow
def test_of_many_that_take_one_slot_one_wins_and_the_others_know_which(db, bound):
    professional = make_professional()
    drafts = [make_appointment(professional=professional, scheduled_at=START) for _ in range(MANY)]
    outcomes = race(db, bound, drafts[:1], [racers.Taking(draft.id) for draft in drafts])
    (winner,) = Appointment.select().where(Appointment.professional == professional, Appointment.state != "draft")
    assert (winner.state, events_of(winner)) == ("pre_confirmed", ["pre_confirm"])
    errors = [error for (error,) in outcomes if error is not None]
    assert Counter(map(type, errors)) == {SlotTakenError: MANY - 1}
    assert {error.conflicting_id for error in errors} == {winner.id}


@walked("other", [racers.complete, racers.fail])
def test_an_entry_is_settled_once_and_the_balance_moves_once(db, bound, other):
    balance = make_balance()
    entries = [make_transaction(credit_balance=balance, amount=3) for _ in range(ROUNDS)]
    outcomes = zip(*race(db, bound, entries, [racers.complete, other]), strict=True)
    for entry, outcome in zip(entries, outcomes, strict=True):
        (error,) = [error for error in outcome if error is not None]
        settled = stored(entry)["status"]
        assert (type(error), error.from_state) == (InvalidTransitionError, settled)
        assert len(events_of(entry)) == 1
        assert replayed(entry) == settled
    completed = CreditTransaction.select().where(
        CreditTransaction.credit_balance == balance, CreditTransaction.status == "completed"
    )
    balance = CreditBalance.get_by_id(balance.id)
    assert balance.balance == balance.lifetime_purchased == sum(entry.amount for entry in completed)
    assert sorted(entry.balance_after for entry in completed) == [3 * (n + 1) for n in range(len(completed))]


@pytest.mark.slow
def test_entries_of_one_balance_that_are_completed_at_once_all_count(db, bound):
    balance = make_balance()
    entries = [make_transaction(credit_balance=balance, amount=1) for _ in range(12)]
    outcomes = race(db, bound, entries[:1], [racers.Completing(entry.id) for entry in entries])
    assert outcomes == [[None]] * 12
    assert CreditBalance.get_by_id(balance.id).balance == 12
    assert sorted(stored(entry)["balance_after"] for entry in entries) == list(range(1, 13))


def test_discharge_racing_confirm_leaves_no_appointment_standing(db, bound):
    students = [make_in(Student, "enrolled") for _ in range(ROUNDS)]
    rows = [held(1, student=student)[0] for student in students]
    discharged, confirmed = race(db, bound, students, [racers.discharge, racers.confirm_first_appointment])
    assert discharged == [None] * ROUNDS
    for row, error in zip(rows, confirmed, strict=True):
        assert error is None or error.from_state == "cancelled"
        assert replayed(row) == stored(row)["state"] == "cancelled"
        assert events_of(row) == ["pre_confirm", *(["confirm"] if error is None else []), "cancel"]


# -- what somebody else has not committed yet -----------------------------------------------------------------------


@pytest.fixture
def somebody(db):
    """Another connection with a transaction of its own."""
    with contextlib.closing(psycopg2.connect(db.url)) as connection:
        yield connection.cursor()


def begun(db, bound, somebody, event, row):
    """Begin an event in a thread, and return its outcome once it waits for what `somebody` holds."""

    def run():
        with db.tenant(bound):
            fire(row, event)

    outcome = Future()
    threading.Thread(target=lambda: _settle(outcome, run), daemon=True).start()
    with contextlib.closing(psycopg2.connect(db.url)) as observer:
        observer.autocommit = True
        cursor = observer.cursor()
        wait_until(lambda: outcome.done() or cursor.execute(WAITING) or cursor.fetchone() != (0,))
        assert not outcome.done(), "it did not wait"
    return outcome


def _settle(outcome, run):
    try:
        outcome.set_result(run())
    except BaseException as error:
        outcome.set_exception(error)


def test_who_takes_a_slot_waits_for_the_professional_and_sees_what_was_booked_meanwhile(db, bound, somebody):
    draft, other = make_appointment(), make_appointment()
    somebody.execute(
        "SELECT 1 FROM professionals WHERE organization_id = %s AND user_id = %s FOR NO KEY UPDATE",
        (bound.id, draft.professional_id),
    )
    outcome = begun(db, bound, somebody, "pre_confirm", draft)
    somebody.execute(
        "UPDATE appointments SET professional_id = %s, scheduled_at = %s, state = 'pre_confirmed', "
        "pre_confirmed_at = now(), expires_at = %s WHERE id = %s",
        (draft.professional_id, draft.scheduled_at, draft.scheduled_at, other.id),
    )
    somebody.connection.commit()
    with pytest.raises(SlotTakenError) as caught:
        outcome.result(60)
    assert caught.value.conflicting_id == other.id


@walked("behind", [False, True])
def test_who_waits_for_the_row_is_told_what_became_of_it(db, bound, somebody, behind):
    row = make_appointment()
    stale = Appointment.get_by_id(row.id)
    fire(row, "pre_confirm")
    somebody.execute(
        "UPDATE appointments SET state = 'cancelled', cancelled_at = now(), cancellation_reason = 'x' WHERE id = %s",
        (row.id,),
    )
    outcome = begun(db, bound, somebody, "confirm", stale if behind else row)
    somebody.connection.commit()
    with pytest.raises(InvalidTransitionError) as caught:
        outcome.result(60)
    assert (caught.value.from_state, caught.value.allowed) == ("cancelled", ())


def test_an_entry_that_is_edited_meanwhile_is_completed_once_with_its_balance(db, bound, somebody):
    entry = make_transaction(amount=5)
    somebody.execute("UPDATE credit_transactions SET metadata = '{\"seen\": 1}' WHERE id = %s", (entry.id,))
    outcome = begun(db, bound, somebody, "complete", entry)
    somebody.connection.commit()
    outcome.result(60)
    after = stored(entry)
    assert (after["status"], after["balance_after"], after["metadata"]) == ("completed", 5, {"seen": 1})
    assert CreditBalance.get_by_id(entry.credit_balance_id).balance == 5


# -- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("where", ["before the appointments", "after the appointments", "before the commit"])
def test_a_process_killed_in_the_middle_leaves_nothing_half_done(db, bound, where):
    student = make_in(Student, "enrolled")
    appointments = [make_appointment(student=student) for _ in range(3)]
    with worker(racers.discharge_and_wait, db.url, bound.id, student.id, where) as (process, pipe):
        assert pipe.poll(racers.SECONDS)
        assert pipe.recv() == "in the middle"
        process.kill()
        process.join()

    student.suspend()  # waits until the server has let go of the row
    assert stored(student)["admission_state"] == "on_leave"
    assert [stored(one)["state"] for one in appointments] == ["draft"] * 3
    assert events_of(student) == ["suspend"]
    assert [events_of(one) for one in appointments] == [[]] * 3
    student.discharge()
    assert [stored(one)["state"] for one in appointments] == ["cancelled"] * 3


@pytest.mark.slow
def test_wherever_a_process_is_killed_each_unit_is_whole_or_not_there(db, bound):
    people = {"professional": make_professional(), "client": make_professional().user}
    students = [make_in(Student, "enrolled") for _ in range(60)]
    of = {student.id: [make_appointment(student=student, **people) for _ in range(2)] for student in students}
    left = [student.id for student in students]
    for lead in (1, 4, 9):
        # It goes on while the one that kills it is stopped, but not to the last of them.
        next_ones = left[: lead + 5]
        with worker(racers.discharge_one_after_the_other, db.url, bound.id, next_ones) as (process, pipe):
            for _ in range(lead):
                assert pipe.poll(racers.SECONDS)
                pipe.recv()
            time.sleep(0.0007 * lead)
            process.kill()
            process.join()
        Student.select().where(Student.id.in_(left)).for_update().execute()  # waits for what the killed one held
        left = [pk for pk in left if stored(Student(id=pk))["admission_state"] == "enrolled"]
    assert 0 < len(left) <= 60 - 14
    for student in students:
        gone = student.id not in left
        assert [stored(one)["state"] for one in of[student.id]] == ["cancelled" if gone else "draft"] * 2
        assert events_of(student) == (["discharge"] if gone else [])
        assert [events_of(one) for one in of[student.id]] == [["cancel"] if gone else []] * 2
