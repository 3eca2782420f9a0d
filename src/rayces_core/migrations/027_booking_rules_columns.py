"""Whether an appointment may overlap others of its student and client; what a repeated move is known by."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE appointments ADD COLUMN allows_overlap boolean DEFAULT false NOT NULL")
    migrator.sql(f"GRANT UPDATE (allows_overlap) ON appointments TO {quote_identifier(database.app_role)}")
    # The journal keeps every move, so it is the place that still knows one after a later one.
    migrator.sql("""
        ALTER TABLE state_transitions
            ADD COLUMN idempotency_key character varying,
            ADD COLUMN request_fingerprint character varying
    """)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE state_transitions
            DROP COLUMN idempotency_key,
            DROP COLUMN request_fingerprint
    """)
    migrator.sql("ALTER TABLE appointments DROP COLUMN allows_overlap")
