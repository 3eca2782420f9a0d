"""A policy of one's own, and booking and confirming at once."""

from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from rayces_core import (
    InsufficientCreditsError,
    InvalidDataError,
    SlotTakenError,
    credits,
    scheduling,
)
from tests.credits.ledger import amounts, as_stored, confirmed, early, held_appointment, nothing_written, statements
from tests.factory import have_unsaved, make_appointment, make_professional, make_student, write_past
from tests.state_machine.rules import columns, in_memory
from tests.walking import walked


class Undone(Exception):
    pass


# -- a policy of one's own ---------------------------------------------------------------------------------------------


class Long(credits.Policy):
    """Half an hour costs one; half comes back, whenever."""

    def cost(self, appointment):
        return appointment.duration_minutes // 30

    def refund(self, appointment, cancelled_at, notice_hours):
        return appointment.credits_used // 2


def test_another_policy_decides_cost_and_refund(rich, use_policy):
    use_policy(Long())
    appointment = confirmed(rich, 1, duration_minutes=120)
    assert columns(appointment) == as_stored(appointment)
    assert appointment.credits_used == 4
    assert credits.balance(rich) == 6
    assert credits.verify().is_clean
    appointment.cancel(reason="ill", now=appointment.scheduled_at)
    assert credits.balance(rich) == 8


def test_a_cost_that_cannot_be_paid_leaves_the_object_as_it_was(rich, use_policy):
    use_policy(Long())
    appointment = held_appointment(rich, 1, duration_minutes=480)
    remembered = in_memory(appointment)
    with nothing_written(), pytest.raises(InsufficientCreditsError):
        appointment.confirm(now=early(appointment))
    assert in_memory(appointment) == remembered


def test_a_cost_that_is_undone_with_the_callers_unit_leaves_the_object_as_it_was(db, rich, use_policy):
    use_policy(Long())
    appointment = held_appointment(rich, 1, duration_minutes=120)
    remembered = in_memory(appointment)
    with nothing_written(), pytest.raises(Undone), db.atomic():
        appointment.confirm(now=early(appointment))
        raise Undone
    assert in_memory(appointment) == remembered


WRONG = (0.5, 1.0, 0.4, True, False, None, "2", float("nan"), -3, 4, 10**12, Decimal(1), [1])


def test_a_policy_gives_back_from_nothing_to_what_was_paid(rich, use_policy):
    class Generous(credits.Policy):
        def refund(self, appointment, cancelled_at, notice_hours):
            return self.back

    policy = Generous()
    use_policy(policy)
    for policy.back, balance in ((3, 10), (0, 7), (1, 5)):
        appointment = confirmed(rich, 3)
        appointment.cancel(reason="ill", now=appointment.scheduled_at)
        assert credits.balance(rich) == balance


@pytest.mark.parametrize("answer", WRONG, ids=repr)
@pytest.mark.parametrize("way", ["cancel", "discharge"])
def test_f04_what_a_policy_gives_back_is_checked_before_anything_is_written(db, rich, use_policy, answer, way):
    class Wrong(credits.Policy):
        def refund(self, appointment, cancelled_at, notice_hours):
            return answer

    student = make_student(admission_state="enrolled")
    appointment = confirmed(rich, 3, student=student)
    use_policy(Wrong())
    with (
        nothing_written(),
        statements(db) as sent,
        pytest.raises(InvalidDataError, match=r"Wrong.refund\(\)") as caught,
    ):
        if way == "cancel":
            appointment.cancel(reason="ill", now=early(appointment))
        else:
            student.discharge(now=early(appointment))
    assert caught.value.field == "refund"
    assert not any("INSERT INTO credit_transactions" in sql for sql in sent)
    assert appointment.state == "confirmed"


@pytest.mark.slow
@walked("answer", [*(wrong for wrong in WRONG if wrong not in (4, 1.0, True)), 1.5, True])
def test_f04_what_a_policy_costs_is_checked_too(rich, use_policy, answer):
    class Wrong(credits.Policy):
        def cost(self, appointment):
            return answer

    use_policy(Wrong())
    appointment = held_appointment(rich, 1)
    with nothing_written(), pytest.raises(InvalidDataError, match=r"Wrong.cost\(\)"):
        appointment.confirm(now=early(appointment))


@walked("cost", [-1, 1.5])
def test_a_policy_that_counts_wrong_confirms_nothing(rich, use_policy, cost):
    class Wrong(credits.Policy):
        def cost(self, appointment):
            return cost

    use_policy(Wrong())
    appointment = held_appointment(rich, 1)
    remembered = in_memory(appointment)
    with nothing_written(), pytest.raises(InvalidDataError):
        appointment.confirm(now=early(appointment))
    assert in_memory(appointment) == remembered


def test_another_policy_sees_what_the_database_has(rich, use_policy):
    use_policy(Long())
    stale, unsaved = held_appointment(rich, 1), held_appointment(rich, 1)
    write_past(stale, duration_minutes=120)
    have_unsaved(unsaved, duration_minutes=480)
    for appointment in (stale, unsaved):
        appointment.confirm(now=early(appointment))
    assert amounts(rich) == [10, -4, -2]
    assert unsaved.dirty_field_names == ["duration_minutes"]
    assert as_stored(unsaved)["duration_minutes"] == 60


def test_using_a_policy_gives_back_the_one_before():
    ours = Long()
    before = credits.use_policy(ours)
    try:
        assert credits.policy() is ours
    finally:
        assert credits.use_policy(before) is ours
    assert type(credits.policy()) is credits.Policy


# -- booking -----------------------------------------------------------------------------------------------------------

OPEN = {day: [{"start": "00:00", "end": "24:00"}] for day in ["monday", "tuesday", "wednesday", "thursday", "friday"]}


def booking(client, **options):
    professional = options.pop("professional", None) or make_professional(weekly_schedule=OPEN)
    start = options.pop("start", early(make_appointment()))
    values = {"student": make_student(), "client": client, "professional": professional, "scheduled_at": start}
    return lambda: scheduling.book(
        **values, uses_credit=True, confirm=True, override_schedule=True, now=start - timedelta(days=2), **options
    )


def test_booking_and_confirming_at_once_is_paid(rich, desk):
    appointment = booking(rich, by=desk)()
    assert (appointment.state, appointment.credits_used) == ("confirmed", 1)
    assert amounts(rich) == [10, -1]


def test_booking_and_confirming_without_credits_books_nothing(ana, desk):
    book = booking(ana, by=desk, idempotency_key="b")
    with nothing_written(), pytest.raises(InsufficientCreditsError):
        book()
    credits.purchase(ana, 1)
    assert book().state == "confirmed"
    assert book().state == "confirmed"  # the same request again
    assert amounts(ana) == [1, -1]


def test_booking_what_is_taken_pays_nothing(rich, desk):
    first = booking(rich, by=desk)()
    with nothing_written_to(rich), pytest.raises(SlotTakenError):
        booking(rich, by=desk, professional=first.professional_id, start=first.scheduled_at, allow_overlap=True)()


@contextmanager
def nothing_written_to(user):
    before = amounts(user)
    yield
    assert amounts(user) == before
