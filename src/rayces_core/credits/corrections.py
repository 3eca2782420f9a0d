"""Credits follow what is recorded of a session, in the unit of work of the event that records it or corrects it.

A no-show gives back what the policy says. A correction settles what stands in the ledger for what the session is from
then on: what is too much goes back, what was given back before and is due again is taken again. A debit is never undone
or repeated, so what is taken again is an adjustment that names the appointment; a cancellation gives that back as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rayces_core.credits import wiring
from rayces_core.credits.ledger import post
from rayces_core.credits.policy import policy
from rayces_core.credits.posting import Posting
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.models.appointment import NO_SHOW, Appointment
from rayces_core.models.credit import TransactionType
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.scoping import known_tenant_of

CORRECTIONS: Final = tuple(name for name, event in Appointment.lifecycle.transitions.items() if event.corrects)
READS: Final = ("uses_credit", "credits_used")
# The payer's balance first, so that no other entry of the appointment comes in between.
ACCOUNT: Final = Message(
    """SELECT 1 FROM credit_balances WHERE organization_id = %(tenant)s AND id IN (
        SELECT credit_balance_id FROM credit_transactions
         WHERE organization_id = %(tenant)s AND appointment_id = %(appointment)s
           AND transaction_type = 'appointment_debit' AND status = 'completed'
    ) FOR NO KEY UPDATE""",
    """SELECT debit.user_id, debit.credit_kind_id, -debit.amount,
           coalesce(sum(entry.amount) FILTER (WHERE entry.transaction_type = 'cancellation_refund'), 0)::bigint,
           coalesce(-sum(entry.amount) FILTER (WHERE entry.transaction_type = 'admin_adjustment'), 0)::bigint
      FROM credit_transactions AS debit
      JOIN credit_transactions AS entry ON entry.organization_id = %(tenant)s
           AND entry.appointment_id = debit.appointment_id AND entry.status = 'completed'
     WHERE debit.organization_id = %(tenant)s AND debit.appointment_id = %(appointment)s
       AND debit.transaction_type = 'appointment_debit' AND debit.status = 'completed'
     GROUP BY debit.user_id, debit.credit_kind_id, debit.amount""",
    types={"tenant": "bigint", "appointment": "bigint"},
)


@dataclass(frozen=True, slots=True)
class Account:
    """What the ledger has of an appointment: who paid with which kind, credits debited, given back, and taken again."""

    user_id: int
    credit_kind_id: int | None
    debited: int
    refunded: int
    retaken: int

    @property
    def paid(self) -> int:
        """What the appointment has cost up to now."""
        return self.debited - self.refunded + self.retaken


@Appointment.lifecycle.within("mark_no_show", when=wiring.uses_credit, reads=READS)
def give_back_at_no_show(change: StateChange) -> None:
    """Give back what the policy says for a no-show, less what was given back before."""
    due = _due_for_no_show(change.subject, change.subject.credits_used)
    if due and (account := _account(change.subject)) is not None:
        _settle(change, account, min(account.paid, account.debited - due))


@Appointment.lifecycle.within(
    "correct_to_executed", "correct_to_no_show", "reopen", when=wiring.uses_credit, reads=READS
)
def settle_correction(change: StateChange) -> None:
    """Have the appointment cost what it costs in its new state, whatever was given back before.

    Raises:
        InsufficientCreditsError: what was given back, and is due again, is spent.
    """
    account = _account(change.subject)
    if account is not None:
        due = _due_for_no_show(change.subject, account.debited) if change.to_state == NO_SHOW else 0
        _settle(change, account, account.debited - due)


@Appointment.lifecycle.within(
    *wiring.INTO_CANCELLED, when=wiring.uses_credit, reads=(*READS, "scheduled_at"), prepare=wiring.those_paid_for
)
def refund_at_cancellation(change: StateChange) -> None:
    """Give back what is still due of the debit, then of what a correction took again, if one did."""
    if not wiring.refund(change) or change.event != "cancel":
        return
    account, told = _account(change.subject), change.given.get("refund")
    if account is None or not account.retaken:
        return
    due = account.debited if told else wiring._due(wiring._as_stored(change.subject), account.debited, change)
    _settle(change, account, min(account.paid, account.debited - due))


def _due_for_no_show(appointment: Appointment, debited: int) -> int:
    stored = wiring._as_stored(appointment)
    if stored.credits_used != debited:
        stored = wiring._read(stored)
        stored.credits_used = debited
    due = policy().no_show(stored)
    wiring._check_answer("no_show", due, debited)
    return due


def _account(appointment: Appointment) -> Account | None:
    values = {"tenant": _tenant_of(appointment), "appointment": appointment.id}
    row = current().engine.run_message(ACCOUNT, values).fetchone()
    return None if row is None else Account(*row)


def _settle(change: StateChange, account: Account, wanted: int) -> None:
    """Post what makes the appointment cost `wanted` credits."""
    back = account.paid - wanted
    # Of the debit, as far as there is something left of it.
    of_debit = min(back, account.debited - account.refunded) if back > 0 else 0
    if of_debit:
        _post(change, account, of_debit, TransactionType.CANCELLATION_REFUND)
    if back != of_debit:
        _post(change, account, back - of_debit, TransactionType.ADMIN_ADJUSTMENT)


def _post(change: StateChange, account: Account, amount: int, kind: TransactionType) -> None:
    event = f"{change.event}: {change.from_state} → {change.to_state}"
    post(
        Posting(
            account.user_id,
            amount,
            kind,
            change.occurred_at,
            credit_kind_id=account.credit_kind_id,
            appointment_id=change.subject.id,
            by=change.actor,
            reason=f"{event}: {change.reason}" if (change.reason or "").strip() else event,
            metadata={"event": change.event},
            organization_id=_tenant_of(change.subject),
        )
    )


def _tenant_of(appointment: Appointment) -> int | None:
    tenant = known_tenant_of(appointment)
    return current().organization_id if tenant is None else tenant
