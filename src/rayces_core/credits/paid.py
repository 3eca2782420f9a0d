"""What was paid for an appointment with credits, and what of it can still be given back."""

from __future__ import annotations

from dataclasses import dataclass

from rayces_core.credits.statements import SPENDING
from rayces_core.database.binding import current
from rayces_core.errors import AlreadyRefundedError, InvalidDataError
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType


@dataclass(frozen=True, slots=True)
class Paid:
    """The debit of an appointment, its refunds, the first one first, and how many credits corrections took again."""

    debit: CreditTransaction
    refunds: tuple[CreditTransaction, ...]
    retaken: int = 0

    @property
    def left(self) -> int:
        """How many credits can still be given back."""
        return -self.debit.amount - sum(refund.amount for refund in self.refunds)

    def check(self, amount: int) -> None:
        """Raise unless so much can still be given back.

        Raises:
            AlreadyRefundedError: nothing is left. InvalidDataError: less than that is.
        """
        if not self.left:
            raise AlreadyRefundedError(self.refunds[-1].id, self.debit.appointment_id)
        if amount > self.left:
            debited = f"of the {-self.debit.amount} that were debited"
            raise InvalidDataError("credits", amount, f"must be at most what is left, {self.left} {debited}")


def paid_for(appointment_id: int, organization_id: int | None = None) -> Paid | None:
    """What was paid for an appointment and given back; privileged work has to say of which organization."""
    entry = CreditTransaction
    adjustment = TransactionType.ADMIN_ADJUSTMENT
    mine = (entry.appointment == appointment_id) & entry.transaction_type.in_((*SPENDING, adjustment))
    mine &= entry.status == TransactionStatus.COMPLETED
    if current().privileged:
        mine &= entry.organization == organization_id
    found = [*entry.select().where(mine).order_by(entry.amount, entry.refundable_after.desc())]
    debit, *refunds = [each for each in found if each.transaction_type != adjustment] or [None]
    if debit is None or debit.amount >= 0:
        return None
    return Paid(debit, tuple(refunds), -sum(each.amount for each in found if each.transaction_type == adjustment))
