"""What can never be booked is not stored: lengths, buffers, starts within a minute, holds that end before they begin."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

KEY = "state_transitions_organization_id_idempotency_key_key"
# Table, name, rule, the rule of that name before.
RULES = (
    ("appointments", "appointments_expires_at_order_check", "expires_at >= pre_confirmed_at", None),
    (
        "appointments",
        "appointments_scheduled_at_check",
        "date_trunc('minute', scheduled_at AT TIME ZONE 'UTC') = scheduled_at AT TIME ZONE 'UTC'",
        None,
    ),
    ("appointments", "appointments_buffer_minutes_check", "buffer_minutes BETWEEN 0 AND 1440", "buffer_minutes >= 0"),
    ("professionals", "professionals_buffer_minutes_check", "buffer_minutes BETWEEN 0 AND 1440", "buffer_minutes >= 0"),
    (
        "professionals",
        "professionals_session_duration_minutes_check",
        "session_duration_minutes BETWEEN 15 AND 480",
        "session_duration_minutes > 0",
    ),
    (
        "state_transitions",
        "state_transitions_request_fingerprint_check",
        "(request_fingerprint IS NULL) = (idempotency_key IS NULL)",
        None,
    ),
)
# A hold that ended before it began was over from the first moment on; its row says so from now on.
HOLDS = """
SET LOCAL ROLE {admin};
UPDATE appointments SET expires_at = pre_confirmed_at WHERE expires_at < pre_confirmed_at;
RESET ROLE
"""
# Nobody but the centre knows what was meant, so these are named and left alone. The admin role looks, since row-level
# security hides every row from an owner that is no superuser.
REFUSED = (
    (
        "professionals",
        "session_duration_minutes NOT BETWEEN 15 AND 480",
        "professionals have a session_duration_minutes that is not 15 to 480, so they can never be booked",
    ),
    ("professionals", "buffer_minutes > 1440", "professionals have a buffer_minutes of more than a day, 1440"),
    ("appointments", "buffer_minutes > 1440", "appointments have a buffer_minutes of more than a day, 1440"),
    (
        "appointments",
        "date_trunc('minute', scheduled_at AT TIME ZONE 'UTC') <> scheduled_at AT TIME ZONE 'UTC'",
        "appointments have a scheduled_at within a minute",
    ),
)
REFUSE = """
SET LOCAL ROLE {admin};
DO $refuse$
DECLARE
    unfit bigint;
    example bigint;
BEGIN
    SELECT count(*), min(id) INTO unfit, example FROM {table} WHERE {condition};
    IF unfit > 0 THEN
        RAISE EXCEPTION '% {sentence} (the first has id %); correct them, then run the migration again', unfit, example;
    END IF;
END
$refuse$;
RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    admin = quote_identifier(database.admin_role)
    for table, condition, sentence in REFUSED:
        migrator.sql(REFUSE.format(admin=admin, table=table, condition=condition, sentence=sentence))
    migrator.sql(HOLDS.format(admin=admin))
    # The rules bind new rows first, then the old ones are read under a lock that disturbs nobody.
    for table, name, rule, _ in RULES:
        exchange(migrator, table, name, rule)
    for table, name, _, _ in RULES:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {KEY} ON state_transitions (organization_id, idempotency_key) "
        "WHERE idempotency_key IS NOT NULL"
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {KEY}")
    for table, name, _, before in reversed(RULES):
        if before is None:
            migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        else:
            exchange(migrator, table, name, before)
            migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def exchange(migrator: Migrator, table: str, name: str, rule: str) -> None:
    # One statement, so that there is no moment without a rule.
    migrator.sql(f"""
        ALTER TABLE {table}
            DROP CONSTRAINT IF EXISTS {name},
            ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID
    """)
