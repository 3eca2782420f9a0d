"""A session may need time before it as well, so what it occupies begins so many minutes ahead of its start.

And those of one group session may overlap, as they share one number; no others do. It is the same rule, so it is made
once.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

HELD = "WHERE (state IN ('pre_confirmed', 'confirmed', 'executed', 'no_show'))"
NAME = "appointments_no_overlap"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # It writes the table anew, once and for all of it: a generated column and a rule of ranges cannot come any other
    # way. As with the column that tells the end, going through UTC keeps the sum immutable.
    migrator.sql(f"""
        ALTER TABLE appointments
            ADD COLUMN buffer_before_minutes integer DEFAULT 0 NOT NULL,
            ADD COLUMN occupied_from timestamp with time zone GENERATED ALWAYS AS (
                (scheduled_at AT TIME ZONE 'UTC' - make_interval(mins => buffer_before_minutes)) AT TIME ZONE 'UTC'
            ) STORED,
            DROP CONSTRAINT {NAME},
            ADD CONSTRAINT {NAME} EXCLUDE USING gist (
                organization_id WITH =,
                professional_id WITH =,
                tstzrange(occupied_from, occupied_until) WITH &&,
                coalesce(group_session_id, -id) WITH <>
            ) {HELD}
    """)
    migrator.sql(
        "ALTER TABLE appointments ADD CONSTRAINT appointments_buffer_before_minutes_check "
        "CHECK (buffer_before_minutes BETWEEN 0 AND 1440) NOT VALID"
    )
    migrator.sql("ALTER TABLE appointments VALIDATE CONSTRAINT appointments_buffer_before_minutes_check")
    migrator.sql(f"GRANT UPDATE (buffer_before_minutes) ON appointments TO {quote_identifier(database.app_role)}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"""
        ALTER TABLE appointments
            DROP CONSTRAINT {NAME},
            ADD CONSTRAINT {NAME} EXCLUDE USING gist (
                organization_id WITH =,
                professional_id WITH =,
                tstzrange(scheduled_at, occupied_until) WITH &&
            ) {HELD}
    """)
    migrator.sql("ALTER TABLE appointments DROP COLUMN occupied_from, DROP COLUMN buffer_before_minutes")
