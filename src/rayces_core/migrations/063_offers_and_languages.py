"""An offer of a time is told by a notice of its own, where it was told as a booking; and users' own languages."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

EVENTS = "notices_event_check"
LANGUAGES = "users_language_check"
# What was told stays told. Row-level security would hide the rows from the owner of the tables.
AS_BOOKINGS = """
    SET LOCAL ROLE {admin};
    UPDATE notices SET event = 'booked' WHERE event = 'offered';
    RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    exchange(migrator, "'reminder', 'booked', 'offered', 'confirmed', 'moved', 'cancelled'")
    migrator.sql("ALTER TABLE users ADD COLUMN language character varying")
    migrator.sql(f"ALTER TABLE users ADD CONSTRAINT {LANGUAGES} CHECK (language IN ('en', 'es')) NOT VALID")
    migrator.sql(f"ALTER TABLE users VALIDATE CONSTRAINT {LANGUAGES}")
    migrator.sql(f"GRANT UPDATE (language) ON users TO {quote_identifier(database.app_role)}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE users DROP COLUMN IF EXISTS language")
    migrator.sql(AS_BOOKINGS.format(admin=quote_identifier(database.admin_role)))
    exchange(migrator, "'reminder', 'booked', 'confirmed', 'moved', 'cancelled'")


def exchange(migrator: Migrator, events: str) -> None:
    # In one transaction, so that there is no moment without a rule; Citus takes nothing else beside ADD CONSTRAINT.
    migrator.sql(f"""
        ALTER TABLE notices DROP CONSTRAINT IF EXISTS {EVENTS};
        ALTER TABLE notices ADD CONSTRAINT {EVENTS} CHECK (event IN ({events})) NOT VALID
    """)
    migrator.sql(f"ALTER TABLE notices VALIDATE CONSTRAINT {EVENTS}")
