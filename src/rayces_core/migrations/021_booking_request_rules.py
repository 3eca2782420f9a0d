"""A booking request is carried out once: its key is unique within the organization, and comes with what was asked."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

KEY = "appointments_organization_id_idempotency_key_key"
RULES = ("appointments_request_fingerprint_check", "appointments_reminder_minutes_check")


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # The rules bind new rows first, then the old ones are read under a lock that disturbs nobody.
    migrator.sql("""
        ALTER TABLE appointments
            ADD CONSTRAINT appointments_request_fingerprint_check
                CHECK ((request_fingerprint IS NULL) = (idempotency_key IS NULL)) NOT VALID,
            ADD CONSTRAINT appointments_reminder_minutes_check CHECK (reminder_minutes > 0) NOT VALID
    """)
    for rule in RULES:
        migrator.sql(f"ALTER TABLE appointments VALIDATE CONSTRAINT {rule}")
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {KEY} ON appointments (organization_id, idempotency_key) "
        "WHERE idempotency_key IS NOT NULL"
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {KEY}")
    for rule in RULES:
        migrator.sql(f"ALTER TABLE appointments DROP CONSTRAINT IF EXISTS {rule}")
