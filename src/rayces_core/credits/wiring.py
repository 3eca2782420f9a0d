"""What the lifecycle of an appointment does to the ledger, in the unit of work of the transition itself.

Confirming takes the cost, unless a debit by hand has paid for the appointment; a cancellation gives back what the
policy says, or what the caller says. A hold that expires was never charged. In privileged work it is the ledger of the
appointment's own organization.
"""

from __future__ import annotations

from rayces_core.credits.arguments import actor_id, text, whole_credits
from rayces_core.credits.ledger import Posting, post
from rayces_core.credits.operations import debit_of, refund_of
from rayces_core.credits.policy import Policy, policy
from rayces_core.errors import AlreadyDebitedError, AlreadyRefundedError
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction, TransactionType
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import known_tenant_of


def uses_credit(appointment: Appointment) -> bool:
    """Whether the ledger has to do with the appointment at all."""
    return appointment.uses_credit


@Appointment.lifecycle.within("confirm", when=uses_credit, reads=("uses_credit", "credits_used", "client"))
def debit_at_confirmation(change: StateChange) -> None:
    """Take what the appointment costs from its client; `credits_used` is what was paid in the end.

    Raises:
        InsufficientCreditsError: the client has too few.
        AlreadyRefundedError: it was debited by hand, and that was given back.
    """
    appointment = _as_stored(change.subject)
    cost = policy().cost(appointment)
    if cost:
        whole_credits(cost, "cost")
    paid = _take(appointment, cost, change)
    if paid != appointment.credits_used:
        _note_cost(change.subject, paid)


@Appointment.lifecycle.within("cancel", when=uses_credit, reads=("uses_credit", "credits_used", "scheduled_at"))
def refund_at_cancellation(change: StateChange) -> None:
    """Give back what is due of the debit, to whoever paid it."""
    told = change.given.get("refund")
    if told is False:
        return
    appointment = _as_stored(change.subject)
    debit = debit_of(appointment.id, known_tenant_of(appointment))
    if debit is None:
        return
    paid = -debit.amount
    due = paid if told else min(_due(appointment, paid, change), paid)
    if due > 0:
        _post(appointment, debit.user_id, due, TransactionType.CANCELLATION_REFUND, change, change.reason)


def _take(appointment: Appointment, cost: int, change: StateChange) -> int:
    """Take the cost, unless the appointment was debited before; returns what is paid for it."""
    place = appointment.id, known_tenant_of(appointment)
    if not cost:
        by_hand = debit_of(*place)
        return -by_hand.amount if by_hand else 0
    try:
        return -_post(appointment, appointment.client_id, -cost, TransactionType.APPOINTMENT_DEBIT, change).amount
    except AlreadyDebitedError:
        by_hand = debit_of(*place)
        if by_hand is None:  # it waits to be completed, and has paid nothing
            raise
    if (back := refund_of(*place)) is not None:
        raise _noted(AlreadyRefundedError(back.id, appointment.id))
    return -by_hand.amount


def _due(appointment: Appointment, paid: int, change: StateChange) -> int:
    """What the policy gives back of what was paid, whatever the appointment says that it costs by now."""
    if appointment.credits_used != paid:
        appointment = _read(appointment)
        appointment.credits_used = paid
    notice = Organization.get_by_id(appointment.organization_id).policy.cancellation_notice_hours
    return policy().refund(appointment, change.occurred_at, notice)


def _post(
    appointment: Appointment,
    user_id: int,
    amount: int,
    kind: TransactionType,
    change: StateChange,
    reason: str | None = None,
) -> CreditTransaction:
    return post(
        Posting(
            user_id,
            amount,
            kind,
            change.occurred_at,
            appointment_id=appointment.id,
            by_id=actor_id(change.actor),
            reason=text(reason, "reason"),
            organization_id=known_tenant_of(appointment),
        )
    )


def _as_stored(appointment: Appointment) -> Appointment:
    """The appointment as the database has it: what is assigned and not saved decides nothing.

    The domain's own policy looks at columns that are known to be fresh; a host's may look at any.
    """
    if appointment.dirty_field_names or type(policy()) is not Policy:
        return _read(appointment)
    return appointment


def _read(appointment: Appointment) -> Appointment:
    return Appointment.get(appointment._pk_expr())


def _note_cost(appointment: Appointment, cost: int) -> None:
    """Write what it cost; the object has it too, unless the unit of work is undone."""
    written = _read(appointment)
    written.credits_used = cost
    written.save(only=["credits_used"])
    values = {name: written.__data__[name] for name in ("credits_used", "updated_at")}
    unsaved = appointment.dirty_field_names
    Appointment.lifecycle.take_up(appointment, {name: value for name, value in values.items() if name not in unsaved})


def _noted(error: AlreadyRefundedError) -> AlreadyRefundedError:
    error.add_note("what was paid for it was given back; cancel it and book another one")
    return error
