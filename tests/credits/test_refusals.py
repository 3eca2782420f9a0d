"""Each error of a movement: its facts, that nothing was written, and that the caller's unit of work goes on."""

from contextlib import contextmanager

import pytest

from rayces_core import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    BalanceTooLargeError,
    CreditTransaction,
    CrossTenantError,
    InsufficientCreditsError,
    InvalidDataError,
    InvalidTransitionError,
    NothingToRefundError,
    NotPermittedError,
    ReferenceNotFoundError,
    TenantNotSetError,
    credits,
)
from tests.credits.ledger import NOW, amounts, as_stored, entries, figures, nothing_written, still_usable
from tests.factory import make_appointment, make_user
from tests.walking import walked

MOST = 2**31 - 1


MOST = 2**31 - 1


def test_too_few_credits_are_refused_with_the_figures(db, bound, ana, desk):
    bruno = make_user()
    credits.purchase(ana, 4)
    for attempt in (
        lambda: credits.debit(ana, 5),
        lambda: credits.debit(ana, 5, idempotency_key="k"),
        lambda: credits.debit(ana, 5, appointment=make_appointment()),
        lambda: credits.adjust(ana, -5, reason="x", by=desk),
        lambda: credits.transfer(ana, bruno, 5, reason="x", by=desk),
    ):
        with nothing_appended(ana), pytest.raises(InsufficientCreditsError) as caught:
            attempt()
        assert (caught.value.required, caught.value.available) == (5, 4)
    with still_usable(db, ana), pytest.raises(InsufficientCreditsError):
        credits.debit(ana, 50)


@contextmanager
def nothing_appended(user):
    before = [dict(entry.__data__) for entry in entries(user)], figures(user)
    yield
    assert ([dict(entry.__data__) for entry in entries(user)], figures(user)) == before


def test_a_user_who_never_had_credits_has_too_few(bound, ana):
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        credits.debit(ana, 1)
    assert (caught.value.required, caught.value.available) == (1, 0)


def test_an_appointment_is_debited_once(db, bound, ana):
    appointment = make_appointment(client=ana)
    credits.purchase(ana, 10)
    first = credits.debit(ana, 2, appointment=appointment)
    for user, amount, key in ((ana, 2, None), (ana, 3, None), (ana, 2, "k"), (make_user(), 2, None)):
        with nothing_appended(ana), pytest.raises(AlreadyDebitedError) as caught:
            credits.debit(user, amount, appointment=appointment, idempotency_key=key)
        assert (caught.value.transaction_id, caught.value.appointment_id) == (first.id, appointment.id)
    with still_usable(db, ana), pytest.raises(AlreadyDebitedError):
        credits.debit(ana, 2, appointment=appointment)


def test_an_appointment_is_refunded_in_parts_and_at_most_what_it_cost(db, bound, ana):
    appointment = make_appointment(client=ana)
    credits.purchase(ana, 10)
    credits.debit(ana, 3, appointment=appointment)
    with nothing_appended(ana), pytest.raises(InvalidDataError, match="at most what is left, 3 of the 3") as caught:
        credits.refund(appointment, credits=4)
    assert (caught.value.field, caught.value.value) == ("credits", 4)
    first = credits.refund(appointment, credits=1)
    assert (first.refundable_before, first.refundable_after) == (3, 2)
    with nothing_appended(ana), pytest.raises(InvalidDataError, match="at most what is left, 2 of the 3"):
        credits.refund(appointment, credits=3)
    rest = credits.refund(appointment)
    assert (rest.amount, rest.refundable_before, rest.refundable_after) == (2, 2, 0)
    for amount in (None, 1, 2):
        with nothing_appended(ana), pytest.raises(AlreadyRefundedError) as again:
            credits.refund(appointment, credits=amount)
        assert (again.value.transaction_id, again.value.appointment_id) == (rest.id, appointment.id)
    with still_usable(db, ana), pytest.raises(AlreadyRefundedError):
        credits.refund(appointment)


