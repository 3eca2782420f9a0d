"""What confirming, cancelling, discharging, expiring and not coming do to the ledger, in the same transaction."""

from datetime import timedelta

import pytest

from rayces_core import (
    AlreadyRefundedError,
    Appointment,
    InsufficientCreditsError,
    Organization,
    clock,
    credits,
    scheduling,
)
from tests.credits.ledger import (
    amounts,
    as_stored,
    confirmed,
    early,
    entries,
    figures,
    held_appointment,
    nothing_written,
    statements,
    without_reserving,
)
from tests.factory import make_appointment, make_student, make_user, write_past
from tests.state_machine.rules import columns, in_memory
from tests.walking import walked


class Undone(Exception):
    pass


# -- confirm -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", [1, 3, 10])
@pytest.mark.usefixtures("frozen")
def test_confirming_debits_what_it_costs(rich, desk, cost):
    appointment = held_appointment(rich, cost)
    now = early(appointment, days=2)
    appointment.confirm(by=desk, now=now)
    _, debit = entries(rich)
    assert (debit.transaction_type, debit.amount, debit.appointment) == ("appointment_debit", -cost, appointment)
    assert (debit.created_by, debit.processed_at) == (desk, now)
    assert figures(rich) == (10 - cost, 10, cost)
    assert columns(appointment) == as_stored(appointment)


def test_an_appointment_that_uses_no_credit_costs_none(rich):
    appointment = make_appointment(client=rich, credits_used=5)
    appointment.pre_confirm(now=early(appointment))
    appointment.confirm(now=early(appointment))
    appointment.cancel(reason="ill", now=early(appointment))
    assert amounts(rich) == [10]


def test_one_that_costs_nothing_is_confirmed_and_cancelled_without_an_entry(rich):
    appointment = confirmed(rich, 0)
    appointment.cancel(reason="ill", now=early(appointment))
    assert amounts(rich) == [10]


@pytest.mark.parametrize("has_balance", [True, False])
@pytest.mark.parametrize("inside", [True, False], ids=["in a unit of work", "alone"])
def test_without_credits_it_stays_pre_confirmed_in_the_database_and_in_memory(db, bound, ana, has_balance, inside):
    without_reserving(bound)
    if has_balance:
        credits.purchase(ana, 2)
    appointment = held_appointment(ana, 3)
    told, remembered = [], in_memory(appointment)
    Appointment.lifecycle.on("confirm")(told.append)
    try:
        with nothing_written():
            if inside:
                with db.atomic():
                    with pytest.raises(InsufficientCreditsError):
                        appointment.confirm(now=early(appointment))
                    assert appointment.state == "pre_confirmed"
            else:
                with pytest.raises(InsufficientCreditsError) as caught:
                    appointment.confirm(now=early(appointment))
                assert (caught.value.required, caught.value.available) == (3, 2 if has_balance else 0)
    finally:
        Appointment.lifecycle.off(told.append)
    assert told == []
    assert in_memory(appointment) == remembered
    assert as_stored(appointment)["state"] == "pre_confirmed"
    credits.purchase(ana, 3)
    appointment.confirm(now=early(appointment))
    assert appointment.state == "confirmed"


def test_what_is_undone_later_is_undone_in_the_ledger_too(db, rich):
    appointment = held_appointment(rich, 3)
    with nothing_written(), pytest.raises(Undone), db.atomic():
        appointment.confirm(now=early(appointment))
        assert credits.balance(rich) == 7
        raise Undone
    assert appointment.state == "pre_confirmed"


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "told", "back"),
    [
        (timedelta(hours=24), None, 3),
        (timedelta(hours=24) - timedelta(seconds=1), None, 0),
        (timedelta(hours=1), True, 3),
        (timedelta(days=9), False, 0),
        (-timedelta(hours=1), None, 0),
        (-timedelta(hours=1), True, 3),
    ],
)
@pytest.mark.usefixtures("frozen")
def test_a_cancellation_gives_back_by_the_notice_or_as_told(rich, desk, ahead, told, back):
    appointment = confirmed(rich, 3)
    now = appointment.scheduled_at - ahead
    appointment.cancel(by=desk, reason="ill", refund=told, now=now)
    assert appointment.state == "cancelled"
    assert figures(rich) == (7 + back, 10, 3 - back)
    given = entries(rich)[2:]
    assert [(each.transaction_type, each.amount, each.reason, each.created_by) for each in given] == [
        ("cancellation_refund", 3, "ill", desk)
    ] * bool(back)
    assert all((each.appointment, each.processed_at) == (appointment, now) for each in given)


@pytest.mark.slow
@walked("hours, back", [(0, 3), (47, 3), (48, 3), (49, 0)])
def test_the_notice_is_the_organizations_setting(rich, hours, back):
    Organization.update(settings={"cancellation_notice_hours": hours}).execute()
    appointment = confirmed(rich, 3)
    appointment.cancel(reason="ill", now=early(appointment, hours=48))
    assert credits.balance(rich) == 7 + back


