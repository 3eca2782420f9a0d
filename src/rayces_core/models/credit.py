"""CreditTransaction: the ledger that explains the credits which a user buys and spends.

Rule: `balance` is the sum of the completed transactions. Only the credits module writes these tables.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from peewee import SQL, Check, ModelSelect

from rayces_core.fields import (
    BigIntegerField,
    CurrencyField,
    DateField,
    EnumField,
    GeneratedBigIntegerField,
    IntegerField,
    JSONField,
    StateField,
    StringField,
    UTCDateTimeField,
)
from rayces_core.fields.schemas import Metadata
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.credit_package import MOST_DAYS, CreditPackage
from rayces_core.models.credit_settling import HELD, IS_SETTLED, SETTLE, SETTLED
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.state_machine import Predicate, StateMachine, Writes
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel


class TransactionType(StrEnum):
    """Why credits moved."""

    PURCHASE = "purchase"
    APPOINTMENT_DEBIT = "appointment_debit"
    CANCELLATION_REFUND = "cancellation_refund"
    ADMIN_ADJUSTMENT = "admin_adjustment"
    EXPIRY = "expiry"


class TransactionStatus(StrEnum):
    """Whether a transaction counts; only a completed one does."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self is not TransactionStatus.PENDING


PENDING, COMPLETED, FAILED = TransactionStatus
# What a message about an entry has besides.
TOLD = (
    *("user", "credit_kind", "credit_package", "appointment", "amount", "transaction_type", "status", "balance_after"),
    *("payment_method", "payment_reference", "amount_cents", "currency"),
)


