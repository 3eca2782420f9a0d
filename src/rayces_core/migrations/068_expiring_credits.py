"""Notices tell that credits are about to expire: of a purchase, not of a session."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

OF_SESSIONS = "'reminder', 'booked', 'offered', 'confirmed', 'moved', 'cancelled'"
RULES = {
    "notices_event_check": f"CHECK (event IN ({OF_SESSIONS}, 'credits_expiring'))",
    "notices_minutes_before_check": (
        "CHECK (CASE WHEN event IN ('reminder', 'credits_expiring') THEN minutes_before > 0 ELSE minutes_before = 0 END)"
    ),
    "notices_purchase_id_check": (
        "CHECK ((event = 'credits_expiring') = (purchase_id IS NOT NULL) "
        "AND (appointment_id IS NULL) = (purchase_id IS NOT NULL))"
    ),
    "notices_organization_id_purchase_id_fkey": (
        "FOREIGN KEY (organization_id, purchase_id) REFERENCES credit_transactions (organization_id, id)"
    ),
}
BEFORE = {
    "notices_event_check": f"CHECK (event IN ({OF_SESSIONS}))",
    "notices_minutes_before_check": (
        "CHECK (CASE WHEN event = 'reminder' THEN minutes_before > 0 ELSE minutes_before = 0 END)"
    ),
}
ONCE = "notices_of_credits_once_key"
# Row-level security would hide the rows from the owner of the tables.
FORGOTTEN = """
    SET LOCAL ROLE {admin};
    DELETE FROM notices WHERE event = 'credits_expiring';
    RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE notices ADD COLUMN IF NOT EXISTS purchase_id bigint")
    migrator.sql("ALTER TABLE notices ALTER COLUMN appointment_id DROP NOT NULL")
    exchange(migrator, RULES)
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {ONCE} "
        "ON notices (organization_id, purchase_id, minutes_before, channel) WHERE purchase_id IS NOT NULL"
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(FORGOTTEN.format(admin=quote_identifier(database.admin_role)))
    migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {ONCE}")
    migrator.sql("ALTER TABLE notices DROP CONSTRAINT IF EXISTS notices_purchase_id_check")
    exchange(migrator, BEFORE)
    migrator.sql("ALTER TABLE notices ALTER COLUMN appointment_id SET NOT NULL")
    migrator.sql("ALTER TABLE notices DROP COLUMN IF EXISTS purchase_id")


def exchange(migrator: Migrator, rules: dict[str, str]) -> None:
    # Each in one transaction, so that there is no moment without it; Citus takes nothing else beside ADD CONSTRAINT.
    for name, rule in rules.items():
        migrator.sql(f"""
            ALTER TABLE notices DROP CONSTRAINT IF EXISTS {name};
            ALTER TABLE notices ADD CONSTRAINT {name} {rule} NOT VALID
        """)
        migrator.sql(f"ALTER TABLE notices VALIDATE CONSTRAINT {name}")
