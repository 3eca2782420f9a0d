"""What a repeated booking request is known by, and which reminder of an appointment was given out."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE appointments
            ADD COLUMN idempotency_key character varying,
            ADD COLUMN request_fingerprint character varying,
            ADD COLUMN reminder_minutes integer
    """)
    # A request stays what it was, so only the reminder may be written later.
    migrator.sql(f"GRANT UPDATE (reminder_minutes) ON appointments TO {quote_identifier(database.app_role)}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE appointments
            DROP COLUMN idempotency_key,
            DROP COLUMN request_fingerprint,
            DROP COLUMN reminder_minutes
    """)
