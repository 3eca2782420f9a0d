"""Kinds of credit: a balance of each, which no operation takes for another, and none of them the default's."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CreditBalance,
    CreditKind,
    CreditTransaction,
    CrossTenantError,
    DuplicateError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidDataError,
    OutboxMessage,
    ReferenceNotFoundError,
    SettledFieldError,
    StillReferencedError,
    credits,
)
from tests.credits import racers
from tests.credits.ledger import amounts, early, entries, held_appointment, statements
from tests.factory import make_giving, make_kind, make_organization, make_service, make_user
from tests.scheduling.worlds import NOW, at, open_centre
from tests.state_machine.racers import race


@pytest.fixture
def speech(bound):
    return make_kind(name="Speech")


def held(user):
    return {each.credit_kind_id: each.balance for each in credits.balances(user)}


def test_a_user_has_a_balance_of_each_kind(ana, speech):
    credits.purchase(ana, 5)
    credits.purchase(ana, 8, kind=speech)
    credits.debit(ana, 2, kind=speech)
    credits.debit(ana, 1)
    assert (credits.balance(ana), credits.balance(ana, kind=speech)) == (4, 6)
    assert [(each.credit_kind and each.credit_kind.name, each.balance) for each in credits.balances(ana)] == [
        (None, 4),
        ("Speech", 6),
    ]
    assert [(each.credit_kind_id, each.sequence, each.balance_after) for each in entries(ana)] == [
        (None, 1, 5),
        (speech.id, 1, 8),
        (speech.id, 2, 6),
        (None, 2, 4),
    ]
    assert credits.verify().is_clean


def test_no_kind_pays_for_another(rich, speech):
    with pytest.raises(InsufficientCreditsError) as caught:
        credits.debit(rich, 1, kind=speech)
    assert (caught.value.required, caught.value.available) == (1, 0)
    credits.purchase(rich, 1, kind=speech)
    with pytest.raises(InsufficientCreditsError):
        credits.debit(rich, 2, kind=speech)
    assert held(rich) == {None: 10, speech.id: 1}


def test_what_an_entry_gives_is_what_the_database_has(ana, speech):
    made = credits.purchase(ana, 3, kind=speech)
    assert made.__data__ == CreditTransaction.get_by_id(made.id).__data__
    assert (made.credit_kind, made.credit_kind_key) == (speech, speech.id)


def test_the_default_kind_costs_no_further_statement(db, rich):
    with statements(db) as sent:
        credits.debit(rich, 1)
    assert len(sent) == 1


def test_a_key_of_one_kind_is_not_that_of_another(ana, speech):
    first = credits.purchase(ana, 3, kind=speech, idempotency_key="k")
    again = credits.purchase(ana, 3, kind=speech, idempotency_key="k")
    assert (again.id, again.was_repeated) == (first.id, True)
    with pytest.raises(IdempotencyConflictError):
        credits.purchase(ana, 3, idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        credits.purchase_many([{"user": ana, "credits": 3, "idempotency_key": "k"}])


def test_a_pending_entry_counts_in_its_kind(ana, speech):
    entry = credits.purchase(ana, 3, kind=speech, pending=True)
    assert credits.complete(CreditTransaction.get_by_id(entry.id)).balance_after == 3
    assert held(ana) == {speech.id: 3}


def test_a_kind_of_another_organization_is_none(db, ana):
    with db.tenant(make_organization(db)):
        foreign = make_kind()
    with pytest.raises(CrossTenantError):
        credits.purchase(ana, 1, kind=foreign)
    with pytest.raises(ReferenceNotFoundError, match="no such kind of credit"):
        credits.purchase(ana, 1, kind=foreign.id)
    with pytest.raises(ReferenceNotFoundError, match="no such kind of credit"):
        credits.purchase_many([{"user": ana, "credits": 1, "kind": foreign.id}])
    for given in ("speech", True, 0, make_user()):
        with pytest.raises(InvalidDataError):
            credits.balance(ana, kind=given)
    assert credits.balances(ana) == []


def test_many_rows_move_each_kind_in_its_own_chain(ana, rich, speech):
    made = credits.purchase_many(
        [
            {"user": ana, "credits": 1},
            {"user": ana, "credits": 2, "kind": speech},
            {"user": rich, "credits": 3, "kind": speech.id},
            {"user": ana, "credits": 4, "kind": speech},
        ]
    )
    assert [row.balance_after for row in made] == [11, 2, 5, 9]  # ana and rich are one
    credits.debit_many([{"user": ana, "credits": 9, "kind": speech}])
    with pytest.raises(InsufficientCreditsError):
        credits.debit_many([{"user": ana, "credits": 1, "kind": speech}])
    assert held(ana) == {None: 11, speech.id: 0}
    assert credits.verify().is_clean


def test_corrections_and_transfers_are_of_a_kind(ana, desk, speech):
    other = make_user()
    credits.adjust(ana, 4, kind=speech, reason="lost card", by=desk)
    credits.transfer(ana, other, 3, kind=speech, reason="siblings", by=desk)
    assert (held(ana), held(other)) == ({speech.id: 1}, {speech.id: 3})


def test_the_past_and_the_statement_are_of_a_kind(frozen, ana, speech):
    credits.purchase(ana, 5)
    credits.purchase(ana, 7, kind=speech)
    later = frozen + timedelta(seconds=1)
    assert (credits.balance(ana, at=later), credits.balance(ana, kind=speech, at=later)) == (5, 7)
    told = credits.statement(ana, frozen, later, kind=speech)
    assert ([line.entry.amount for line in told.lines], told.closing_balance) == ([7], 7)
    assert [line.entry.amount for line in credits.statement(ana, frozen, later).lines] == [5]


# -- services ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def centre(db):
    with open_centre(db) as opened:
        yield opened


@pytest.fixture
def booked(centre):
    """A session of a service that costs two of a kind, booked."""
    service = make_service(credits=2, credit_kind=make_kind())
    make_giving(professional=centre.professional, service=service)
    credits.purchase(centre.client, 2, kind=service.credit_kind_id)
    return centre.book(service=service, uses_credit=True)


def test_a_session_takes_its_services_kind_and_gives_it_back(centre, booked):
    ana, speech = booked.client, booked.credit_kind
    credits.purchase(ana, 10)
    assert [(each.reserved, each.available) for each in credits.balances(ana)] == [(0, 10), (2, 0)]
    with pytest.raises(InsufficientCreditsError) as caught:
        centre.book(at(15), service=booked.service, uses_credit=True)
    assert (caught.value.required, caught.value.available, caught.value.reserved) == (2, 0, 2)
    booked.confirm(now=NOW)
    assert held(ana) == {None: 10, speech.id: 0}
    booked.cancel(reason="ill", refund=True, now=NOW)
    assert held(ana) == {None: 10, speech.id: 2}
    assert credits.verify().is_clean


def test_a_session_keeps_the_kind_that_it_was_booked_with(booked):
    service, speech = booked.service, booked.service.credit_kind
    service.credit_kind = None
    service.save()
    assert Appointment.get_by_id(booked.id).credit_kind_id == speech.id
    with pytest.raises(SettledFieldError):
        booked.credit_kind = None


def test_a_correction_settles_in_the_kind_that_paid(ana, desk, speech):
    credits.purchase(ana, 3, kind=speech)
    appointment = held_appointment(ana, 2, credit_kind=speech)
    appointment.confirm(now=early(appointment))
    credits.refund(appointment, credits=1)
    after = appointment.scheduled_at
    appointment.mark_no_show(by=desk, now=after)
    appointment.correct_to_executed(by=desk, reason="was there", now=after)
    assert held(ana) == {speech.id: 1}
    assert {each.credit_kind_id for each in entries(ana)} == {speech.id}


# -- what the database refuses ----------------------------------------------------------------------------------------


def test_there_is_one_balance_of_a_user_and_kind(ana, speech):
    CreditBalance.create(user=ana)
    CreditBalance.create(user=ana, credit_kind=speech)
    for kind in (None, speech):
        with pytest.raises(DuplicateError):
            CreditBalance.create(user=ana, credit_kind=kind)


@pytest.mark.parametrize("own", [None, "speech"])
def test_an_entry_is_of_its_balances_kind(ana, speech, own):
    """Also where one of the two has none, which a key with a NULL in it would let pass."""
    kinds = {None: None, "speech": speech}
    balance = CreditBalance.create(user=ana, credit_kind=kinds.pop(own))
    (wrong,) = kinds.values()
    with pytest.raises(ReferenceNotFoundError):
        CreditTransaction.create(
            user=ana, credit_balance=balance, credit_kind=wrong, amount=1, transaction_type="purchase"
        )


def test_a_kind_with_a_balance_stays(ana, speech):
    credits.purchase(ana, 1, kind=speech)
    with pytest.raises(StillReferencedError):
        speech.delete_instance()


def test_names_of_kinds_differ(speech):
    with pytest.raises(DuplicateError, match="a kind of credit of that name"):
        CreditKind.create(name="SPEECH")


# -- what is told outside ----------------------------------------------------------------------------------------------


def test_a_message_tells_the_kind(ana, speech):
    before = OutboxMessage.select().count()
    credits.purchase(ana, 1, kind=speech)
    credits.purchase_many([{"user": ana, "credits": 1}])
    told = list(OutboxMessage.select().order_by(OutboxMessage.id).offset(before))
    assert [message.payload["credit_kind_id"] for message in told] == [speech.id, None]


# -- races -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_debits_of_two_kinds_at_once_overdraw_neither(db, bound, ana, speech):
    credits.purchase(ana, 3)
    credits.purchase(ana, 2, kind=speech)
    rows = [ana] * 6
    race(db, bound, rows, [racers.take_one, racers.take_one_of_a_kind])
    assert held(ana) == {None: 0, speech.id: 0}
    assert sorted(amounts(ana)) == [-1] * 5 + [2, 3]
    assert credits.verify().is_clean
