"""Hours that change: schedules from a day on, dates with hours of their own, and time before each session."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

LISTS = ("dated_schedules", "date_overrides")
BUFFER = "professionals_buffer_before_minutes_check"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE professionals
            ADD COLUMN dated_schedules jsonb DEFAULT '[]' NOT NULL,
            ADD COLUMN date_overrides jsonb DEFAULT '[]' NOT NULL,
            ADD COLUMN buffer_before_minutes integer DEFAULT 0 NOT NULL
    """)
    for column in LISTS:
        name = f"professionals_{column}_check"
        migrator.sql(
            f"ALTER TABLE professionals ADD CONSTRAINT {name} CHECK (jsonb_typeof({column}) = 'array') NOT VALID"
        )
        migrator.sql(f"ALTER TABLE professionals VALIDATE CONSTRAINT {name}")
    migrator.sql(
        f"ALTER TABLE professionals ADD CONSTRAINT {BUFFER} CHECK (buffer_before_minutes BETWEEN 0 AND 1440) NOT VALID"
    )
    migrator.sql(f"ALTER TABLE professionals VALIDATE CONSTRAINT {BUFFER}")
    migrator.sql(
        f"GRANT UPDATE ({', '.join(LISTS)}, buffer_before_minutes) ON professionals "
        f"TO {quote_identifier(database.app_role)}"
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE professionals
            DROP COLUMN IF EXISTS buffer_before_minutes,
            DROP COLUMN IF EXISTS date_overrides,
            DROP COLUMN IF EXISTS dated_schedules
    """)
