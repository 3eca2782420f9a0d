"""What the lifecycle of an appointment does to the ledger, in the unit of work of the transition itself.

Confirming takes the cost; a cancellation gives back what the policy says, or what the caller says. A hold that
expires was never charged.
"""

from __future__ import annotations

from rayces_core.credits.arguments import whole_credits
from rayces_core.credits.operations import debit, debit_of, refund
from rayces_core.credits.policy import Policy, policy
from rayces_core.models.appointment import Appointment
from rayces_core.models.organization import Organization
from rayces_core.state_machine import StateChange


def uses_credit(appointment: Appointment) -> bool:
    """Whether the ledger may have to do with the appointment at all; what is not saved yet rules nothing out."""
    return appointment.uses_credit or "uses_credit" in appointment.dirty_field_names


@Appointment.lifecycle.within("confirm", when=uses_credit, reads=("uses_credit", "credits_used", "client"))
def debit_at_confirmation(change: StateChange) -> None:
    """Take what the appointment costs from its client."""
    appointment = _as_stored(change.subject)
    cost = policy().cost(appointment) if appointment.uses_credit else 0
    if cost:
        whole_credits(cost, "cost")
    if appointment.uses_credit and cost != appointment.credits_used:
        _note_cost(change.subject, cost)
    if cost:
        debit(appointment.client_id, cost, appointment=appointment, by=change.actor, now=change.occurred_at)


@Appointment.lifecycle.within("cancel", when=uses_credit, reads=("uses_credit", "credits_used", "scheduled_at"))
def refund_at_cancellation(change: StateChange) -> None:
    """Give back what is due of the debit, to whoever paid it."""
    told = change.given.get("refund")
    appointment = _as_stored(change.subject)
    if told is False or not appointment.uses_credit:
        return
    paid = debit_of(appointment.id)
    if paid is None:
        return
    notice = Organization.get_by_id(appointment.organization_id).policy.cancellation_notice_hours
    due = -paid.amount if told else min(policy().refund(appointment, change.occurred_at, notice), -paid.amount)
    if due > 0:
        refund(appointment, credits=due, reason=change.reason, by=change.actor, now=change.occurred_at)


def _as_stored(appointment: Appointment) -> Appointment:
    """The appointment as the database has it: what is assigned and not saved decides nothing.

    The domain's own policy looks at columns that are known to be fresh; a host's may look at any.
    """
    if appointment.dirty_field_names or type(policy()) is not Policy:
        return Appointment.get_by_id(appointment.id)
    return appointment


def _note_cost(appointment: Appointment, cost: int) -> None:
    """Write what it cost; the object has it too, unless the unit of work is undone."""
    written = Appointment.get_by_id(appointment.id)
    written.credits_used = cost
    written.save(only=["credits_used"])
    values = {name: written.__data__[name] for name in ("credits_used", "updated_at")}
    unsaved = appointment.dirty_field_names
    Appointment.lifecycle.take_up(appointment, {name: value for name, value in values.items() if name not in unsaved})
