"""CreditLot and CreditLotMovement: credits that hold until a moment, what is left of them, and what moved that.

Rule: what is left of a lot is the sum of its movements. Only the credits module writes these tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import SQL, Check

from rayces_core.fields import IntegerField, UTCDateTimeField
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.tenancy.model import TenantForeignKey, TenantModel, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class CreditLot(TimestampedTenantModel):
    """The credits of one purchase that hold until a moment: `remaining` of `credits` are left of them.

    `credit_transaction` is the entry that opened it, the purchase; `purchase` is that where another one did, as a
    duplicate's credits were handed over. What a balance has in all its lots is its `in_lots`; the rest holds for ever.
    """

    credit_balance = TenantForeignKey(CreditBalance, backref="lots")
    credit_balance_id: int
    credit_transaction = TenantForeignKey(CreditTransaction, backref="lots")
    credit_transaction_id: int
    purchase = TenantForeignKey(CreditTransaction, backref="handed_lots", null=True)
    purchase_id: int | None
    credits = IntegerField()
    remaining = IntegerField()
    expires_at = UTCDateTimeField()

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        movements: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "credit_lots"
        defaults_in_database = True
        constraints = [
            Check("credits > 0", name="credit_lots_credits_check"),
            Check("remaining BETWEEN 0 AND credits", name="credit_lots_remaining_check"),
        ]


class CreditLotMovement(TenantModel):
    """What an entry of the ledger put into a lot (above zero) or took out of it (below)."""

    credit_lot = TenantForeignKey(CreditLot, backref="movements")
    credit_lot_id: int
    credit_transaction = TenantForeignKey(CreditTransaction, backref="lot_movements")
    credit_transaction_id: int
    amount = IntegerField()

    class Meta:
        """The table and its rules."""

        table_name = "credit_lot_movements"
        defaults_in_database = True
        constraints = [Check("amount <> 0", name="credit_lot_movements_amount_check")]


CreditLot.add_index(
    CreditLot.organization,
    CreditLot.credit_transaction,
    unique=True,
    name="credit_lots_organization_id_credit_transaction_id_key",
)
CreditLot.add_index(
    CreditLot.organization,
    CreditLot.credit_balance,
    CreditLot.expires_at,
    CreditLot.id,
    name="index_credit_lots_on_credit_balance_id",
)
CreditLot.add_index(
    CreditLot.organization,
    CreditLot.expires_at,
    where=SQL("remaining > 0"),
    name="index_credit_lots_on_expires_at",
)
CreditLot.add_index(
    CreditLot.organization,
    CreditLot.purchase,
    where=SQL("purchase_id IS NOT NULL"),
    name="index_credit_lots_on_purchase_id",
)
CreditLotMovement.add_index(
    CreditLotMovement.organization,
    CreditLotMovement.credit_transaction,
    CreditLotMovement.credit_lot,
    unique=True,
    name="credit_lot_movements_credit_transaction_id_credit_lot_id_key",
)
CreditLotMovement.add_index(
    CreditLotMovement.organization, CreditLotMovement.credit_lot, name="index_credit_lot_movements_on_credit_lot_id"
)