class CreditTransaction(TimestampedTenantModel):
    """One entry of the ledger: `amount` credits in (above zero) or out (below), and the balance after it.

    The completed entries of a balance are a chain: `sequence` counts them, and each goes on from the `balance_after` of
    the one before (`previous_sequence`, `balance_before`); foreign keys say so. `processed_at` never runs backwards.
    Its kind is its balance's, which a foreign key says as well.
    An appointment's debit and the refunds of it are a chain as well: `refundable_after` is what is left to give back.
    `payment_attempt` counts the entries of one payment: the second follows the first, which failed.
    `takes_back` is the purchase whose payment went back, by its balance and its place there.
    `package_name`, `valid_days` and `valid_until` are what a package was sold as, whatever becomes of it.
    """

    user = TenantForeignKey(User, backref="credit_transactions")
    user_id: int
    credit_balance = TenantForeignKey(CreditBalance, backref="transactions")
    credit_balance_id: int
    credit_kind = TenantForeignKey(CreditKind, backref="credit_transactions", null=True)
    credit_kind_id: int | None
    credit_kind_key = GeneratedBigIntegerField(null=True)
    appointment = TenantForeignKey(Appointment, backref="credit_transactions", null=True)
    appointment_id: int | None
    amount = IntegerField()
    transaction_type = EnumField(TransactionType)
    status = StateField(TransactionStatus, default=TransactionStatus.PENDING)
    metadata: JSONField[dict[str, Any]] = JSONField(Metadata, default=dict)
    payment_method = StringField(null=True)
    payment_reference = StringField(null=True)
    amount_cents = BigIntegerField(null=True)
    currency = CurrencyField(null=True)
    # The default is told, so that one that was just made need not be read before it is completed.
    credit_package = TenantForeignKey(CreditPackage, backref="credit_transactions", null=True, default=lambda: None)
    credit_package_id: int | None
    package_name = StringField(null=True)
    valid_days = IntegerField(null=True)
    valid_until = DateField(null=True)
    takes_back_balance = TenantForeignKey(CreditBalance, backref="taken_back", null=True, default=lambda: None)
    takes_back_balance_id: int | None
    takes_back_sequence = IntegerField(null=True)
    payment_attempt = IntegerField(default=1)
    processed_at = UTCDateTimeField(null=True)
    balance_before = IntegerField(null=True)
    balance_after = IntegerField(null=True)
    sequence = IntegerField(null=True)
    previous_sequence = IntegerField(null=True)
    refundable_before = IntegerField(null=True)
    refundable_after = IntegerField(null=True)
    idempotency_key = StringField(null=True)
    created_by = TenantForeignKey(User, backref="created_credit_transactions", null=True)
    created_by_id: int | None
    reason = StringField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "credit_transactions"
        personal = {
            "words": "reason metadata",
            "kept": "payment_method payment_reference idempotency_key",
            "plain": "transaction_type status currency package_name",
        }
        merging = {"kept": "user_id created_by_id"}
        defaults_in_database = True
        constraints = [
            Check(
                "transaction_type IN "
                "('purchase', 'appointment_debit', 'cancellation_refund', 'admin_adjustment', 'expiry')",
                name="credit_transactions_transaction_type_check",
            ),
            Check("status IN ('pending', 'completed', 'failed')", name="credit_transactions_status_check"),
            Check(
                "CASE transaction_type WHEN 'appointment_debit' THEN amount < 0 WHEN 'expiry' THEN amount < 0 "
                "WHEN 'admin_adjustment' THEN amount <> 0 ELSE amount > 0 END",
                name="credit_transactions_amount_check",
            ),
            Check(
                "(balance_after IS NOT NULL) = (status = 'completed') AND coalesce(balance_after, 0) >= 0",
                name="credit_transactions_balance_after_check",
            ),
            Check(
                "(sequence IS NOT NULL) = (status = 'completed') AND coalesce(sequence, 1) > 0",
                name="credit_transactions_sequence_check",
            ),
            Check(
                "previous_sequence IS NOT DISTINCT FROM nullif(sequence - 1, 0)",
                name="credit_transactions_previous_sequence_check",
            ),
            Check(
                "balance_before IS NOT DISTINCT FROM balance_after - amount "
                "AND (sequence > 1 OR coalesce(balance_before, 0) = 0)",
                name="credit_transactions_balance_before_check",
            ),
            Check("(processed_at IS NOT NULL) = (status <> 'pending')", name="credit_transactions_processed_at_check"),
            Check(
                "transaction_type <> 'cancellation_refund' OR appointment_id IS NOT NULL",
                name="credit_transactions_appointment_id_check",
            ),
            Check(
                "transaction_type <> 'admin_adjustment' OR coalesce(btrim(reason), '') <> ''",
                name="credit_transactions_reason_check",
            ),
            Check(
                "transaction_type <> 'admin_adjustment' OR created_by_id IS NOT NULL OR appointment_id IS NOT NULL",
                name="credit_transactions_created_by_id_check",
            ),
            Check("jsonb_typeof(metadata) = 'object'", name="credit_transactions_metadata_check"),
            Check(
                "CASE WHEN status <> 'completed' OR appointment_id IS NULL "
                "THEN refundable_before IS NULL AND refundable_after IS NULL "
                "WHEN transaction_type = 'appointment_debit' "
                "THEN refundable_before IS NULL AND coalesce(refundable_after = -amount, false) "
                "WHEN transaction_type = 'cancellation_refund' "
                "THEN coalesce(refundable_after = refundable_before - amount AND refundable_after >= 0, false) "
                "ELSE refundable_before IS NULL AND refundable_after IS NULL END",
                name="credit_transactions_refundable_after_check",
            ),
            Check("payment_attempt > 0", name="credit_transactions_payment_attempt_check"),
            Check("btrim(idempotency_key) <> ''", name="credit_transactions_idempotency_key_check"),
            Check("btrim(payment_method) <> ''", name="credit_transactions_payment_method_check"),
            Check("btrim(payment_reference) <> ''", name="credit_transactions_payment_reference_check"),
            Check(
                "(amount_cents IS NULL) = (currency IS NULL) "
                "AND (amount_cents IS NULL OR amount_cents >= 0 AND transaction_type = 'purchase')",
                name="credit_transactions_amount_cents_check",
            ),
            Check("currency ~ '^[A-Z]{3}$'", name="credit_transactions_currency_check"),
            Check(
                "credit_package_id IS NULL OR transaction_type = 'purchase'",
                name="credit_transactions_credit_package_id_check",
            ),
            Check(
                "package_name IS NULL OR credit_package_id IS NOT NULL", name="credit_transactions_package_name_check"
            ),
            Check(
                f"valid_days IS NULL OR package_name IS NOT NULL AND valid_days BETWEEN 0 AND {MOST_DAYS}",
                name="credit_transactions_valid_days_check",
            ),
            Check(
                "valid_until IS NULL OR package_name IS NOT NULL AND valid_days IS NULL "
                "AND valid_until < DATE '9999-01-01'",
                name="credit_transactions_valid_until_check",
            ),
            Check(
                "(takes_back_balance_id IS NULL) = (takes_back_sequence IS NULL) "
                "AND (takes_back_sequence IS NULL OR amount < 0 AND appointment_id IS NULL "
                "AND transaction_type IN ('appointment_debit', 'admin_adjustment'))",
                name="credit_transactions_takes_back_sequence_check",
            ),
        ]

    @property
    def retries(self) -> CreditTransaction | None:
        """The entry of the same payment that failed before this one; None for a first attempt."""
        if self.payment_reference is None or self.payment_attempt == 1:
            return None
        model = CreditTransaction
        same = (model.payment_method == self.payment_method) & (model.payment_reference == self.payment_reference)
        same &= model.payment_attempt == self.payment_attempt - 1
        return model.get_or_none(same & (model.organization == self.organization_id))

    @property
    def takes_back(self) -> CreditTransaction | None:
        """The purchase that this entry takes back; None for another one."""
        model = CreditTransaction
        place = (model.credit_balance == self.takes_back_balance_id) & (model.sequence == self.takes_back_sequence)
        return model.get_or_none(place & (model.organization == self.organization_id))

    # Every entry that begins to count is announced as "posted", by whichever way it came.
    lifecycle = StateMachine(
        "status",
        TransactionStatus,
        journal=StateTransition,
        keeping=("posted",),
        also={"complete": "posted"},
        tells=TOLD,
    )

    if TYPE_CHECKING:
        can_complete: Predicate
        can_fail: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]

    @lifecycle.transition(
        source=PENDING,
        target=COMPLETED,
        stamp="processed_at",
        permitted=(STAFF,),
        database_guard=IS_SETTLED,
        steps=HELD,
        afterwards=SETTLE,
    )
    def complete(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Let the entry count: the balance moves by `amount` in the same statement.

        Raises:
            CheckFailedError: the balance would go below zero. BalanceTooLargeError: no balance can hold that much.
            InvalidTransitionError: it is final already. PackageExpiredError: what was bought held until a day that is
                over.
        """
        return SETTLED

    @lifecycle.transition(source=PENDING, target=FAILED, stamp="processed_at", permitted=(STAFF,))
    def fail(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Close the entry without counting it; the reason goes into the journal."""


CreditBalance.add_index(
    CreditBalance.organization,
    CreditBalance.user,
    CreditBalance.credit_kind_key,
    unique=True,
    name="credit_balances_user_id_credit_kind_key_key",
)
# What the ledger refers to, so that an entry cannot name another user's balance, or one of another kind.
CreditBalance.add_index(
    CreditBalance.organization,
    CreditBalance.id,
    CreditBalance.user,
    CreditBalance.credit_kind_key,
    unique=True,
    name="credit_balances_whose_key",
)
CreditBalance.add_index(
    CreditBalance.organization,
    CreditBalance.credit_kind,
    where=SQL("credit_kind_id IS NOT NULL"),
    name="index_credit_balances_on_credit_kind_id",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.credit_kind,
    where=SQL("credit_kind_id IS NOT NULL"),
    name="index_credit_transactions_on_credit_kind_id",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.idempotency_key,
    unique=True,
    name="credit_transactions_organization_id_idempotency_key_key",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.payment_method,
    CreditTransaction.payment_reference,
    unique=True,
    where=SQL("payment_reference IS NOT NULL AND status <> 'failed'"),
    name="index_credit_transactions_on_live_payment",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.payment_method,
    CreditTransaction.payment_reference,
    CreditTransaction.payment_attempt,
    unique=True,
    where=SQL("payment_reference IS NOT NULL"),
    name="credit_transactions_payment_attempt_key",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.appointment,
    unique=True,
    where=SQL("transaction_type = 'appointment_debit' AND status <> 'failed'"),
    name="index_credit_transactions_on_live_debit",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.appointment,
    CreditTransaction.refundable_before,
    unique=True,
    where=SQL("refundable_before IS NOT NULL"),
    name="index_credit_transactions_on_refundable_before",
)
CreditTransaction.add_index(
    CreditTransaction.appointment,
    CreditTransaction.organization,
    CreditTransaction.credit_balance,
    CreditTransaction.refundable_after,
    unique=True,
    name="credit_transactions_refundable_key",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.credit_balance,
    CreditTransaction.sequence,
    unique=True,
    name="credit_transactions_credit_balance_id_sequence_key",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.credit_balance,
    CreditTransaction.sequence,
    CreditTransaction.balance_after,
    unique=True,
    name="credit_transactions_chain_key",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.credit_package,
    where=SQL("credit_package_id IS NOT NULL"),
    name="index_credit_transactions_on_credit_package_id",
)
CreditTransaction.add_index(
    CreditTransaction.organization,
    CreditTransaction.takes_back_balance,
    CreditTransaction.takes_back_sequence,
    where=SQL("takes_back_balance_id IS NOT NULL"),
    name="index_credit_transactions_on_takes_back_balance_id",
)
