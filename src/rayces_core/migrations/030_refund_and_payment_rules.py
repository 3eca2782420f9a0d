"""Refunds of a debit are a chain that never gives back more than was taken; a failed payment may succeed later.

Each refund goes on from what the debit, or the refund before, left to be given back: of the same balance and the same
appointment, by a foreign key. No two go on from the same one, and none leaves less than nothing.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

LEFT = "credit_transactions_refundable_key"
PLACE = "index_credit_transactions_on_refundable_before"
PAYMENT = "index_credit_transactions_on_live_payment"
ATTEMPT = "credit_transactions_payment_attempt_key"
BEFORE = "organization_id, credit_balance_id, appointment_id, refundable_before"
AFTER = "organization_id, credit_balance_id, appointment_id, refundable_after"
# The appointment first: an index that begins with the organization would be taken for the chain's own keys while the
# table has no statistics yet, and all entries of a balance be read for each new one.
IN_ORDER = "appointment_id, organization_id, credit_balance_id, refundable_after"
ONE_REFUND = "index_credit_transactions_on_live_refund"
ONE_PAYMENT = "credit_transactions_payment_method_payment_reference_key"

INDEXES = (
    (LEFT, IN_ORDER, ""),
    (PLACE, "organization_id, appointment_id, refundable_before", "WHERE refundable_before IS NOT NULL"),
    (
        PAYMENT,
        "organization_id, payment_method, payment_reference",
        "WHERE payment_reference IS NOT NULL AND status <> 'failed'",
    ),
    (
        ATTEMPT,
        "organization_id, payment_method, payment_reference, payment_attempt",
        "WHERE payment_reference IS NOT NULL",
    ),
)
REFUNDABLE = """CASE
    WHEN status <> 'completed' OR appointment_id IS NULL THEN refundable_before IS NULL AND refundable_after IS NULL
    WHEN transaction_type = 'appointment_debit'
        THEN refundable_before IS NULL AND coalesce(refundable_after = -amount, false)
    WHEN transaction_type = 'cancellation_refund'
        THEN coalesce(refundable_after = refundable_before - amount AND refundable_after >= 0, false)
    ELSE refundable_before IS NULL AND refundable_after IS NULL
END"""
RULES = (
    ("credit_transactions", "credit_transactions_refundable_after_check", f"CHECK ({REFUNDABLE})"),
    (
        "credit_transactions",
        "credit_transactions_refundable_before_fkey",
        f"FOREIGN KEY ({BEFORE}) REFERENCES credit_transactions ({AFTER})",
    ),
    ("credit_transactions", "credit_transactions_payment_attempt_check", "CHECK (payment_attempt > 0)"),
    *(
        ("credit_transactions", f"credit_transactions_{column}_check", f"CHECK (btrim({column}) <> '')")
        for column in ("idempotency_key", "payment_method", "payment_reference")
    ),
    ("appointments", "appointments_idempotency_key_check", "CHECK (btrim(idempotency_key) <> '')"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for name, columns, condition in INDEXES:
        migrator.sql(
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {name} ON credit_transactions ({columns}) {condition}"
        )
    for table, name, rule in RULES:
        migrator.sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {rule} NOT VALID")
    for table, name, _ in RULES:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    # What they replace goes last, so that there is no moment without a rule.
    migrator.sql(f"ALTER TABLE credit_transactions DROP CONSTRAINT IF EXISTS {ONE_PAYMENT}")
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {ONE_REFUND}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    payment = "organization_id, payment_method, payment_reference"
    migrator.sql(f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {ONE_PAYMENT} ON credit_transactions ({payment})")
    migrator.sql(f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = '{ONE_PAYMENT}'
                              AND conrelid = 'credit_transactions'::regclass) THEN
                ALTER TABLE credit_transactions ADD CONSTRAINT {ONE_PAYMENT} UNIQUE USING INDEX {ONE_PAYMENT};
            END IF;
        END $$
    """)
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {ONE_REFUND} ON credit_transactions "
        "(organization_id, appointment_id) WHERE transaction_type = 'cancellation_refund' AND status <> 'failed'"
    )
    for table, name, _ in reversed(RULES):
        migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
    for name, _, _ in reversed(INDEXES):
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