def test_what_was_never_paid_is_not_refunded(db, bound, ana):
    appointment = make_appointment(client=ana)
    with nothing_written(), pytest.raises(NothingToRefundError) as caught:
        credits.refund(appointment)
    assert caught.value.appointment_id == appointment.id
    with still_usable(db, ana), pytest.raises(NothingToRefundError):
        credits.refund(appointment.id)


@pytest.mark.parametrize("pending", [False, True])
def test_a_balance_that_would_be_too_large_is_one_clear_error(db, bound, ana, desk, pending):
    credits.purchase(ana, 10**9)
    credits.purchase(ana, 10**9)
    too_much = MOST - 2 * 10**9 + 1
    waiting = credits.purchase(ana, too_much, pending=True)
    attempts = (
        [lambda: credits.complete(waiting)]
        if pending
        else [
            lambda: credits.purchase(ana, too_much),
            lambda: credits.purchase(ana, too_much, idempotency_key="k"),
            lambda: credits.adjust(ana, too_much, reason="x", by=desk),
            lambda: credits.purchase_many([{"user": ana, "credits": too_much}]),
        ]
    )
    for attempt in attempts:
        with nothing_appended(ana), pytest.raises(BalanceTooLargeError, match="beyond 2,147,483,647") as caught:
            attempt()
        assert caught.value.added == too_much
        assert caught.value.balance == (None if pending else 2 * 10**9)
        with db.atomic():
            with pytest.raises(BalanceTooLargeError):
                attempt()
            assert credits.balance(ana) == 2 * 10**9
    assert waiting.status == as_stored(waiting)["status"] == "pending"
    assert credits.purchase(ana, too_much - 1).balance_after == MOST


def test_lifetime_figures_that_would_be_too_large_are_the_same_error(bound, ana, desk):
    for _ in range(2):
        credits.purchase(ana, 10**9)
        credits.debit(ana, 10**9)
    credits.purchase(ana, MOST - 2 * 10**9)
    with nothing_appended(ana), pytest.raises(BalanceTooLargeError):
        credits.purchase(ana, 1)
    with pytest.raises(BalanceTooLargeError):
        credits.purchase_many([{"user": ana, "credits": 1}])
    credits.debit(ana, MOST - 2 * 10**9)
    assert figures(ana) == (0, MOST, MOST)
    credits.adjust(ana, 1, reason="x", by=desk)
    with pytest.raises(BalanceTooLargeError):  # though the balance would do, to the last credit
        credits.debit(ana, 1)


def test_a_final_entry_is_not_closed_otherwise(db, bound, ana):
    completed, failed = (credits.purchase(ana, 5, pending=True) for _ in range(2))
    credits.complete(completed)
    credits.fail(failed, "no")
    for attempt, entry in (
        (lambda: credits.fail(completed, "no"), completed),
        (lambda: credits.complete(failed), failed),
    ):
        with nothing_appended(ana), pytest.raises(InvalidTransitionError) as caught:
            attempt()
        assert (caught.value.from_state, caught.value.allowed) == (entry.status, ())
        with still_usable(db, ana), pytest.raises(InvalidTransitionError):
            attempt()


def test_a_guardian_settles_and_adjusts_nothing(db, bound, ana):
    pending, guardian = credits.purchase(ana, 5, pending=True), make_user()
    for attempt in (
        lambda: credits.complete(pending, by=guardian),
        lambda: credits.fail(pending, "no", by=guardian),
        lambda: credits.adjust(ana, 5, reason="x", by=guardian),
        lambda: credits.transfer(ana, guardian, 5, reason="x", by=guardian),
    ):
        with nothing_appended(ana), pytest.raises(NotPermittedError) as caught:
            attempt()
        assert caught.value.actor_id == guardian.id
        assert caught.value.allowed == ("staff and admins",)
    assert pending.status == "pending"


NOBODY = 10**15


