"""Which moments nobody told, but an import or an adoption made up; and when a session was to be that was moved."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False  # or the rows would be written under the lock that adding columns takes

# The journal is kept as it was written, for every role; for the owner this opens it until the mark is set.
OPEN = """
DROP POLICY IF EXISTS rayces_backfill ON state_transitions;
CREATE POLICY rayces_backfill ON state_transitions TO CURRENT_USER USING (true) WITH CHECK (true)
"""
CLOSE = "DROP POLICY IF EXISTS rayces_backfill ON state_transitions"
# Which of them the file did tell is not known any more; what is not known is not believed.
MADE_UP = "reason IN ('imported', 'adopted') AND actor_id IS NULL AND subject_type IN ('Appointment', 'Student')"
JOURNAL = f"UPDATE state_transitions SET made_up = true WHERE NOT made_up AND {MADE_UP}"
# It was told in words alone.
MOVED = r"""
UPDATE state_transitions
   SET details = details || jsonb_build_object('scheduled_at', to_char(
           substring(reason FROM '^from (\S{19}[+]00:00)')::timestamptz AT TIME ZONE 'UTC',
           'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
 WHERE subject_type = 'Appointment' AND event = 'reschedule' AND NOT details ? 'scheduled_at'
   AND reason ~ '^from [0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:00[+]00:00'
"""
# An appointment without a moment of its own got that of its import; after its start it was booked by nobody.
BOOKED = """
SET LOCAL ROLE {admin};
UPDATE appointments AS booked SET created_at_made_up = true
 WHERE NOT created_at_made_up AND (EXISTS (
           SELECT FROM import_runs AS run
            WHERE run.organization_id = booked.organization_id AND run.record_type = 'appointments'
              AND booked.created_at IN (run.created_at, run.updated_at, run.finished_at)
       ) OR created_at > scheduled_at AND EXISTS (
           SELECT FROM state_transitions AS step
            WHERE step.organization_id = booked.organization_id AND step.subject_type = 'Appointment'
              AND step.subject_id = booked.id AND step.made_up
       ));
RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE state_transitions ADD COLUMN IF NOT EXISTS made_up boolean DEFAULT false NOT NULL")
    migrator.sql("ALTER TABLE appointments ADD COLUMN IF NOT EXISTS created_at_made_up boolean DEFAULT false NOT NULL")
    # As created_at may be put right, so may what is said of it.
    migrator.sql(f"GRANT UPDATE (created_at_made_up) ON appointments TO {quote_identifier(database.app_role)}")
    migrator.sql(OPEN)
    migrator.sql(JOURNAL)
    migrator.sql(MOVED)
    migrator.sql(CLOSE)
    migrator.sql(BOOKED.format(admin=quote_identifier(database.admin_role)))


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(CLOSE)
    migrator.sql("ALTER TABLE appointments DROP COLUMN IF EXISTS created_at_made_up")
    migrator.sql("ALTER TABLE state_transitions DROP COLUMN IF EXISTS made_up")