@walked("told", [None, True, False])
def test_what_was_not_debited_is_not_refunded(rich, told):
    draft = make_appointment(client=rich, uses_credit=True, credits_used=2)
    for appointment in (draft, held_appointment(rich, 2)):
        appointment.cancel(reason="ill", refund=told, now=early(appointment))
    assert amounts(rich) == [10]


def test_the_refund_goes_to_whoever_paid(rich):
    other = make_user()
    credits.purchase(other, 5)
    appointment = held_appointment(rich, 3)
    credits.debit(other, 3, appointment=appointment)
    write_past(appointment, client_id=rich.id)
    appointment.cancel(reason="ill", now=early(appointment))
    assert (credits.balance(other), credits.balance(rich)) == (5, 10)


@pytest.mark.parametrize(
    ("by_hand", "told", "hours", "back"),
    [
        ([1], None, 72, [1, 2]),
        ([1], True, 1, [1, 2]),
        ([1], False, 72, [1]),
        ([1], None, 1, [1]),  # by the notice nothing is due
        ([1, 1], None, 72, [1, 1, 1]),
        ([3], None, 72, [3]),
        ([2, 1], True, 72, [2, 1]),
    ],
)
def test_f01_one_that_was_refunded_by_hand_is_cancelled_and_gets_what_is_still_owed(rich, by_hand, told, hours, back):
    appointment = confirmed(rich, 3)
    for part in by_hand:
        credits.refund(appointment, credits=part, reason="goodwill")
    appointment.cancel(reason="ill", refund=told, now=early(appointment, hours=hours))
    assert appointment.state == "cancelled"
    assert amounts(rich) == [10, -3, *back]
    assert credits.verify().is_clean


def test_f01_a_policy_that_gives_back_less_than_was_given_gives_nothing_more(rich, use_policy):
    class Half(credits.Policy):
        def refund(self, appointment, cancelled_at, notice_hours):
            return appointment.credits_used // 2

    use_policy(Half())
    for by_hand, back in ((1, [1]), (3, []), (None, [2])):
        appointment, before = confirmed(rich, 4), len(entries(rich))
        if by_hand:
            credits.refund(appointment, credits=by_hand)
        appointment.cancel(reason="ill")
        assert amounts(rich)[before:] == [*([by_hand] if by_hand else []), *back]
        credits.purchase(rich, 5)


def test_f01_a_student_with_a_session_that_was_refunded_is_discharged(rich, desk):
    student = make_student(admission_state="enrolled")
    one, other = confirmed(rich, 2, student=student), confirmed(rich, 3, student=student)
    credits.refund(one, credits=1)
    credits.refund(other)
    student.discharge(by=desk, now=early(min(one, other, key=lambda each: each.scheduled_at)))
    assert [Appointment.get_by_id(each.id).state for each in (one, other)] == ["cancelled", "cancelled"]
    assert (credits.balance(rich), credits.verify().is_clean) == (10, True)


def test_f01_what_confirming_advises_for_one_that_was_refunded_works(rich):
    appointment = held_appointment(rich, 2)
    credits.debit(rich, 2, appointment=appointment)
    credits.refund(appointment)
    with pytest.raises(AlreadyRefundedError) as caught:
        appointment.confirm(now=early(appointment))
    assert "cancel it and book another one" in caught.value.__notes__[0]
    appointment.cancel(reason="as the note says")
    assert (appointment.state, credits.balance(rich)) == ("cancelled", 10)


def test_a_price_that_changed_after_the_debit_gives_back_what_was_paid(rich):
    appointment = confirmed(rich, 3)
    appointment.credits_used = 9
    appointment.save()
    appointment.cancel(reason="ill", now=early(appointment))
    assert credits.balance(rich) == 10


def test_what_it_takes_is_one_statement_more_to_confirm_and_three_to_cancel(db, rich):
    """Each is a round trip: the debit; what was paid, the notice, the refund, what a correction took again."""
    appointment = Appointment.get_by_id(held_appointment(rich, 3).id)  # as a booking gives it, whole
    with statements(db) as sent:
        appointment.confirm(now=early(appointment, days=2))
    assert len(sent) == 2
    with statements(db) as sent:
        appointment.cancel(reason="ill", now=early(appointment, days=2))
    assert len(sent) == 4


# -- discharge, expire, no show ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_discharge_gives_back_what_its_cancellations_are_due(rich, desk):
    student = make_student(admission_state="enrolled")
    start = early(make_appointment()).replace(hour=15, minute=0)  # noon there: twenty hours later is another day
    far, near, past, unpaid = (
        confirmed(rich, cost, student=student, scheduled_at=start + timedelta(hours=hours))
        for hours, cost in ((60, 1), (20, 2), (-20, 3), (80, 0))
    )
    waiting = held_appointment(rich, 4, student=student, scheduled_at=start + timedelta(days=9))
    student.discharge(by=desk, now=start)
    states = [Appointment.get_by_id(each.id).state for each in (far, near, past, unpaid, waiting)]
    assert states == ["cancelled", "cancelled", "confirmed", "cancelled", "cancelled"]
    given = [
        (each.appointment, each.amount, each.reason, each.created_by) for each in entries(rich) if each.amount > 0
    ][1:]
    assert given == [(far, 1, "student discharged", desk)]
    assert figures(rich) == (5, 10, 5)
    assert credits.verify().is_clean


