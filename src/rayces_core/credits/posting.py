"""An entry that is wanted, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rayces_core import clock
from rayces_core.credits.lot_statements import DRAWS, EXPIRES, FREES, RETURNS, TAKES, TAKES_BACK
from rayces_core.credits.statements import KNOWN
from rayces_core.credits.terms import Terms
from rayces_core.database.binding import current
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.user import User

_NO_PACKAGE: Final = Terms(None, None, None, None)


@dataclass(frozen=True, slots=True)
class Posting:
    """An entry that is wanted: `amount` credits in (above zero) or out (below) of a user's balance of a kind.

    `organization_id` says whose ledger it is for; None is the bound tenant's, and there is none in privileged work.
    `lot_id` is what an expiry takes the rest of. `is_rest` says that the amount is what was left to be given back, so
    that a repetition is one whatever it was. `frees_hold` says that it pays for an appointment that may have reserved
    credits, which are free then. `takes_back` is the purchase whose payment went back. `for_somebody` says that
    it is given, so that none is made for a user who was erased. `terms` are those of the package that is sold: its
    amount and its kind are the package's, and its price is where it `is_at_its_price`, so that a repetition is one
    whatever the package says by then.
    """

    user_id: int
    amount: int
    kind: TransactionType
    now: datetime
    status: TransactionStatus = TransactionStatus.COMPLETED
    credit_kind_id: int | None = None
    terms: Terms | None = None
    takes_back: CreditTransaction | None = None
    lot_id: int | None = None
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
    frees_hold: bool = False
    for_somebody: bool = False
    is_at_its_price: bool = False

    @property
    def given(self) -> frozenset[str]:
        """Which values it has of those that may be left out."""
        values = {
            "appointment": self.appointment_id,
            "payment_method": self.payment_method,
            "payment_reference": self.payment_reference,
            "amount_cents": self.amount_cents,
            "currency": self.currency,
            **self._sold,
            **self._purchase,
            EXPIRES: self.lot_id,
            TAKES: True if self.amount < 0 else None,
            DRAWS: self._draws or None,
            FREES: self.frees_hold or None,
            KNOWN: self.for_somebody or None,
            RETURNS: True if self.amount > 0 and self.appointment_id is not None else None,
            "key": self.key,
            "by": self.by,
            "reason": self.reason,
            "metadata": self.metadata or None,
            "now": self.now if clock.is_frozen() else None,
        }
        return frozenset([name for name, value in values.items() if value is not None])

    @property
    def _draws(self) -> bool:
        """Whether lots are looked at, and the balance locked before, without a first look at the balance alone."""
        is_certain = self.credit_kind_id is not None or self.takes_back is not None
        return self.amount < 0 and self.lot_id is None and is_certain

    @property
    def _sold(self) -> dict[str, Any]:
        """Which package is sold, and on which terms."""
        terms = self.terms or _NO_PACKAGE
        return {
            "package": terms.package_id,
            "package_name": terms.name,
            "valid_days": terms.valid_days,
            "valid_until": terms.valid_until,
        }

    @property
    def _takes_back(self) -> tuple[int | None, int | None]:
        bought = self.takes_back
        return (None, None) if bought is None else (bought.credit_balance_id, bought.sequence)

    @property
    def _purchase(self) -> dict[str, int | None]:
        """Which purchase is taken back: its id, and its place in the ledger."""
        balance_id, sequence = self._takes_back
        bought_id = None if self.takes_back is None else self.takes_back.id
        return {TAKES_BACK: bought_id, "takes_back_balance": balance_id, "takes_back_sequence": sequence}

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
            "credit_kind": self.credit_kind_id or 0,
            "credit_kind_id": self.credit_kind_id,
            "amount": self.amount,
            "type": self.kind.value,
            "status": self.status.value,
            "appointment": self.appointment_id,
            "payment_method": self.payment_method,
            "payment_reference": self.payment_reference,
            "amount_cents": self.amount_cents,
            "currency": self.currency,
            **self._sold,
            **self._purchase,
            "lot": self.lot_id,
            "key": self.key,
            "by": None if self.by is None else self.by.id,
            "reason": self.reason,
            "metadata": CreditTransaction.metadata.db_value(self.metadata) if self.metadata else "{}",
            "now": self.now,
        }

    def is_like(self, entry: CreditTransaction) -> bool:
        """Whether `entry` is what was wanted, made earlier."""
        paid = (entry.payment_method, entry.payment_reference, entry.idempotency_key)
        # What was to count at once is not repeated by what still waits or has failed.
        counts = self.status is TransactionStatus.PENDING or entry.status is TransactionStatus.COMPLETED
        same = (self.payment_method, self.payment_reference, self.key)
        return counts and self._facts(entry) == self._wanted and paid == same and self._costs_what(entry)

    @property
    def _wanted(self) -> tuple[Any, ...]:
        amount = None if self.is_rest or self.terms is not None else self.amount
        kind = None if self.terms is not None else self.credit_kind_id
        of = (self.user_id, kind, self._sold["package"], self._takes_back)
        return (*of, amount, self.kind, self.appointment_id, self.reason)

    def _facts(self, entry: CreditTransaction) -> tuple[Any, ...]:
        """The same of an entry."""
        amount = None if self.is_rest or self.terms is not None else entry.amount
        kind = None if self.terms is not None else entry.credit_kind_id
        takes_back = (entry.takes_back_balance_id, entry.takes_back_sequence)
        of = (entry.user_id, kind, entry.credit_package_id, takes_back)
        return (*of, amount, entry.transaction_type, entry.appointment_id, entry.reason)

    def _costs_what(self, entry: CreditTransaction) -> bool:
        money = (self.amount_cents, self.currency) == (entry.amount_cents, entry.currency)
        return self.is_at_its_price or money
