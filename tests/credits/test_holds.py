"""Holds on credit: what waits to be confirmed has reserved its credits, so that one credit holds one slot."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CheckFailedError,
    CreditBalance,
    InsufficientCreditsError,
    Organization,
    clock,
    credits,
    scheduling,
)
from tests.credits.ledger import (
    NOW,
    amounts,
    as_stored,
    early,
    held_appointment,
    nothing_written,
    statements,
    without_reserving,
)
from tests.factory import (
    make_appointment,
    make_kind,
    make_organization,
    make_package,
    make_professional,
    make_student,
    make_user,
)
from tests.scheduling.worlds import ALWAYS
from tests.state_machine.rules import columns

DAY = timedelta(days=1)
ENDS = {
    "confirm": lambda held: held.confirm(now=early(held)),
    "cancel": lambda held: held.cancel(reason="ill", now=early(held)),
    "expire": lambda held: held.expire(now=held.scheduled_at + DAY),
    "a sweep": lambda held: scheduling.expire_overdue(held.scheduled_at + DAY),
    "an ending": lambda held: held.student.reject(reason="no place", now=early(held)),
}


def reserved(user, kind=None):
    """Balance and reserved of a user, and what their appointments hold."""
    key = 0 if kind is None else kind.id
    held = CreditBalance.get((CreditBalance.user == user) & (CreditBalance.credit_kind_key == key))
    mine = Appointment.select().where(Appointment.client == user)
    holding = sum(each.reserved_credits for each in mine if (each.credit_kind_id or 0) == key)
    return held.balance, held.reserved, holding


@pytest.fixture
def booked(bound):
    """Books a session of a client, each with a professional and a student of its own."""

    def book(client, day=1, **options):
        professional = make_professional(weekly_schedule=ALWAYS)
        start = clock.moment(None).replace(minute=0, second=0, microsecond=0) + day * DAY
        people = {"student": make_student(), "professional": professional, "client": client}
        return scheduling.book(scheduled_at=start, uses_credit=True, **(people | options))

    return book


# -- making one --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_credit_holds_one_slot(ana, booked):
    credits.purchase(ana, 1)
    held = booked(ana)
    assert (held.state, held.reserved_credits, reserved(ana)) == ("pre_confirmed", 1, (1, 1, 1))
    for day in (2, 3, 4):
        with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
            booked(ana, day)
        error = caught.value
        assert (error.required, error.available, error.balance, error.reserved) == (1, 0, 1, 1)
        assert "1 of 1 are reserved" in str(error)
    assert Appointment.get_by_id(held.id).__data__ == held.__data__
    assert credits.verify().is_clean


def test_who_has_no_balance_reserves_nothing(db, ana, booked):
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        booked(ana)
    assert (caught.value.required, caught.value.available, caught.value.balance) == (1, 0, 0)


def test_a_refused_booking_lets_the_unit_of_work_go_on(db, ana, booked):
    with db.atomic():
        with pytest.raises(InsufficientCreditsError):
            booked(ana)
        credits.purchase(ana, 1)
        booked(ana)
    assert reserved(ana) == (1, 1, 1)


def test_a_draft_reserves_nothing_until_it_takes_its_time(ana, booked):
    draft = booked(ana, draft=True)
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        draft.pre_confirm()
    assert (caught.value.required, caught.value.available) == (1, 0)
    credits.purchase(ana, 2)
    draft.pre_confirm()
    assert (draft.reserved_credits, reserved(ana)) == (1, (2, 1, 1))
    assert Appointment.get_by_id(draft.id).__data__ == draft.__data__


def test_what_is_confirmed_at_once_is_debited_without_a_hold(ana, booked):
    credits.purchase(ana, 1)
    assert booked(ana, confirm=True).reserved_credits == 0
    assert reserved(ana) == (0, 0, 0)


def test_a_repeated_request_reserves_once(ana, booked):
    credits.purchase(ana, 1)
    people = {"student": make_student(), "professional": make_professional(weekly_schedule=ALWAYS)}
    first = booked(ana, idempotency_key="click", **people)
    assert booked(ana, idempotency_key="click", **people).id == first.id
    assert reserved(ana) == (1, 1, 1)


def test_a_session_that_uses_no_credit_and_a_free_one_reserve_nothing(ana):
    for uses_credit, cost in ((False, 3), (True, 0)):
        session = make_appointment(client=ana, uses_credit=uses_credit, credits_used=cost)
        session.pre_confirm(now=early(session))
        assert session.reserved_credits == 0


def test_what_was_paid_for_by_hand_reserves_nothing(ana):
    credits.purchase(ana, 2)
    session = make_appointment(client=ana, uses_credit=True, credits_used=2)
    credits.debit(ana, 2, appointment=session)
    session.pre_confirm(now=early(session))
    assert (session.reserved_credits, reserved(ana)) == (0, (0, 0, 0))


def test_each_kind_has_its_own(ana):
    kind = make_kind()
    credits.purchase(ana, 1)
    credits.purchase(ana, 2, kind=kind)
    held_appointment(ana, 2, credit_kind=kind)
    held_appointment(ana, 1)
    assert (reserved(ana), reserved(ana, kind)) == ((1, 1, 1), (2, 2, 2))
    with pytest.raises(InsufficientCreditsError):
        held_appointment(ana, 1, credit_kind=kind)
    assert credits.verify().is_clean


def test_a_session_that_is_moved_keeps_what_it_has_reserved(ana, booked):
    credits.purchase(ana, 1)
    held = booked(ana)
    moved = scheduling.reschedule(held, held.scheduled_at + DAY)
    assert (moved.reserved_credits, reserved(ana)) == (1, (1, 1, 1))


def test_an_organization_may_book_without_reserving(bound, ana, booked):
    without_reserving(bound)
    for day in (1, 2):
        assert booked(ana, day).reserved_credits == 0
    assert held_appointment(ana, 3).reserved_credits == 0


# -- ending it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
def test_whatever_ends_a_hold_frees_it(ana, end):
    credits.purchase(ana, 5)
    held, other = held_appointment(ana, 2), held_appointment(ana, 1)
    assert reserved(ana) == (5, 3, 3)
    ENDS[end](held)
    taken, left = (2 if end == "confirm" else 0), (0 if end == "a sweep" else 1)
    assert reserved(ana) == (5 - taken, left, left)
    assert Appointment.get_by_id(held.id).reserved_credits == 0
    assert Appointment.get_by_id(other.id).reserved_credits == left
    assert credits.verify().is_clean


def test_an_event_on_the_object_knows_that_nothing_is_held_any_more(ana):
    credits.purchase(ana, 1)
    held = held_appointment(ana, 1)
    held.confirm(now=early(held))
    assert held.reserved_credits == 0
    assert columns(held) == as_stored(held)


def test_an_event_that_is_undone_reserves_again(db, ana):
    credits.purchase(ana, 1)
    held = held_appointment(ana, 1)
    with pytest.raises(ZeroDivisionError), db.atomic():
        held.confirm(now=early(held))
        raise ZeroDivisionError
    assert (held.state, held.reserved_credits, reserved(ana)) == ("pre_confirmed", 1, (1, 1, 1))


@pytest.mark.slow
def test_a_sweep_frees_what_many_families_of_several_centres_hold(db, a, b):
    people = {}
    for organization in (a, b):
        with db.tenant(organization):
            people[organization.id] = users = [make_user() for _ in range(3)]
            for user in users:
                credits.purchase(user, 4)
                held_appointment(user, 1)
                held_appointment(user, 3)
    with db.privileged(reason="test"):
        last = max(each.scheduled_at for each in Appointment.select())
        assert scheduling.expire_overdue(last + DAY) >= 12
    for organization in (a, b):
        with db.tenant(organization):
            assert [reserved(user) for user in people[organization.id]] == [(4, 0, 0)] * 3
            assert credits.verify().is_clean


def test_a_policy_that_takes_less_frees_all(ana, use_policy):
    class Half(credits.Policy):
        def cost(self, appointment):
            return appointment.credits_used // 2

    use_policy(Half())
    credits.purchase(ana, 4)
    held = held_appointment(ana, 4)
    held.confirm(now=early(held))
    assert reserved(ana) == (2, 0, 0)


def test_a_policy_that_takes_more_takes_what_nothing_else_holds(ana, use_policy):
    class Double(credits.Policy):
        def cost(self, appointment):
            return appointment.credits_used * 2

    use_policy(Double())
    credits.purchase(ana, 5)
    held, other = held_appointment(ana, 2), held_appointment(ana, 2)
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        held.confirm(now=early(held))
    assert (caught.value.required, caught.value.available, caught.value.reserved) == (4, 3, 2)
    other.cancel(reason="ill", now=early(other))
    held.confirm(now=early(held))
    assert reserved(ana) == (1, 0, 0)


# -- what others may take ----------------------------------------------------------------------------------------------


@pytest.fixture
def holding(ana):
    """Three credits, two of which are held."""
    credits.purchase(ana, 3)
    return held_appointment(ana, 2)


@pytest.mark.parametrize("way", ["debit", "debit_many", "adjust", "transfer", "another session"])
def test_nobody_takes_what_is_reserved(ana, desk, holding, way):
    other = make_user()
    ways = {
        "debit": lambda n: credits.debit(ana, n),
        "debit_many": lambda n: credits.debit_many([{"user": ana, "credits": n}]),
        "adjust": lambda n: credits.adjust(ana, -n, reason="counted", by=desk),
        "transfer": lambda n: credits.transfer(ana, other, n, reason="siblings", by=desk),
        "another session": lambda n: credits.debit(ana, n, appointment=make_appointment(client=ana)),
    }
    with pytest.raises(InsufficientCreditsError) as caught:
        ways[way](2)
    error = caught.value
    assert (error.required, error.available, error.balance, error.reserved) == (2, 1, 3, 2)
    ways[way](1)
    assert reserved(ana) == (2, 2, 2)
    holding.confirm(now=early(holding))
    assert reserved(ana) == (0, 0, 0)
    assert credits.verify().is_clean


@pytest.mark.parametrize("way", ["debit", "debit_many"])
def test_who_pays_for_a_session_by_hand_takes_what_it_has_reserved(ana, holding, way):
    if way == "debit":
        credits.debit(ana, 3, appointment=holding)
    else:
        credits.debit_many([{"user": ana, "credits": 3, "appointment": holding}])
    assert reserved(ana) == (0, 0, 0)
    holding.confirm(now=early(holding))
    assert amounts(ana) == [3, -3]
    assert credits.verify().is_clean


def test_who_pays_for_anothers_session_by_hand_leaves_what_it_has_reserved(ana, holding):
    other = make_user()
    credits.purchase(other, 2)
    credits.debit(other, 2, appointment=holding)
    assert reserved(ana) == (3, 2, 2)
    holding.confirm(now=early(holding))
    assert (reserved(ana), amounts(ana)) == ((3, 0, 0), [3])
    assert credits.verify().is_clean


@pytest.mark.parametrize("way", ["debit", "debit_many", "book", "pre_confirm"])
def test_an_overdue_hold_reserves_nothing(ana, booked, way):
    with clock.frozen(NOW):
        credits.purchase(ana, 1)
        held = booked(ana, 10)
        draft = booked(ana, 11, draft=True)
    with clock.frozen(NOW + 2 * DAY):
        if way == "debit":
            credits.debit(ana, 1)
        elif way == "debit_many":
            credits.debit_many([{"user": ana, "credits": 1}])
        elif way == "book":
            booked(ana, 10)
        else:
            draft.pre_confirm()
    assert Appointment.get_by_id(held.id).state == "cancelled"
    taken = way.startswith("debit")
    assert reserved(ana) == ((0, 0, 0) if taken else (1, 1, 1))
    assert credits.verify().is_clean


# -- lots --------------------------------------------------------------------------------------------------------------


def test_what_has_expired_holds_nothing(ana, booked):
    with clock.frozen(NOW):
        credits.purchase_package(ana, make_package(credits=2, valid_days=1))
    with clock.frozen(NOW + 5 * DAY):
        with pytest.raises(InsufficientCreditsError) as caught:
            booked(ana)
        assert (caught.value.required, caught.value.available, caught.value.balance) == (1, 0, 2)


@pytest.fixture
def long_holds(bound):
    """Holds end after thirty days."""
    bound.settings = {"confirmation_hours": 720}
    bound.save()


@pytest.mark.usefixtures("long_holds")
def test_an_expiry_leaves_what_is_reserved_until_the_hold_ends(ana):
    with clock.frozen(NOW):
        credits.purchase_package(ana, make_package(name="ten", credits=5, valid_days=1))
        credits.purchase_package(ana, make_package(name="two", credits=2, valid_days=2))
        held = make_appointment(client=ana, uses_credit=True, credits_used=3)
        held.pre_confirm()
    with clock.frozen(NOW + 5 * DAY):
        assert credits.expire_lots() == 1
        assert reserved(ana) == (3, 3, 3)
        assert [lot.remaining for lot in credits.lots(ana)] == [1, 2]
        assert credits.expire_lots() == 0
        assert credits.verify().is_clean
        # A hold prolongs nothing, as a cancellation does not.
        with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
            held.confirm()
        assert (caught.value.required, caught.value.available) == (3, 0)
        held.cancel(reason="ill")
        assert credits.expire_lots() == 2
        assert reserved(ana) == (0, 0, 0)
        assert credits.verify().is_clean


@pytest.mark.usefixtures("long_holds")
def test_a_hold_stays_good_where_the_rest_covers_it(ana):
    with clock.frozen(NOW):
        credits.purchase_package(ana, make_package(credits=2, valid_days=1))
        credits.purchase(ana, 3)
        held = make_appointment(client=ana, uses_credit=True, credits_used=3)
        held.pre_confirm()
    with clock.frozen(NOW + 5 * DAY):
        assert credits.expire_lots() == 1
        held.confirm()
    assert (amounts(ana), reserved(ana)) == ([2, 3, -2, -3], (0, 0, 0))
    assert credits.verify().is_clean


# -- the database ------------------------------------------------------------------------------------------------------


def test_the_database_refuses_more_reserved_than_there_is(db, ana, holding):
    for figures in ("reserved = balance + 1", "reserved = -1", "balance = 1"):
        with pytest.raises(CheckFailedError):
            db.execute_sql(f"UPDATE credit_balances SET {figures} WHERE user_id = %s", (ana.id,))


def test_only_what_waits_to_be_confirmed_may_hold_any(db, holding):
    with pytest.raises(CheckFailedError):
        db.execute_sql(
            "UPDATE appointments SET state = 'draft', pre_confirmed_at = NULL, expires_at = NULL WHERE id = %s",
            (holding.id,),
        )


def test_verify_says_which_balance_reserves_another_sum(db, ana, holding):
    with pytest.raises(ZeroDivisionError), db.atomic():  # nobody else meets it
        db.execute_sql("UPDATE credit_balances SET reserved = 1 WHERE user_id = %s", (ana.id,))
        (found,) = credits.verify().discrepancies
        raise ZeroDivisionError
    assert (found.kind, found.expected, found.found) == ("reserved", "2", "1")


def test_available_is_what_is_not_reserved(ana, holding):
    assert [(held.balance, held.reserved, held.available) for held in credits.balances(ana)] == [(3, 2, 1)]


# -- how many statements -----------------------------------------------------------------------------------------------


def test_reserving_and_freeing_send_no_message_more(db, bound, ana, booked):
    def sent(reserves):
        credits.purchase(ana, 3)
        with statements(db) as of_booking:
            held = booked(ana, **people)
        with statements(db) as of_confirming:
            held.confirm()
        with statements(db) as of_debiting:
            credits.debit(ana, 1)
        held.cancel(reason="again", by=None, refund=False)
        assert held.credits_used == 1
        return len(of_booking), len(of_confirming), len(of_debiting)

    people = {"student": make_student(), "professional": make_professional(weekly_schedule=ALWAYS)}
    reserving = sent(True)
    without_reserving(Organization.get_by_id(bound.id))
    assert reserving == sent(False)


def test_each_organization_reserves_for_itself(db, ana, holding):
    with db.tenant(make_organization(db)):
        other = make_user()
        credits.purchase(other, 1)
        held_appointment(other, 1)
        assert reserved(other) == (1, 1, 1)
    assert reserved(ana) == (3, 2, 2)
