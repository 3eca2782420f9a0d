"""A wrong click is put right within a setting's days, and what it cost or gave back with it."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rayces_core import (
    Appointment,
    CreditTransaction,
    InsufficientCreditsError,
    InvalidDataError,
    TransitionRefusedError,
    credits,
)
from rayces_core.credits.paid import paid_for
from tests.credits.ledger import amounts, as_stored, confirmed, entries, nothing_written
from tests.factory import make_user
from tests.sizes import examples
from tests.state_machine.rules import columns, in_memory, replayed
from tests.walking import walked

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
RECORD = {"executed": "execute", "no_show": "mark_no_show"}
CORRECTIONS = {
    ("no_show", "executed"): "correct_to_executed",
    ("executed", "no_show"): "correct_to_no_show",
    ("executed", "confirmed"): "reopen",
    ("no_show", "confirmed"): "reopen",
}


class GivesBack(credits.Policy):
    """A no-show gives back so many of the credits."""

    def __init__(self, back):
        self.back = back

    def no_show(self, appointment):
        return min(self.back, appointment.credits_used)


def recorded(client, state, cost=2):
    """A session that has taken place, with what was recorded of it when it ended."""
    appointment = confirmed(client, cost)
    getattr(appointment, RECORD[state])(now=appointment.ends_at)
    return appointment


def net(appointment):
    """What the appointment has cost up to now."""
    of_it = CreditTransaction.select().where(CreditTransaction.appointment == appointment)
    return -sum(entry.amount for entry in of_it)


# -- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), CORRECTIONS)
def test_a_wrong_click_is_corrected_with_its_row_of_the_journal(rich, desk, source, target):
    appointment = recorded(rich, source)
    when = appointment.ends_at
    event = CORRECTIONS[source, target]

    getattr(appointment, event)(by=desk, reason="wrong button", now=when + DAY)

    assert (appointment.state, appointment.state.is_final) == (target, target != "confirmed")
    assert columns(appointment) == as_stored(appointment)
    stamps = {"executed": appointment.executed_at, "no_show": appointment.no_show_at}
    assert stamps == {state: when if state == target else None for state in stamps}
    change = appointment.history()[-1]
    assert (change.event, change.from_state, change.to_state) == (event, source, target)
    assert (change.actor, change.reason, change.occurred_at) == (desk, "wrong button", when + DAY)
    assert (appointment.executed_by, appointment.marked_no_show_by) == tuple(
        desk if state == target else None for state in ("executed", "no_show")
    )
    assert amounts(rich) == [10, -2]  # by the domain's own policy a no-show costs what a session costs
    assert replayed(appointment) == target


@pytest.mark.parametrize("days", [None, 1, 30])
@pytest.mark.parametrize(("source", "target"), CORRECTIONS)
def test_it_can_be_corrected_for_the_settings_days_and_no_longer(bound, rich, desk, days, source, target):
    bound.settings = {} if days is None else {"correction_days": days}
    bound.save()
    appointment, event = recorded(rich, source), CORRECTIONS[source, target]
    last = appointment.ends_at + (7 if days is None else days) * DAY
    with nothing_written():
        remembered = in_memory(appointment)
        with pytest.raises(TransitionRefusedError) as caught:
            getattr(appointment, event)(by=desk, now=last + INSTANT)
        assert (caught.value.event, caught.value.reason) == (event, "too_late")
        assert in_memory(appointment) == remembered
    getattr(appointment, event)(by=desk, now=last)
    assert appointment.state == target


def test_where_the_setting_has_no_days_only_the_same_moment_is_left(bound, rich):
    bound.settings = {"correction_days": 0}
    bound.save()
    appointment = recorded(rich, "executed")
    with pytest.raises(TransitionRefusedError):
        appointment.reopen(now=appointment.ends_at + INSTANT)


def test_a_correction_does_not_prolong_the_days(rich):
    appointment = recorded(rich, "executed")
    end = appointment.ends_at
    appointment.correct_to_no_show(now=end + 7 * DAY)
    with pytest.raises(TransitionRefusedError):
        appointment.correct_to_executed(now=end + 7 * DAY + INSTANT)


def test_what_is_open_again_is_recorded_anew(rich, desk):
    appointment = recorded(rich, "no_show")
    appointment.reopen(by=desk, now=appointment.ends_at + DAY)
    appointment.execute(now=appointment.ends_at + 2 * DAY)
    assert appointment.executed_at == appointment.ends_at + 2 * DAY
    assert (appointment.executed_by, appointment.marked_no_show_by) == (None, None)


# -- credits ----------------------------------------------------------------------------------------------------------


def test_what_was_given_back_by_hand_is_taken_again(rich, desk):
    appointment = recorded(rich, "no_show")
    credits.refund(appointment, reason="goodwill", by=desk)
    assert credits.balance(rich) == 10

    appointment.correct_to_executed(by=desk, reason="she was in the other room", now=appointment.ends_at + DAY)

    assert (credits.balance(rich), net(appointment)) == (8, 2)
    again = entries(rich)[-1]
    assert (again.transaction_type, again.amount, again.appointment_id) == ("admin_adjustment", -2, appointment.id)
    assert again.created_by == desk
    assert again.reason == "correct_to_executed: no_show → executed: she was in the other room"
    assert again.metadata == {"event": "correct_to_executed"}
    assert credits.verify().is_clean


@pytest.mark.parametrize("event", ["correct_to_executed", "reopen"])
def test_where_it_is_spent_the_correction_fails_and_nothing_has_changed(db, rich, desk, event):
    appointment = recorded(rich, "no_show")
    credits.refund(appointment, reason="goodwill", by=desk)
    credits.debit(rich, 9)
    remembered = in_memory(appointment)
    with nothing_written(), db.atomic():
        with pytest.raises(InsufficientCreditsError) as caught:
            getattr(appointment, event)(by=desk, now=appointment.ends_at)
        assert (caught.value.required, caught.value.available) == (2, 1)
        assert in_memory(appointment) == remembered
    credits.purchase(rich, 1)
    getattr(appointment, event)(by=desk, now=appointment.ends_at)
    assert credits.balance(rich) == 0


def test_a_policy_may_give_back_for_a_no_show(rich, desk, use_policy):
    use_policy(GivesBack(1))
    appointment = recorded(rich, "no_show")
    assert (amounts(rich), entries(rich)[-1].transaction_type) == ([10, -2, 1], "cancellation_refund")
    at = appointment.ends_at
    for event, cost in (
        ("correct_to_executed", 2),
        ("correct_to_no_show", 1),
        ("reopen", 2),
        ("mark_no_show", 1),
        ("correct_to_executed", 2),
    ):
        getattr(appointment, event)(by=desk, now=at)
        assert net(appointment) == cost, event
        assert credits.verify().is_clean


def test_what_was_given_back_before_counts_for_a_no_show(rich, desk, use_policy):
    use_policy(GivesBack(2))
    appointment = confirmed(rich, 3)
    credits.refund(appointment, credits=1, by=desk)
    appointment.mark_no_show(now=appointment.ends_at)
    assert net(appointment) == 1


@pytest.mark.parametrize("answer", [-1, 3, 0.5, "1", True, None])
def test_what_a_policy_answers_is_checked(rich, use_policy, answer):
    class Odd(credits.Policy):
        def no_show(self, appointment):
            return answer

    use_policy(Odd())
    appointment = confirmed(rich, 2)
    with nothing_written(), pytest.raises(InvalidDataError, match=r"Odd\.no_show\(\) must answer"):
        appointment.mark_no_show(now=appointment.ends_at)
    assert appointment.state == "confirmed"


@pytest.mark.slow
@walked("told, cost", [({}, 2), ({"refund": True}, 0), ({"refund": False}, 2)])
def test_what_was_taken_again_comes_back_with_the_cancellation(rich, desk, told, cost):
    """Late, by the organization's notice: so only where the caller says so."""
    appointment = recorded(rich, "no_show")
    credits.refund(appointment, by=desk)
    appointment.reopen(by=desk, now=appointment.ends_at)
    assert net(appointment) == 2
    appointment.cancel(reason="recorded on the wrong day", now=appointment.ends_at, **told)
    assert net(appointment) == cost
    assert credits.verify().is_clean


