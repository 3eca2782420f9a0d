"""What callers pass is checked before any SQL."""

from datetime import datetime
from decimal import Decimal

import pytest

from rayces_core import InvalidDataError, NaiveDatetimeError, User, credits, scheduling
from tests.credits.ledger import NOW, figures, statements
from tests.factory import make_appointment, make_professional, make_student, make_user
from tests.walking import walked

NOT_CREDITS = [0, -1, True, False, 1.0, 0.5, "1", "", None, Decimal(1), [1], 10**9 + 1, 2**31, 2**63, 10**30]


@pytest.fixture
def untouched(db, bound, ana):
    """Fails if any SQL was sent."""
    credits.purchase(ana, 10)
    with statements(db) as sent:
        yield
    assert sent == []
    assert figures(ana) == (10, 10, 0)


@walked("amount", NOT_CREDITS)
def test_what_is_no_number_of_credits_is_refused(ana, desk, untouched, amount):
    attempts = [
        lambda: credits.purchase(ana, amount),
        lambda: credits.purchase(ana, amount, pending=True),
        lambda: credits.debit(ana, amount),
        lambda: credits.transfer(ana, desk, amount, reason="x", by=desk),
        lambda: credits.purchase_many([{"user": ana, "credits": 1}, {"user": ana, "credits": amount}]),
        lambda: credits.debit_many([{"user": ana, "credits": amount}]),
    ]
    if amount != -1 or isinstance(amount, bool):
        attempts.append(lambda: credits.adjust(ana, amount, reason="x", by=desk))
    for attempt in attempts:
        with pytest.raises(InvalidDataError) as caught:
            attempt()
        assert caught.value.field == "credits"


@walked("amount", [-(10**9) - 1, -(2**31), -1.0, "-1"])
def test_what_is_no_adjustment_is_refused(ana, desk, untouched, amount):
    with pytest.raises(InvalidDataError):
        credits.adjust(ana, amount, reason="x", by=desk)


@pytest.mark.parametrize("amount", [*(each for each in NOT_CREDITS if each is not None)], ids=repr)
def test_a_refund_is_a_number_of_credits_too(bound, ana, amount):
    appointment = make_appointment()
    credits.purchase(ana, 10)
    credits.debit(ana, 5, appointment=appointment)
    with pytest.raises(InvalidDataError):
        credits.refund(appointment, credits=amount)
    assert figures(ana) == (5, 10, 5)


@walked("user", [None, True, "1", 1.0, User(), object()])
def test_what_is_no_user_is_refused(ana, desk, untouched, user):
    for attempt in (
        lambda: credits.purchase(user, 1),
        lambda: credits.debit(user, 1),
        lambda: credits.adjust(user, 1, reason="x", by=desk),
        lambda: credits.transfer(user, ana, 1, reason="x", by=desk),
        lambda: credits.transfer(ana, user, 1, reason="x", by=desk),
        lambda: credits.balance(user),
        lambda: credits.statement(user, NOW, NOW.replace(year=2032)),
        lambda: credits.purchase_many([{"user": user, "credits": 1}]),
    ):
        with pytest.raises(InvalidDataError):
            attempt()


@walked("by", [1, "ana", User(), True])
def test_who_acts_is_a_saved_user(ana, untouched, by):
    for attempt in (
        lambda: credits.purchase(ana, 1, by=by),
        lambda: credits.debit(ana, 1, by=by),
        lambda: credits.adjust(ana, 1, reason="x", by=by),
        lambda: credits.debit_many([{"user": ana, "credits": 1}], by=by),
    ):
        with pytest.raises(InvalidDataError) as caught:
            attempt()
        assert caught.value.field == "by"


@walked("appointment", [True, "1", 1.5, object()])
def test_what_is_no_appointment_is_refused(ana, untouched, appointment):
    for attempt in (
        lambda: credits.debit(ana, 1, appointment=appointment),
        lambda: credits.refund(appointment),
        lambda: credits.debit_many([{"user": ana, "credits": 1, "appointment": appointment}]),
    ):
        with pytest.raises(InvalidDataError):
            attempt()


@walked("reason", [None, "", "  ", "\u00a0", "\u200b", 5])
def test_an_adjustment_and_a_transfer_say_why(ana, desk, untouched, reason):
    for attempt in (
        lambda: credits.adjust(ana, 1, reason=reason, by=desk),
        lambda: credits.transfer(ana, desk, 1, reason=reason, by=desk),
    ):
        with pytest.raises(InvalidDataError) as caught:
            attempt()
        assert "reason" in caught.value.field


def test_an_adjustment_and_a_transfer_say_who(ana, desk, untouched):
    for attempt in (
        lambda: credits.adjust(ana, 1, reason="x", by=None),
        lambda: credits.transfer(ana, desk, 1, reason="x", by=None),
    ):
        with pytest.raises(InvalidDataError, match="somebody has to adjust a balance") as caught:
            attempt()
        assert caught.value.field == "by"


# White space, and characters that nobody sees: a header may come with them as well as without anything.
BLANKS = ("", " ", "\t\n", "\u00a0", "\u3000", "\u200b", "\ufeff", " \u2060\u00ad")
NAMES = {"idempotency_key": {}, "payment_method": {}, "payment_reference": {"payment_method": "card"}}


