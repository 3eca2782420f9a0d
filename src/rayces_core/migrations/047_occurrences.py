"""Which series an appointment is of, and which occurrence of it: each occurrence is one appointment."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

OCCURRENCE = "appointments_occurrence_at_check"
KEY = "appointments_organization_id_series_id_occurrence_at_key"
REFERENCE = "appointments_organization_id_series_id_fkey"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app = quote_identifier(database.app_role)
    # No row has one yet, so the rules are of no row.
    migrator.sql(
        "ALTER TABLE appointments ADD COLUMN series_id bigint, ADD COLUMN occurrence_at timestamp with time zone"
    )
    migrator.sql(f"GRANT UPDATE (series_id, occurrence_at) ON appointments TO {app}")
    migrator.sql(
        f"ALTER TABLE appointments ADD CONSTRAINT {OCCURRENCE} "
        "CHECK ((series_id IS NULL) = (occurrence_at IS NULL)) NOT VALID"
    )
    migrator.sql(
        f"ALTER TABLE appointments ADD CONSTRAINT {REFERENCE} "
        "FOREIGN KEY (organization_id, series_id) REFERENCES appointment_series (organization_id, id) NOT VALID"
    )
    migrator.sql(f"ALTER TABLE appointments VALIDATE CONSTRAINT {OCCURRENCE}")
    migrator.sql(f"ALTER TABLE appointments VALIDATE CONSTRAINT {REFERENCE}")
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {KEY} "
        "ON appointments (organization_id, series_id, occurrence_at) WHERE series_id IS NOT NULL"
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {KEY}")
    migrator.sql(f"ALTER TABLE appointments DROP CONSTRAINT IF EXISTS {REFERENCE}")
    migrator.sql("ALTER TABLE appointments DROP COLUMN IF EXISTS series_id, DROP COLUMN IF EXISTS occurrence_at")
