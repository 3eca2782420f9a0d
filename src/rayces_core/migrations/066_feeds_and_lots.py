"""An address that was revoked has no secret left, a feed keeps when its file changed, and a lot which purchase it is of.

A lot that was handed over with a duplicate's credits is opened by the entry that gives them; what its payment takes
back is drawn from it first all the same.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

# The hash of no secret.
NOBODYS = "0" * 64
# As the admin role: row-level security shows the owner no row.
GIVEN_UP = f"""
    SET LOCAL ROLE {{admin}};
    UPDATE calendar_feeds SET secret_hash = '{NOBODYS}' WHERE revoked_at IS NOT NULL AND secret_hash <> '{NOBODYS}';
    RESET ROLE
"""

RULES = {
    "calendar_feeds_revoked_at_check": (
        "calendar_feeds",
        f"CHECK ((revoked_at IS NULL) = (secret_hash <> '{NOBODYS}'))",
    ),
    "calendar_feeds_changed_at_check": ("calendar_feeds", "CHECK ((changed_at IS NULL) = (body_hash IS NULL))"),
    "credit_lots_organization_id_purchase_id_fkey": (
        "credit_lots",
        "FOREIGN KEY (organization_id, purchase_id) REFERENCES credit_transactions (organization_id, id)",
    ),
}


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE calendar_feeds
            ADD COLUMN IF NOT EXISTS body_hash character varying,
            ADD COLUMN IF NOT EXISTS changed_at timestamp with time zone
    """)
    migrator.sql(GIVEN_UP.format(admin=quote_identifier(database.admin_role)))
    migrator.sql("ALTER TABLE credit_lots ADD COLUMN IF NOT EXISTS purchase_id bigint")
    for name, (table, rule) in RULES.items():
        migrator.sql(f"""
            ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};
            ALTER TABLE {table} ADD CONSTRAINT {name} {rule} NOT VALID
        """)
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    migrator.sql(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS index_credit_lots_on_purchase_id "
        "ON credit_lots (organization_id, purchase_id) WHERE purchase_id IS NOT NULL"
    )
    app = quote_identifier(database.app_role)
    migrator.sql(f"GRANT UPDATE (secret_hash, body_hash, changed_at) ON calendar_feeds TO {app}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"REVOKE UPDATE (secret_hash) ON calendar_feeds FROM {quote_identifier(database.app_role)}")
    migrator.sql("DROP INDEX CONCURRENTLY IF EXISTS index_credit_lots_on_purchase_id")
    migrator.sql("ALTER TABLE credit_lots DROP COLUMN IF EXISTS purchase_id")
    migrator.sql("""
        ALTER TABLE calendar_feeds
            DROP CONSTRAINT IF EXISTS calendar_feeds_revoked_at_check,
            DROP COLUMN IF EXISTS body_hash,
            DROP COLUMN IF EXISTS changed_at
    """)
