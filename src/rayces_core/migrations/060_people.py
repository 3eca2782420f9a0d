"""Two contacts that are one person, and people who asked to be forgotten.

A duplicate says into whom it was merged. What a person is forgotten by is told to the ledger and to the journal as
well, which nothing else changes: their words, in privileged work that says that it erases, and never a number.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

ERASING = "current_setting('rayces.erasing', true) = 'on'"
INTO = "users_organization_id_merged_into_id_fkey"
MERGED = "users_merged_into_id_check"
# Table → the words in it that the admin role may take away.
WORDS = {"credit_transactions": "reason", "state_transitions": "reason, details", "outbox_messages": "payload"}

ERASES = f"FOR UPDATE TO {{admin}} USING ({ERASING}) WITH CHECK ({ERASING})"
# What is not told to erase finds no row of the journal, as it finds no settled one of the ledger.
POLICIES = {
    "credit_transactions": {"rayces_admin_erase": ERASES},
    "state_transitions": {
        "rayces_admin_select": "FOR SELECT TO {admin} USING (true)",
        "rayces_admin_insert": "FOR INSERT TO {admin} WITH CHECK (true)",
        "rayces_admin_update": ERASES,
    },
}


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    migrator.sql("""
        ALTER TABLE users
            ADD COLUMN merged_into_id bigint,
            ADD COLUMN merged_at timestamp with time zone,
            ADD COLUMN erased_at timestamp with time zone
    """)
    migrator.sql("ALTER TABLE students ADD COLUMN erased_at timestamp with time zone")
    for name, rule in (
        (INTO, "FOREIGN KEY (organization_id, merged_into_id) REFERENCES users (organization_id, id)"),
        (MERGED, "CHECK ((merged_into_id IS NULL) = (merged_at IS NULL) AND merged_into_id <> id)"),
    ):
        migrator.sql(f"""
            ALTER TABLE users DROP CONSTRAINT IF EXISTS {name};
            ALTER TABLE users ADD CONSTRAINT {name} {rule} NOT VALID
        """)
        migrator.sql(f"ALTER TABLE users VALIDATE CONSTRAINT {name}")
    migrator.sql(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS index_users_on_merged_into_id "
        "ON users (organization_id, merged_into_id) WHERE merged_into_id IS NOT NULL"
    )
    migrator.sql(f"GRANT UPDATE (merged_into_id, merged_at) ON users TO {app}")
    for table, words in WORDS.items():
        migrator.sql(f"GRANT UPDATE ({words}) ON {table} TO {admin}")
    for table, policies in POLICIES.items():
        for name, rule in policies.items():
            migrator.sql(f"DROP POLICY IF EXISTS {name} ON {table}")
            migrator.sql(f"CREATE POLICY {name} ON {table} {rule.format(admin=admin)}")
    migrator.sql("DROP POLICY IF EXISTS rayces_admin ON state_transitions")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    admin = quote_identifier(database.admin_role)
    migrator.sql("DROP POLICY IF EXISTS rayces_admin ON state_transitions")
    migrator.sql(f"CREATE POLICY rayces_admin ON state_transitions TO {admin} USING (true) WITH CHECK (true)")
    for table, policies in POLICIES.items():
        for name in policies:
            migrator.sql(f"DROP POLICY IF EXISTS {name} ON {table}")
    for table, words in WORDS.items():
        migrator.sql(f"REVOKE UPDATE ({words}) ON {table} FROM {admin}")
    migrator.sql("DROP INDEX CONCURRENTLY IF EXISTS index_users_on_merged_into_id")
    migrator.sql("ALTER TABLE students DROP COLUMN IF EXISTS erased_at")
    migrator.sql("""
        ALTER TABLE users
            DROP COLUMN IF EXISTS erased_at,
            DROP COLUMN IF EXISTS merged_at,
            DROP COLUMN IF EXISTS merged_into_id
    """)
