"""How long a leave lasts, what a session and a purchase cost when they were made, and what a change has overwritten."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app = quote_identifier(database.app_role)
    migrator.sql("ALTER TABLE students ADD COLUMN on_leave_until date")
    migrator.sql("""
        ALTER TABLE appointments
            ADD COLUMN price_cents integer,
            ADD COLUMN currency character varying
    """)
    migrator.sql(f"GRANT UPDATE (on_leave_until) ON students TO {app}")
    migrator.sql(f"GRANT UPDATE (price_cents, currency) ON appointments TO {app}")
    # What was paid and what a change has overwritten stays as it was written, so nobody may update these.
    migrator.sql("""
        ALTER TABLE credit_transactions
            ADD COLUMN amount_cents bigint,
            ADD COLUMN currency character varying
    """)
    migrator.sql("ALTER TABLE state_transitions ADD COLUMN details jsonb DEFAULT '{}' NOT NULL")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE state_transitions DROP COLUMN details")
    migrator.sql("""
        ALTER TABLE credit_transactions
            DROP COLUMN amount_cents,
            DROP COLUMN currency
    """)
    migrator.sql("""
        ALTER TABLE appointments
            DROP COLUMN price_cents,
            DROP COLUMN currency
    """)
    migrator.sql("ALTER TABLE students DROP COLUMN on_leave_until")
