"""CreditBalance: the credits of a kind that a user has, as the ledger's last entry says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import Check

from rayces_core.fields import GeneratedBigIntegerField, IntegerField
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class CreditBalance(TimestampedTenantModel):
    """The whole credits of a kind that a user has now, never below zero; one per user and kind.

    Without a `credit_kind` it is of the default one; `credit_kind_key` is 0 then, and the kind's id otherwise.
    `in_lots` of them hold until a day, `reserved` are held by pre-confirmed appointments, `expired` go with the next
    sweep. `last_sequence` is the place of its last completed entry: a foreign key says that this is the balance after.
    """

    user = TenantForeignKey(User, backref="credit_balances")
    user_id: int
    credit_kind = TenantForeignKey(CreditKind, backref="credit_balances", null=True)
    credit_kind_id: int | None
    credit_kind_key = GeneratedBigIntegerField(null=True)
    balance = IntegerField(default=0)
    lifetime_purchased = IntegerField(default=0)
    lifetime_used = IntegerField(default=0)
    last_sequence = IntegerField(null=True)
    in_lots = IntegerField(default=0)
    reserved = IntegerField(default=0)
    expired = 0

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        transactions: TenantSelect[Any]
        lots: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "credit_balances"
        merging = {"kept": "user_id"}
        defaults_in_database = True
        constraints = [
            Check("balance >= 0", name="credit_balances_balance_check"),
            Check("lifetime_purchased >= 0", name="credit_balances_lifetime_purchased_check"),
            Check("lifetime_used >= 0", name="credit_balances_lifetime_used_check"),
            Check("last_sequence IS NOT NULL OR balance = 0", name="credit_balances_last_sequence_check"),
            Check("in_lots BETWEEN 0 AND balance", name="credit_balances_in_lots_check"),
            Check("reserved BETWEEN 0 AND balance", name="credit_balances_reserved_check"),
        ]

    @property
    def available(self) -> int:
        """What pays for something: not what is reserved, nor what has expired and is not posted yet."""
        return max(0, self.balance - self.reserved - self.expired)