def test_a_discharge_that_is_undone_gives_nothing_back(db, rich):
    student = make_student(admission_state="enrolled")
    appointment = confirmed(rich, 3, student=student)
    with nothing_written(), pytest.raises(Undone), db.atomic():
        student.discharge(now=early(appointment))
        raise Undone
    assert student.admission_state == "enrolled"


def test_a_hold_that_expires_was_never_charged_and_gives_nothing_back(rich):
    one, swept = held_appointment(rich, 3), held_appointment(rich, 3)
    late = max(one.scheduled_at, swept.scheduled_at) + timedelta(days=1)
    one.expire(now=late)
    assert scheduling.expire_overdue(now=late) == 1
    assert Appointment.get_by_id(swept.id).state == one.state == "cancelled"
    assert amounts(rich) == [10]


@pytest.mark.parametrize("way", ["expire", "sweep", "privileged sweep"])
@pytest.mark.parametrize(("before", "back"), [(None, [4]), (1, [1, 3]), (4, [4])])
def test_f05_an_expired_hold_that_was_paid_by_hand_gives_back_what_was_paid(db, rich, way, before, back):
    other = make_user()
    credits.purchase(other, 4)
    appointment, unpaid = held_appointment(rich, 2), held_appointment(rich, 3)
    credits.debit(other, 4, appointment=appointment, reason="pays now")
    if before:
        credits.refund(appointment, credits=before)
    late = max(appointment.scheduled_at, unpaid.scheduled_at) + timedelta(days=1)
    if way == "expire":
        appointment.expire(now=late)
    elif way == "sweep":
        assert scheduling.expire_overdue(now=late) == 2
    else:
        with db.privileged(reason="test"):
            scheduling.expire_overdue(now=late)
    assert (Appointment.get_by_id(appointment.id).state, amounts(other), amounts(rich)) == (
        "cancelled",
        [4, -4, *back],
        [10],
    )
    assert credits.verify().is_clean


def test_f05_a_sweep_looks_once_for_what_was_paid_however_many_expire_unpaid(db, rich):
    holds = [held_appointment(rich, 2) for _ in range(5)]
    late = max(hold.scheduled_at for hold in holds) + timedelta(days=1)
    with statements(db) as sent:
        assert scheduling.expire_overdue(now=late) == 5
    assert len([sql for sql in sent if "credit_transactions" in sql]) <= 1


def test_f05_what_was_kept_without_a_decision_is_found_and_a_fee_taken_afterwards_is_none(db, rich):
    kept, charged, told = (held_appointment(rich, 2) for _ in range(3))
    credits.debit(rich, 2, appointment=kept)
    Appointment.lifecycle.has_effects("confirm")  # imports what is wired
    effects = Appointment.lifecycle._announcements._effects
    before, effects["expire"] = effects["expire"], []  # as before the effect was attached
    try:
        for hold in (kept, charged):
            with clock.frozen(clock.now() + timedelta(minutes=1)):
                over = clock.now() - timedelta(minutes=9)
                Appointment.update(pre_confirmed_at=over - timedelta(minutes=9), expires_at=over).where(
                    Appointment.id == hold.id
                ).execute()
                hold.expire()
    finally:
        effects["expire"] = before
    with clock.frozen(clock.now() + timedelta(minutes=9)):
        credits.debit(rich, 1, appointment=charged, reason="late cancellation fee")
    credits.debit(rich, 1, appointment=told)
    told.cancel(reason="ill", refund=False)
    (found,) = credits.verify().discrepancies
    assert (found.kind, found.appointment_id, found.expected, found.found) == ("not_given_back", kept.id, "2", "0")
    assert "refund it" in str(found)
    credits.refund(kept)
    assert credits.verify().is_clean


def test_every_way_into_cancelled_gives_back():
    from rayces_core.credits.corrections import refund_at_cancellation
    from rayces_core.credits.wiring import INTO_CANCELLED

    effects = Appointment.lifecycle._announcements._effects
    ways = {name for name, event in Appointment.lifecycle.transitions.items() if event.target == "cancelled"}
    assert set(INTO_CANCELLED) == ways >= {"cancel", "expire"}
    assert all(refund_at_cancellation in [effect.run for effect in effects[way]] for way in ways)


def test_who_does_not_come_gets_nothing_back_nor_who_came(rich):
    missed, held = confirmed(rich, 3), confirmed(rich, 3)
    missed.mark_no_show(now=missed.scheduled_at)
    held.execute(now=held.scheduled_at)
    assert amounts(rich) == [10, -3, -3]