def test_what_was_taken_again_comes_back_with_enough_notice(bound, rich, desk):
    bound.settings = {"cancellation_notice_hours": 0}
    bound.save()
    appointment = recorded(rich, "no_show")
    credits.refund(appointment, by=desk)
    appointment.reopen(by=desk, now=appointment.ends_at)
    appointment.cancel(by=desk, now=appointment.scheduled_at)
    assert net(appointment) == 0


def test_a_session_without_credit_is_corrected_without_any(rich, desk):
    appointment = confirmed(rich, 1)
    Appointment.update(uses_credit=False, credits_used=0).where(Appointment.id == appointment.id).execute()
    credits.refund(appointment, by=desk)
    appointment = Appointment.get_by_id(appointment.id)
    appointment.mark_no_show(now=appointment.ends_at)
    appointment.correct_to_executed(now=appointment.ends_at)
    assert (net(appointment), appointment.state) == (0, "executed")


def test_nobody_may_have_acted_and_a_lone_adjustment_still_needs_somebody(rich):
    appointment = recorded(rich, "no_show")
    credits.refund(appointment)
    appointment.correct_to_executed(now=appointment.ends_at)
    again = entries(rich)[-1]
    assert (again.amount, again.created_by) == (-2, None)
    with pytest.raises(InvalidDataError):
        credits.adjust(rich, 1, reason="lone", by=None)


