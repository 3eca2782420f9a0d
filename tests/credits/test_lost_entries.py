"""What a posting gives and what is found of it where its answer is lost are the same, whatever the entry holds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rayces_core import Role, clock, credits
from rayces_core.credits import statements
from rayces_core.credits.ledger import own_key
from rayces_core.credits.posting import Posting
from rayces_core.database.binding import current
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from tests.factory import make_appointment, make_user
from tests.walking import walked

PURCHASE, REFUND = TransactionType.PURCHASE, TransactionType.CANCELLATION_REFUND
DEBIT, ADJUSTMENT = TransactionType.APPOINTMENT_DEBIT, TransactionType.ADMIN_ADJUSTMENT
PENDING, COMPLETED = TransactionStatus.PENDING, TransactionStatus.COMPLETED
PAID = ("payment", "amount_cents")
WALKED = [
    (PURCHASE, COMPLETED, PAID, ()),
    (PURCHASE, PENDING, PAID, ()),
    (DEBIT, COMPLETED, ("appointment",), ()),
    (REFUND, COMPLETED, (), ("appointment",)),
    (ADJUSTMENT, COMPLETED, ("appointment",), ("by", "reason")),
]


@contextlib.contextmanager
def clock_of(held: bool, moved: timedelta = timedelta(0)) -> Iterator[None]:
    with clock.frozen(clock.now() + moved) if held else contextlib.nullcontext():
        yield


def postings(kind, status, may, always, appointment, by):
    """One of each combination of what may be given; the appointment was debited where it is to be refunded."""
    number = itertools.count()
    optional = [name for name in (*may, "key", "reason", "metadata", "by") if name not in always]
    for size in range(len(optional) + 1):
        for chosen in itertools.combinations(optional, size):
            given = {*chosen, *always}
            n = next(number)
            yield Posting(
                appointment.client_id,
                -1 if kind is DEBIT else 1,
                kind,
                clock.now(),
                status=status,
                appointment_id=appointment.id if "appointment" in given else None,
                payment_method="m" if "payment" in given else None,
                payment_reference=f"r{n}" if "payment" in given else None,
                amount_cents=100 if "amount_cents" in given else None,
                currency="ARS" if "amount_cents" in given else None,
                key=f"k{n}" if "key" in given else None,
                by=by if "by" in given else None,
                reason="why" if "reason" in given else None,
                metadata={"n": n} if "metadata" in given else {},
            )


def of(status: TransactionStatus, posting: Posting, sent_at):
    """What the message has given, and what is found of it afterwards; the id of the transaction left out of both."""
    given, values, engine = posting.given, posting.values, current().engine
    if not (posting.key or posting.payment_reference):
        given, values = given | {"own_key"}, {**values, "own_key": own_key()}
    message, asking = statements.messages(posting.kind, status, given)
    made = engine.run_message(message, values).fetchone()
    assert made is not None
    found = engine.run_message(asking, {**values, "sent_at": sent_at}).fetchall()
    return [made[:5] + made[6:]], [row[:5] + row[6:] for row in found]


@pytest.mark.slow
@walked("held", [False, True])
@walked("kind, status, may, always", WALKED)
def test_what_a_posting_has_made_is_found_whatever_was_given(db, a, kind, status, may, always, held):
    with db.tenant(a), db.atomic() as unit:
        appointment, by = make_appointment(), make_user(role=Role.ADMIN)
        credits.purchase(appointment.client_id, 1_000)
        if kind is REFUND:
            credits.debit(appointment.client_id, 100, appointment=appointment)
        sent_at = db.execute_sql("SELECT clock_timestamp()").fetchone()[0]
        with clock_of(held):
            for posting in postings(kind, status, may, always, appointment, by):
                with db.atomic() as one:
                    made, found = of(status, posting, sent_at)
                    assert found == made, sorted(posting.given)
                    one.rollback()
        unit.rollback()


@walked("moved", [-timedelta(days=9), timedelta(days=9)])
@walked("status", [PENDING, COMPLETED])
def test_what_was_made_by_a_clock_held_elsewhere_is_found(db, a, status, moved):
    """An entry that counts is never before its predecessor, so it may bear a later moment than it was given."""
    with db.tenant(a), db.atomic() as unit:
        appointment, by = make_appointment(), make_user(role=Role.ADMIN)
        credits.purchase(appointment.client_id, 10)
        with clock_of(True, moved):
            posting = [*postings(PURCHASE, status, PAID, (), appointment, by)][-1]
            made, found = of(status, posting, clock.now())
        assert found == made
        assert CreditTransaction.select().where(CreditTransaction.idempotency_key == posting.key).count() == 1
        unit.rollback()
