"""What the lifecycle of an appointment does to the ledger, in the unit of work of the transition itself.

Confirming takes the cost; a cancellation gives back what the policy says, or what the caller says. A hold that
expires was never charged.
"""

from __future__ import annotations

from rayces_core.credits.operations import debit, debit_of, refund
from rayces_core.credits.policy import policy
from rayces_core.models.appointment import Appointment
from rayces_core.models.organization import Organization
from rayces_core.state_machine import StateChange


def uses_credit(appointment: Appointment) -> bool:
    """Whether the ledger has to do with the appointment at all."""
    return appointment.uses_credit


@Appointment.lifecycle.within("confirm", when=uses_credit, reads=("uses_credit", "credits_used", "client"))
def debit_at_confirmation(change: StateChange) -> None:
    """Take what the appointment costs from its client."""
    appointment = change.subject
    cost = policy().cost(appointment)
    if cost != appointment.credits_used:
        appointment.credits_used = cost
        appointment.save(only=["credits_used"])
    if cost:
        debit(appointment.client_id, cost, appointment=appointment, by=change.actor, now=change.occurred_at)


@Appointment.lifecycle.within("cancel", when=uses_credit, reads=("uses_credit", "credits_used", "scheduled_at"))
def refund_at_cancellation(change: StateChange) -> None:
    """Give back what is due of the debit, to whoever paid it."""
    appointment, told = change.subject, change.given.get("refund")
    if told is False:
        return
    paid = debit_of(appointment.id)
    if paid is None:
        return
    notice = Organization.get_by_id(appointment.organization_id).policy.cancellation_notice_hours
    due = -paid.amount if told else min(policy().refund(appointment, change.occurred_at, notice), -paid.amount)
    if due > 0:
        refund(appointment, credits=due, reason=change.reason, by=change.actor, now=change.occurred_at)
