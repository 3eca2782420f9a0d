"""A student has one seat in a group session, whoever books; and the last day of a package is one that a lot can have."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

SEAT = "appointments_organization_id_group_session_id_student_id_key"
LAST_DAY = "credit_packages_last_day_check"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {SEAT} "
        "ON appointments (organization_id, group_session_id, student_id) WHERE seat IS NOT NULL"
    )
    # Its credits hold until the midnight after it, and no program reads a moment of the year 10000.
    migrator.sql(f"ALTER TABLE credit_packages DROP CONSTRAINT IF EXISTS {LAST_DAY}")
    migrator.sql(
        f"ALTER TABLE credit_packages ADD CONSTRAINT {LAST_DAY} CHECK (valid_until < DATE '9999-01-01') NOT VALID"
    )
    migrator.sql(f"ALTER TABLE credit_packages VALIDATE CONSTRAINT {LAST_DAY}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"ALTER TABLE credit_packages DROP CONSTRAINT IF EXISTS {LAST_DAY}")
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {SEAT}")