@walked(
    "texts",
    [
        {"idempotency_key": 5},
        {"idempotency_key": "k" * 256},
        {"idempotency_key": "nul\0"},
        {"payment_method": 5},
        {"payment_method": "card", "payment_reference": 5.5},
        {"payment_method": "card", "payment_reference": True},
        *({name: blank, **rest} for name, rest in NAMES.items() for blank in BLANKS),
        {"payment_method": "card", "payment_reference": "r" * 256},
        {"payment_reference": "without a method"},
        {"payment_method": " ", "payment_reference": "r"},
        {"metadata": {"nul": "\0"}},
        {"metadata": {"at": Decimal}},
        {"metadata": {"n": float("nan")}},
    ],
)
def test_malformed_texts_are_refused(ana, untouched, texts):
    with pytest.raises(InvalidDataError):
        credits.purchase(ana, 1, **texts)
    with pytest.raises(InvalidDataError):
        credits.purchase_many([{"user": ana, "credits": 1}, {"user": ana, "credits": 1, **texts}])


def test_blanks_around_a_text_do_not_count(bound, ana):
    first = credits.purchase(ana, 1, idempotency_key=" k ", payment_method=" card ", payment_reference=" r ")
    assert (first.idempotency_key, first.payment_method, first.payment_reference) == ("k", "card", "r")
    assert credits.purchase(ana, 1, idempotency_key="k", payment_method="card", payment_reference="r").id == first.id


@walked("blank", BLANKS)
def test_f03_a_blank_key_names_no_request_wherever_one_is_taken(db, ana, desk, blank):
    """A header that was not sent arrives as "": as none it would post twice, as a key it would swallow the next one."""
    bruno, appointment = make_user(), make_appointment(client=ana)
    row = {"user": ana, "credits": 1, "idempotency_key": blank}
    people = {"student": make_student(), "professional": make_professional(), "client": ana}
    for attempt in (
        lambda: credits.purchase(ana, 1, idempotency_key=blank),
        lambda: credits.purchase(ana, 1, pending=True, idempotency_key=blank),
        lambda: credits.debit(ana, 1, idempotency_key=blank),
        lambda: credits.refund(appointment, idempotency_key=blank),
        lambda: credits.adjust(ana, 1, reason="x", by=desk, idempotency_key=blank),
        lambda: credits.transfer(ana, bruno, 1, reason="x", by=desk, idempotency_key=blank),
        lambda: credits.purchase_many([row]),
        lambda: credits.debit_many([row]),
        lambda: scheduling.book(**people, scheduled_at=NOW, idempotency_key=blank),
    ):
        with statements(db) as sent, pytest.raises(InvalidDataError, match="must not be blank") as caught:
            attempt()
        assert sent == []
        assert caught.value.field == "idempotency_key"


def test_a_payment_may_be_numbered(bound, ana):
    first = credits.purchase(ana, 1, payment_method="mp", payment_reference=123456789)
    assert first.payment_reference == "123456789"
    assert credits.purchase(ana, 1, payment_method="mp", payment_reference="123456789").was_repeated


def test_moments_are_aware(ana, desk, untouched):
    naive = datetime(2031, 1, 1)
    for attempt in (
        lambda: credits.purchase(ana, 1, now=naive),
        lambda: credits.debit(ana, 1, now=naive),
        lambda: credits.adjust(ana, 1, reason="x", by=desk, now=naive),
        lambda: credits.balance(ana, at=naive),
        lambda: credits.statement(ana, naive, NOW),
        lambda: credits.statement(ana, NOW, naive),
        lambda: credits.debit_many([{"user": ana, "credits": 1}], now=naive),
    ):
        with pytest.raises(NaiveDatetimeError):
            attempt()


def test_nobody_gives_to_oneself(bound, ana, desk, untouched):
    for attempt in (ana, ana.id):
        with pytest.raises(InvalidDataError, match="another user"):
            credits.transfer(ana, attempt, 1, reason="x", by=desk)


@walked("start", [NOW, NOW.replace(year=2033)])
def test_a_statement_ends_after_it_begins(ana, untouched, start):
    with pytest.raises(InvalidDataError, match="after start"):
        credits.statement(ana, start, NOW)


@walked(
    "rows, what",
    [
        ([5], "each row is a mapping, got int"),
        ([["user", "credits"]], "each row is a mapping, got list"),
        ([{"credits": 1}], "user is missing"),
        ([{"user": 1}], "credits is missing"),
        ([{"user": 1, "credits": 1, "credit": 1}], "there is no 'credit'; there are "),
    ],
)
def test_a_row_that_is_none_is_refused_and_named(ana, untouched, rows, what):
    for post in (credits.purchase_many, credits.debit_many):
        with pytest.raises(InvalidDataError, match=what) as caught:
            post([{"user": ana, "credits": 1}, *rows])
        assert caught.value.__notes__ == ["row 1, counted from 0"]


def test_a_failure_says_why(bound, ana):
    pending = credits.purchase(ana, 1, pending=True)
    for reason in ("", " ", None, 5):
        with pytest.raises(InvalidDataError):
            credits.fail(pending, reason)
    assert pending.status == "pending"