@pytest.mark.slow
@walked("inside", [False, True])
@walked("other", ["of another tenant", "nobody's"])
def test_a_user_or_appointment_that_is_not_there_is_refused(db, bound, b, ana, desk, inside, other):
    with db.tenant(b):
        stranger, foreign = make_user(), make_appointment()
        credits.purchase(stranger, 50)
    credits.purchase(ana, 10)
    user, appointment = (stranger.id, foreign.id) if other == "of another tenant" else (NOBODY, NOBODY)
    for attempt in (
        lambda: credits.purchase(user, 1),
        lambda: credits.purchase(user, 1, idempotency_key="k"),
        lambda: credits.purchase(user, 1, pending=True),
        lambda: credits.debit(user, 1),
        lambda: credits.adjust(user, 1, reason="x", by=desk),
        lambda: credits.adjust(user, -1, reason="x", by=desk),
        lambda: credits.debit(ana, 1, appointment=appointment),
        lambda: credits.debit(ana, 1, appointment=appointment, idempotency_key="k"),
        lambda: credits.transfer(ana, user, 1, reason="x", by=desk),
        lambda: credits.transfer(user, ana, 1, reason="x", by=desk),
        lambda: credits.purchase_many([{"user": ana, "credits": 1}, {"user": user, "credits": 1}]),
        lambda: credits.debit_many([{"user": ana, "credits": 1, "appointment": appointment}]),
    ):
        if inside:
            with still_usable(db, ana), pytest.raises(ReferenceNotFoundError):
                attempt()
        else:
            with nothing_appended(ana), pytest.raises(ReferenceNotFoundError):
                attempt()
    with pytest.raises(NothingToRefundError):
        credits.refund(appointment)
    with db.tenant(b):
        assert figures(stranger) == (50, 50, 0)
        assert amounts(stranger) == [50]


def test_an_object_of_another_tenant_is_refused_before_any_sql(db, bound, b, ana, desk):
    with db.tenant(b):
        stranger, foreign, chief = make_user(), make_appointment(), make_user(role=3)
        theirs = credits.purchase(stranger, 50, pending=True)
    from tests.credits.ledger import statements

    with statements(db) as sent:
        for attempt in (
            lambda: credits.purchase(stranger, 1),
            lambda: credits.debit(stranger, 1),
            lambda: credits.debit(ana, 1, appointment=foreign),
            lambda: credits.refund(foreign),
            lambda: credits.adjust(ana, 1, reason="x", by=chief),
            lambda: credits.purchase(ana, 1, by=chief),
            lambda: credits.transfer(ana, stranger, 1, reason="x", by=desk),
            lambda: credits.complete(theirs),
            lambda: credits.fail(theirs, "no"),
            lambda: credits.balance(stranger),
            lambda: credits.statement(stranger, NOW, NOW.replace(year=2032)),
            lambda: credits.purchase_many([{"user": stranger, "credits": 1}]),
            lambda: credits.debit_many([{"user": ana, "credits": 1, "appointment": foreign}]),
        ):
            with pytest.raises(CrossTenantError):
                attempt()
    assert sent == []


def test_without_a_tenant_nothing_moves(db, a):
    with db.tenant(a):
        ana = make_user()
    for attempt in (
        lambda: credits.purchase(ana.id, 1),
        lambda: credits.purchase_many([{"user": ana.id, "credits": 1}]),
    ):
        with pytest.raises(TenantNotSetError):
            attempt()
        with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
            attempt()
    with db.tenant(a):
        assert entries(ana) == []


def test_privileged_work_completes_the_entry_of_its_own_organization(db, bound, ana):
    pending = credits.purchase(ana, 5, pending=True)
    with db.privileged(reason="webhooks"):
        one, other = (CreditTransaction.get_by_id(pending.id) for _ in range(2))
        assert credits.complete(one).balance_after == credits.complete(other).balance_after == 5
    assert figures(ana) == (5, 5, 0)
