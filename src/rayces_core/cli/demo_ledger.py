"""The credits of a demo centre: purchases, debits, refunds and an adjustment, in the order in which they happened.

Rule it guards: each completed entry moves the balance by its amount, in the transaction that writes it, so the balance
is the sum of its entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rayces_core import clock
from rayces_core.cli.demo_data import Centre, Purchase
from rayces_core.models import (
    Appointment,
    AppointmentState,
    CreditBalance,
    CreditTransaction,
    TransactionStatus,
    TransactionType,
    User,
)


@dataclass(frozen=True)
class Entry:
    """One movement of a user's credits."""

    at: datetime
    user: User
    kind: TransactionType
    amount: int
    facts: dict[str, Any]
    status: TransactionStatus = TransactionStatus.COMPLETED


def post_ledger(centre: Centre, users: dict[str, User], desk: User, booked: list[Appointment], now: datetime) -> None:
    """Write every movement of the centre's credits, for the bound tenant."""
    entries = [_purchase(purchase, users[purchase.guardian], now) for purchase in centre.purchases]
    entries += [entry for appointment in booked for entry in _of_appointment(appointment)]
    name, amount, reason = centre.adjustment
    facts = {"reason": reason, "created_by": desk}
    entries.append(Entry(now - timedelta(days=3), users[name], TransactionType.ADMIN_ADJUSTMENT, amount, facts))
    for entry in sorted(entries, key=lambda entry: entry.at):
        with clock.frozen(entry.at):
            _post(entry)


def _purchase(purchase: Purchase, user: User, now: datetime) -> Entry:
    facts = {
        "payment_method": "mercadopago",
        "payment_reference": purchase.reference,
        "idempotency_key": f"purchase:{purchase.reference}",
    }
    at = now - timedelta(days=purchase.days_ago, hours=2)
    status = TransactionStatus(purchase.status)
    return Entry(at, user, TransactionType.PURCHASE, purchase.credits, facts, status)


def _of_appointment(appointment: Appointment) -> list[Entry]:
    if not appointment.uses_credit or appointment.confirmed_at is None:
        return []
    entries = [_credits_of(appointment, TransactionType.APPOINTMENT_DEBIT, appointment.confirmed_at)]
    if appointment.state == AppointmentState.CANCELLED and appointment.cancelled_at is not None:
        entries.append(_credits_of(appointment, TransactionType.CANCELLATION_REFUND, appointment.cancelled_at))
    return entries


def _credits_of(appointment: Appointment, kind: TransactionType, at: datetime) -> Entry:
    amount = -appointment.credits_used if kind == TransactionType.APPOINTMENT_DEBIT else appointment.credits_used
    facts = {"appointment": appointment, "idempotency_key": f"{kind}:{appointment.id}"}
    return Entry(at, appointment.client, kind, amount, facts)


def _post(entry: Entry) -> None:
    balance = CreditBalance.get_or_none(CreditBalance.user == entry.user) or CreditBalance.create(user=entry.user)
    completed = entry.status == TransactionStatus.COMPLETED
    CreditTransaction.create(
        user=entry.user,
        credit_balance=balance,
        transaction_type=entry.kind,
        status=entry.status,
        amount=entry.amount,
        balance_after=balance.balance + entry.amount if completed else None,
        processed_at=None if entry.status == TransactionStatus.PENDING else entry.at,
        **entry.facts,
    )
    if completed:
        _move(balance, entry)


def _move(balance: CreditBalance, entry: Entry) -> None:
    balance.balance += entry.amount
    if entry.kind == TransactionType.PURCHASE:
        balance.lifetime_purchased += entry.amount
    elif entry.kind in (TransactionType.APPOINTMENT_DEBIT, TransactionType.CANCELLATION_REFUND):
        balance.lifetime_used -= entry.amount
    balance.save()
