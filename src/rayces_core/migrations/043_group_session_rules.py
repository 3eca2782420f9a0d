"""A seat is one of its group's, at its group's time, and taken once; 045 lets appointments of one group overlap."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

OCCUPYING = "state IN ('pre_confirmed', 'confirmed', 'executed', 'no_show')"
# Beginning with the tenant; the group's own columns come in the same order.
PLACE = "professional_id, scheduled_at, duration_minutes, buffer_minutes"
RULES = (
    (
        "appointments_group_session_id_fkey",
        "FOREIGN KEY (organization_id, group_session_id) REFERENCES group_sessions (organization_id, id)",
    ),
    # No row of an appointment without a seat is looked for, as one of its columns is NULL.
    (
        "appointments_group_session_place_fkey",
        (
            f"FOREIGN KEY (organization_id, group_session_id, {PLACE}, seats) "
            f"REFERENCES group_sessions (organization_id, id, {PLACE}, open_seats)"
        ),
    ),
    (
        "appointments_group_session_id_check",
        (
            f"CASE WHEN group_session_id IS NOT NULL AND {OCCUPYING} THEN seat IS NOT NULL AND seats IS NOT NULL "
            "ELSE seat IS NULL AND seats IS NULL AND (group_session_id IS NULL OR state = 'cancelled') END"
        ),
    ),
    ("appointments_seat_check", "seat BETWEEN 1 AND seats"),
)
SEAT = "appointments_organization_id_group_session_id_seat_key"
OF_ONE = "index_appointments_on_organization_id_and_group_session_id"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for name, rule in RULES:
        definition = rule if rule.startswith("FOREIGN") else f"CHECK ({rule})"
        migrator.sql(
            f"ALTER TABLE appointments DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} {definition} NOT VALID"
        )
    for name, _ in RULES:
        migrator.sql(f"ALTER TABLE appointments VALIDATE CONSTRAINT {name}")
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {SEAT} ON appointments "
        "(organization_id, group_session_id, seat) WHERE seat IS NOT NULL"
    )
    migrator.sql(
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {OF_ONE} ON appointments (organization_id, group_session_id) "
        "WHERE group_session_id IS NOT NULL"
    )
    _exchange_index(migrator, " AND group_session_id IS NULL")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    _exchange_index(migrator, "")
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {OF_ONE}")
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {SEAT}")
    for name, _ in reversed(RULES):
        migrator.sql(f"ALTER TABLE appointments DROP CONSTRAINT IF EXISTS {name}")


def _exchange_index(migrator: Migrator, condition: str) -> None:
    # Meanwhile the exclusion constraint holds what it holds, and more.
    migrator.sql("DROP INDEX CONCURRENTLY IF EXISTS idx_no_double_booking")
    migrator.sql(
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS idx_no_double_booking ON appointments "
        f"(organization_id, professional_id, scheduled_at, state) WHERE state IN ('confirmed', 'executed'){condition}"
    )
