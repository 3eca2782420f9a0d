"""A debit may stand for something else than an appointment; a refund always refers to the one it gives back for."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

RULE = "credit_transactions_appointment_id_check"
REFUNDS = "transaction_type <> 'cancellation_refund' OR appointment_id IS NOT NULL"
DEBITS_TOO = "transaction_type NOT IN ('appointment_debit', 'cancellation_refund') OR appointment_id IS NOT NULL"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    exchange(migrator, REFUNDS)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    exchange(migrator, DEBITS_TOO)


def exchange(migrator: Migrator, condition: str) -> None:
    # One statement, so that there is no moment without a rule.
    migrator.sql(f"""
        ALTER TABLE credit_transactions
            DROP CONSTRAINT IF EXISTS {RULE},
            ADD CONSTRAINT {RULE} CHECK ({condition}) NOT VALID
    """)
    migrator.sql(f"ALTER TABLE credit_transactions VALIDATE CONSTRAINT {RULE}")
