"""A student's sessions by time, as a professional's and a client's are: whoever books asks for those around it.

By state they had to be read from the first one on, and a student has more of them each year.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

BY_TIME = "index_appointments_on_student_id_and_scheduled_at"
BY_STATE = "index_appointments_on_organization_id_and_student_id_and_state"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    exchange(migrator, BY_TIME, "student_id, scheduled_at", BY_STATE)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    exchange(migrator, BY_STATE, "student_id, state", BY_TIME)


def exchange(migrator: Migrator, name: str, columns: str, former: str) -> None:
    # The former one goes last: a foreign key needs one of the two.
    migrator.sql(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON appointments (organization_id, {columns})")
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {former}")
