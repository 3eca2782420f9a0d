"""Payments: notifications in the shapes of Stripe's and Mercado Pago's public docs, verified and posted once."""

import hashlib
import hmac
import json
import threading
import time

import pytest

from rayces_core import CreditTransaction, Role, credits
from rayces_core.errors import (
    ConfigurationError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    NotificationRefusedError,
    PaymentUnknownError,
)
from rayces_core.integrations import payments
from rayces_core.integrations.payments import Notification, Status
from tests.factory import make_kind, make_package, make_user
from tests.walking import walked

SECRET, OLD = "whsec_newer", "whsec_older"


# -- Stripe: signature over "{t}.{body}", header Stripe-Signature: t=…,v1=…[,v1=…] ------------------------------------


def session(kind="checkout.session.completed", **about):
    values = {
        "id": "cs_test_a1",
        "object": "checkout.session",
        "amount_total": 250000,
        "currency": "ars",
        "client_reference_id": "order-7",
        "metadata": {},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "status": "complete",
    }
    return event(kind, **(values | about))


def event(kind, **about):
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2024-06-20",
        "created": int(time.time()),
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "type": kind,
    }


def stripe_headers(body, secret=SECRET, at=None, others=()):
    at = int(time.time()) if at is None else at
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": ",".join([f"t={at}", *(f"v1={each}" for each in others), f"v1={signature}"])}


def read(told, **options):
    body = json.dumps(told).encode()
    return payments.Stripe([SECRET, OLD]).read(body, stripe_headers(body, **options))


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_stripes_checkout_says_what_was_paid(secret):
    assert read(session(), secret=secret) == Notification(
        "stripe", "order-7", Status.COMPLETED, amount_cents=250000, currency="ARS", event_id="evt_1"
    )


@walked(
    ("told", "reference", "status", "refunded"),
    [
        (session(payment_status="unpaid"), "order-7", "pending", None),
        (session("checkout.session.async_payment_succeeded"), "order-7", "completed", None),
        (session("checkout.session.async_payment_failed"), "order-7", "failed", None),
        (session("checkout.session.expired", payment_status="unpaid"), "order-7", "failed", None),
        (session(client_reference_id=None), "pi_1", "completed", None),
        (event("payment_intent.succeeded", id="pi_1", object="payment_intent", amount=5, currency="ars"),
         "pi_1", "completed", None),
        (event("payment_intent.canceled", id="pi_1", object="payment_intent", amount=5), "pi_1", "failed", None),
        (event("charge.refunded", id="ch_1", object="charge", payment_intent="pi_1", amount=100, amount_refunded=40,
               currency="usd", metadata={"payment_reference": "order-7"}), "order-7", "refunded", 40),
    ],
)  # fmt: skip
def test_stripes_events_are_one_of_four_things(told, reference, status, refunded):
    found = read(told)
    assert (found.payment_reference, found.status, found.refunded_cents) == (reference, status, refunded)


@pytest.mark.parametrize(
    "told",
    [event("customer.created", id="cus_1"), event("payment_intent.payment_failed", id="pi_1", object="payment_intent"),
     event("charge.refunded", id="ch_1", object="charge", payment_intent=None)],
)  # fmt: skip
def test_what_ends_no_payment_is_none(told):
    assert read(told) is None


def test_amounts_of_currencies_without_hundredths_are_brought_to_them():
    assert read(session(currency="jpy", amount_total=500)).amount_cents == 50000


@walked(
    "headers",
    [
        lambda body: {},
        lambda body: {"Stripe-Signature": ""},
        lambda body: {"Stripe-Signature": "t=1"},
        lambda body: {"Stripe-Signature": f"t={int(time.time())},v1=ñ"},
        lambda body: {"Stripe-Signature": stripe_headers(body)["Stripe-Signature"].replace("v1=", "v0=")},
        lambda body: stripe_headers(body, secret="whsec_of_somebody_else"),
        lambda body: stripe_headers(body + b" "),
        lambda body: stripe_headers(body, at=int(time.time()) - 301),
        lambda body: stripe_headers(body, at=int(time.time()) + 301),
        lambda body: stripe_headers(body, at="9" * 40),
    ],
)
def test_what_is_not_stripes_is_refused(headers):
    body = json.dumps(session()).encode()
    with pytest.raises(NotificationRefusedError):
        payments.Stripe([SECRET]).read(body, headers(body))


