"""What the lifecycle of an appointment does to the ledger, in the unit of work of the transition itself.

Confirming takes the cost, unless a debit by hand has paid for the appointment; a cancellation gives back what the
policy says, or what the caller says, less what was given back before. A hold that expires was never charged; what was
paid for it by hand goes back. In privileged work it is the ledger of the appointment's own organization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rayces_core.credits.arguments import MOST_AT_ONCE, text
from rayces_core.credits.ledger import give_back, lock_payers_of, post
from rayces_core.credits.paid import Paid, paid_for
from rayces_core.credits.policy import Policy, policy
from rayces_core.credits.posting import Posting
from rayces_core.errors import AlreadyDebitedError, AlreadyRefundedError, InvalidDataError
from rayces_core.models.appointment import CANCELLED, Appointment
from rayces_core.models.credit import TransactionType
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import known_tenant_of

# Every way into it, so that a new one gives back as well.
INTO_CANCELLED: Final = tuple(
    name for name, event in Appointment.lifecycle.transitions.items() if event.target == CANCELLED
)


def uses_credit(appointment: Appointment) -> bool:
    """Whether the ledger has to do with the appointment at all."""
    return appointment.uses_credit


@Appointment.lifecycle.within(
    "confirm", when=uses_credit, reads=("uses_credit", "credits_used", "client", "credit_kind")
)
def debit_at_confirmation(change: StateChange) -> None:
    """Take what the appointment costs from its client; `credits_used` is what was paid in the end.

    Raises:
        InsufficientCreditsError: the client has too few.
        AlreadyRefundedError: it was debited by hand, and that was given back.
    """
    appointment = _as_stored(change.subject)
    cost = policy().cost(appointment)
    _check_answer("cost", cost, MOST_AT_ONCE)
    paid = _take(appointment, cost, change)
    if paid != appointment.credits_used:
        _note_cost(change.subject, paid)


def those_paid_for(changes: Sequence[StateChange]) -> list[StateChange]:
    """Those that something was paid for; its balances are locked, in the one order in which everybody locks several."""
    by_tenant: dict[int, list[int]] = {}
    for change in changes:
        by_tenant.setdefault(change.subject.organization_id, []).append(change.subject.id)
    paid = {tenant: lock_payers_of(appointments, tenant) for tenant, appointments in sorted(by_tenant.items())}
    return [change for change in changes if change.subject.id in paid[change.subject.organization_id]]


def refund(change: StateChange) -> int:
    """Give back what is still due of the debit, to whoever paid it; returns how much a correction took again.

    A hold that expires was kept by nobody, so all that was paid for it goes back, whatever the notice.
    """
    told = True if change.event == "expire" else change.given.get("refund")
    if told is False:
        return 0
    appointment, retaken = _as_stored(change.subject), 0
    place = appointment.id, known_tenant_of(appointment)

    def owed(paid: Paid) -> int:
        nonlocal retaken
        retaken = paid.retaken
        debited = -paid.debit.amount
        due = debited if told else _due(appointment, debited, change)
        return max(0, due - (debited - paid.left))

    kind = TransactionType.CANCELLATION_REFUND
    give_back(
        *place,
        owed,
        lambda paid, due: _posting(
            appointment, (paid.debit.user_id, paid.debit.credit_kind_id), due, kind, change, change.reason
        ),
    )
    return retaken


def _take(appointment: Appointment, cost: int, change: StateChange) -> int:
    """Take the cost, unless the appointment was debited before; returns what is paid for it."""
    place = appointment.id, known_tenant_of(appointment)
    if not cost:
        by_hand = paid_for(*place)
        return -by_hand.debit.amount if by_hand else 0
    try:
        return -post(
            _posting(
                appointment,
                (appointment.client_id, appointment.credit_kind_id),
                -cost,
                TransactionType.APPOINTMENT_DEBIT,
                change,
            )
        ).amount
    except AlreadyDebitedError:
        by_hand = paid_for(*place)
        if by_hand is None:  # it waits to be completed, and has paid nothing
            raise
    if by_hand.refunds:
        raise _noted(AlreadyRefundedError(by_hand.refunds[-1].id, appointment.id))
    return -by_hand.debit.amount


def _due(appointment: Appointment, paid: int, change: StateChange) -> int:
    """What the policy gives back of what was paid, whatever the appointment says that it costs by now."""
    if appointment.credits_used != paid:
        appointment = _read(appointment)
        appointment.credits_used = paid
    notice = Organization.get_by_id(appointment.organization_id).policy.cancellation_notice_hours
    due = policy().refund(appointment, change.occurred_at, notice)
    _check_answer("refund", due, paid)
    return due


def _check_answer(question: str, answer: object, most: int) -> None:
    """Raise unless a policy, which any host may replace, has answered with whole credits from 0 to `most`."""
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer <= most:
        raise InvalidDataError(
            question,
            answer,
            f"{type(policy()).__name__}.{question}() must answer with a whole number of credits from 0 to {most:,}, "
            f"and answered {answer!r}; a half of an odd number is `credits_used // 2`",
        )


def _posting(
    appointment: Appointment,
    of: tuple[int, int | None],
    amount: int,
    kind: TransactionType,
    change: StateChange,
    reason: str | None = None,
) -> Posting:
    # Who may act was the lifecycle's question.
    return Posting(
        of[0],
        amount,
        kind,
        change.occurred_at,
        credit_kind_id=of[1],
        appointment_id=appointment.id,
        by=change.actor,
        reason=text(reason, "reason"),
        organization_id=known_tenant_of(appointment),
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