def test_privileged_work_corrects_in_the_appointments_own_ledger(db, a, b):
    made = []
    for organization in (a, b):
        with db.tenant(organization):
            client = make_user(id=9_300_000 + a.id)
            credits.purchase(client, 10)
            made.append(recorded(client, "no_show"))
            credits.refund(made[-1])
    with db.privileged(reason="put right"):
        mine = Appointment.get((Appointment.id == made[1].id) & (Appointment.organization == b))
        mine.correct_to_executed(now=mine.ends_at)
    for organization, row, balance in ((a, made[0], 10), (b, made[1], 8)):
        with db.tenant(organization):
            assert credits.balance(row.client_id) == balance
            assert credits.verify().is_clean


def test_the_debit_stays_the_one_it_was(rich, desk):
    appointment = recorded(rich, "no_show")
    before = paid_for(appointment.id).debit
    credits.refund(appointment, by=desk)
    appointment.correct_to_executed(by=desk, now=appointment.ends_at)
    assert paid_for(appointment.id).debit.__data__ == before.__data__


# -- whatever is done, the appointment costs what its state costs ------------------------------------------------------


walks = examples(6, 60, suppress_health_check=[HealthCheck.function_scoped_fixture])
steps = st.lists(
    st.sampled_from(["execute", "mark_no_show", "correct_to_executed", "correct_to_no_show", "reopen", "refund"]),
    max_size=12,
)


@pytest.mark.slow
@walks
@given(back=st.integers(0, 3), cost=st.integers(1, 3), walk=steps)
def test_after_every_correction_it_costs_what_its_state_costs(db, a, back, cost, walk):
    with db.tenant(a):
        client = make_user()
        credits.purchase(client, 3)
        before = credits.use_policy(GivesBack(back))
        try:
            appointment = confirmed(client, cost)
            for event in walk:
                walked(appointment, event, back, cost)
        finally:
            credits.use_policy(before)
        assert credits.balance(client) == 3 - net(appointment)
        assert 0 <= net(appointment) <= cost
        assert credits.verify().is_clean
        assert replayed(appointment) == appointment.state


def walked(appointment, event, back, cost):
    if event == "refund":
        if paid_for(appointment.id).left:  # what a correction took again is given back by an adjustment
            credits.refund(appointment)
        return
    if not getattr(appointment, f"can_{event}")(now=appointment.ends_at):
        return
    paid = net(appointment)
    getattr(appointment, event)(now=appointment.ends_at)
    due = cost - min(back, cost) if appointment.state == "no_show" else cost
    corrected = event in CORRECTIONS.values()
    assert net(appointment) == (due if corrected else min(paid, due))
