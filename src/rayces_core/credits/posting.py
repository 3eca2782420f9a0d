"""An entry that is wanted, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.user import User


@dataclass(frozen=True, slots=True)
class Posting:
    """An entry that is wanted: `amount` credits in (above zero) or out (below) of a user's balance.

    `organization_id` says whose ledger it is for; None is the bound tenant's, and there is none in privileged work.
    `is_rest` says that the amount is what was left to be given back, so that a repetition is one whatever it was.
    """

    user_id: int
    amount: int
    kind: TransactionType
    now: datetime
    status: TransactionStatus = TransactionStatus.COMPLETED
    appointment_id: int | None = None
    payment_method: str | None = None
    payment_reference: str | None = None
    amount_cents: int | None = None
    currency: str | None = None
    key: str | None = None
    by: User | None = None
    reason: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    organization_id: int | None = None
    is_rest: bool = False

    @property
    def given(self) -> frozenset[str]:
        """Which values it has of those that may be left out."""
        values = {
            "appointment": self.appointment_id,
            "payment_method": self.payment_method,
            "payment_reference": self.payment_reference,
            "amount_cents": self.amount_cents,
            "currency": self.currency,
            "key": self.key,
            "by": self.by,
            "reason": self.reason,
            "metadata": self.metadata or None,
            "now": self.now if clock.is_frozen() else None,
        }
        return frozenset([name for name, value in values.items() if value is not None])

    @property
    def is_the_only_one(self) -> bool:
        """Whether there may be no second entry like it."""
        return self.key is not None or self.payment_reference is not None or self.appointment_id is not None

    @property
    def values(self) -> dict[str, Any]:
        """The values of the statements."""
        return {
            "tenant": current().organization_id if self.organization_id is None else self.organization_id,
            "user": self.user_id,
            "amount": self.amount,
            "type": self.kind.value,
            "status": self.status.value,
            "appointment": self.appointment_id,
            "payment_method": self.payment_method,
            "payment_reference": self.payment_reference,
            "amount_cents": self.amount_cents,
            "currency": self.currency,
            "key": self.key,
            "by": None if self.by is None else self.by.id,
            "reason": self.reason,
            "metadata": CreditTransaction.metadata.db_value(self.metadata) if self.metadata else "{}",
            "now": self.now,
        }

    def is_like(self, entry: CreditTransaction) -> bool:
        """Whether `entry` is what was wanted, made earlier."""
        amount = entry.amount if self.is_rest else self.amount
        wanted = (self.user_id, amount, self.kind, self.appointment_id, self.reason)
        made = (entry.user_id, entry.amount, entry.transaction_type, entry.appointment_id, entry.reason)
        paid = (entry.payment_method, entry.payment_reference, entry.idempotency_key)
        money = (self.amount_cents, self.currency) == (entry.amount_cents, entry.currency)
        # What was to count at once is not repeated by what still waits or has failed.
        counts = self.status is TransactionStatus.PENDING or entry.status is TransactionStatus.COMPLETED
        return counts and money and wanted == made and paid == (self.payment_method, self.payment_reference, self.key)