@walked("body", [b"", b"[]", b"{}", b"{", b'{"type": "x", "data": []}', b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(body):
    with pytest.raises(NotificationRefusedError):
        payments.Stripe([SECRET]).read(body, stripe_headers(body))


def test_one_right_signature_among_others_is_enough():
    assert read(session(), others=["0" * 64]).status == "completed"


# -- Mercado Pago: signature over "id:{data.id};request-id:{x-request-id};ts:{ts};" -----------------------------------


def told_of(data_id="1234567890", **changed):
    return {
        "id": 112233445566,
        "live_mode": True,
        "type": "payment",
        "date_created": "2026-05-25T13:01:08.000-03:00",
        "user_id": 987654321,
        "api_version": "v1",
        "action": "payment.updated",
        "data": {"id": data_id},
    } | changed


def payment(status, **changed):
    return {
        "id": 1234567890,
        "status": status,
        "status_detail": "accredited",
        "external_reference": "order-7",
        "transaction_amount": 2500.0,
        "transaction_amount_refunded": 0,
        "currency_id": "ARS",
    } | changed


def mercado_pago(found, body=None, data_id="1234567890", request_id="req-1", secret=SECRET, ts=None, signed_id=None):
    ts = int(time.time() * 1000) if ts is None else ts
    manifest = f"id:{signed_id or data_id};" + (f"request-id:{request_id};" if request_id else "") + f"ts:{ts};"
    signature = hmac.new(secret.encode(), manifest.encode(), hashlib.sha256).hexdigest()
    headers = {"x-signature": f"ts={ts},v1={signature}"} | ({"X-Request-Id": request_id} if request_id else {})
    reader = payments.MercadoPago([SECRET, OLD], lambda asked: found if asked == data_id else {})
    return reader.read(json.dumps(body or told_of(data_id)).encode(), headers, {"data.id": data_id, "type": "payment"})


@walked(
    ("status", "changed", "expected", "refunded"),
    [
        ("approved", {}, "completed", None),
        ("rejected", {"status_detail": "cc_rejected_insufficient_amount"}, "failed", None),
        ("cancelled", {}, "failed", None),
        ("pending", {}, "pending", None),
        ("in_process", {}, "pending", None),
        ("refunded", {"transaction_amount_refunded": 2500.0}, "refunded", 250000),
        ("charged_back", {}, "refunded", None),
        ("approved", {"transaction_amount_refunded": 1000.5}, "refunded", 100050),
    ],
)
def test_mercado_pagos_payments_are_one_of_four_things(status, changed, expected, refunded):
    found = mercado_pago(payment(status, **changed))
    assert (found.payment_method, found.payment_reference, found.status) == ("mercado_pago", "order-7", expected)
    assert (found.amount_cents, found.currency, found.refunded_cents) == (250000, "ARS", refunded)


def test_mercado_pago_signs_in_seconds_or_milliseconds_with_or_without_a_request_id():
    for options in ({"ts": int(time.time())}, {"request_id": ""}, {"secret": OLD}):
        assert mercado_pago(payment("approved"), **options).status == "completed"


def test_what_is_about_something_else_or_unknown_is_none():
    assert mercado_pago(payment("approved"), body=told_of(type="merchant_order")) is None
    assert mercado_pago(payment("of_another_world")) is None


@walked(
    "options",
    [
        {"secret": "another"},
        {"signed_id": "999"},
        {"ts": 1},
        {"body": told_of("999")},
        {"body": told_of(data=None)},
    ],
)
def test_what_is_not_mercado_pagos_is_refused(options):
    with pytest.raises(NotificationRefusedError):
        mercado_pago(payment("approved"), **options)


@pytest.mark.parametrize("secrets", [[], "", [""], [None]])
def test_without_a_secret_nothing_can_be_verified(secrets):
    with pytest.raises(ConfigurationError):
        payments.Stripe(secrets)


# -- posting ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def eva(db, a):
    with db.tenant(a):
        user = make_user()
        credits.purchase(
            user,
            10,
            payment_method="stripe",
            payment_reference="order-7",
            amount_cents=250000,
            currency="ARS",
            pending=True,
        )
        yield user
        assert credits.verify().is_clean


def said(status, **changed):
    return Notification("stripe", "order-7", Status(status), **({"amount_cents": 250000, "currency": "ARS"} | changed))


def test_a_paid_purchase_counts_once_however_often_it_is_notified_of(eva):
    posted = [payments.post(said("completed")) for _ in range(3)]
    assert credits.balance(eva) == 10
    assert [each.was_repeated for each in posted] == [False, True, True]
    assert len({each.id for each in posted}) == 1


def test_a_package_whose_payment_failed_is_paid_after_all_and_taken_back_in_its_kind(eva):
    kind = make_kind()
    package = make_package(credits=5, credit_kind=kind, valid_days=30)
    noted = {"payment_method": "stripe", "payment_reference": "pi_9", "amount_cents": 500, "currency": "ARS"}
    credits.purchase_package(eva, package, pending=True, **noted)

    def heard(status):
        return payments.post(Notification("stripe", "pi_9", Status(status), amount_cents=500, currency="ARS"))

    heard("failed")
    package.active = False
    package.save()
    again = heard("completed")
    assert (again.payment_attempt, again.credit_kind_id, again.credit_package_id) == (2, kind.id, package.id)
    assert [(lot.credits, lot.remaining) for lot in credits.lots(eva, kind=kind)] == [(5, 5)]
    heard("refunded")
    assert (credits.balance(eva, kind=kind), credits.lots(eva, kind=kind)) == (0, [])
    assert credits.verify().is_clean


def test_a_failed_payment_is_closed_and_paid_after_all_is_its_next_attempt(eva):
    assert payments.post(said("failed", reason="card_declined")).status == "failed"
    assert credits.balance(eva) == 0
    again = payments.post(said("completed"))
    assert (credits.balance(eva), again.payment_attempt) == (10, 2)
    assert payments.post(said("failed")).status == "completed"  # the first attempt's, late
    assert payments.post(said("completed")).was_repeated
    assert credits.balance(eva) == 10


def test_pending_changes_nothing(eva):
    assert payments.post(said("pending")).status == "pending"
    assert credits.balance(eva) == 0


def test_a_refund_takes_the_credits_back_once_in_whatever_order_it_is_told_of(eva):
    payments.post(said("refunded"))
    payments.post(said("completed"))
    payments.post(said("refunded"))
    assert credits.balance(eva) == 0


def test_parts_given_back_take_as_great_a_part_of_the_credits(eva):
    payments.post(said("completed"))
    for cents, left in ((50_000, 8), (50_000, 8), (130_000, 5), (100_000, 5), (250_000, 0)):
        payments.post(said("refunded", refunded_cents=cents))
        assert credits.balance(eva) == left


def test_staff_that_takes_back_is_named(db, eva):
    desk = make_user(role=Role.STAFF)
    payments.post(said("completed"))
    payments.post(said("refunded"), by=desk)
    entry = CreditTransaction.select().order_by(CreditTransaction.id.desc()).first()
    assert (entry.transaction_type, entry.created_by_id) == ("admin_adjustment", desk.id)


def test_credits_that_are_spent_are_not_taken_back_without_somebody_deciding(eva):
    payments.post(said("completed"))
    credits.debit(eva, 4)
    with pytest.raises(InsufficientCreditsError):
        payments.post(said("refunded"))
    assert credits.balance(eva) == 6


@pytest.mark.parametrize("changed", [{"amount_cents": 249999}, {"currency": "USD"}])
def test_another_sum_than_was_noted_is_not_posted(eva, changed):
    with pytest.raises(IdempotencyConflictError):
        payments.post(said("completed", **changed))
    assert credits.balance(eva) == 0


def test_a_payment_that_nobody_noted_is_unknown_in_another_organization_too(db, b, eva):
    with pytest.raises(PaymentUnknownError):
        payments.post(Notification("stripe", "order-8", Status.COMPLETED))
    with db.tenant(b), pytest.raises(PaymentUnknownError):
        payments.post(said("completed"))


def test_the_same_notification_at_once_from_many_sides_is_posted_once(db, a, eva):
    barrier, failed = threading.Barrier(6), []

    def notify(status):
        with db.tenant(a):
            barrier.wait()
            try:
                db.retrying(10).run(lambda: payments.post(said(status)))
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=notify, args=(status,)) for status in ("completed", "refunded") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert credits.balance(eva) == 0
    assert CreditTransaction.select().where(CreditTransaction.user == eva).count() == 2
