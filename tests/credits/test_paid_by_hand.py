"""An appointment that was debited by hand before its confirmation counts as paid, whoever paid and however much."""

from datetime import timedelta

import pytest

from rayces_core import AlreadyDebitedError, AlreadyRefundedError, Appointment, credits, scheduling
from tests.credits.ledger import (
    amounts,
    as_stored,
    early,
    figures,
    held_appointment,
    nothing_written,
    without_reserving,
)
from tests.factory import make_appointment, make_professional, make_student, make_transaction, make_user
from tests.state_machine.rules import columns, in_memory
from tests.walking import walked


class Undone(Exception):
    pass


@pytest.mark.parametrize("paid", [1, 3, 5])
def test_confirming_takes_nothing_more_and_cancelling_gives_back_what_was_paid(rich, paid):
    appointment = held_appointment(rich, 3)
    credits.debit(rich, paid, appointment=appointment)
    appointment.confirm(now=early(appointment, days=2))
    assert appointment.state == "confirmed"
    assert appointment.credits_used == paid
    assert columns(appointment) == as_stored(appointment)
    assert amounts(rich) == [10, -paid]
    assert credits.verify().is_clean
    appointment.cancel(reason="ill", now=early(appointment, days=2))
    assert figures(rich) == (10, 10, 0)


def test_another_user_may_have_paid_and_gets_it_back(bound, rich):
    without_reserving(bound)
    client = make_user()
    appointment = held_appointment(client, 3)
    credits.debit(rich, 3, appointment=appointment, idempotency_key="grandmother")
    appointment.confirm(now=early(appointment))
    assert (amounts(client), amounts(rich)) == ([], [10, -3])
    appointment.cancel(reason="ill", now=early(appointment))
    assert (figures(client), figures(rich)) == ((0, 0, 0), (10, 10, 0))


def test_a_draft_that_is_paid_goes_all_the_way_in_one_unit_of_work(db, rich):
    draft = make_appointment(client=rich, uses_credit=True, credits_used=2)
    with db.atomic():
        credits.debit(rich, 4, appointment=draft)
        draft.pre_confirm(now=early(draft))
        draft.confirm(now=early(draft))
    assert (draft.state, draft.credits_used, amounts(rich)) == ("confirmed", 4, [10, -4])
    assert credits.verify().is_clean


def test_booking_and_confirming_at_once_finds_what_was_paid_meanwhile(rich, desk, monkeypatch):
    machine, start = Appointment.lifecycle, early(make_appointment())
    monkeypatch.setitem(machine._announcements._effects, "pre_confirm", [])
    machine.within("pre_confirm")(lambda change: credits.debit(rich, 2, appointment=change.subject))
    professional = make_professional(weekly_schedule={})
    people = {"student": make_student(), "client": rich, "professional": professional, "by": desk}
    moment = {"scheduled_at": start, "now": start - timedelta(days=2), "override_schedule": True}
    appointment = scheduling.book(**people, **moment, uses_credit=True, confirm=True)
    assert (appointment.state, appointment.credits_used, amounts(rich)) == ("confirmed", 2, [10, -2])


def test_one_that_would_be_free_costs_what_was_paid(rich):
    appointment = held_appointment(rich, 0)
    credits.debit(rich, 2, appointment=appointment)
    appointment.confirm(now=early(appointment))
    assert (appointment.credits_used, credits.verify().is_clean) == (2, True)
    appointment.cancel(reason="ill", now=early(appointment))
    assert amounts(rich) == [10, -2, 2]


def test_one_that_is_cancelled_unconfirmed_gives_back_what_was_paid(rich):
    appointment = held_appointment(rich, 1)
    credits.debit(rich, 4, appointment=appointment)
    appointment.cancel(reason="ill", now=early(appointment))
    assert amounts(rich) == [10, -4, 4]
    assert columns(appointment) == as_stored(appointment)
    assert (appointment.credits_used, appointment.dirty_field_names) == (1, [])


def test_a_policy_gives_back_of_what_was_paid_and_the_object_keeps_its_price(rich, use_policy):
    class Half(credits.Policy):
        def refund(self, appointment, cancelled_at, notice_hours):
            return appointment.credits_used // 2

    use_policy(Half())
    appointment = held_appointment(rich, 1)
    credits.debit(rich, 8, appointment=appointment)
    appointment.cancel(reason="ill", now=early(appointment))
    assert amounts(rich) == [10, -8, 4]
    assert appointment.credits_used == as_stored(appointment)["credits_used"] == 1


def test_what_it_cost_is_forgotten_with_the_unit_of_work_that_confirmed_it(db, rich):
    appointment = held_appointment(rich, 3)
    credits.debit(rich, 5, appointment=appointment)
    remembered = in_memory(appointment)
    with nothing_written(), pytest.raises(Undone), db.atomic():
        appointment.confirm(now=early(appointment))
        raise Undone
    assert in_memory(appointment) == remembered


@walked("back", [1, 3])
def test_what_was_given_back_pays_for_nothing(rich, back):
    appointment = held_appointment(rich, 3)
    credits.debit(rich, 3, appointment=appointment)
    refund = credits.refund(appointment, credits=back)
    remembered = in_memory(appointment)
    with nothing_written(), pytest.raises(AlreadyRefundedError) as caught:
        appointment.confirm(now=early(appointment))
    assert (caught.value.transaction_id, caught.value.appointment_id) == (refund.id, appointment.id)
    assert "book another one" in caught.value.__notes__[0]
    assert in_memory(appointment) == remembered
    assert as_stored(appointment)["state"] == "pre_confirmed"


def test_a_debit_that_still_waits_pays_for_nothing(rich):
    appointment = held_appointment(rich, 3)
    make_transaction(amount=-3, transaction_type="appointment_debit", appointment=appointment)
    with nothing_written(), pytest.raises(AlreadyDebitedError):
        appointment.confirm(now=early(appointment))
    assert appointment.state == "pre_confirmed"
